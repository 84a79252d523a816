"""A finished store in the place of recordings that are gone."""

import os
import sys
from pathlib import Path

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.clip_ids import speed_text
from gcrnn_jax.data.folder import read_folder
from gcrnn_jax.data.layouts import LayoutOptions
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError, RecordingsMissingError


def store_without_recordings(
    path: str | Path,
    root: str,
    front_end: FrontEnd,
    options: LayoutOptions,
    reason: RecordingsMissingError,
) -> FeatureStore:
    """Opens the finished store of recordings that are gone, and says so.

    Raises:
        RecordingsMissingError: There is none, of another front end, or the labels of
            its clips have changed since.
    """
    try:
        store = FeatureStore.open(path)
    except DataError:
        raise reason from None
    if store.front_end != front_end or not _has_labels_of(store, root, options):
        raise reason
    print(
        f"recordings not found ({reason}); using the features in {store.path}",
        file=sys.stderr,
    )
    return store


def _has_labels_of(store: FeatureStore, root: str, options: LayoutOptions) -> bool:
    """Whether the lists of a folder, if they are there, are those of a store."""
    training = store.splits["training"].clip_ids
    copies = training[len(training) - store.num_copies["training"] :]
    if {one.rpartition("@")[2] for one in copies} != {*map(speed_text, options.speeds)}:
        return False
    if not os.path.isdir(root):
        return True
    dataset, _ = read_folder(root, options)
    for name in dataset.splits.keys() & store.splits.keys():
        # a copy may have fewer labels than its original, which is checked
        split, labels = store.originals(name), dataset.splits[name].rows
        listed = {
            row.clip_id: None if row.labels is None else [*row.labels] for row in labels
        }
        clips = zip(split.clip_ids, split.weak_label, split.kinds, strict=True)
        for clip_id, weak_label, kind in clips:
            known = weak_label.nonzero()[0].tolist() if kind else None
            if listed.get(clip_id, ()) != known:
                return False
    return not dataset.splits or dataset.classes == store.classes
