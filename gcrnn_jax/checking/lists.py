"""What is wrong with the lists of a data set, without looking at recordings."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gcrnn_jax.checking.files import check_files
from gcrnn_jax.data.clip_lists import (
    outside_largest,
    read_weak_list,
    stream_id_rows,
)
from gcrnn_jax.data.dataset import SPLITS, ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.data.findings import MIN_CLIPS, Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.layouts.dcase2017 import CLIP_LIST, STRONG_LIST, WEAK_LIST
from gcrnn_jax.errors import DataError

_TIMED_ID = re.compile(r"(.+)_(\d+\.\d{3})_(\d+\.\d{3})")


def check_lists(dataset: Dataset) -> list[Finding]:
    """Finds what is wrong with the lists of a folder.

    Args:
        dataset: Of `read_folder`, whose own findings are not repeated here.
    """
    classes = dataset.classes
    findings = [*dataset.findings, *check_files(dataset.root), *_splits(dataset)]
    for name, split in dataset.splits.items():
        if not split.rows:
            continue  # NO_ROW already
        findings += [*_names(split, classes), *_clips(split)]
        findings += _weak_list(dataset.root / WEAK_LIST.format(name), split, classes)
        if split.event_rows is not None:
            findings += _events(str(split.strong_list), split.event_rows)
            findings += _labels_and_events(split, split.event_rows, classes)
    return [*findings, *_sources(dataset), *_classes(dataset)]


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


def _splits(dataset: Dataset) -> Iterator[Finding]:
    """Splits without which training or scoring is not possible."""
    root, splits = dataset.root, dataset.splits
    if splits and "training" not in splits:
        expected = CLIP_LIST.format("training")
        detail = f"no usable {expected}, only {', '.join(splits)}"
        yield Finding(str(root), 0, Code.SPLIT_MISSING, detail)
    if splits and not set(splits) - {"training"}:
        detail = f"no usable list of {', '.join(SPLITS[1:])}: nothing to score on"
        yield Finding(str(root), 0, Code.SPLIT_MISSING, detail)
    for name in SPLITS:
        path = root / STRONG_LIST.format(name)
        if name not in splits and path.is_file():
            lists = f"{CLIP_LIST.format(name)} or {WEAK_LIST.format(name)}"
            detail = f"events of a split that no usable {lists} lists"
            yield Finding(str(path), 0, Code.SPLIT_MISSING, detail)


def _names(split: FolderSplit, classes: ClassList) -> Iterator[Finding]:
    """Names beside ids that are those of other classes."""
    if split.list_path.name != CLIP_LIST.format(split.name):
        return
    for row in stream_id_rows(split.list_path, []):  # whose findings are known
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
            yield Finding(str(split.list_path), row.line, Code.NAMES_DIFFER, detail)


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
    lengths = (source_and_length(row.clip_id)[1] for row in rows)
    lengths_s = np.fromiter((round(s or 0.0, 3) for s in lengths), float, len(rows))
    if not lengths_s.any():
        return 0.0, {}
    usual_s = Counter(lengths_s[lengths_s > 0].tolist()).most_common(1)[0][0]
    (short,) = np.nonzero((0 < lengths_s) & (lengths_s < usual_s))
    return usual_s, {rows[place]: float(lengths_s[place]) for place in short.tolist()}


def _clips(split: FolderSplit) -> Iterator[Finding]:
    """Clips without labels, and those shorter than most."""
    path = str(split.list_path)
    for row in split.rows:
        if not row.labels:
            yield Finding(path, row.line, Code.UNLABELLED, row.clip_id)
    usual_s, short = short_clips(split.rows)
    for row, length in short.items():
        detail = f"{row.clip_id}: {length:g} s, most have {usual_s:g} s"
        yield Finding(path, row.line, Code.SHORT_CLIP, detail)


def _weak_list(path: Path, split: FolderSplit, classes: ClassList) -> Iterator[Finding]:
    """Differences between the two lists that say which clip has which labels."""
    if path == split.list_path or not path.is_file():
        return
    try:
        rows, findings = read_weak_list(path, classes)
    except DataError as error:
        yield _unreadable(path, error)
        return
    yield from findings
    code, clip_list = Code.LABELS_DIFFER, split.list_path
    weak = {row.clip_id: row for row in rows}
    for row in split.rows:
        other = weak.pop(row.clip_id, None) or weak.pop("Y" + row.clip_id, None)
        if other is None:
            detail = f"{row.clip_id} is not in {path.name}"
            yield Finding(str(clip_list), row.line, code, detail)
        elif other.labels != row.labels:
            names, other_names = (
                ", ".join(classes.names[label] for label in labels) or "no label"
                for labels in (row.labels or (), other.labels or ())
            )
            detail = f"{row.clip_id}: {other_names}; {clip_list.name} says {names}"
            yield Finding(str(path), other.line, code, detail)
    for row in weak.values():
        detail = f"{row.clip_id} is not in {clip_list.name}"
        yield Finding(str(path), row.line, code, detail)


def _unreadable(path: Path, error: DataError) -> Finding:
    return Finding(str(path), 0, Code.UNREADABLE, str(error))


def _events(path: str, rows: Sequence[EventRow]) -> Iterator[Finding]:
    """Events of no length, twice, or overlapping one of their class."""
    of_class: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    first_line: dict[tuple, int] = {}
    for file, onset, offset, label, line in rows:
        if onset is None or offset is None or label is None:
            continue
        if onset == offset:
            code = Code.ZERO_LENGTH if offset else Code.NO_TIMES
            yield Finding(path, line, code, f"{file}: {label} at {onset:g} s")
            continue
        first = first_line.setdefault((file, onset, offset, label), line)
        if first != line:
            detail = f"{file}: {label} {onset:g}-{offset:g} s, as in line {first}"
            yield Finding(path, line, Code.DUPLICATE_EVENT, detail)
        of_class[file, label].append((onset, offset, line))
    for (file, label), events in of_class.items():
        if lines := _overlapping(sorted(events)):
            detail = f"{file}: {label} in lines {', '.join(map(str, lines))}"
            yield Finding(path, lines[0], Code.OVERLAP, detail)


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
    split: FolderSplit, rows: Sequence[EventRow], classes: ClassList
) -> Iterator[Finding]:
    """Weak labels without events, and events without weak labels."""
    strong_list, clip_list = str(split.strong_list), str(split.list_path)
    lines: dict[str, dict[str, int]] = defaultdict(dict)
    timed = {row.file for row in rows if row.event_label and row.offset}
    for row in rows:
        if row.event_label:
            lines[row.file].setdefault(row.event_label, row.line)
    for row in split.rows:
        weak = {classes.names[label] for label in row.labels or ()}
        strong = lines[row.clip_id]
        for label in strong.keys() - weak:
            detail = f"{row.clip_id}: {label} is not in {split.list_path.name}"
            yield Finding(strong_list, strong[label], Code.EVENT_UNLABELLED, detail)
        for label in sorted(weak - strong.keys()):
            detail = f"{row.clip_id}: {label}"
            yield Finding(clip_list, row.line, Code.LABEL_WITHOUT_EVENT, detail)
        if weak and row.clip_id not in timed:
            detail = f"{row.clip_id}: {', '.join(sorted(weak))}"
            yield Finding(clip_list, row.line, Code.NO_EVENT, detail)


def _sources(dataset: Dataset) -> Iterator[Finding]:
    """Sources, such as videos, with different clips in two splits."""
    lists = [split.rows for split in dataset.splits.values()]
    maybe = outside_largest(lists, _source)
    first: dict[str, tuple[str, str]] = {}
    reported = set()
    for name, split in dataset.splits.items():
        for row in split.rows:
            if (source := _source(row)) not in maybe:
                continue
            other, clip_id = first.setdefault(source, (name, row.clip_id))
            is_same = name == other or clip_id == row.clip_id
            if not is_same and (source, name) not in reported:
                reported.add((source, name))
                detail = f"{source}: {clip_id} ({other}), {row.clip_id} ({name})"
                path = str(split.list_path)
                yield Finding(path, row.line, Code.SHARED_SOURCE, detail)


def _source(row: ClipRow) -> str:
    return source_and_length(row.clip_id.removeprefix("Y"))[0]


def _classes(dataset: Dataset) -> Iterator[Finding]:
    """Classes that a split has no clip of, or few to train on."""
    labels = {
        name: Counter(label for row in split.rows for label in row.labels or ())
        for name, split in dataset.splits.items()
        if split.rows
    }
    for label, class_name in enumerate(dataset.classes.names):
        having = [name for name in labels if label in labels[name]]
        if "training" in having:
            split = dataset.splits["training"]
            if (count := labels["training"][label]) < MIN_CLIPS:
                detail = f"{class_name}: {count} clip{'s'[: count > 1]}"
                yield Finding(str(split.list_path), 0, Code.CLASS_SMALL, detail)
        for name in labels.keys() - having:
            path = str(dataset.splits[name].list_path)
            if name == "training" and having:
                detail = f"{class_name}, scored in {', '.join(having)}"
                yield Finding(path, 0, Code.CLASS_UNTRAINED, detail)
            else:
                yield Finding(path, 0, Code.CLASS_EMPTY, f"{class_name} ({name})")
