"""Checkpoints by orbax: the weights of every epoch, and the state to resume from.

Both are folders named by the global step. Weights lie with their card, one JSON file
that holds all that predicting needs beside them.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from absl import logging
from flax import serialization
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.errors import DataError, StorageError, WorkdirError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.training.state import TrainState

PyTree = Any

_policies = ocp.training.save_decision_policies
_preservation = ocp.training.preservation_policies


def _context() -> ocp.Context:
    """Orbax settings: the card is one JSON file, to be read by people too."""
    context = ocp.Context()
    context.checkpointables.registry = ocp.handlers.local_registry()
    context.checkpointables.registry.add(
        ocp.handlers.JsonHandler, checkpointable_name="card"
    )
    return context


class Checkpoints:
    """The checkpoints of one run; saving goes on in the background."""

    def __init__(self, models: Path, resume: Path, card: Mapping[str, Any]):
        """Opens the two folders of a run.

        Args:
            models: Gets the weights of every epoch, and the card.
            resume: Gets the whole state; the newest two are kept.
            card: Written beside the weights, with the step.
        """
        self.card, self._folder = card, resume
        self._models = _checkpointer(models, _preservation.PreserveAll())
        # two, so that a damaged newest one costs an epoch and not the run
        self._resume = _checkpointer(resume, _preservation.LatestN(2))
        self._steps = {  # saved or being saved
            self._models: set(saved_steps(models)),
            self._resume: set(saved_steps(resume)),
        }

    def save(self, state: TrainState, *, is_epoch: bool = True) -> None:
        """Starts saving the state, and as a model when an epoch has ended."""
        failpoint("save.model")
        if is_epoch:
            card = {**self.card, "step": int(state.step)}
            self._save(self._models, int(state.step), _items(card, state.variables))
        failpoint("save.state")
        self._save(self._resume, int(state.step), {"state": _to_dict(state)})
        failpoint("save.done")

    def _save(self, checkpointer, step: int, content: PyTree) -> None:
        if step not in self._steps[checkpointer]:
            self._steps[checkpointer].add(step)
            if jax.process_count() > 1:
                self.wait()  # concurrent saves would wait on each other's barriers
            with self._storage_errors():
                checkpointer.save_checkpointables_async(step, content)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # orbax has no common one; a full disk is likeliest
            where = self._folder.parent
            raise StorageError(f"cannot save in {where}: {_short(error)}") from error

    def restore(self, like: TrainState, mesh: Mesh) -> TrainState | None:
        """Returns the newest state that can be read, on all devices, or None.

        Raises:
            DataError: There are states, and none can be read.
        """
        sharding = NamedSharding(mesh, PartitionSpec())
        target = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            _to_dict(like),
        )
        steps = saved_steps(self._folder)
        for step in reversed(steps):
            try:
                items = self._resume.load_checkpointables(step, {"state": target})
                return _from_dict(like, items["state"])
            except Exception as error:  # orbax has no common one for damaged files
                path = self._folder / str(step)
                logging.warning("skipping %s: %s", path, _short(error))
        if steps:
            raise DataError(
                f"none of the {len(steps)} states in {self._folder} can be "
                "read with this model and optimizer; has the configuration changed?"
            )
        return None

    def wait(self) -> None:
        """Returns when everything saved so far lies on disk.

        Raises:
            StorageError: Some of it could not be written.
        """
        for checkpointer in (self._models, self._resume):
            with self._storage_errors():
                checkpointer.wait()

    def close(self) -> None:
        """Waits, and ends the background work."""
        for checkpointer in (self._models, self._resume):
            with self._storage_errors():
                checkpointer.close()


def _checkpointer(folder: Path, preservation) -> ocp.training.Checkpointer:
    return ocp.training.Checkpointer(
        str(folder.absolute()),
        context=_context(),
        # orbax's own default leaves out saves that come while one is going on
        save_decision_policy=cast(Any, _policies.FixedIntervalPolicy(1)),
        preservation_policy=preservation,
        cleanup_tmp_directories=True,
    )


def saved_steps(folder: Path) -> list[int]:
    """Steps of the finished checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in folder.iterdir()
        if path.name.isdigit() and any(path.iterdir())
    )


def write_model(path: Path, card: Mapping[str, Any], variables: PyTree) -> None:
    """Writes weights and card as those of an epoch lie; replaces what is at path.

    Raises:
        WorkdirError: It cannot be written there, or holds something else.
    """
    if path.exists() and not (path / "card").is_dir():
        raise WorkdirError(f"{path} exists and is no model: it would be replaced whole")
    make_folder(path.absolute().parent)  # orbax would wait for it, and not say so
    items = _items(card, jax.tree.map(np.asarray, variables))
    with _context():
        ocp.save_checkpointables(str(path.absolute()), items, overwrite=True)


def read_model(path: Path) -> tuple[dict[str, Any], PyTree]:
    """Reads the card and the weights, NumPy arrays, that lie at path.

    Returns:
        The card, and {"params": ..., "batch_stats": ...}.

    Raises:
        DataError: There is no model at path, or it cannot be read.
    """
    if not (path / "card").is_dir():
        raise DataError(
            f"{path} holds no model: expected a run's folder, a checkpoint or an "
            f"averaged model, found {_content(path)}"
        )
    try:
        with _context():
            metadata = ocp.checkpointables_metadata(str(path.absolute())).metadata
            # targets make arrays come as NumPy, whatever devices they were saved from
            target = {
                item: jax.tree.map(lambda m: np.empty(m.shape, m.dtype), metadata[item])
                for item in ("params", "batch_stats")
                if item in metadata
            }
            items = ocp.load_checkpointables(
                str(path.absolute()), {**target, "card": None}
            )
    except Exception as error:  # orbax has no common one for damaged files
        detail = f"{path} holds no model that can be read: {_short(error)}"
        raise DataError(detail) from error
    card = items.pop("card")
    return card, {"batch_stats": {}, **items}


def _items(card: Mapping[str, Any], variables: PyTree) -> PyTree:
    """What orbax saves of a model: a network without BatchNorm has no statistics."""
    return {"card": dict(card), **{k: v for k, v in variables.items() if v}}


def _to_dict(state: TrainState) -> dict[str, Any]:
    """The state as dictionaries; a part that a run does not keep is left out."""
    items: dict[str, Any] = serialization.to_state_dict(state)
    return {name: item for name, item in items.items() if item is not None}


def _from_dict(like: TrainState, items: Mapping[str, Any]) -> TrainState:
    state: Any = serialization.from_state_dict(like, {"average": None, **items})
    return state


def _content(path: Path) -> str:
    """What is at a path, in a few words."""
    if not path.is_dir():
        return "a file" if path.exists() else "nothing"
    names = sorted(entry.name for entry in path.iterdir())
    return f"a folder of {', '.join(names[:5])}" if names else "an empty folder"


def _short(error: Exception) -> str:
    """What happened, without the description of every array."""
    return f"{type(error).__name__}: {str(error)[:200]}"
