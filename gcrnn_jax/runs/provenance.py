"""What a run's starts were: command, versions and devices of each, in run.json."""

import datetime
import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import logging

from gcrnn_jax import __version__
from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.data.manifest import unseal, write_sealed
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError
from gcrnn_jax.runs.run import Run
from gcrnn_jax.training.checkpoints import saved_steps

FILE = "run.json"
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
    "ml_collections",
)


def record_start(run: Run, store: FeatureStore, argv: Sequence[str]) -> None:
    """Adds a start to the run's file; in the first process.

    Starts before anything was saved are not of this run: they may have had another
    configuration.

    Args:
        run: That is about to train, or to evaluate.
        store: Its features.
        argv: The command as `sys.argv` has it. Of its path the name is kept: it may
            tell who works where.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    path, before = run.folder / FILE, []
    if run.has_begun and path.exists():
        try:
            before = list(read_starts(path)["starts"])
        except (DataError, KeyError, TypeError) as error:
            logging.warning("%s: starts are listed anew", error)
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": _command(argv),
        "step": max(saved_steps(run.states), default=0),
        "versions": _versions(),
        "device": jax.devices()[0].device_kind,
        "platform": jax.devices()[0].platform,
        "num_devices": jax.device_count(),
        "num_processes": jax.process_count(),
    }
    content = {
        "configuration": "config.json",
        "seed": run.config.seed,
        "data_sha256": store.content_hash,
        "starts": [*before, start],
    }
    write_sealed(path, content)


def read_starts(path: Path) -> dict[str, Any]:
    """Reads what `record_start` wrote.

    Raises:
        DataError: It cannot be read, or is damaged.
    """
    return unseal(read_json(path), path)


def _command(argv: Sequence[str]) -> list[str]:
    name = Path(argv[0]).name if argv and argv[0] else "python"
    is_module = name in ("main.py", "gcrnn_jax.main")
    return [*(("python", "-m", "gcrnn_jax.main") if is_module else (name,)), *argv[1:]]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "gcrnn_jax": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # put there without pip
            module = sys.modules.get(name)
            versions[name] = str(getattr(module, "__version__", "unknown"))
    return versions
