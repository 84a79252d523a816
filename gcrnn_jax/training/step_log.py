"""The log of a run's steps, a line each: loss, gradient, rate, speed and time."""

import collections
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import jax
from absl import logging

from gcrnn_jax.data.atomic_files import json_line, read_json_lines, write_atomically

_STEPS_OF_A_MEAN = 10  # steps are logged one late, which makes single ones uneven


class StepLog:
    """Writes a line a step; in other processes than the first, none.

    A line has step and epoch, counted from 0 and from 1, loss and norm of the gradient,
    the learning rate of the step, clips per second, a mean over up to ten steps that
    followed each other (null for the first of a start, which compiles), and the time,
    in seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        first_step: int,
        *,
        steps_per_epoch: int,
        batch_size: int,
        rate_at: Callable[[int], float],
        on_line: Callable[[dict[str, Any]], None] | None = None,
    ):
        """Goes on with a log; the lines of lost work, from first_step on, go.

        Args:
            path: Of the log.
            first_step: That is computed next.
            steps_per_epoch: An epoch is this many.
            batch_size: Clips of a step.
            rate_at: The learning rate of a step.
            on_line: Called with every line.
        """
        self._file = _open(path, first_step)
        self._steps_per_epoch, self._batch_size = steps_per_epoch, batch_size
        self._rate_at, self._on_line = rate_at, on_line
        # when the last steps ended, on a steady clock
        self._ends = collections.deque[float](maxlen=_STEPS_OF_A_MEAN)

    def write(self, step: int, loss: float, grad_norm: float) -> None:
        """Adds a step that has just ended."""
        now, speed = time.monotonic(), None
        if self._ends:
            num_clips = self._batch_size * len(self._ends)
            speed = round(num_clips / max(1e-9, now - self._ends[0]), 2)
        self._ends.append(now)
        line = {
            "step": step,
            "epoch": step // self._steps_per_epoch + 1,
            "loss": loss,
            "grad_norm": grad_norm,
            "learning_rate": self._rate_at(step),
            "clips_per_s": speed,
            "time_s": round(time.time(), 3),
        }
        self._file.write(json_line(line))
        if self._on_line:
            self._on_line(line)

    def resume(self) -> None:
        """Says that steps go on now: what was done in between counts for none."""
        self._ends.clear()
        self._ends.append(time.monotonic())

    def flush(self) -> None:
        """Brings the lines to the system."""
        self._file.flush()

    def close(self) -> None:
        """Ends the log."""
        self._file.close()


def _open(path: Path, first_step: int) -> IO[str]:
    if jax.process_index() > 0:
        return open(os.devnull, "w")
    kept = [
        text + b"\n"
        for text, line in read_json_lines(path, "step")
        if isinstance(line["step"], int) and line["step"] < first_step
    ]
    if len(kept) != first_step:
        logging.warning("%s: %s lines of %s are there", path, len(kept), first_step)
    write_atomically(path, kept)
    return path.open("a")
