"""What the folder of a run was begun with: its configuration and its training clips."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from gcrnn_jax.data.atomic_files import read_json, write_atomically
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError, DataError

CONFIG = "config.json"
DATA = "data.json"
DATA_SHA256 = "data_sha256"

_SCALER_TOLERANCE = 1e-3  # in units of the features, whose deviations are 1 to 4

# What may change between a run and its continuation: the rest would make another run.
# Where the data lie may, what they are may not: `check_same_data`.
_FREE = (
    "training.num_epochs",
    "fusion.",
    "postprocessing.",
    "thresholds.",
    "parallel.cpu_devices",
    "parallel.resident_fraction",
    "data.root",
    "data.num_workers",
    "data.max_bad_fraction",
    "data.store",
)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the run in a folder.

    Raises:
        DataError: There is none, or it cannot be read.
    """
    return read_json(folder / CONFIG)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Keeps a configuration with its run."""
    _write(folder / CONFIG, config)


def check_same_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Compares a configuration with the one that the folder was begun with, if any.

    Raises:
        ConfigError: A field differs that would make it another run; names each.
        DataError: The configuration in the folder cannot be read.
    """
    if not (folder / CONFIG).exists():
        return
    before, now = flat(read_config(folder)), flat(json_ready(config))
    free = _FREE
    if (schedule := before.get("optimizer.schedule")) != "constant":
        free = free[1:]  # the rate at every step depends on the number of epochs
    changed = [
        f"{name}: {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        + (f" (a {schedule} schedule cannot be prolonged)" if name == _FREE[0] else "")
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and not name.startswith(free)
    ]
    if changed:
        raise ConfigError(
            f"{folder} holds a run with another configuration:\n  "
            + "\n  ".join(changed)
            + "\nContinue with the old values, or choose another --workdir"
        )


def check_same_data(folder: Path, store: FeatureStore) -> None:
    """Compares the training clips with those that the folder was begun with.

    The same: ids, lengths, labels and classes, and the scaler up to what another
    processor's rounding makes of it.

    Raises:
        DataError: They are others, or what is in the folder cannot be read.
    """
    now = _training_clips(store)
    before = read_json(folder / DATA)
    before.pop(DATA_SHA256, None)  # of all splits: a score says which data it was of
    if before == now:
        return
    exact = ("clips", "labels", "classes")
    same = before.keys() == now.keys() and all(before[n] == now[n] for n in exact)
    if not same or not all(
        len(before[name]) == len(now[name])
        and np.allclose(before[name], now[name], atol=_SCALER_TOLERANCE)
        for name in ("mean", "std")
    ):
        raise DataError(
            f"the training clips have changed since the run in {folder} was begun "
            f"({before.get('clips')} clips then, {now['clips']} now): bring the old "
            "ones back, or choose another --workdir"
        )
    logging.warning(
        "the training features are not to the bit those that the run in %s was begun "
        "with: computed on another processor, or a recording has changed",
        folder,
    )


def write_data(folder: Path, store: FeatureStore) -> None:
    """Keeps what identifies the data with their run, if it is not there."""
    if not (folder / DATA).exists():
        content = {DATA_SHA256: store.content_hash, **_training_clips(store)}
        _write(folder / DATA, content)


def _training_clips(store: FeatureStore) -> dict[str, Any]:
    files = ("clip_ids.json", "num_frames.npy", "weak_label.npy")
    return {
        "clips": len(store.splits["training"]),
        "digest": store.splits["training"].content_hash,
        "labels": [store.card["files"][f"training/{file}"]["sha256"] for file in files],
        "classes": store.card["classes"],
        **store.card["scaler"],
    }


def json_ready(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(config))


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names and values of a nested configuration.

    Example:
        >>> flat({"model": {"filters": 64}, "seed": 0})
        {'model.filters': 64, 'seed': 0}
    """
    fields = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            fields.update(flat(value, f"{prefix}{name}."))
        else:
            fields[f"{prefix}{name}"] = value
    return fields


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, [(json.dumps(content, indent=2) + "\n").encode()])
