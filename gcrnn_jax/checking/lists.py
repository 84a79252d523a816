"""What is wrong with the lists of a data set, without looking at recordings."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.checking.files import check_files
from gcrnn_jax.data.clip_lists import ClipRow, read_id_rows, read_weak_list
from gcrnn_jax.data.event_lists import EventRow, Reject
from gcrnn_jax.data.folder import SPLITS, Dataset, FolderSplit
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.recording_source import strong_rows
from gcrnn_jax.errors import DataError

_TIMED_ID = re.compile(r"(.+)_(\d+\.\d{3})_(\d+\.\d{3})")


class Lists(NamedTuple):
    """The lists of a data set as far as they could be read.

    Attributes:
        events: Split -> rows of its strong list, for splits that have one; `file` is
            the clip's id.
        findings: What is wrong with them.
    """

    events: dict[str, list[EventRow]]
    findings: list[Reject]


def check_lists(dataset: Dataset) -> Lists:
    """Finds what is wrong with the lists of a folder.

    Args:
        dataset: Of `find_splits`, whose own problems are not repeated here.
    """
    root, classes = dataset.root, dataset.classes
    findings = [*dataset.rejects, *check_files(root), *_splits(dataset)]
    events = {}
    for name, split in dataset.splits.items():
        if not split.rows:
            continue  # NO_ROW already
        findings += _names(split, classes)
        findings += _clips(split)
        findings += _weak_list(root, split, classes)
        if split.strong_list is not None:
            rows, bad = _read_strong(split, classes)
            findings += bad
            if rows is not None:
                events[name] = rows
                findings += _events(split.strong_list, rows)
                findings += _labels_and_events(split, rows, classes)
    findings += _sources(dataset)
    findings += _classes(dataset)
    return Lists(events, findings)


def source_and_length(clip_id: str) -> tuple[str, float | None]:
    """Returns what a clip was cut from and how long it should be, in seconds.

    Example:
        >>> source_and_length("-5QrBL6MzLg_60.000_70.000")
        ('-5QrBL6MzLg', 10.0)
        >>> source_and_length("kitchen_7")
        ('kitchen_7', None)
    """
    match = _TIMED_ID.fullmatch(clip_id)
    if not match or float(match[2]) >= float(match[3]):
        return clip_id, None
    return match[1], float(match[3]) - float(match[2])


def _splits(dataset: Dataset) -> Iterator[Reject]:
    """Splits without which training or scoring is not possible."""
    root, splits = dataset.root, dataset.splits
    if splits and "training" not in splits:
        detail = f"no usable training_set.csv, only {', '.join(splits)}"
        yield str(root), 0, "SPLIT_MISSING", detail
    if splits and not set(splits) - {"training"}:
        detail = f"no usable list of {', '.join(SPLITS[1:])}: nothing to score on"
        yield str(root), 0, "SPLIT_MISSING", detail
    for name in SPLITS:
        path = root / f"groundtruth_strong_label_{name}_set.csv"
        if name not in splits and path.is_file():
            detail = f"events of a split that no usable {name}_set.csv or "
            detail += f"groundtruth_weak_label_{name}_set.csv lists"
            yield str(path), 0, "SPLIT_MISSING", detail


def _names(split: FolderSplit, classes: ClassList) -> Iterator[Reject]:
    """Names beside ids that are those of other classes."""
    if split.list_path.name != f"{split.name}_set.csv":
        return
    for row in read_id_rows(split.list_path, []):
        if any(label not in classes.index_by_id for label in row.ids):
            continue
        expected = [classes.names[classes.index_by_id[label]] for label in row.ids]
        # Names that hold commas, joined by commas: compared without splitting them.
        left, is_other = row.names, False
        for name in sorted(expected, key=len, reverse=True):
            is_other |= name not in left
            left = left.replace(name, "", 1)
        if is_other or left.strip(", "):
            detail = f"{row.names!r} beside the ids of {', '.join(expected)}"
            yield str(split.list_path), row.line, "NAMES_DIFFER", detail


def short_clips(rows: Sequence[ClipRow]) -> tuple[float, dict[ClipRow, float]]:
    """Returns how long most clips are by their ids, and those that are shorter.

    Args:
        rows: Of a split.

    Returns:
        Seconds, 0 if no id says so; clip -> seconds.

    Example:
        >>> rows = [ClipRow(f"{i}_0.000_10.000", (0,), i) for i in range(2)]
        >>> short_clips([*rows, ClipRow("a_5.000_9.000", (0, 1), 3)])
        (10.0, {ClipRow(clip_id='a_5.000_9.000', labels=(0, 1), line=3): 4.0})
    """
    lengths = {row: source_and_length(row.clip_id)[1] for row in rows}
    known = {row: round(length, 3) for row, length in lengths.items() if length}
    if not known:
        return 0.0, {}
    usual_s = Counter(known.values()).most_common(1)[0][0]
    return usual_s, {row: s for row, s in known.items() if s < usual_s}


def _clips(split: FolderSplit) -> Iterator[Reject]:
    """Clips without labels, and those shorter than most."""
    path = str(split.list_path)
    for row in split.rows:
        if not row.labels:
            yield path, row.line, "UNLABELLED", row.clip_id
    usual_s, short = short_clips(split.rows)
    for row, length in short.items():
        detail = f"{row.clip_id}: {length:g} s, most have {usual_s:g} s"
        yield path, row.line, "SHORT_CLIP", detail


def _weak_list(root: Path, split: FolderSplit, classes: ClassList) -> Iterator[Reject]:
    """Differences between the two lists that say which clip has which labels."""
    path = root / f"groundtruth_weak_label_{split.name}_set.csv"
    if path == split.list_path or not path.is_file():
        return
    try:
        rows, rejects = read_weak_list(path, classes)
    except DataError as error:
        yield str(path), 0, "UNREADABLE", str(error)
        return
    yield from rejects
    weak = {row.clip_id: row for row in rows}
    for row in split.rows:
        other = weak.pop(row.clip_id, None) or weak.pop("Y" + row.clip_id, None)
        if other is None:
            detail = f"{row.clip_id} is not in {path.name}"
            yield str(split.list_path), row.line, "LABELS_DIFFER", detail
        elif other.labels != row.labels:
            here, there = (
                ", ".join(classes.names[label] for label in labels) or "no label"
                for labels in (other.labels, row.labels)
            )
            detail = f"{row.clip_id}: {here}; {split.list_path.name} says {there}"
            yield str(path), other.line, "LABELS_DIFFER", detail
    for row in weak.values():
        detail = f"{row.clip_id} is not in {split.list_path.name}"
        yield str(path), row.line, "LABELS_DIFFER", detail


def _read_strong(
    split: FolderSplit, classes: ClassList
) -> tuple[list[EventRow] | None, list[Reject]]:
    assert split.strong_list is not None
    try:
        clip_ids = [row.clip_id for row in split.rows]
        return strong_rows(split.strong_list, clip_ids, classes)
    except DataError as error:
        return None, [(str(split.strong_list), 0, "UNREADABLE", str(error))]


def _events(path: Path, rows: list[EventRow]) -> Iterator[Reject]:
    """Events of no length, twice, or overlapping one of their class."""
    of_class: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    first_line: dict[tuple, int] = {}
    for file, onset, offset, label, line in rows:
        if onset is None or offset is None or label is None:
            continue
        if onset == offset:
            code = "ZERO_LENGTH" if offset else "NO_TIMES"
            yield str(path), line, code, f"{file}: {label} at {onset:g} s"
            continue
        first = first_line.setdefault((file, onset, offset, label), line)
        if first != line:
            detail = f"{file}: {label} {onset:g}-{offset:g} s, as in line {first}"
            yield str(path), line, "DUPLICATE_EVENT", detail
        of_class[file, label].append((onset, offset, line))
    for (file, label), events in of_class.items():
        if lines := _overlapping(sorted(events)):
            detail = f"{file}: {label} in lines {', '.join(map(str, lines))}"
            yield str(path), lines[0], "OVERLAP", detail


def _overlapping(events: list[tuple[float, float, int]]) -> list[int]:
    """Returns the lines of those (onset, offset, line), by onset, that share time."""
    lines = set()
    _, end, end_line = events[0]
    for onset, offset, line in events[1:]:
        if onset < end:
            lines |= {end_line, line}
        if offset > end:
            end, end_line = offset, line
    return sorted(lines)


def _labels_and_events(
    split: FolderSplit, rows: list[EventRow], classes: ClassList
) -> Iterator[Reject]:
    """Weak labels without events, and events without weak labels."""
    strong_list = str(split.strong_list)
    lines: dict[str, dict[str, int]] = defaultdict(dict)
    timed = set()
    for row in rows:
        if row.event_label:
            lines[row.file].setdefault(row.event_label, row.line)
            if row.offset:
                timed.add(row.file)
    for row in split.rows:
        weak = {classes.names[label] for label in row.labels}
        strong = lines[row.clip_id]
        for label in strong.keys() - weak:
            detail = f"{row.clip_id}: {label} is not in {split.list_path.name}"
            yield strong_list, strong[label], "EVENT_UNLABELLED", detail
        for label in sorted(weak - strong.keys()):
            detail = f"{row.clip_id}: {label}"
            yield str(split.list_path), row.line, "LABEL_WITHOUT_EVENT", detail
        if weak and row.clip_id not in timed:
            detail = f"{row.clip_id}: {', '.join(sorted(weak))}"
            yield str(split.list_path), row.line, "NO_EVENT", detail


def _sources(dataset: Dataset) -> Iterator[Reject]:
    """Sources, such as videos, with different clips in two splits."""
    first: dict[str, tuple[str, str]] = {}
    told = set()
    for name, split in dataset.splits.items():
        for row in split.rows:
            source, _ = source_and_length(row.clip_id.removeprefix("Y"))
            other, clip_id = first.setdefault(source, (name, row.clip_id))
            if name == other or clip_id == row.clip_id or (source, name) in told:
                continue
            told.add((source, name))
            detail = f"{source}: {clip_id} ({other}), {row.clip_id} ({name})"
            yield str(split.list_path), row.line, "SHARED_SOURCE", detail


def _classes(dataset: Dataset) -> Iterator[Reject]:
    """Classes that a split has no clip of."""
    found = {
        name: {label for row in split.rows for label in row.labels}
        for name, split in dataset.splits.items()
        if split.rows
    }
    for label, class_name in enumerate(dataset.classes.names):
        having = [name for name, labels in found.items() if label in labels]
        for name in found:
            path = str(dataset.splits[name].list_path)
            if name == "training" and having and name not in having:
                detail = f"{class_name}, scored in {', '.join(having)}"
                yield path, 0, "CLASS_UNTRAINED", detail
            elif name not in having:
                yield path, 0, "CLASS_EMPTY", f"{class_name} ({name})"
