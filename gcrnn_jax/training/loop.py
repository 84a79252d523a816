"""The one training loop: epochs of steps, a log line a step, a checkpoint an epoch."""

import dataclasses
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from gcrnn_jax.data.atomic_files import read_json_lines, write_atomically
from gcrnn_jax.errors import DivergedError, PreemptedError
from gcrnn_jax.progress import Progress
from gcrnn_jax.training.checkpoints import Checkpoints
from gcrnn_jax.training.parallel import put_batch
from gcrnn_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class TrainingLength:
    """How long a run trains, and what its model is.

    Attributes:
        num_epochs: Of the whole run.
        steps_per_epoch: An epoch is this many steps (100 in the paper).
        weight_average: Share of a running mean of the weights that a step keeps; the
            mean is the model then. 0: the weights are.
    """

    num_epochs: int
    steps_per_epoch: int
    weight_average: float

    def __post_init__(self):
        """Raises ValueError for a number that is out of range."""
        for name in ("num_epochs", "steps_per_epoch"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
        if not 0 <= self.weight_average < 1:
            raise ValueError(
                f"weight_average must be in [0, 1), got {self.weight_average}"
            )

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.num_epochs * self.steps_per_epoch


class MetricsLog:
    """One JSON line a step, written by the first process; resuming goes on after it."""

    def __init__(self, path: Path, start_step: int):
        """Lines of start_step and later, of work that was lost, are cut off."""
        self.path = path
        self._file = None
        if jax.process_index() == 0:
            write_atomically(path, [_lines_before(start_step, path)])
            self._file = path.open("a")

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Appends a line."""
        if self._file:
            self._file.write(json.dumps({"step": step, **metrics}) + "\n")

    def flush(self) -> None:
        """Brings the lines to the disk."""
        if self._file:
            self._file.flush()

    def close(self) -> None:
        """Ends the log."""
        if self._file:
            self._file.close()


def _lines_before(step: int, path: Path) -> bytes:
    """The whole lines of a log up to a step; a machine that died may have cut one."""
    lines = []
    for text, line in read_json_lines(path, "step"):
        if not isinstance(line["step"], int) or line["step"] >= step:
            break
        lines.append(text + b"\n")
    return b"".join(lines)


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
    on_epoch: Callable[[int, TrainState], str | None] | None = None,
) -> TrainState:
    """Trains from the state's step to the end of the last epoch.

    Args:
        state: On all devices of the mesh.
        step: The mapped training step: (state, batch) -> (state, metrics).
        batches: This process's rows of the batches, from the state's step on.
        mesh: The devices.
        checkpoints: Where every epoch is saved.
        log_path: Gets a line a step.
        length: Of the whole run.
        batch_size: Clips of a global batch, for the rate that is shown.
        on_epoch: Called with (epoch, state) after each; what it returns is printed.

    Returns:
        The last state.

    Raises:
        DivergedError: A loss or gradient was not finite; no update was applied for it.
        PreemptedError: SIGTERM came; the state is saved.
    """
    first, last = int(state.step), length.num_steps
    steps_per_epoch = length.steps_per_epoch
    log = MetricsLog(log_path, first)
    preemption = Preemption()
    display = _display(first * batch_size, last * batch_size)
    waiting: tuple[int, dict] | None = None  # metrics of a step still being computed
    try:
        for number in range(first, last):
            if preemption.is_asked(number):
                _record(waiting, log, display)
                is_epoch = number > 0 and number % steps_per_epoch == 0
                checkpoints.save(state, is_epoch=is_epoch)
                raise PreemptedError(
                    f"preempted before step {number + 1} of {last}; saved in "
                    f"{log_path.parent}: run the same command again to continue"
                )
            batch = put_batch(next(batches), mesh)
            with jax.transfer_guard("disallow"):  # the step reads what devices hold
                state, metrics = step(state, batch)
            # fetched one step late, so that the device never waits for the host
            _record(waiting, log, display)
            display.update(batch_size)
            waiting = number, metrics
            if (number + 1) % steps_per_epoch == 0:
                _record(waiting, log, display)
                waiting = None
                log.flush()
                checkpoints.save(state)
                epoch = (number + 1) // steps_per_epoch
                if on_epoch and (line := on_epoch(epoch, state)):
                    display.write(line)
    finally:
        checkpoints.wait()
        display.close()
        log.close()
        preemption.close()
    return state


def _display(done: int, total: int) -> Progress:
    """Shown by the first process, in clips."""
    stream = sys.stderr if jax.process_index() == 0 else open(os.devnull, "w")
    return Progress(
        label="training", unit="clips", initial=done, total=total, stream=stream
    )


def _record(waiting, log: MetricsLog, display: Progress) -> None:
    """Fetches and logs the metrics of a step; stops the run if they are not finite."""
    if waiting is None:
        return
    number, metrics = waiting
    metrics = jax.device_get(metrics)
    loss, grad_norm = float(metrics["loss"]), float(metrics["grad_norm"])
    if metrics["diverged"]:
        what = "loss" if not math.isfinite(loss) else "gradient"
        raise DivergedError(
            f"the {what} of step {number + 1} is not finite (loss {loss}, gradient "
            f"norm {grad_norm}); its update was not applied. A lower "
            "--config.optimizer.learning_rate, with another --workdir, is the usual "
            "cure"
        )
    log.write(number, {"loss": loss, "grad_norm": grad_norm})
    display.postfix(loss=loss)
