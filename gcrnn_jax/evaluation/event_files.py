"""Event lists of any system, in any of the common forms.

A file may be an event list (`file onset offset label`, with or without a header or a
column of scores, as DESED, sed_eval, AudioSet-strong and `predict` have it), a table of
BirdNET or a selection table of Raven, or, of one recording that has its name, a label
track of Audacity or a list `onset offset label`. A folder holds such files.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from gcrnn_jax.audio.recording_files import AUDIO_ENDINGS, walk_files
from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.layouts.files import LabelFiles
from gcrnn_jax.data.lists.event_lists import EventRow, stream_event_rows
from gcrnn_jax.data.lists.label_tracks import looks_like_label_track, read_label_track
from gcrnn_jax.data.lists.selection_tables import (
    is_selection_header,
    read_selection_table,
)
from gcrnn_jax.data.lists.text import (
    FILE_NAMES,
    SEPARATORS,
    BadRow,
    find_separator,
    is_time_header,
    is_timed,
    read_lines,
    split_columns,
)
from gcrnn_jax.data.lists.timed_labels import TimedLabel, has_decimal_comma, time_span
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.names import first_of
from gcrnn_jax.evaluation.other_forms import check_is_list

_OF_PREDICT = ("events.csv", "tags.csv")  # in folders that it or a run wrote
_OF_CLIPS = {"labels", "split", "strong", "clip_id"}  # columns of a table of clips
_LISTS = (".txt", ".csv", ".tsv", ".ann", ".lab")


def read_events(path: Path) -> tuple[list[EventRow], list[str]]:
    """Reads the events of a file or folder.

    Returns:
        Rows, and remarks on what the files hold. A file of one recording without any
        event is a row of its name alone.

    Raises:
        DataError: A file cannot be read or has a row of another form, or there is none.
    """
    paths = [path]
    remarks = []
    if all((path / name).is_file() for name in _OF_PREDICT):
        path = path / _OF_PREDICT[0]  # the other files are of the same recordings
        paths, remarks = [path], [f"{path}: the events of this folder"]
    elif path.is_dir():
        paths = sorted(_lists_in(path))
        if not paths:
            came = sorted({one.suffix or one.name for one in path.iterdir()})
            raise DataError(
                f"{path}: expected event lists ({', '.join(_LISTS)}), found none"
                + (f", only {first_of(came)}" if came else "")
            )
    findings: list[Finding] = []
    is_one_of_many = path.is_dir()
    rows = [
        row
        for one in paths
        for row in _rows(one, findings, is_one_of_many=is_one_of_many)
    ]
    for finding in findings:
        if finding.code.severity == "error":
            place = f"{finding.path}:{finding.line}" if finding.line else finding.path
            raise DataError(f"{place}: {finding.detail}")
    remarks += [f"{finding.path}: {finding.detail}" for finding in findings]
    return rows, remarks


def recording_of(path: Path) -> str:
    """The recording that a file of one recording is of.

    Example:
        >>> recording_of(Path("lists/a.Table.1.selections.txt"))
        'a'
    """
    return LabelFiles.name_of(path.name)


def _lists_in(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename}: {error.strerror}")

    for path in walk_files(str(folder), fail):
        if os.path.splitext(path)[1].lower() in _LISTS:
            yield Path(path)


def _rows(
    path: Path, findings: list[Finding], *, is_one_of_many: bool
) -> Iterator[EventRow]:
    """The rows of one file, by what its first lines look like."""
    check_is_list(path)
    lines = read_lines(path)
    head = [text for _, text in itertools.islice(lines.rows(), 1000)]
    first = head[0] if head else ""
    header = _time_header(head)
    if not head and not is_one_of_many:
        raise DataError(
            f"{path}: expected rows `file onset offset label`, got 0: the file is "
            "empty. A system that found nothing has a row `file` for each recording, "
            "or a header alone"
        )
    _check_columns(path, header, head)
    if header is None and is_selection_header(first):
        yield from _of_labels(path, read_selection_table(path, findings))
    elif head and header is None and _names_recordings(first):
        yield from stream_event_rows(path, findings, may_have_scores=True)
    elif head and header is None and looks_like_label_track(head):
        yield from _of_labels(path, read_label_track(path, findings))
    elif header is not None and not {*header} & FILE_NAMES:
        yield from _of_labels(path, _read_bare(path, header, findings))
    elif header is None and _is_bare(head):
        columns = ["onset", "offset", "label"]
        yield from _of_labels(path, _read_bare(path, columns, findings))
    elif not head:
        yield EventRow(recording_of(path), None, None, None, 1)
    else:
        _check_first(path, header, first)
        yield from stream_event_rows(path, findings, may_have_scores=True)


def _time_header(head: list[str]) -> list[str] | None:
    """The columns that a header of an event list names, in lower case."""
    for separator in SEPARATORS if head else ():
        try:
            columns = split_columns(head[0], separator)
        except BadRow:
            continue
        if len(columns) > 1 and is_time_header(columns):
            return [column.lower() for column in columns]
    return None


def _check_columns(path: Path, header: list[str] | None, head: list[str]) -> None:
    """Raises DataError for tables of other things than events."""
    if header is not None and _is_score_table(header, head):
        raise DataError(
            f"{path}: expected a column of labels, got `{', '.join(header[:3])} ...` "
            "and numbers; scores are a folder that holds nothing but one table a "
            "recording, with a header `onset offset CLASS...`"
        )
    if header is not None and {*header} & _OF_CLIPS and {*header} & FILE_NAMES:
        raise DataError(
            f"{path}:1: expected events, got a table of clips (`{', '.join(header)}`): "
            "give the list of its events, such as events.csv beside it, or score a "
            "model on the folder with --model and --root"
        )


def _check_first(path: Path, header: list[str] | None, first: str) -> None:
    """Raises DataError for a first row that seems to be a header, and is of no use."""
    if header is None and (names := _unknown_header(first)):
        raise DataError(
            f"{path}:1: expected a header that names times, such as `filename onset "
            f"offset event_label`, or times in seconds; got {' | '.join(names)!r}"
        )


def _is_score_table(header: list[str], head: list[str]) -> bool:
    """Whether there is neither file nor label under a header of times, but numbers."""
    if {*header} & FILE_NAMES or any(map(_is_label, header)):
        return False
    for separator in SEPARATORS:
        numbers = head[-1].replace(",", "." if separator == ";" else ",")
        columns = numbers.split(separator)
        if len(columns) == len(header) > 2 and all(map(_is_number, columns)):
            return True
    return False


def _unknown_header(line: str) -> list[str]:
    """The columns of a first row that seems to be a header; none: it is no such row."""
    for separator in "\t;,":
        try:
            columns = split_columns(line, separator)
        except BadRow:
            continue
        is_file = columns[0].lower().endswith(AUDIO_ENDINGS)
        named = [column for column in columns if column]
        if len(named) > 2 and not is_file and not any(map(_is_number, named)):
            return columns
    return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names_recordings(line: str) -> bool:
    """Whether a row is `file onset offset label`, though the file may be a number."""
    by = find_separator([line], is_timed, default="\t")
    columns = split_columns(line, by)
    return len(columns) > 3 and is_timed(columns)


def _is_bare(head: list[str]) -> bool:
    """Whether the first two columns are times, as of a list of one recording."""
    separator = find_separator(head, _is_timed_first, default="\t")
    return bool(head) and _is_timed_first(split_columns(head[0], separator))


def _is_timed_first(columns: list[str]) -> bool:
    try:
        return len(columns) in (3, 4) and all(float(c) >= 0 for c in columns[:2])
    except ValueError:
        return False


def _read_bare(
    path: Path, header: list[str], findings: list[Finding]
) -> list[TimedLabel]:
    """Reads a list of one recording, `onset offset label`, with or without header."""
    lines = read_lines(path)
    separator = find_separator(
        lines, lambda row: is_time_header(row) or _is_timed_first(row), default="\t"
    )
    onset, offset = (
        next(i for i, name in enumerate(header) if name.startswith(kinds))
        for kinds in (("onset", "start"), ("offset", "end"))
    )
    label = next((i for i, c in enumerate(header) if _is_label(c)), 2)
    labels = []
    for line, text in lines.rows():
        try:
            columns = split_columns(text, separator)
            if is_time_header(columns):
                continue
            if separator == " ":  # in labels, too
                columns = text.split(None, 2)
            if len(columns) <= max(onset, offset, label) or not columns[label]:
                expected = "expected `onset offset label`, separated by "
                raise BadRow(f"{expected}{SEPARATORS[separator]}, got {text!r}")
            times = columns[onset], columns[offset]
            span = time_span(*times, has_decimal_comma(times) and separator != ",")
            labels.append(TimedLabel("", *span, columns[label], None, line))
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))
    return labels


def _is_label(column: str) -> bool:
    return any(word in column for word in ("label", "class", "event", "tag"))


def _of_labels(path: Path, labels: list[TimedLabel]) -> Iterator[EventRow]:
    """The labels as rows; those without a recording are of the one with its name."""
    if not labels:
        yield EventRow(recording_of(path), None, None, None, 1)
    own = recording_of(path)
    for label in labels:
        times = label.onset, label.offset
        yield EventRow(label.recording or own, *times, label.label, label.line)
