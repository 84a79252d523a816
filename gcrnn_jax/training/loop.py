"""The one training loop: epochs of steps, a log line a step, a checkpoint an epoch."""

import dataclasses
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from gcrnn_jax.errors import DivergedError, PreemptedError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.fields import check, user_path
from gcrnn_jax.progress import Progress
from gcrnn_jax.training import phases
from gcrnn_jax.training.checkpoints import Checkpoints
from gcrnn_jax.training.parallel import put_batch
from gcrnn_jax.training.state import TrainState
from gcrnn_jax.training.step_log import StepLog

_AGAIN = "run the same command again to continue"


@dataclasses.dataclass(frozen=True)
class TrainingLength:
    """How long a run trains, and what its model is.

    Attributes:
        num_epochs: Of the whole run.
        steps_per_epoch: An epoch is this many steps (100 in the paper).
        clips_per_epoch: An epoch is as many steps as draw about this many clips,
            whatever the batch size; 0: steps_per_epoch counts.
        weight_average: Share of a running mean of the weights that a step keeps; the
            mean is the model then. 0: the weights are.
        evaluate_every: Epochs from one that is scored to the next; those that are
            fused and the last are scored always. Every epoch is saved.
        start_from: The folder of a run or a model whose weights, front end and scaler
            it begins with, as `runs.start` says; "": weights drawn by the seed.
        soundscape_epochs: Epochs of the same network on built-in soundscapes, of which
            `data.soundscapes` says how many, before its first: it begins with their
            weights and scaler. 0, or without recordings: none.
        teachers: Systems that are trained before, each without another part of the
            training clips, in which it then finds the sounds: their posteriors are
            strong labels of this one's training clips. 0: none.
        teacher_epochs: Of each of them.
        seed_offset: Added to the seed for weights, batches and augmentation, not for
            soundscapes and the clips that are held out.
        frozen: Names of groups of parameters that stay as they are in that model, as
            "block_0" or "gru", with their batch statistics.
        tensorboard: Whether losses and scores are written for TensorBoard too.
    """

    num_epochs: int
    steps_per_epoch: int
    weight_average: float
    clips_per_epoch: int
    evaluate_every: int
    start_from: str
    soundscape_epochs: int
    teachers: int
    teacher_epochs: int
    seed_offset: int
    frozen: tuple[str, ...]
    tensorboard: bool

    def __post_init__(self):
        lengths = ["num_epochs", "steps_per_epoch"]
        check(self, "1 or more", *lengths, "evaluate_every")
        lengths += ["soundscape_epochs", "teacher_epochs"]
        check(self, "0 or more", *lengths, "clips_per_epoch", "seed_offset", "teachers")
        check(self, "1000000 or less", *lengths)
        check(self, "1000 or less", "teachers")
        check(self, "in [0, 1)", "weight_average")
        if self.start_from:
            object.__setattr__(self, "start_from", str(user_path(self.start_from)))
        if self.teachers == 1 or (self.teachers and not self.teacher_epochs):
            raise ValueError(
                f"teachers is {self.teachers}, teacher_epochs {self.teacher_epochs}: "
                "expected none, or 2 or more of 1 or more epochs"
            )
        if self.start_from and self.soundscape_epochs:
            raise ValueError(
                f"soundscape_epochs is {self.soundscape_epochs} and start_from names a "
                "model: expected one of the two"
            )
        if self.frozen and not (self.start_from or self.soundscape_epochs):
            raise ValueError(
                f"frozen is {self.frozen}, which would stay as drawn at random: "
                "expected a model that they are of: start_from or soundscape_epochs"
            )

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.num_epochs * self.steps_per_epoch

    def of_batches(self, batch_size: int) -> "TrainingLength":
        """The same with the steps_per_epoch that count for batches of this size.

        Example:
            >>> rest = "", 0, 0, 0, 0, (), False
            >>> length = TrainingLength(80, 100, 0.0, 4400, 1, *rest)
            >>> [length.of_batches(n).steps_per_epoch for n in (44, 88, 352, 8800)]
            [100, 50, 12, 1]
        """
        if not self.clips_per_epoch:
            return self
        steps = max(1, round(self.clips_per_epoch / batch_size))
        return dataclasses.replace(self, steps_per_epoch=steps)


class Preemption:
    """Whether the scheduler has asked for the machine (SIGTERM)."""

    def __init__(self):
        """With several processes JAX's own service listens, and must be left alone."""
        self._is_asked = False
        self._is_only_process = jax.process_count() == 1
        if self._is_only_process:
            self._previous = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_) -> None:
        self._is_asked = True

    def is_asked(self, step: int) -> bool:
        """The same answer on every process; to be called before every step."""
        if self._is_only_process:
            return self._is_asked
        return multihost_utils.reached_preemption_sync_point(step)

    def close(self) -> None:
        """Restores the previous SIGTERM handler."""
        if self._is_only_process:
            signal.signal(signal.SIGTERM, self._previous)


def train(
    state: TrainState,
    step: Callable,
    batches: Iterator,
    *,
    mesh: Mesh,
    checkpoints: Checkpoints,
    log_path: Path,
    length: TrainingLength,
    batch_size: int,
    rate_at: Callable[[int], float],
    on_step: Callable[[dict[str, Any]], None] | None = None,
    on_epoch: Callable[[int, TrainState], str | None] | None = None,
) -> TrainState:
    """Trains from the state's step to the end of the last epoch.

    Args:
        state: On all devices of the mesh.
        step: The mapped training step: (state, batch) -> (state, metrics).
        batches: This process's rows of the batches, from the state's step on.
        mesh: The devices.
        checkpoints: Gets every epoch.
        log_path: Gets a line a step.
        length: Of the whole run.
        batch_size: Clips of a global batch, for the speed that is shown.
        rate_at: The learning rate of a step, for the log.
        on_step: Called with every line of the log, in the first process; see `StepLog`.
        on_epoch: Called with (epoch, state) after each; what it returns is printed.

    Returns:
        The last state.

    Raises:
        DivergedError: A loss, a gradient or a new state was not finite, and its
            update was not applied.
        PreemptedError: SIGTERM came; the state is saved.
    """
    first, last = int(state.step), length.num_steps
    log = StepLog(
        log_path,
        first,
        steps_per_epoch=length.steps_per_epoch,
        batch_size=batch_size,
        rate_at=rate_at,
        on_line=on_step if jax.process_index() == 0 else None,
    )
    preemption = Preemption()
    display = Progress(
        label="training",
        unit="clips",
        initial=first * batch_size,
        total=last * batch_size,
        stream=sys.stderr if jax.process_index() == 0 else open(os.devnull, "w"),
    )
    waiting: tuple[int, dict] | None = None  # metrics of a step still being computed
    try:
        for number in range(first, last):
            if preemption.is_asked(number):
                _record(waiting, log, display)
                if number:  # or a start that learnt nothing would bind the next one
                    is_epoch = number % length.steps_per_epoch == 0
                    checkpoints.save(state, is_epoch=is_epoch)
                raise _preempted(number, last, log_path.parent)
            with phases.phase("waiting"):
                rows = next(batches)
            with phases.phase("compiling" if number == first else "stepping"):
                failpoint("train.step")
                batch = put_batch(rows, mesh)
                with jax.transfer_guard("disallow"):  # the step reads what devices hold
                    state, metrics = step(state, batch)
                # fetched one step late, so that the device never waits for the host
                _record(waiting, log, display)
            phases.stepped()
            display.update(batch_size)
            waiting = number, metrics
            epoch, rest = divmod(number + 1, length.steps_per_epoch)
            if rest == 0:
                with phases.phase("stepping"):
                    _record(waiting, log, display)
                waiting = None
                log.flush()
                failpoint("train.epoch")
                with phases.phase("saving"):
                    checkpoints.save(state)
                with phases.phase("evaluating"):
                    line = on_epoch(epoch, state) if on_epoch else None
                with phases.phase("saving"):
                    checkpoints.wait()  # a kill costs the epoch in progress, no other
                if line:
                    display.write(line)
                phases.keep()
                log.resume()
        if preemption.is_asked(last):
            raise PreemptedError(
                f"preempted after the last step; saved in {log_path.parent}: {_AGAIN}"
            )
    finally:
        with phases.phase("saving"):
            checkpoints.wait()
        display.close()
        log.close()
        preemption.close()
    return state


def _preempted(number: int, last: int, folder: Path) -> PreemptedError:
    saved = f"; saved in {folder}" if number else ""
    return PreemptedError(
        f"preempted before step {number + 1} of {last}{saved}: {_AGAIN}"
    )


def _record(waiting, log: StepLog, display: Progress) -> None:
    """Fetches and logs the metrics of a step; stops the run if they are not finite."""
    if waiting is None:
        return
    number, metrics = waiting
    metrics = jax.device_get(metrics)
    loss, grad_norm = float(metrics["loss"]), float(metrics["grad_norm"])
    if metrics["diverged"]:
        found = {"loss": loss, "gradient": grad_norm, "new state": math.nan}
        what = next(name for name, value in found.items() if not math.isfinite(value))
        raise DivergedError(
            f"the {what} of step {number + 1} is not finite (loss {loss}, gradient "
            f"norm {grad_norm}); its update was not applied"
        )
    log.write(number, loss, grad_norm)
    display.postfix(loss=loss)
