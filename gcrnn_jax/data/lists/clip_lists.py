"""Clip lists: which classes occur in which clip, without saying when.

DCASE 2017 Task 4 writes them in two ways, both read here:

    training_set.csv                     ytid,start,end,"Label A,Label B","id a,id b"
    groundtruth_weak_label_*_set.csv     file<TAB>start<TAB>end<TAB>label

with these or other separators, as `text` says.

Two of its class names hold a comma, so the names of the first are never split: its
ids say the same without ambiguity.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.dataset import ClipRow
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.lists.event_lists import seconds, stream_event_rows
from gcrnn_jax.data.lists.text import (
    BadRow,
    BadTime,
    find_separator,
    is_time_header,
    is_timed,
    read_lines,
    split_columns,
    without_empty_end,
    wrong_byte,
)

_EXTENSION = re.compile(r"\.([A-Za-z][A-Za-z0-9]{0,4}|3gp|3g2)")


class IdRow(NamedTuple):
    """One row of `ytid,start,end,"names","ids"` as it was written."""

    clip_id: str
    names: str
    ids: tuple[str, ...]
    line: int  # 1 is the first


def read_id_rows(path: str | os.PathLike) -> tuple[list[IdRow], list[Finding]]:
    """Reads every row of `ytid,start,end,"names","ids"`, whatever its labels are.

    Returns:
        The rows, and those that could not be read: BAD_ROW or BAD_TIME.

    Raises:
        DataError: The file cannot be read.
    """
    findings: list[Finding] = []
    return list(stream_id_rows(path, findings)), findings


def stream_id_rows(path: str | os.PathLike, findings: list[Finding]) -> Iterator[IdRow]:
    """Yields the rows that `read_id_rows` returns; adds to findings on the way.

    Raises:
        DataError: The file cannot be read.
    """
    lines = read_lines(path)
    separator = find_separator(lines, is_timed, default=",")
    is_first = True
    for line, text in lines.rows():
        if text.startswith("#"):
            continue
        try:
            columns = _split(text, separator)
            if not (is_first and is_time_header(columns)):
                yield _parse(columns, line, separator)
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))
        is_first = False


def read_clip_list(
    path: str | os.PathLike, classes: ClassList
) -> tuple[list[ClipRow], list[Finding]]:
    """Reads `ytid,start,end,"names","ids"` by the ids.

    Windows, Unix and old Mac line ends, a byte order mark, blank lines and lines that
    start with `#` are accepted. A clip that occurs again gets the labels of all its
    rows and is noted with the code DUPLICATE.

    Args:
        path: As training_set.csv.
        classes: Whose ids the last column holds.

    Returns:
        The clips in the order of the list, and every row that could not be used
        (BAD_ROW, BAD_TIME, UNKNOWN_LABEL) or was merged.

    Raises:
        DataError: The file cannot be read.
    """
    findings: list[Finding] = []
    rows = _by_ids(path, classes, findings)
    return _unite(path, rows, findings, has_one_row_a_clip=True)


def _by_ids(
    path: str | os.PathLike, classes: ClassList, findings: list[Finding]
) -> Iterator[ClipRow]:
    index_by_id = classes.index_by_id
    once: dict[tuple[int, ...], tuple[int, ...]] = {}  # many clips have the same labels
    for row in stream_id_rows(path, findings):
        unknown = [name for name in row.ids if name not in index_by_id]
        if unknown:
            detail = classes.unknown_id(unknown[0])
            findings.append(Finding(str(path), row.line, Code.UNKNOWN_LABEL, detail))
        else:
            labels = tuple(sorted({index_by_id[name] for name in row.ids}))
            yield ClipRow(row.clip_id, once.setdefault(labels, labels), row.line)


def read_weak_list(
    path: str | os.PathLike, classes: ClassList
) -> tuple[list[ClipRow], list[Finding]]:
    """Reads `file<TAB>start<TAB>end<TAB>label`, one row a label, by name.

    Args:
        path: As groundtruth_weak_label_evaluation_set.csv.
        classes: Whose names the last column holds.

    Returns:
        As `read_clip_list`. A bare file name is a clip without labels. DUPLICATE
        notes a label that a clip has twice.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    findings: list[Finding] = []
    rows = _by_names(path, classes, findings)
    return _unite(path, rows, findings, has_one_row_a_clip=False)


def _by_names(
    path: str | os.PathLike, classes: ClassList, findings: list[Finding]
) -> Iterator[ClipRow]:
    for row in stream_event_rows(Path(path), findings):
        name = row.event_label
        if name is not None and name not in classes.index_by_name:
            detail = classes.unknown_name(name)
            findings.append(Finding(str(path), row.line, Code.UNKNOWN_LABEL, detail))
        else:
            labels = () if name is None else (classes.index_by_name[name],)
            yield ClipRow(clip_id_of_file(row.file), labels, row.line)


def clip_id_of_file(name: str) -> str:
    """Returns a file name of a list without its extension.

    Example:
        >>> clip_id_of_file("-5QrBL6MzLg_60.000_70.000.wav")
        '-5QrBL6MzLg_60.000_70.000'
        >>> clip_id_of_file("-5QrBL6MzLg_60.000_70.000")
        '-5QrBL6MzLg_60.000_70.000'
    """
    stem, extension = os.path.splitext(name)
    return stem if _EXTENSION.fullmatch(extension) else name


def outside_largest(
    lists: Iterable[Sequence[ClipRow]], key: Callable[[ClipRow], str]
) -> set[str]:
    """Keys of the clips of all lists but the largest: what two lists share is there.

    So who looks for that need not keep the keys of millions of training clips.
    """
    by_length = sorted(lists, key=len)
    return {key(row) for rows in by_length[:-1] for row in rows}


def _unite(
    path: str | os.PathLike,
    rows: Iterable[ClipRow],
    findings: list[Finding],
    *,
    has_one_row_a_clip: bool,
) -> tuple[list[ClipRow], list[Finding]]:
    """Unites rows of the same clip, in order of first appearance; notes repetitions."""
    clips: dict[str, ClipRow] = {}
    for row in rows:  # which add to findings
        first = clips.setdefault(row.clip_id, row)
        if first is row:
            continue
        before, more = first.labels or (), row.labels or ()
        labels = {*before, *more}
        is_known = bool(more) and len(labels) == len(before)
        if has_one_row_a_clip or is_known:
            detail = f"{row.clip_id} is in line {first.line} too; labels united"
            findings.append(Finding(str(path), row.line, Code.DUPLICATE, detail))
        clips[row.clip_id] = first._replace(labels=tuple(sorted(labels)))
    return list(clips.values()), sorted(findings, key=lambda finding: finding.line)


def _split(text: str, separator: str) -> list[str]:
    if "\0" in text:
        raise BadRow("holds a NUL")
    if (byte := wrong_byte(text)) is not None:
        raise BadRow(f"expected UTF-8 text, got the byte {byte:02x}")
    return split_columns(text, separator)


def _parse(columns: list[str], line: int, separator: str) -> IdRow:
    columns = without_empty_end(columns, 5)
    if len(columns) != 5:
        expected = 'expected `ytid,start,end,"names","ids"`'
        raise BadRow(f"{expected}, got {len(columns)} columns")
    video_id, start, end, names, ids = columns
    if not video_id or "/" in video_id or "\\" in video_id:
        raise BadRow(f"expected an id of a video, got {video_id!r}")
    start_s, end_s = seconds(start, separator), seconds(end, separator)
    if start_s >= end_s:
        raise BadTime(f"expected start < end, got {start} and {end}")
    clip_id = f"{video_id}_{start_s:.3f}_{end_s:.3f}"
    return IdRow(clip_id, names, tuple(map(str.strip, ids.split(","))), line)
