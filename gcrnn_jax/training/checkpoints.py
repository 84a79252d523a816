"""Checkpoints by orbax: the weights of every epoch, and the state to resume from.

    WORKDIR/checkpoints/STEP   params, batch_stats, card: a model, kept for every epoch
    WORKDIR/resume/STEP        the whole TrainState: the newest only

Both are keyed by the global step. A model's card holds, as JSON, all that predicting
needs beside the weights: config, front end, class list, scaler, post-processing.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from absl import logging
from flax import serialization
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.errors import DataError, StorageError, WorkdirError
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


class Model(NamedTuple):
    """A model as it lies on disk: NumPy arrays and its card."""

    card: dict[str, Any]
    variables: PyTree  # {"params": ..., "batch_stats": ...}


class Checkpoints:
    """The checkpoints of one run; saving goes on in the background."""

    def __init__(self, workdir: Path, card: dict[str, Any]):
        """Card is written beside the weights of every epoch."""
        self.card, self._folder = card, workdir / "resume"
        self._models = _checkpointer(
            workdir / "checkpoints", _preservation.PreserveAll()
        )
        # two, so that a damaged newest one costs an epoch and not the run
        self._resume = _checkpointer(workdir / "resume", _preservation.LatestN(2))
        self._saved = {  # or being saved
            self._models: set(model_steps(workdir)),
            self._resume: set(saved_steps(workdir / "resume")),
        }

    def save(self, state: TrainState, *, is_epoch: bool = True) -> None:
        """Starts saving the state, and as a model when an epoch has ended."""
        if is_epoch:
            model = {"params": state.params, "batch_stats": state.batch_stats}
            card = {**self.card, "step": int(state.step)}
            self._save(self._models, int(state.step), _items(Model(card, model)))
        tree = {"state": serialization.to_state_dict(state)}
        self._save(self._resume, int(state.step), tree)

    def _save(self, checkpointer, step: int, content: PyTree) -> None:
        if step not in self._saved[checkpointer]:
            self._saved[checkpointer].add(step)
            if jax.process_count() > 1:
                self.wait()  # two savings at once would meet at each other's barriers
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
            serialization.to_state_dict(like),
        )
        steps = saved_steps(self._folder)
        for step in reversed(steps):
            try:
                found = self._resume.load_checkpointables(step, {"state": target})
                state: Any = serialization.from_state_dict(like, found["state"])
                return state
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


def model_steps(workdir: Path) -> list[int]:
    """Steps of the models of a run, one for every epoch, ascending."""
    return saved_steps(workdir / "checkpoints")


def model_path(workdir: Path, step: int) -> Path:
    """Where the model of a step lies."""
    return workdir / "checkpoints" / str(step)


def save_model(path: Path, model: Model) -> None:
    """Writes a model that is like one of a run's; replaces what is at path.

    Raises:
        WorkdirError: It cannot be written there, or holds something else.
    """
    on_host = Model(model.card, jax.tree.map(np.asarray, model.variables))
    if path.exists() and not (path / "card").is_dir():
        raise WorkdirError(f"{path} exists and is no model: it would be replaced whole")
    make_folder(path.absolute().parent)  # orbax would wait for it, and not say so
    with _context():
        ocp.save_checkpointables(str(path.absolute()), _items(on_host), overwrite=True)


def trained_path(path: Path) -> Path:
    """The model that stands for a run: the averaged one, or else the newest epoch's.

    Args:
        path: Of the run's folder; what is none is returned as it is.
    """
    steps, averaged = model_steps(path), path / "averaged"
    if not steps:
        return path
    return averaged if averaged.is_dir() else model_path(path, steps[-1])


def load_model(path: Path) -> Model:
    """Reads a model: of an epoch, an averaged one, or that of a run's folder.

    Raises:
        DataError: There is no model at path, or it cannot be read.
    """
    path = trained_path(path)
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
            found = ocp.load_checkpointables(
                str(path.absolute()), {**target, "card": None}
            )
    except Exception as error:  # orbax has no common one for damaged files
        detail = f"{path} holds no model that can be read: {_short(error)}"
        raise DataError(detail) from error
    card = found.pop("card")
    return Model(card, {"batch_stats": {}, **found})


def _items(model: Model) -> PyTree:
    """What orbax saves of a model: a network without BatchNorm has no statistics."""
    return {"card": model.card, **{k: v for k, v in model.variables.items() if v}}


def _content(path: Path) -> str:
    """What is at a path, in a few words."""
    if not path.is_dir():
        return "a file" if path.exists() else "nothing"
    names = sorted(entry.name for entry in path.iterdir())
    return f"a folder of {', '.join(names[:5])}" if names else "an empty folder"


def _short(error: Exception) -> str:
    """What happened, without the description of every array."""
    return f"{type(error).__name__}: {str(error)[:200]}"
