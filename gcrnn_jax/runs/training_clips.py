"""What a run keeps of its training clips, so that it goes on with no others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError

_CONTENT_HASH = "data_sha256"  # of all splits, for those who read scores
_STRONG = "strong_labels"  # which earlier versions neither trained on nor noted
_SCALER_TOLERANCE = 1e-3  # in units of the features, whose deviations are 1 to 4


def describe_training_clips(store: FeatureStore) -> dict[str, Any]:
    """Number, hashes, classes and scaler of a store's training clips, as JSON."""
    files = ("clip_ids.json", "num_frames.npy", "weak_label.npy")
    written = store.card["files"]
    strong = [f"training/{name}" for name in ("events.json", "known.npy")]
    return {
        _CONTENT_HASH: store.content_hash,
        "clips": len(store.splits["training"]),
        "digest": store.splits["training"].content_hash,
        "labels": [written[f"training/{file}"]["sha256"] for file in files],
        _STRONG: {file: written[file]["sha256"] for file in strong if file in written},
        "classes": store.card["classes"],
        **store.card["scaler"],
    }


def check_training_clips(
    before: Mapping[str, Any], now: Mapping[str, Any], folder: Path, cause: str = ""
) -> None:
    """Compares the clips that a run was begun with and those that there are now.

    The same: ids, lengths, labels and classes, and the scaler up to what another
    processor's rounding makes of it.

    Args:
        before: By `describe_training_clips`, then.
        now: Now.
        folder: Of the run, for messages.
        cause: Why they may be others, for the message.

    Raises:
        DataError: They are others.
    """
    before = {_STRONG: now[_STRONG], **before}
    before, now = ({**one, _CONTENT_HASH: None} for one in (before, now))
    if before == now:
        return
    exact = ("clips", "labels", _STRONG, "classes")
    same = before.keys() == now.keys() and all(before[n] == now[n] for n in exact)
    if not same or not all(
        len(before[name]) == len(now[name])
        and np.allclose(before[name], now[name], atol=_SCALER_TOLERANCE)
        for name in ("mean", "std")
    ):
        raise DataError(
            f"the training clips have changed since the run in {folder} was begun "
            f"({before.get('clips')} clips then, {now['clips']} now): bring the old "
            f"ones back, or choose another --workdir{cause}"
        )
    logging.warning(
        "the training features are not to the bit those that the run in %s was begun "
        "with: computed on another processor, or a recording has changed",
        folder,
    )
