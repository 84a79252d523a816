"""What a data set holds, in figures, and a hash that says which data set it was."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gcrnn_jax.checking.lists import short_clips, source_and_length
from gcrnn_jax.checking.probe import Probe
from gcrnn_jax.data.data_hash import clip_content_hash, dataset_content_hash
from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.data.folder import Dataset, FolderSplit
from gcrnn_jax.data.recording_source import clip_events

FORMAT = "gcrnn_jax data card"
VERSION = 1


def data_card(
    dataset: Dataset,
    events: Mapping[str, Sequence[EventRow]],
    probes: Mapping[Path, Probe],
) -> dict[str, Any]:
    """Returns what is in a folder, as plain values.

    `data_sha256` is the hash that stores, runs and scores carry, None if no recording
    was read; `labels_sha256` is the same of the data without recordings. See
    `gcrnn_jax.data.data_hash`.

    Args:
        dataset: Of `read_folder`.
        events: Split -> rows of its strong list.
        probes: Of every recording; nothing if none was read.
    """
    classes = dataset.classes
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.root.resolve().name,
        "data_sha256": _content_hash(dataset, events, probes) if probes else None,
        "labels_sha256": _content_hash(dataset, events, {}),
        "classes": [
            {"id": class_id, "name": name}
            for class_id, name in zip(classes.ids, classes.names, strict=True)
        ],
        "splits": {
            name: _labels(split, classes.names)
            | (_events(events[name], classes.names) if name in events else {})
            | (_recordings(split, probes) if probes else {})
            for name, split in dataset.splits.items()
        },
    }


def _content_hash(
    dataset: Dataset,
    events: Mapping[str, Sequence[EventRow]],
    probes: Mapping[Path, Probe],
) -> str:
    splits = {}
    for name, split in dataset.splits.items():
        timed = clip_events(split, events[name]) if name in events else None
        splits[name] = [
            clip_content_hash(
                row.clip_id,
                row.labels,
                None if timed is None else timed[row.clip_id],
                probes[path].content_hash if path and path in probes else None,
            )
            for row, path in split.clips()
        ]
    return dataset_content_hash(dataset.classes, splits)


def _labels(split: FolderSplit, class_names: Sequence[str]) -> dict[str, Any]:
    roll = np.zeros((len(split.rows), len(class_names)), int)
    for clip, row in zip(roll, split.rows, strict=True):
        clip[list(row.labels)] = 1
    _, short = short_clips(split.rows)
    lengths = (source_and_length(clip_id)[1] for clip_id in split.clip_ids)
    per_class = zip(class_names, roll.sum(axis=0).tolist(), strict=True)
    return {
        "num_clips": len(split.rows),
        "num_labels": int(roll.sum()),
        "num_short": len(short),
        "num_short_labels": sum(len(row.labels) for row in short),
        "num_found": sum(path is not None for path in split.recordings),
        "num_readable": None,
        "listed_s": _durations([length for length in lengths if length is not None]),
        "clips_per_class": dict(per_class),
        "clips_per_number_of_labels": _counts(roll.sum(axis=1).tolist()),
        "co_occurrence": (roll.T @ roll).tolist(),
        "num_events": None,
    }


def _events(rows: Sequence[EventRow], class_names: Sequence[str]) -> dict[str, Any]:
    timed = [
        (row.event_label, row.offset - (row.onset or 0.0))
        for row in rows
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
    measured = [one for path in paths if (one := probes[path].measures) is not None]
    return {
        "num_readable": len(measured),
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
    return {str(value): count for value, count in sorted(Counter(values).items())}


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
