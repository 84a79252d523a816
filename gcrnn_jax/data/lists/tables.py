"""Tables whose first row names their columns, and what their cells say."""

import json
import os
from collections.abc import Iterator, Sequence

from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.lists.text import (
    SEPARATORS,
    BadRow,
    read_utf8_lines,
    split_columns,
    without_empty_end,
)
from gcrnn_jax.errors import DataError

LABEL_NAMES = frozenset(
    "labels label classes class category event_labels event_label".split()
)
SPLIT_NAMES = frozenset("split subset partition".split())
UNKNOWN = "?"  # in the place of labels
_SEPARATORS = ("\t", ";", ",")  # names of files may hold spaces


class Table:
    """A table with a header, separated by tabs, semicolons or commas.

    Attributes:
        path: Of the file.
        header: The names of the columns, in lower case.
        names: The same as they are written.
        separator: Between columns.
        line: Of the header.

    Raises:
        DataError: It cannot be read, is not UTF-8 or UTF-16, or its first row names no
            column of those needed, or one twice.
    """

    def __init__(self, path: str | os.PathLike, needed: frozenset[str]):
        """Of a file with one of the needed columns."""
        self.path, self._lines = str(path), read_utf8_lines(path)
        self.line, first = next(self._lines.rows(), (1, ""))
        self.separator = max(_SEPARATORS, key=lambda by: _named(first, by, needed))
        self.names = tuple(_columns(first, self.separator))
        while self.names and not self.names[-1]:  # as spreadsheets pad
            self.names = self.names[:-1]
        self.header = tuple(name.lower() for name in self.names)
        if not needed & {*self.header}:
            expected = f"expected a first row with a column {min(needed, key=len)!r}"
            if "recording" in needed:
                expected = "expected a first row with a column 'recording'"
            raise DataError(f"{path}:{self.line}: {expected}, got {first[:80]!r}")
        twice = [name for name in self.header if self.header.count(name) > 1]
        if twice:
            what = f"expected each column once, got {twice[0]!r} twice"
            raise DataError(f"{path}:{self.line}: {what}")

    def rows(self, findings: list[Finding]) -> Iterator[tuple[int, list[str]]]:
        """Yields line and columns of every row; notes those of another form.

        And NO_ROW, if there is no row at all.
        """
        number, is_bare = len(self.header), True
        for line, text in self._lines.rows():
            if line <= self.line:
                continue
            is_bare = False
            try:
                columns = without_empty_end(split_columns(text, self.separator), number)
                if len(columns) != number:
                    by = SEPARATORS[self.separator]
                    expected = f"expected {number} columns as in the header"
                    came = f"got {len(columns)} separated by {by}: {text[:80]!r}"
                    raise BadRow(f"{expected}, {came}")
                yield line, columns
            except BadRow as bad:
                findings.append(Finding(self.path, line, bad.code, str(bad)))
        if is_bare:
            detail = "expected rows below the header, got none"
            findings.append(Finding(self.path, self.line, Code.NO_ROW, detail))

    def place(self, names: frozenset[str]) -> int | None:
        """Which column has one of the names; None: none has."""
        return next((i for i, name in enumerate(self.header) if name in names), None)


def _columns(text: str, separator: str) -> Sequence[str]:
    try:
        return split_columns(text, separator)
    except BadRow:
        return ()


def _named(text: str, separator: str, needed: frozenset[str]) -> tuple[bool, int]:
    columns = [name.lower() for name in _columns(text, separator)]
    return bool(needed & {*columns}), len(columns)


def labels_of_cell(text: str) -> tuple[str, ...] | None:
    r"""The labels that a cell holds, separated by `;`; None: they are not known.

    A label that holds a `;` is in quotes; a list of JSON is read as well.

    Raises:
        BadRow: A list that is no JSON, quotes that do not end, or `?` beside labels.

    Example:
        >>> labels_of_cell("Dog; Cat"), labels_of_cell(""), labels_of_cell("?")
        (('Dog', 'Cat'), (), None)
        >>> labels_of_cell('["Air horn, truck horn"]')
        ('Air horn, truck horn',)
        >>> labels_of_cell('"a;b";c')
        ('a;b', 'c')
    """
    if text == UNKNOWN:
        return None
    if text.startswith("["):
        return _labels_of_json(text)
    is_quoted = '"' in text
    labels = split_columns(text, ";") if is_quoted else text.split(";")
    labels = tuple(filter(None, map(str.strip, labels)))
    if UNKNOWN in labels and not is_quoted:
        raise BadRow(f"expected labels, or {UNKNOWN} alone, got {text!r}")
    return labels


def _labels_of_json(text: str) -> tuple[str, ...]:
    try:
        labels = json.loads(text)
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        expected = 'expected labels separated by `;`, or a list of JSON as ["a", "b"]'
        raise BadRow(f"{expected}, got {text!r}")
    return tuple(filter(None, map(str.strip, labels)))


def cell_of_labels(labels: Sequence[str] | None) -> str:
    """The cell that `labels_of_cell` reads as these labels.

    Example:
        >>> cell_of_labels(("Dog", "a;b")), cell_of_labels(()), cell_of_labels(None)
        ('Dog;"a;b"', '', '?')
    """
    if labels is None:
        return UNKNOWN
    return ";".join(map(_quoted, labels))


def _quoted(label: str) -> str:
    is_odd = label == UNKNOWN or label.startswith("[") or ";" in label or '"' in label
    return '"' + label.replace('"', '""') + '"' if is_odd else label
