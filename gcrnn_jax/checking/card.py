"""What a data set holds, in figures, and a hash that says which data set it was."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gcrnn_jax.checking.lists import short_clips, source_and_length
from gcrnn_jax.checking.probe import Probe
from gcrnn_jax.data.data_hash import (
    clip_content_hash,
    dataset_content_hash,
    stretch_content_hash,
)
from gcrnn_jax.data.dataset import ClipEvents, Dataset, FolderSplit

FORMAT = "gcrnn_jax data card"
VERSION = 1


def data_card(dataset: Dataset, probes: Mapping[Path, Probe]) -> dict[str, Any]:
    """Returns what is in a folder, as plain values.

    `data_sha256` is the hash that stores, runs and scores carry, None if no recording
    was read; `labels_sha256` is the same of the data without recordings. See
    `gcrnn_jax.data.data_hash`.

    Args:
        dataset: Of `read_folder`.
        probes: Of every recording; nothing if none was read.
    """
    classes = dataset.classes
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.root.resolve().name,
        "data_sha256": _content_hash(dataset, probes) if probes else None,
        "labels_sha256": _content_hash(dataset, {}),
        "classes": [
            {"id": class_id, "name": name}
            for class_id, name in zip(classes.ids, classes.names, strict=True)
        ],
        "splits": {
            name: _labels(split, classes.names)
            | _events(split, classes.names)
            | (_recordings(split, probes) if probes else {})
            for name, split in dataset.splits.items()
        },
    }


def _content_hash(dataset: Dataset, probes: Mapping[Path, Probe]) -> str:
    splits = {
        name: _clip_hashes(split, split.clip_events(), probes)
        for name, split in dataset.splits.items()
    }
    return dataset_content_hash(dataset.classes, splits)


def _clip_hashes(
    split: FolderSplit, timed: ClipEvents | None, probes: Mapping[Path, Probe]
) -> Iterator[str]:
    for index, (row, path) in enumerate(split.clips()):
        events = None if timed is None else timed.get(row.clip_id)
        recording = probes[path].content_hash if path and path in probes else None
        recording = stretch_content_hash(recording, split.span(index))
        yield clip_content_hash(row.clip_id, row.labels, events, recording)


def _labels(split: FolderSplit, class_names: Sequence[str]) -> dict[str, Any]:
    of_clips = Counter(
        row.labels or () for row in split.rows
    )  # which many have in common
    together = _co_occurrence(of_clips, len(class_names))
    num_labels: Counter[int] = Counter()
    for labels, count in of_clips.items():
        num_labels[len(labels)] += count
    _, short = short_clips(split.rows)
    lengths = (_listed_s(split, index) for index in range(len(split.rows)))
    per_class = zip(class_names, together.diagonal().tolist(), strict=True)
    return {
        "num_clips": len(split.rows),
        "num_labels": int(together.trace()),
        "num_short": len(short),
        "num_short_labels": sum(len(row.labels or ()) for row in short),
        "num_found": sum(path is not None for path in split.recordings),
        "num_readable": None,
        "listed_s": _durations([length for length in lengths if length is not None]),
        "clips_per_class": dict(per_class),
        "clips_per_number_of_labels": _texts(num_labels),
        "co_occurrence": together.tolist(),
        "num_events": None,
    }


def _listed_s(split: FolderSplit, index: int) -> float | None:
    """How long a clip is, as far as lists say."""
    if (span := split.span(index)) is not None:
        return span[1] - span[0]
    return source_and_length(split.rows[index].clip_id)[1]


def _co_occurrence(
    of_clips: Mapping[tuple[int, ...], int], num_classes: int
) -> np.ndarray:
    """Clips that have two classes, int64 [K, K], of labels -> clips that have them."""
    together = np.zeros((num_classes, num_classes), int)
    by_length: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for labels in of_clips:
        by_length[len(labels)].append(labels)
    for length, alike in by_length.items():
        classes, counts = np.array(alike).T, [of_clips[labels] for labels in alike]
        for i, j in itertools.product(range(length), repeat=2):
            np.add.at(together, (classes[i], classes[j]), counts)
    return together


def _events(split: FolderSplit, class_names: Sequence[str]) -> dict[str, Any]:
    if split.event_rows is None:
        return {}
    timed = [
        (row.event_label, row.offset - (row.onset or 0.0))
        for row in split.event_rows
        if row.event_label and row.offset
    ]
    lengths = {name: [s for label, s in timed if label == name] for name in class_names}
    return {
        "num_events": len(timed),
        "event_s": _durations([length for _, length in timed]),
        "events_per_class": {name: len(lengths[name]) for name in class_names},
        "event_s_per_class": {
            name: round(sum(lengths[name]), 3) for name in class_names
        },
    }


def _recordings(split: FolderSplit, probes: Mapping[Path, Probe]) -> dict[str, Any]:
    paths = [path for path in split.recordings if path is not None]
    num_readable = sum(probes[path].measures is not None for path in paths)
    if split.spans is not None:  # of which several may be of one recording
        paths = list(dict.fromkeys(paths))
    measured = [one for path in paths if (one := probes[path].measures) is not None]
    return {
        "num_readable": num_readable,
        "recorded_s": _durations([one.duration_s for one in measured]),
        "rates_hz": _counts(one.rate_hz for one in measured),
        "channels": _counts(one.channels for one in measured),
        "formats": _counts(one.format for one in measured),
    }


def _durations(values: Sequence[float]) -> dict[str, float] | None:
    """Returns sum, extremes and median in seconds; None of nothing."""
    if not values:
        return None
    figures = {"sum": sum, "min": min, "median": median, "max": max}
    return {name: round(figure(values), 3) for name, figure in figures.items()}


def _counts(values: Iterable[Any]) -> dict[str, int]:
    return _texts(Counter(values))


def _texts(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(counts.items())}


def most_together(split: Mapping[str, Any], limit: int) -> list[tuple[str, str, int]]:
    """Returns the pairs of classes that are most often in one clip, and how often.

    Args:
        split: Of a card.
        limit: How many pairs at most.
    """
    names, together = list(split["clips_per_class"]), split["co_occurrence"]
    pairs = [
        (name, names[j], together[i][j])
        for i, name in enumerate(names)
        for j in range(i + 1, len(names))
        if together[i][j]
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:limit]
