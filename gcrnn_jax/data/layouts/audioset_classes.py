"""The classes of AudioSet: its class list, and ids of rows -> names of classes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.lists.text import (
    BadRow,
    read_utf8_lines,
    split_columns,
)
from gcrnn_jax.errors import DataError

_CLASSES = "class_labels_indices.csv"
_NAMES = "mid_to_display_name.tsv"
_PLACES = ("", "metadata", "meta", "csv")
_NUM_KEPT = 100_000  # rows whose classes are not looked up again
_MID = re.compile(r"/[a-z]/\w+")


def list_paths(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """The lists of these names that are in a folder, or in one of it for lists."""
    for file in names:
        paths = (root / place / file for place in _PLACES)
        yield from (path for path in paths if path.is_file())


def list_lines(path: Path, header: str) -> Iterator[tuple[int, str]]:
    """Yields number and text of the rows, without comments and a header.

    Raises:
        DataError: The list cannot be read.
    """
    for line, text in read_utf8_lines(path).rows():
        if not text.startswith(("#", header)):
            yield line, text


class Labels:
    """Classes and what else they are called; the ids of rows -> names of classes."""

    def __init__(self, root: Path):
        """Of the class list of a folder, if there is one.

        Raises:
            DataError: It cannot be read.
        """
        self._names: dict[str, str] = {}
        self._listed: ClassList | None = None
        for path in list_paths(root, [_NAMES]):
            self._names |= _display_names(path)
        for path in list_paths(root, [_CLASSES]):
            self._listed = _class_list(path)
            self._names |= dict(zip(self._listed.ids, self._listed.names, strict=True))
        self._known = None if self._listed is None else {*self._listed.ids}
        self._occurring: set[str] = set()
        self._of: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._left_out: Counter[str] = Counter()
        self._num_empty = 0

    def classes(self) -> ClassList:
        """Of the class list; without one those of all rows read, by their ids."""
        if self._listed is not None:
            return self._listed
        ids = sorted(self._occurring)
        return ClassList(tuple(ids), tuple(map(self._name, ids)))

    def of(self, text: str) -> tuple[str, ...]:
        """The classes of a row; counts ids that the class list leaves out.

        Raises:
            BadRow: An id that is none.
        """
        if (found := self._of.get(text)) is None:
            found = self._find(text)
            if len(self._of) < _NUM_KEPT:
                self._of[text] = found
        names, left_out = found
        if left_out:
            self._left_out.update(left_out)
            self._num_empty += not names
        return names

    def _find(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of a row, and the ids that the class list leaves out."""
        ids = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
        if wrong := [one for one in ids if not _MID.fullmatch(one)]:
            raise _UnknownId(f"expected ids such as /m/09x0r, got {wrong[0]!r}")
        if not ids:
            raise BadRow("expected ids such as /m/09x0r, got none")
        if self._known is None:
            self._occurring.update(ids)
            return tuple(map(self._name, ids)), ()
        left_out = tuple(one for one in ids if one not in self._known)
        return tuple(self._name(one) for one in ids if one in self._known), left_out

    def _name(self, class_id: str) -> str:
        return self._names.get(class_id, class_id)

    def left_out(self, path: Path) -> Iterator[Finding]:
        """What a list has had that the class list leaves out."""
        if self._left_out:
            (most, _), *_ = self._left_out.most_common(1)
            detail = (
                f"{self._left_out.total()} labels of {len(self._left_out)} classes, "
                f"most often {most} {self._names.get(most, '')}".rstrip()
                + f"; {self._num_empty} rows have no other"
            )
            yield Finding(str(path), 0, Code.OTHER_CLASS, detail)
        self._left_out, self._num_empty = Counter(), 0


class _UnknownId(BadRow):
    """A label that is no id."""

    code = Code.UNKNOWN_LABEL


def _class_list(path: Path) -> ClassList:
    """Reads `index,mid,display_name`; names that hold commas are in quotes."""
    ids, names = [], []
    for line, text in list_lines(path, header="index"):
        try:
            columns = split_columns(text, ",")
        except BadRow:
            columns = []
        if len(columns) != 3 or not _MID.fullmatch(columns[1]):
            raise DataError(
                f"{path}:{line}: expected `index,mid,display_name`, got {text!r}"
            )
        ids.append(columns[1])
        names.append(columns[2])
    if not ids:
        raise DataError(f"{path}: the class list holds no class")
    try:
        return ClassList(tuple(ids), tuple(names))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _display_names(path: Path) -> dict[str, str]:
    rows = (text.split("\t") for _, text in list_lines(path, header="mid"))
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
