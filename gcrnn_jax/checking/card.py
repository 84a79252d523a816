"""What a data set holds, in figures, and a hash that says which data set it was."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gcrnn_jax.checking.hearing import Heard
from gcrnn_jax.checking.lists import short_clips, source_and_length
from gcrnn_jax.data.data_hash import clip_sha256, data_sha256
from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.data.folder import Dataset, FolderSplit
from gcrnn_jax.data.recording_source import clip_events

FORMAT = "gcrnn_jax data card"
VERSION = 1


def data_card(
    dataset: Dataset,
    events: Mapping[str, Sequence[EventRow]],
    heard: Mapping[Path, Heard],
) -> dict[str, Any]:
    """Returns what is in a folder, as plain values.

    `data_sha256` is the hash that stores, runs and scores carry, None if no recording
    was read; `labels_sha256` is the same of the data without recordings. See
    `gcrnn_jax.data.data_hash`.

    Args:
        dataset: Of `find_splits`.
        events: Split -> rows of its strong list.
        heard: Of every recording; nothing if none was read.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.root.resolve().name,
        "data_sha256": _data_sha256(dataset, events, heard) if heard else None,
        "labels_sha256": _data_sha256(dataset, events, {}),
        "classes": [
            {"id": class_id, "name": name}
            for class_id, name in zip(
                dataset.classes.ids, dataset.classes.names, strict=True
            )
        ],
        "splits": {
            name: _split(split, dataset.classes.names, events.get(name), heard)
            for name, split in dataset.splits.items()
        },
    }


def _data_sha256(
    dataset: Dataset,
    events: Mapping[str, Sequence[EventRow]],
    heard: Mapping[Path, Heard],
) -> str:
    splits = {}
    for name, split in dataset.splits.items():
        clip_ids = [row.clip_id for row in split.rows]
        timed = clip_events(events[name], clip_ids) if name in events else None
        splits[name] = [
            clip_sha256(
                row.clip_id,
                row.labels,
                None if timed is None else timed[row.clip_id],
                heard[path].sha256 if path and path in heard else None,
            )
            for row, path in zip(split.rows, split.recordings, strict=True)
        ]
    return data_sha256(dataset.classes, splits)


def _split(
    split: FolderSplit,
    class_names: Sequence[str],
    rows: Sequence[EventRow] | None,
    heard: Mapping[Path, Heard],
) -> dict[str, Any]:
    roll = np.zeros((len(split.rows), len(class_names)), int)
    for clip, row in zip(roll, split.rows, strict=True):
        clip[list(row.labels)] = 1
    together = roll.T @ roll
    _, short = short_clips(split.rows)
    lengths = [source_and_length(row.clip_id)[1] for row in split.rows]
    found = [path for path in split.recordings if path is not None]
    card: dict[str, Any] = {
        "num_clips": len(split.rows),
        "num_labels": int(roll.sum()),
        "num_short": len(short),
        "num_short_labels": sum(len(row.labels) for row in short),
        "num_found": len(found),
        "num_readable": None,
        "listed_s": _durations([length for length in lengths if length is not None]),
        "clips_per_class": dict(
            zip(class_names, roll.sum(axis=0).tolist(), strict=True)
        ),
        "clips_per_number_of_labels": _counts(roll.sum(axis=1).tolist()),
        "co_occurrence": together.tolist(),
        "num_events": None,
    }
    if rows is not None:
        timed = [row for row in rows if row.event_label and row.offset]
        card["num_events"] = len(timed)
        card["event_s"] = _durations([_length(row) for row in timed])
        card["events_per_class"] = {
            name: sum(row.event_label == name for row in timed) for name in class_names
        }
        card["event_s_per_class"] = {
            name: round(
                sum(_length(row) for row in timed if row.event_label == name), 3
            )
            for name in class_names
        }
    if heard:
        measured = [one for path in found if (one := heard[path].measures) is not None]
        card["num_readable"] = len(measured)
        card["recorded_s"] = _durations([one.duration_s for one in measured])
        card["rates_hz"] = _counts([one.rate_hz for one in measured])
        card["channels"] = _counts([one.channels for one in measured])
        card["formats"] = _counts([one.format for one in measured])
    return card


def _length(row: EventRow) -> float:
    return (row.offset or 0.0) - (row.onset or 0.0)


def _durations(values: Sequence[float]) -> dict[str, float] | None:
    """Returns sum, extremes and median in seconds; None of nothing."""
    if not values:
        return None
    figures = (sum(values), min(values), median(values), max(values))
    names = ("sum", "min", "median", "max")
    return {name: round(x, 3) for name, x in zip(names, figures, strict=True)}


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
