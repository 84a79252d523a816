"""The labels of a split of a store, its entry in the card, and the scaler."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data import store_shards
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK
from gcrnn_jax.data.store_shards import Ledger, Source
from gcrnn_jax.errors import DataError

MIN_STD = 1e-3  # of a bin that never changes; what is left of it is rounding


def write_split(
    folder: Path,
    source: Source,
    classes: ClassList,
    ledgers: Sequence[Ledger],
    files: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Writes a split's labels, adds to `files`, returns its entry in the card.

    Args:
        folder: Of the split, whose name is its.
        source: Its clips.
        classes: Of the weak labels.
        ledgers: Of its shards.
        files: The card's list of files.
    """
    name = folder.name
    clip_ids = [source.clip_ids[i] for ledger in ledgers for i in ledger.clips]
    num_frames = [count for ledger in ledgers for count in ledger.num_frames]
    weak_label = np.zeros((len(clip_ids), len(classes)), bool)
    clip_labels = itertools.chain(*(ledger.labels for ledger in ledgers))
    for row, labels in zip(weak_label, clip_labels, strict=True):
        row[labels or []] = True
    kinds = [
        _kind(*of_clip)
        for ledger in ledgers
        for of_clip in zip(ledger.labels, ledger.events, strict=True)
    ]
    # ASCII with escapes: an id survives whatever it is made of.
    contents = {
        "clip_ids.json": json.dumps(clip_ids, indent=0).encode(),
        "num_frames.npy": store_shards.npy_content(np.asarray(num_frames, np.int32)),
        "weak_label.npy": store_shards.npy_content(weak_label),
    }
    has_events = source.has_events or STRONG in kinds
    if has_events:
        clip_events = itertools.chain(*(ledger.events for ledger in ledgers))
        pairs = zip(clip_ids, clip_events, strict=True)
        events = {clip_id: rows for clip_id, rows in pairs if rows is not None}
        contents["events.json"] = json.dumps(events, indent=0).encode()
    is_mixed = bool({*kinds} - {STRONG if has_events else WEAK})
    if is_mixed:
        contents["known.npy"] = store_shards.npy_content(np.asarray(kinds, np.int8))
    for file, content in contents.items():
        files[f"{name}/{file}"] = store_shards.write_file(folder / file, content)
    full = [ledger for ledger in ledgers if ledger.clips]  # others cannot be mapped
    for ledger in full:
        files[ledger.file] = {"bytes": ledger.bytes, "sha256": ledger.sha256}
    counts = weak_label.sum(axis=0).tolist()
    num_originals = store_shards.num_originals(source)
    rejected = [index for ledger in ledgers for index, _, _ in ledger.rejects]
    num_copies = sum(i >= num_originals for ledger in ledgers for i in ledger.clips)
    return {
        "num_clips": len(clip_ids),
        "num_listed": num_originals,
        "num_rejected": sum(index < num_originals for index in rejected),
        "num_frames": sum(num_frames),
        "has_events": has_events,
        "clips_per_class": dict(zip(classes.names, counts, strict=True)),
        "shards": [
            {"file": Path(ledger.file).name, "rows": len(ledger.clips)}
            for ledger in full
        ],
        **({"num_copies": num_copies} if source.num_copies else {}),
        **({"clips_per_kind": _count_kinds(kinds)} if is_mixed else {}),
    }


def describe_kinds(entry: Mapping[str, Any]) -> str:
    """What is known of a split's labels beyond weak ones, by its entry in the card.

    Example:
        >>> describe_kinds({"clips_per_kind": {"strong": 5, "weak": 0}})
        ', 5 strong'
    """
    if counts := entry.get("clips_per_kind"):
        return "".join(f", {count} {kind}" for kind, count in counts.items() if count)
    return ", strong labels" if entry["has_events"] else ""


def _count_kinds(kinds: Sequence[int]) -> dict[str, int]:
    names = {"strong": STRONG, "weak": WEAK, "unlabelled": UNLABELLED}
    return {name: kinds.count(kind) for name, kind in names.items()}


def _kind(labels: Sequence[int] | None, events: Sequence[Any] | None) -> int:
    """What is known of a clip."""
    if labels is None:
        return UNLABELLED
    return WEAK if events is None else STRONG


def scaler(ledgers: Sequence[Ledger]) -> dict[str, list[float]]:
    """Returns mean and standard deviation per bin over the real frames of all clips.

    Unlabelled clips count as others do: it is their features that are scaled.

    Raises:
        DataError: There is no frame, or the features are not finite.
    """
    count = sum(sum(ledger.num_frames) for ledger in ledgers)
    if count == 0:
        raise DataError("the training split holds no clip that can be used")
    mean = np.sum([ledger.sums for ledger in ledgers], axis=0) / count
    square = np.sum([ledger.squares for ledger in ledgers], axis=0) / count
    std = np.sqrt(np.maximum(square - mean**2, MIN_STD**2))
    if not np.isfinite([mean, std]).all():
        raise DataError("the features of the training split have no finite statistics")
    return {"mean": mean.tolist(), "std": std.tolist()}
