"""Checkpoints by orbax: the weights of every epoch, and the state to resume from.

Both are folders named by the global step. Weights lie with their card, one JSON file
that holds all that predicting needs beside them. Once orbax has written all, each gets
a manifest: that of the model first, so that a state with one has its model too. A kill
in between leaves a state without, from which the next start writes the model again.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from absl import logging
from flax import serialization
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.data.atomic_files import make_folder, read_json
from gcrnn_jax.data.manifest import regular_files, verify_manifest, write_manifest
from gcrnn_jax.errors import DataError, StorageError, WorkdirError, error_text
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.training import processes
from gcrnn_jax.training.state import TrainState

PyTree = Any

MAX_CARD_BYTES = 16 << 20  # and of each of
_TEXTS = ("_METADATA", "_CHECKPOINT_METADATA", "_sharding", "data.json")
_WEIGHTS = ("params", "batch_stats")

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
        self._folders = {self._models: models, self._resume: resume}
        # saved or being saved, and not to be replaced
        self._steps = {one: set(saved_steps(at)) for one, at in self._folders.items()}
        self._without_manifest: list[Path] = []  # being saved, or just saved
        self._responses: list[Any] = []  # of these saves, each with a thread

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
            path = self._folders[checkpointer] / str(step)
            with self._storage_errors():
                response = checkpointer.save_checkpointables_async(
                    step, content, overwrite=path.exists()
                )
            if response is not None:
                self._responses.append(response)
            self._without_manifest.append(path)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # orbax has no common one; a full disk is likeliest
            where = self._folder.parent
            raise StorageError(
                f"cannot save in {where}: {error_text(error)}"
            ) from error

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
            if self._is_whole(step) and (state := self._load(step, target)):
                self._forget_after(step)
                return _from_dict(like, state)
        if steps:
            raise DataError(
                f"none of the {len(steps)} states in {self._folder} can be read with "
                "this model and optimizer: has the configuration changed? If they are "
                "damaged, copy one back or train anew in another --workdir"
            )
        return None

    def save_missing_model(self, state: TrainState) -> None:
        """Saves the model of a restored state of an epoch, if it is not there whole.

        A process that was killed may have left the state alone.
        """
        step, is_whole = int(state.step), False
        with contextlib.suppress(DataError):
            is_whole = verify_manifest(self._folders[self._models] / str(step))
        if not processes.broadcast_from_first(is_whole):
            self._steps[self._models].discard(step)
            self.save(state)
            self.wait()

    def _is_whole(self, step: int) -> bool:
        """Whether a state is as it was written; as the first process finds it."""
        path, is_whole = self._folder / str(step), True
        if jax.process_index() == 0:
            try:
                if not verify_manifest(path):
                    logging.warning("%s has no manifest: damage would not show", path)
            except DataError as error:
                logging.warning("skipping %s: %s", path, error)
                is_whole = False
        return processes.broadcast_from_first(is_whole)

    def _load(self, step: int, target: PyTree) -> PyTree | None:
        state = None
        try:
            state = self._resume.load_checkpointables(step, {"state": target})["state"]
        except Exception as error:  # orbax has no common one for damaged files
            logging.warning("skipping %s/%s: %s", self._folder, step, error_text(error))
        return state if processes.all_processes_agree(state is not None) else None

    def _forget_after(self, step: int) -> None:
        """Removes later states, which cannot be read; later models are replaced."""
        later = [one for one in saved_steps(self._folder) if one > step]
        processes.barrier("every process knows which states are damaged")
        if later and jax.process_index() == 0:
            for one in later:
                shutil.rmtree(self._folder / str(one), ignore_errors=True)
        processes.barrier("the damaged states are gone")
        if later:
            self._resume.reload()
        for saved in self._steps.values():
            saved.intersection_update(range(step + 1))

    def wait(self) -> None:
        """Returns when everything saved so far lies on disk, each with its manifest.

        Raises:
            StorageError: Some of it could not be written.
        """
        for checkpointer in self._folders:
            with self._storage_errors():
                while checkpointer.is_saving_in_progress():
                    time.sleep(0.01)  # orbax would log a traceback of Ctrl-C
                checkpointer.wait()
                while self._responses:  # a thread and three open files each until then
                    self._responses.pop().result()
        saved, self._without_manifest = self._without_manifest, []
        if jax.process_index() == 0:
            for path in saved:
                if path.is_dir():  # an older state may be gone again
                    write_manifest(path)

    def close(self) -> None:
        """Waits, and ends the background work."""
        self.wait()
        for checkpointer in self._folders:
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
        if path.name.isdecimal() and path.is_dir() and any(path.iterdir())
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
    if jax.process_index() == 0:
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
        with _context():
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
