"""Clip lists: which classes occur in which clip, without saying when.

DCASE 2017 Task 4 writes them in two ways, both read here:

    training_set.csv                     ytid,start,end,"Label A,Label B","id a,id b"
    groundtruth_weak_label_*_set.csv     file<TAB>start<TAB>end<TAB>label

Two of its class names hold a comma, so the names of the first are never split: its
ids say the same without ambiguity.
"""

import csv
import os
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.event_lists import BadRow, Reject, read_event_rows, seconds
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.errors import DataError

DUPLICATE = "DUPLICATE"  # the one code that loses nothing: labels are united


class ClipRow(NamedTuple):
    """One clip of a list.

    Attributes:
        clip_id: `{ytid}_{start}_{end}`, as in the names of the recordings.
        labels: Indices into the class list, ascending.
        line: Where the clip first occurs; 1 is the first line.
    """

    clip_id: str
    labels: tuple[int, ...]
    line: int


class IdRow(NamedTuple):
    """One row of `ytid,start,end,"names","ids"` as it was written."""

    clip_id: str
    names: str
    ids: tuple[str, ...]
    line: int  # 1 is the first


def read_id_rows(path: str | os.PathLike, rejects: list[Reject]) -> list[IdRow]:
    """Reads every row of `ytid,start,end,"names","ids"`, whatever its labels are.

    Args:
        path: As training_set.csv.
        rejects: Rows that could not be read are appended to it, BAD_ROW or BAD_TIME.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    rows = []
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not raw.strip() or raw.startswith(b"#"):
            continue
        try:
            rows.append(_parse(raw, line))
        except BadRow as bad:
            rejects.append((str(path), line, bad.code, bad.detail))
    return rows


def read_clip_list(
    path: str | os.PathLike, classes: ClassList
) -> tuple[list[ClipRow], list[Reject]]:
    r"""Reads `ytid,start,end,"names","ids"` by the ids.

    Windows, Unix and old Mac line ends, a byte order mark, blank lines and lines that
    start with `#` are accepted. A clip that occurs again gets the labels of all its
    rows and is noted with the code DUPLICATE.

    Args:
        path: As training_set.csv.
        classes: Whose ids the last column holds.

    Returns:
        The clips in the order of the list, and (path, line, code, detail) of every
        row that could not be used (BAD_ROW, BAD_TIME, UNKNOWN_LABEL) or was merged.

    Raises:
        DataError: The file cannot be read.
    """
    rejects: list[Reject] = []
    merger = _Merger(str(path))
    for row in read_id_rows(path, rejects):
        unknown = [name for name in row.ids if name not in classes.index_by_id]
        if unknown:
            detail = classes.unknown_id(unknown[0])
            rejects.append((str(path), row.line, "UNKNOWN_LABEL", detail))
        else:
            labels = sorted({classes.index_by_id[name] for name in row.ids})
            merger.add(row.clip_id, tuple(labels), row.line)
    return merger.rows(), _by_line(rejects, merger)


def read_weak_list(
    path: str | os.PathLike, classes: ClassList
) -> tuple[list[ClipRow], list[Reject]]:
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
    rejects: list[Reject] = []
    merger = _Merger(str(path))
    for row in read_event_rows(Path(path), rejects):
        clip_id = clip_id_of_file(row.file)
        if row.event_label is None:
            merger.labels.setdefault(clip_id, ((), row.line))
        elif row.event_label not in classes.index_by_name:
            detail = classes.unknown_name(row.event_label)
            rejects.append((str(path), row.line, "UNKNOWN_LABEL", detail))
        else:
            label = classes.index_by_name[row.event_label]
            seen = merger.labels.get(clip_id)
            if seen and label not in seen[0]:
                merger.labels[clip_id] = (tuple(sorted((*seen[0], label))), seen[1])
            else:
                merger.add(clip_id, (label,), row.line)
    return merger.rows(), _by_line(rejects, merger)


def clip_id_of_file(name: str) -> str:
    """Returns a file name of a list without its extension.

    Example:
        >>> clip_id_of_file("-5QrBL6MzLg_60.000_70.000.wav")
        '-5QrBL6MzLg_60.000_70.000'
        >>> clip_id_of_file("-5QrBL6MzLg_60.000_70.000")
        '-5QrBL6MzLg_60.000_70.000'
    """
    stem, extension = os.path.splitext(name)
    return name if extension[1:].isdigit() else stem


class _Merger:
    """Collects clips in order of first appearance, uniting rows of the same clip."""

    def __init__(self, path: str):
        self.path = path
        self.labels: dict[str, tuple[tuple[int, ...], int]] = {}
        self.rejects: list[Reject] = []

    def add(self, clip_id: str, labels: tuple[int, ...], line: int) -> None:
        if clip_id in self.labels:
            known, first_line = self.labels[clip_id]
            detail = f"{clip_id} is in line {first_line} too; labels united"
            self.rejects.append((self.path, line, DUPLICATE, detail))
            labels, line = tuple(sorted({*known, *labels})), first_line
        self.labels[clip_id] = (labels, line)

    def rows(self) -> list[ClipRow]:
        return [ClipRow(clip_id, *rest) for clip_id, rest in self.labels.items()]


def _by_line(rejects: list[Reject], merger: _Merger) -> list[Reject]:
    return sorted([*rejects, *merger.rejects], key=lambda reject: reject[1])


def _parse(raw: bytes, line: int) -> IdRow:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow("BAD_ROW", f"expected UTF-8 text, got {error.reason}") from None
    if "\0" in text:
        raise BadRow("BAD_ROW", "holds a NUL")
    try:
        [columns] = csv.reader([text], strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise BadRow("BAD_ROW", f"not comma-separated: {error}") from None
    if len(columns) != 5:
        expected = 'expected `ytid,start,end,"names","ids"`'
        raise BadRow("BAD_ROW", f"{expected}, got {len(columns)} columns")
    video_id, start, end, names, ids = (column.strip() for column in columns)
    if not video_id or "/" in video_id or "\\" in video_id:
        raise BadRow("BAD_ROW", f"expected an id of a video, got {video_id!r}")
    start_s, end_s = seconds(start), seconds(end)
    if start_s >= end_s:
        raise BadRow("BAD_TIME", f"expected start < end, got {start} and {end}")
    clip_id = f"{video_id}_{start_s:.3f}_{end_s:.3f}"
    return IdRow(clip_id, names, tuple(map(str.strip, ids.split(","))), line)
