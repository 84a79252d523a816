"""Event lists: which sound is where, as the DCASE tools read and write them.

One row an event, tab-separated, no header: `file onset offset label`, times in
seconds. A file name alone is a clip without events, so is a DESED row whose other
columns are empty. Other separators are recognised, as `text` says, and a header,
as DESED and `predict` write one: it says which columns count. The weak lists have the
same columns, but their times are those of the clip in its YouTube video.

What onset and offset mean is said once, in `gcrnn_jax/detection/events.py`.

Source: dcase.community/challenge2017, task 4; the lists of its development and
evaluation sets.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.audio.recording_files import AUDIO_ENDINGS
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.lists.text import (
    FILE_NAMES,
    OFFSET_NAMES,
    ONSET_NAMES,
    SEPARATORS,
    BadRow,
    BadTime,
    find_separator,
    is_time_header,
    is_timed,
    read_utf8_lines,
    split_columns,
    without_empty_end,
)
from gcrnn_jax.errors import DataError

MAX_S = 864_000.0  # ten days: no recording is longer
_LABEL_NAMES = frozenset("event_label label class class_name event tag".split())


class Event(NamedTuple):
    """One sound, active in [onset, offset) seconds of its clip."""

    onset: float
    offset: float
    event_label: str


class EventRow(NamedTuple):
    """One row of a list as it was written; a bare file name has no event."""

    file: str
    onset: float | None
    offset: float | None
    event_label: str | None
    line: int  # 1 is the first


def read_event_rows(path: str | Path) -> tuple[list[EventRow], list[Finding]]:
    """Reads every row of an event list, also the `0 0 label` rows without times.

    Windows and Unix line ends, a byte order mark, blank lines and a missing last
    line end are all accepted.

    Args:
        path: A list; see the head of this file and of `text`.

    Returns:
        The rows in the order of the list, and what is wrong with those left out:
        BAD_ROW (columns), BAD_TIME (not a number, negative, onset after offset).

    Raises:
        DataError: The list cannot be read.
    """
    findings: list[Finding] = []
    return list(stream_event_rows(path, findings)), findings


def stream_event_rows(
    path: str | Path, findings: list[Finding], *, may_have_scores: bool = False
) -> Iterator[EventRow]:
    """Yields the rows that `read_event_rows` returns; adds to findings on the way.

    Args:
        path: As of `read_event_rows`.
        findings: Gets what is wrong with rows left out.
        may_have_scores: Whether a fifth column, of numbers, is passed over in a list
            without a header.

    Raises:
        DataError: The list cannot be read.
    """
    lines = read_utf8_lines(path)
    separator = find_separator(lines, is_timed, default="\t")
    header: list[str] | None = None
    for line, text in lines.rows():
        try:
            columns = split_columns(text, separator)
            if header is None:
                header = columns if is_time_header(columns) else []
                if header:
                    continue
            if may_have_scores and not header and len(columns) == 5:
                columns = columns[: 4 if _is_score(columns[4]) else 5]
            yield _row(_in_order(columns, header), line, separator)
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))


def events_by_file(rows: Iterable[EventRow]) -> dict[str, list[Event]]:
    """Collects the events of every file, files in order of first appearance.

    A row that ends at 0 s (`0 0 label`) says that the label is in the clip but not
    where: it makes no event, yet its file stays in the result, perhaps with no event.

    Example:
        >>> rows = [EventRow("a.wav", 0.5, 2.0, "Car", 1),
        ...         EventRow("b.wav", 0.0, 0.0, "Bus", 2)]
        >>> events_by_file(rows)
        {'a.wav': [Event(onset=0.5, offset=2.0, event_label='Car')], 'b.wav': []}
    """
    events: dict[str, list[Event]] = {}
    for row in rows:
        of_file = events.setdefault(row.file, [])
        if row.onset is not None and row.offset and row.event_label:
            of_file.append(Event(row.onset, row.offset, row.event_label))
    return events


def write_event_list(
    path: str | Path, events_by_file: Mapping[str, Sequence[Event]]
) -> None:
    """Writes an event list with three decimals, whole or not at all.

    A clip without events gets a line too, its bare name: the official tagging tool
    leaves clips without a line out of the score, and their labels are no misses.
    An event shorter than a millisecond is written as one millisecond.

    Args:
        path: Where to; folders on the way are made, an older list is replaced.
        events_by_file: The events of every clip, `[]` for a clip without.

    Raises:
        DataError: A name with a tab or line end in it, or times that are no times.
        StorageError: The disk refuses.
    """
    lines = []
    for file, events in events_by_file.items():
        lines += [_event_line(file, event) for event in events] or [_name(file)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _in_order(columns: list[str], header: Sequence[str]) -> list[str]:
    """The columns of a row as file, onset, offset, label; without those of no use."""
    if not header or len(columns) == 1:
        return without_empty_end(columns, 4)
    columns = without_empty_end(columns, len(header))
    if len(columns) != len(header):
        expected = f"expected {len(header)} columns as in the header"
        raise BadRow(f"{expected}, got {len(columns)}: {' | '.join(columns)!r}")
    names = [name.lower() for name in header]
    wanted = (FILE_NAMES, ONSET_NAMES, OFFSET_NAMES, _LABEL_NAMES)
    places = [
        next((i for i, name in enumerate(names) if name in known), place)
        for place, known in enumerate(wanted)
    ]
    return [columns[place] if place < len(columns) else "" for place in places]


def _row(columns: list[str], line: int, separator: str) -> EventRow:
    file, *others = columns
    expected = "expected `file onset offset label` or `file`, separated by "
    expected += SEPARATORS[separator]
    if file and not any(others):
        if (other := _other_separator(file)) is not None:
            raise BadRow(f"{expected}, got {other}: {file!r}")
        return EventRow(file, None, None, None, line)
    if len(columns) != 4 or not file or not columns[3]:
        came = " | ".join(columns)
        hint = "; quotes go around what holds a comma" if separator == "," else ""
        raise BadRow(f"{expected}, got {len(columns)} columns: {came!r}{hint}")
    onset, offset = (seconds(column, separator) for column in columns[1:3])
    if onset > offset:
        raise BadTime(f"expected onset <= offset, got {onset:g} > {offset:g}")
    return EventRow(file, onset, offset, columns[3], line)


def _other_separator(file: str) -> str | None:
    """What seems to separate columns in what should be a file name alone.

    Its labels would be lost. A name that ends as recordings do may hold anything.
    """
    if file.lower().endswith(AUDIO_ENDINGS):
        return None
    kinds = {**SEPARATORS, "|": "bars"}
    return next((kind for mark, kind in kinds.items() if mark in file), None)


def _is_score(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def seconds(text: str, separator: str = "") -> float:
    """Reads a time of a list, with a decimal comma where semicolons separate columns.

    Raises:
        BadTime: It is no number, negative or over `MAX_S`.

    Example:
        >>> seconds("2,5", ";"), seconds("2.5")
        (2.5, 2.5)
    """
    has_comma = separator == ";" and "." not in text
    try:
        value = float(text.replace(",", ".") if has_comma else text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_S:
        raise BadTime(f"expected a time in seconds, 0 to {MAX_S:.0f}, got {text!r}")
    return value


def _event_line(file: str, event: Event) -> str:
    if not 0 <= event.onset <= event.offset < math.inf:
        raise DataError(f"{file}: expected 0 <= onset <= offset, got {event}")
    onset, offset = round(event.onset, 3), round(event.offset, 3)
    if event.onset < event.offset and onset == offset:
        offset = onset + 0.001  # `0.000 0.000 label` would read back as no event
    label = _name(event.event_label)
    return f"{_name(file)}\t{onset:.3f}\t{offset:.3f}\t{label}"


def _name(name: str) -> str:
    if not name.strip() or any(mark in name for mark in "\t\r\n"):
        raise DataError(f"a file or label cannot be named {name!r} in an event list")
    return name
