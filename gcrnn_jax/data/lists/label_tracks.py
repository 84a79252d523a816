r"""Label tracks of Audacity: labels and their times in one recording, or project.

    2.150000<TAB>2.150000<TAB>a point
    3.400000<TAB>6.100000<TAB>a region
    \<TAB>1484.669312<TAB>2969.338523        its frequencies, which are not used

No header; the order of the rows does not matter. A score may stand in a fourth column,
as BirdNET has it, or, on every row of the track, behind the label, as `predict` and
others do for lack of such a column.

Source: the manual of Audacity, importing and exporting labels.
"""

import os
import re
from collections.abc import Sequence

from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.lists.text import (
    BadRow,
    is_blank,
    read_utf8_lines,
    split_columns,
    without_empty_end,
)
from gcrnn_jax.data.lists.timed_labels import (
    TimedLabel,
    has_decimal_comma,
    score_of,
    time_span,
)

_FREQUENCIES = "\\"  # the first column of a row that says them
_SCORED = re.compile(r"(.*\S) \(?([01][.,]\d+)\)?")
_EXPECTED = "expected `onset offset label`, separated by tabs"


def read_label_track(
    path: str | os.PathLike, findings: list[Finding]
) -> list[TimedLabel]:
    """Reads a label track.

    Decimal commas are read where no time of the track has a point.

    Args:
        path: Of the track.
        findings: Gets what is wrong with rows left out: BAD_ROW (no label, or one with
            a tab in it), BAD_TIME.

    Returns:
        The labels in the order of the track, without a recording.

    Raises:
        DataError: It cannot be read.
    """
    lines = read_utf8_lines(path).rows()
    rows = [(line, split_columns(text, "\t")) for line, text in lines]
    times = (time for _, columns in rows for time in columns[:2])
    has_comma = has_decimal_comma(time for time in times if time[:1].isdigit())
    labels: list[TimedLabel] = []
    for number, (line, columns) in enumerate(rows):
        try:
            if columns[0] == _FREQUENCIES:
                _check_frequencies(columns, is_first=number == 0)
            else:
                labels.append(_label(without_empty_end(columns, 4), line, has_comma))
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))
    return _with_scores(labels)


def looks_like_label_track(lines: Sequence[str]) -> bool:
    r"""Whether the first row of a text is one of a label track; an empty text is one.

    Example:
        >>> looks_like_label_track(["1.5\t2.5\tDog"]), looks_like_label_track(["Notes"])
        (True, False)
    """
    first = next((line for line in lines if not is_blank(line)), None)
    return first is None or bool(re.match(r"[-\d.,]+\t[-\d.,]+(\t|$)", first))


def _check_frequencies(columns: Sequence[str], is_first: bool) -> None:
    if is_first:
        raise BadRow(f"{_EXPECTED}, before a row of frequencies")
    if len(without_empty_end([*columns], 3)) > 3:
        raise BadRow(f"expected two frequencies, got {len(columns) - 1} columns")


def _label(columns: list[str], line: int, has_comma: bool) -> TimedLabel:
    if len(columns) < 2:
        raise BadRow(f"{_EXPECTED}, got {columns[0]!r}")
    onset, offset = time_span(columns[0], columns[1], has_comma)
    label, score = columns[2] if len(columns) > 2 else "", None
    if not label:
        raise BadRow(f"{_EXPECTED}, got no label")
    if len(columns) == 4:
        try:
            score = score_of(columns[3], has_comma)
        except BadRow:
            columns = [*columns, ""]
    if len(columns) > 4:
        came = " | ".join(columns[2:]).removesuffix(" | ")
        raise BadRow(f"{_EXPECTED}, and perhaps a score; got a tab in {came!r}")
    return TimedLabel("", onset, offset, label, score, line)


def _with_scores(labels: list[TimedLabel]) -> list[TimedLabel]:
    """Takes the numbers behind the labels for scores if all labels have one.

    A single "Type 0.5" among other labels is a label.
    """
    matches = [_SCORED.fullmatch(label.label) for label in labels]
    scores = [float(match[2].replace(",", ".")) if match else 2.0 for match in matches]
    if (
        not labels
        or max(scores) > 1
        or any(label.score is not None for label in labels)
    ):
        return labels
    return [
        label._replace(label=match[1], score=score)
        for label, match, score in zip(labels, matches, scores, strict=True)
        if match
    ]
