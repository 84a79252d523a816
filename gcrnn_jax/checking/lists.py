"""What is wrong with the lists of a data set, without looking at recordings."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from gcrnn_jax.checking.dcase_lists import check_dcase_lists
from gcrnn_jax.data.dataset import SPLITS, ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import MIN_CLIPS, Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.layouts import dcase2017
from gcrnn_jax.data.lists.clip_lists import outside_largest

_TIMED_ID = re.compile(r"(.+)_(\d+\.\d{3})_(\d+\.\d{3})")


def check_lists(dataset: Dataset) -> list[Finding]:
    """Finds what is wrong with the lists of a folder.

    Args:
        dataset: Of `read_folder`, whose own findings are not repeated here.
    """
    is_dcase = dataset.layout == dcase2017.description
    own = check_dcase_lists(dataset) if is_dcase else _splits(dataset)
    findings = [*dataset.findings, *own]
    for split in dataset.splits.values():
        if not split.rows:
            continue  # NO_ROW already
        findings += _clips(split)
        if split.event_rows is not None:
            findings += _events(split)
            findings += _labels_and_events(split, dataset.classes)
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
    root, splits = str(dataset.root), dataset.splits
    if splits and "training" not in splits:
        detail = f"no clip to train on, only {', '.join(splits)}"
        yield Finding(root, 0, Code.SPLIT_MISSING, detail)
    if splits and not set(splits) - {"training"}:
        detail = f"no clip of {', '.join(SPLITS[1:])}: nothing to score on"
        yield Finding(root, 0, Code.SPLIT_MISSING, detail)


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
    for index, row in enumerate(split.rows):
        if row.labels == ():  # nothing is known of those of None
            path = split.row_path(index)
            yield Finding(path, row.line, Code.UNLABELLED, row.clip_id)
    usual_s, short = short_clips(split.rows)
    for index, row in enumerate(split.rows if short else ()):
        if (length := short.get(row)) is not None:
            detail = f"{row.clip_id}: {length:g} s, most have {usual_s:g} s"
            path = split.row_path(index)
            yield Finding(path, row.line, Code.SHORT_CLIP, detail)


def _events(split: FolderSplit) -> Iterator[Finding]:
    """Events of no length, twice, or overlapping one of their class."""
    of_class: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    first_line: dict[tuple, int] = {}
    path_of: dict[tuple[str, str], str] = {}
    for path, (file, onset, offset, label, line) in split.timed_rows():
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
        path_of[file, label] = path
    for (file, label), events in of_class.items():
        if lines := _overlapping(sorted(events)):
            detail = f"{file}: {label} in lines {', '.join(map(str, lines))}"
            yield Finding(path_of[file, label], lines[0], Code.OVERLAP, detail)


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


def _labels_and_events(split: FolderSplit, classes: ClassList) -> Iterator[Finding]:
    """Weak labels without events, and events without weak labels."""
    places: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    timed = {
        row.file for _, row in split.timed_rows() if row.event_label and row.offset
    }
    for path, row in split.timed_rows():
        if row.event_label:
            places[row.file].setdefault(row.event_label, (path, row.line))
    for index, row in enumerate(split.rows):
        if not split.is_strong(row.clip_id):
            continue
        weak = {classes.names[label] for label in row.labels or ()}
        strong, clip_list = places[row.clip_id], split.row_path(index)
        for label in strong.keys() - weak:
            detail = f"{row.clip_id}: {label} is not in {os.path.basename(clip_list)}"
            yield Finding(*strong[label], Code.EVENT_UNLABELLED, detail)
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
        for index, row in enumerate(split.rows):
            if (source := _source(row)) not in maybe:
                continue
            other, clip_id = first.setdefault(source, (name, row.clip_id))
            is_same = name == other or clip_id == row.clip_id
            if not is_same and (source, name) not in reported:
                reported.add((source, name))
                detail = f"{source}: {clip_id} ({other}), {row.clip_id} ({name})"
                path = split.row_path(index)
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
