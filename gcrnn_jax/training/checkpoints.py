"""Checkpoints by orbax: the weights of every epoch, and the state to resume from.

Both are folders named by the global step. Weights lie with their card, one JSON file
that holds all that predicting needs beside them. Once orbax has written all, each gets
a manifest: that of the model first, so that a state with one has its model too. A kill
in between leaves a state without, from which the next start writes the model again.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jax
from absl import logging
from flax import serialization
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from gcrnn_jax.data.manifest import verify_manifest, write_manifest
from gcrnn_jax.errors import DataError, StorageError, error_text
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.training import processes
from gcrnn_jax.training.model_files import model_items, orbax_context, remove_existing
from gcrnn_jax.training.state import TrainState

PyTree = Any

_policies = ocp.training.save_decision_policies
_preservation = ocp.training.preservation_policies


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
            self._save(
                self._models, int(state.step), model_items(card, state.variables)
            )
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
                existed = remove_existing(path)
                response = checkpointer.save_checkpointables_async(
                    step, content, overwrite=existed
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
        context=orbax_context(),
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


def _to_dict(state: TrainState) -> dict[str, Any]:
    """The state as dictionaries; a part that a run does not keep is left out."""
    items: dict[str, Any] = serialization.to_state_dict(state)
    return {name: item for name, item in items.items() if item is not None}


def _from_dict(like: TrainState, items: Mapping[str, Any]) -> TrainState:
    state: Any = serialization.from_state_dict(like, {"average": None, **items})
    return state
