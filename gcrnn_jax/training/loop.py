"""The one training loop: epochs of steps, a log line a step, a checkpoint an epoch."""

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

from gcrnn_jax.data.atomic_files import write_atomically
from gcrnn_jax.errors import DivergedError, PreemptedError
from gcrnn_jax.progress import Progress, progress
from gcrnn_jax.training.checkpoints import Checkpoints
from gcrnn_jax.training.parallel import put_batch
from gcrnn_jax.training.state import TrainState


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
    kept = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            is_lost = json.loads(line)["step"] >= step
        except (ValueError, KeyError, TypeError):
            is_lost = True
        if is_lost:
            break
        kept.append(line + b"\n")
    return b"".join(kept)


class Preemption:
    """Knows whether the scheduler has asked for the machine (SIGTERM)."""

    def __init__(self):
        """With several processes JAX's own service listens, and must be left alone."""
        self._asked = False
        self._alone = jax.process_count() == 1
        if self._alone:
            self._previous = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_) -> None:
        self._asked = True

    def asked(self, step: int) -> bool:
        """The same answer on every process; to be called before every step."""
        if self._alone:
            return self._asked
        return multihost_utils.reached_preemption_sync_point(step)

    def close(self) -> None:
        """Gives the signal back."""
        if self._alone:
            signal.signal(signal.SIGTERM, self._previous)


def train(
    state: TrainState,
    step: Callable,
    batches: Iterator,
    *,
    mesh: Mesh,
    checkpoints: Checkpoints,
    workdir: Path,
    num_epochs: int,
    steps_per_epoch: int,
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
        workdir: Of the run; gets metrics.jsonl.
        num_epochs: Of the whole run.
        steps_per_epoch: An epoch is this many steps (100 in the paper).
        batch_size: Clips of a global batch, for the rate that is shown.
        on_epoch: Called with (epoch, state) after each; what it returns is printed.

    Returns:
        The last state.

    Raises:
        DivergedError: A loss or gradient was not finite; no update was applied for it.
        PreemptedError: SIGTERM came; the state is saved.
    """
    first, last = int(state.step), num_epochs * steps_per_epoch
    log = MetricsLog(workdir / "metrics.jsonl", first)
    preemption = Preemption()
    display = _display(first * batch_size, last * batch_size)
    waiting: tuple[int, dict] | None = None  # metrics of a step still being computed
    try:
        for number in range(first, last):
            if preemption.asked(number):
                _record(waiting, log, display)
                is_epoch = number > 0 and number % steps_per_epoch == 0
                checkpoints.save(state, is_epoch=is_epoch)
                raise PreemptedError(
                    f"preempted before step {number + 1} of {last}; saved in {workdir}"
                    ": run the same command again to continue"
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
    return progress(
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
