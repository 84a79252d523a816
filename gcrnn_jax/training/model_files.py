"""A model by orbax: a folder of its weights, its card, and a manifest of both."""

import math
import shutil
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.data.atomic_files import make_folder, read_json, write_atomically
from gcrnn_jax.data.manifest import regular_files, verify_manifest, write_manifest
from gcrnn_jax.errors import DataError, WorkdirError, error_text
from gcrnn_jax.training import processes

PyTree = Any

MAX_CARD_BYTES = 16 << 20  # and of each of
_TEXTS = ("_METADATA", "_CHECKPOINT_METADATA", "_sharding", "data.json")
_WEIGHTS = ("params", "batch_stats")


def write_model(
    path: Path,
    card: Mapping[str, Any],
    variables: PyTree,
    files: Mapping[str, bytes] = types.MappingProxyType({}),
) -> None:
    """Writes weights and card as those of an epoch lie; replaces what is at path.

    Args:
        path: Of the model.
        card: Of the model.
        variables: {"params": ..., "batch_stats": ...}.
        files: Content by name, of what is to lie beside them.

    Raises:
        WorkdirError: It cannot be written there, or holds something else.
    """
    if path.exists() and not (path / "card").is_dir():
        raise WorkdirError(f"{path} exists and is no model: it would be replaced whole")
    make_folder(path.absolute().parent)  # orbax would wait for it, and not say so
    items = model_items(card, jax.tree.map(np.asarray, variables))
    remove_existing(path)
    with orbax_context():
        ocp.save_checkpointables(str(path.absolute()), items)
    if jax.process_index() == 0:
        for name, content in files.items():
            write_atomically(path / name, [content])
        write_manifest(path)


def read_model(
    path: Path, check: Callable[[dict[str, Any], PyTree], Any] | None = None
) -> tuple[dict[str, Any], PyTree]:
    """Reads the card and the weights, NumPy arrays, that lie at path.

    Args:
        path: Of the model, from anywhere.
        check: Is given the card and, in place of arrays, what has their shape and
            dtype, before any is allocated; raises DataError for those not to be read.

    Returns:
        The card, and {"params": ..., "batch_stats": ...}.

    Raises:
        DataError: There is no model at path, it is damaged, or it cannot be read.
    """
    if not (path / "card").is_dir():
        raise DataError(
            f"{path} holds no model: expected a run's folder, a checkpoint or an "
            f"averaged model, found {_content(path)}"
        )
    if not verify_manifest(path):
        logging.log_first_n(
            logging.WARNING, "%s has no manifest: damage would not show", 1, path
        )
    for file in (path / name for name in regular_files(path)):
        if file.name in _TEXTS and file.stat().st_size > MAX_CARD_BYTES:
            raise DataError(f"{file}: more than {MAX_CARD_BYTES} bytes")
    card = read_json(path / "card" / "data.json", max_bytes=MAX_CARD_BYTES)
    try:
        with orbax_context():
            metadata = ocp.checkpointables_metadata(str(path.absolute())).metadata
            shapes = {name: metadata[name] for name in _WEIGHTS if name in metadata}
            shapes = {"params": {}, "batch_stats": {}, **shapes}
            _check_chunks(shapes)
            if check is not None:
                check(card, shapes)
            # targets make arrays come as NumPy, whatever devices they were saved from
            target = jax.tree.map(lambda m: np.empty(m.shape, m.dtype), shapes)
            target = {name: items for name, items in target.items() if items}
            items = ocp.load_checkpointables(str(path.absolute()), target)
    except DataError:
        raise
    except Exception as error:  # orbax has no common one for damaged files
        detail = f"{path} holds no model that can be read: {error_text(error)}"
        raise DataError(detail) from error
    return card, {"params": {}, "batch_stats": {}, **items}


def _check_chunks(shapes: PyTree) -> None:
    """Raises ValueError for an array stored in parts that are larger than it is."""
    for leaf in jax.tree.leaves(shapes):
        size = max(1, math.prod(leaf.shape))
        if math.prod(leaf.storage_metadata.chunk_shape) > size:
            chunk = leaf.storage_metadata.chunk_shape
            raise ValueError(f"an array {leaf.shape} is stored in parts of {chunk}")


def orbax_context() -> ocp.Context:
    """Orbax settings: the card is one JSON file, to be read by people too."""
    context = ocp.Context()
    context.checkpointables.registry = ocp.handlers.local_registry()
    context.checkpointables.registry.add(
        ocp.handlers.JsonHandler, checkpointable_name="card"
    )
    return context


def remove_existing(path: Path) -> bool:
    """Removes what is to be replaced, by all processes at once; whether it was there.

    Were it left to orbax, a process that looks whether it is there once the first has
    removed it would wait at another barrier than the others, for ever.
    """
    existed = path.exists()
    processes.barrier(f"every process knows whether {path.name} is replaced")
    if existed and jax.process_index() == 0:
        shutil.rmtree(path)
    processes.barrier(f"{path.name} is gone")
    return existed


def model_items(card: Mapping[str, Any], variables: PyTree) -> PyTree:
    """What orbax saves of a model: a network without BatchNorm has no statistics."""
    return {"card": dict(card), **{k: v for k, v in variables.items() if v}}


def _content(path: Path) -> str:
    """What is at a path, in a few words."""
    if not path.is_dir():
        return "a file" if path.exists() else "nothing"
    names = sorted(entry.name for entry in path.iterdir())
    return f"a folder of {', '.join(names[:5])}" if names else "an empty folder"
