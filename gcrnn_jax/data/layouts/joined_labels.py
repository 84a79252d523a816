"""Several labels in one column, joined by commas, which labels hold too."""

import re
from collections.abc import Iterator, Sequence, Set

from gcrnn_jax.data.lists.text import BadRow, split_columns


def may_be_ambiguous(texts: Sequence[str]) -> bool:
    """Whether some commas of a column are followed by a space, and others are not.

    One kind may be in labels, as in "Air horn, truck horn".
    """
    joined = ",".join(texts)
    return ", " in joined and any(re.search(",[^ ]", text) for text in texts)


def split_labels(text: str, known: Set[str], *, is_ambiguous: bool) -> Iterator[str]:
    """Yields the labels that commas join.

    Of labels with commas the longest that is known is taken; what is in quotes is one.

    Args:
        text: As it is written.
        known: Labels that occur alone.
        is_ambiguous: Whether an unknown label may hold a comma with a space.

    Raises:
        BadRow: Quotes that do not end, or an unknown label that may hold a comma.

    Example:
        >>> text = "Dog,Air horn, truck horn"
        >>> list(split_labels(text, {"Air horn, truck horn"}, is_ambiguous=True))
        ['Dog', 'Air horn, truck horn']
        >>> list(split_labels('Dog,"A, b"', set(), is_ambiguous=True))
        ['Dog', 'A, b']
    """
    if '"' in text:
        yield from (part for part in split_columns(text, ",") if part)
        return
    pieces = re.split("(, *)", text)  # labels and what is between them
    labels, separators, start = [], [], 0
    while start < len(pieces):
        ends = range(len(pieces), start, -2)
        of_ends = {end: "".join(pieces[start:end]).strip() for end in ends}
        end = next((end for end in ends if of_ends[end] in known), start + 1)
        labels.append(of_ends[end])
        separators += pieces[end : end + 1]
        start = end + 1
    pairs = zip(labels, separators, labels[1:], strict=False)
    if is_ambiguous and any(
        by != "," and not {one, other} <= known for one, by, other in pairs
    ):
        raise BadRow(
            "expected labels joined by commas, and quotes around a label that holds "
            f"one, got {text!r}"
        )
    yield from filter(None, labels)
