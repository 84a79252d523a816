"""Selection tables of Raven, and tables of detections as BirdNET writes them.

    Selection  View  Channel  Begin Time (s)  End Time (s)  ...  Annotation
    Start (s),End (s),Scientific name,Common name,Confidence,File

Tabs, commas or semicolons separate the columns, which the header names; others than
those below are not used. Raven has two rows of a selection, one for each view. In a
table of several recordings its times count from the first of them, and
`File Offset (s)` from the one that `Begin Path` or `Begin File` names.

Source: the manual of Raven Pro; BirdNET-Analyzer's tables.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.lists.text import (
    BadRow,
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
from gcrnn_jax.errors import DataError

# Without what is no letter or digit: R writes `Begin.Time..s.`.
_COUNTING_ON = ["begintimes", "begintime"]  # Raven's, from recording to recording
_ONSET = [*_COUNTING_ON, *"starts start starttimes starttime".split()]
_OFFSET = "endtimes endtime ends end".split()
_RECORDING = "beginpath beginfile filepath file filename".split()
_FILE_ONSET = ["fileoffsets", "fileoffset"]
_SCORE = ["confidence", "score"]
# Of columns with as many labels the first is used.
_BIRD = "commonname scientificname speciescode".split()  # names of the same
_LABELS = (
    "annotation annotations label labels species".split()
    + _BIRD
    + "tag tags tag1 class calltype soundtype type event eventlabel".split()
)
_NO_CALL = "nocall"  # a row of BirdNET for a recording without a detection
_WANTED = "columns such as `Begin Time (s)`, `End Time (s)` and `Annotation`"


class _Header(NamedTuple):
    names: list[str]  # of the columns, as above
    titles: list[str]  # as they are written
    separator: str

    def has_any(self, names: Sequence[str]) -> bool:
        return bool({*self.names} & {*names})

    def title(self, name: str) -> str:
        return repr(self.titles[self.names.index(name)])


class _Row(NamedTuple):
    line: int
    cells: Mapping[str, str]  # by the names of the columns, as above

    def first(self, names: Sequence[str]) -> str:
        return next((self.cells[name] for name in names if self.cells.get(name)), "")


def read_selection_table(
    path: str | os.PathLike, findings: list[Finding]
) -> list[TimedLabel]:
    """Reads a selection table, each selection once.

    Times are those of its recording. The column of labels is the one with most of
    them, as `Annotation`, `Species` or `Common Name`; a finding LABEL_COLUMN says which
    where several have labels. Decimal commas are read where no time has a point.

    Args:
        path: Of the table.
        findings: Gets what is wrong with rows left out: BAD_ROW (columns, no label),
            BAD_TIME; and GOES_ON for a selection that ends in another recording.

    Returns:
        The labels in the order of the table; none of a table with a header alone.

    Raises:
        DataError: It cannot be read, has no header, no times, no labels, or the times
            of several recordings without `File Offset (s)`.
    """
    filled = read_utf8_lines(path).rows()
    number, first = next(filled, (1, ""))
    header = _header(first)
    if not header:
        expected = f"expected a header with {_WANTED}, separated by tabs"
        raise DataError(f"{path}:{number}: {expected}, got {first[:200]!r}")
    rows = []
    for line, text in filled:
        try:
            rows.append(_row(line, split_columns(text, header.separator), header.names))
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))
    if not rows:
        return []
    _check_offsets(path, header, rows)
    column = _label_column(path, header, rows, findings)
    return _labels(path, rows, column, findings)


def is_selection_header(line: str) -> bool:
    r"""Whether a line is the header of such a table.

    Example:
        >>> is_selection_header("Selection\tBegin Time (s)\tEnd Time (s)\tSpecies")
        True
    """
    return _header(line) is not None


def _header(line: str) -> _Header | None:
    """The columns that a first line names; None if there are no times among them."""
    for separator in "\t,;":
        try:
            titles = split_columns(line, separator)
        except BadRow:
            continue
        header = _Header([*map(_folded, titles)], titles, separator)
        if header.has_any(_ONSET) and header.has_any(_OFFSET):
            return header
    return None


def _folded(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.casefold())


def _row(line: int, columns: list[str], names: Sequence[str]) -> _Row:
    columns = without_empty_end(columns, len(names))
    if len(columns) > len(names):
        expected = f"expected {len(names)} columns as in the header"
        raise BadRow(f"{expected}, got {len(columns)}: {' | '.join(columns)!r}")
    columns += [""] * (len(names) - len(columns))
    return _Row(line, dict(zip(names, columns, strict=True)))


def _check_offsets(
    path: str | os.PathLike, header: _Header, rows: Sequence[_Row]
) -> None:
    """Raises DataError for times that count from the first of several recordings."""
    if not header.has_any(_COUNTING_ON) or header.has_any(_FILE_ONSET):
        return
    names = {row.first(_RECORDING): row.line for row in reversed(rows)}
    if len(names) > 1:
        line, name = sorted((line, name) for name, line in names.items())[1]
        raise DataError(
            f"{path}:{line}: expected a column `File Offset (s)`, as the times of a "
            f"table of several recordings count from the first; got none, and {name!r}"
        )


def _label_column(
    path: str | os.PathLike,
    header: _Header,
    rows: Sequence[_Row],
    findings: list[Finding],
) -> str:
    """The column of labels: the one with most of them."""
    columns = [name for name in _LABELS if name in header.names]
    counts = {name: sum(bool(row.cells[name]) for row in rows) for name in columns}
    used = max(columns, key=counts.__getitem__, default="")
    if not used or not counts[used]:
        came = f"{len(rows)} rows without a label in {', '.join(header.titles)}"
        expected = "expected a column of labels such as `Annotation`"
        raise DataError(f"{path}:{rows[0].line}: {expected}, got {came}")
    others = [name for name in columns if counts[name] and name != used]
    if others and not {used, *others} <= {*_BIRD}:
        unused = ", ".join(map(header.title, others))
        detail = f"labels are those of {header.title(used)}, not of {unused}"
        findings.append(Finding(str(path), 0, Code.LABEL_COLUMN, detail))
    return used


def _labels(
    path: str | os.PathLike,
    rows: Sequence[_Row],
    column: str,
    findings: list[Finding],
) -> list[TimedLabel]:
    names = (*_ONSET, *_OFFSET, *_FILE_ONSET)
    times = (row.cells.get(name, "") for row in rows for name in names)
    has_comma = has_decimal_comma(times)
    has_scores = all(_is_score(row.first(_SCORE), has_comma) for row in rows)
    labels, named = [], {_selection(row) for row in rows if row.cells[column]}
    views: dict[tuple, set[str]] = {}  # of a selection, those that have had its row
    for row in rows:
        if not row.cells[column] and (_selection(row) or ()) in named:
            continue  # the row of another view has the label
        try:
            label = _timed_label(row, column, has_comma)
        except BadRow as bad:
            findings.append(Finding(str(path), row.line, bad.code, str(bad)))
            continue
        if column in _BIRD and label.label.casefold() == _NO_CALL:
            continue
        view = row.cells.get("view", "")
        seen = views.setdefault((row.cells.get("selection"), *label[:4]), set())
        is_again = bool(seen - {view})
        seen.add(view)
        if is_again:
            continue
        score = score_of(row.first(_SCORE), has_comma) if has_scores else None
        labels.append(label._replace(score=score))
        if detail := _goes_on(row):
            findings.append(Finding(str(path), row.line, Code.GOES_ON, detail))
    return labels


def _selection(row: _Row) -> tuple[str | None, ...] | None:
    """What the rows of a selection's views have in common; None without views."""
    if not row.cells.get("view"):
        return None
    return row.cells.get("selection"), row.first(_ONSET), row.first(_OFFSET)


def _is_score(text: str, has_comma: bool) -> bool:
    """Whether a text is a score or empty; how sure a person was may be "high"."""
    try:
        score_of(text, has_comma)
    except BadRow:
        return False
    return True


def _goes_on(row: _Row) -> str:
    """Says that a selection ends in another recording, if it does."""
    for kind in ("path", "file"):
        begin, end = row.cells.get(f"begin{kind}"), row.cells.get(f"end{kind}")
        if begin and end:
            return "" if begin == end else f"begins in {begin!r} and ends in {end!r}"
    return ""


def _timed_label(row: _Row, column: str, has_comma: bool) -> TimedLabel:
    onset, offset = row.first(_ONSET), row.first(_OFFSET)
    if not onset or not offset:
        raise BadRow("expected a begin time and an end time, got an empty column")
    if not row.cells[column]:
        raise BadRow("expected a label, got an empty column")
    start, end = time_span(onset, offset, has_comma)
    if begins := row.first(_FILE_ONSET):
        in_file, _ = time_span(begins, begins, has_comma)
        if in_file != start:
            start, end = in_file, round(in_file + end - start, 6)
    recording = row.first(_RECORDING)
    return TimedLabel(recording, start, end, row.cells[column], None, row.line)
