"""The configuration that the folder of a run was begun with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.errors import ConfigError

CONFIG = "config.json"

# What may change between a run and its continuation: the rest would make another run.
_FREE = (
    "training.num_epochs",
    "fusion.",
    "postprocessing.",
    "parallel.cpu_devices",
    "data.num_workers",
    "data.max_bad_fraction",
    "data.store",
)


def check_same_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Compares a configuration with the one that the folder was begun with, if any.

    Raises:
        ConfigError: A field differs that would make it another run; names each.
    """
    path = folder / CONFIG
    if not path.exists():
        return
    before, now = flat(json.loads(path.read_text())), flat(json_ready(config))
    changed = [
        f"{name}: {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and not name.startswith(_FREE)
    ]
    if changed:
        raise ConfigError(
            f"{folder} holds a run with another configuration:\n  "
            + "\n  ".join(changed)
            + "\nContinue with the old values, or choose another --workdir"
        )


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
