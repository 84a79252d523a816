"""What the time of a run goes to, over all its starts; and an end where it hangs.

A run has one account at a time, `opened` for the folder that keeps it; without one,
phases count for nothing. The file is written anew after every epoch and every
`_WRITE_EVERY_S`: a start that is killed is accounted for up to then.

A phase that is `WATCHED` and gives no sign of life for far longer than usual, which is
ten times its median, ends the process: first the stacks of all threads are printed. At
least `GCRNN_STUCK_AFTER_S` (60; 0: never) times what `WATCHED` says must have passed,
and sixty times that where a phase has not been before.
"""

import collections
import contextlib
import faulthandler
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from absl import logging

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.data.manifest import seal, unseal
from gcrnn_jax.errors import ConfigError, DataError, StuckError, error_text, is_command
from gcrnn_jax.machine import process_age_s

FILE = "goodput.json"
PHASES = (
    "compiling",
    "stepping",
    "evaluating",
    "saving",
    "restoring",
    "lost",  # steps that a later start computed again
    "waiting",  # for batches, features, other processes
    "other",
)
WATCHED = {"compiling": 1, "stepping": 1, "evaluating": 1, "saving": 10, "waiting": 10}
_OFTEN, _AT_FIRST = 10, 60  # how many times the median, and the floor
_WRITE_EVERY_S = 10.0


def read_account(path: Path) -> dict[str, Any]:
    """Reads what `Account.write` wrote.

    Raises:
        DataError: It cannot be read, or is damaged.
    """
    return unseal(read_json(path), path)


def _floor_s() -> float:
    text = os.environ.get("GCRNN_STUCK_AFTER_S", "60")
    try:
        return float(text)
    except ValueError:
        what = f"expected seconds, 0 for never, got {text!r}"
        raise ConfigError(f"GCRNN_STUCK_AFTER_S: {what}") from None


class Account:
    """Seconds by phase; see the module."""

    def __init__(self, folder: Path | None):
        """Goes on with the account in a folder; None: it is kept nowhere."""
        self._path = folder / FILE if folder else None
        self._floor_s = _floor_s()
        self._lock = threading.Lock()
        self._over = threading.Event()
        # the current one last, within those before it, and whether it is watched
        self._phases: list[tuple[str, bool]] = [("other", False)]
        self._since = time.monotonic() - (process_age_s() if is_command() else 0.0)
        self._silent_s = 0.0
        self._durations = {name: collections.deque(maxlen=99) for name in PHASES}
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._starts, self._num_steps, self._next_step = 1, 0, 0
        self._first_step = 0  # of the system that is trained
        if self._path and self._path.exists():
            try:
                before = read_account(self._path)
                seconds = {name: float(before["seconds"][name]) for name in PHASES}
                self._starts += int(before["starts"])
                self._num_steps = int(before["steps"])
                self._next_step = int(before["next_step"])
                self._seconds = seconds
            except (DataError, KeyError, TypeError, ValueError) as error:
                logging.warning(
                    "%s: %s: time is counted anew", self._path, error_text(error)
                )
        threading.Thread(target=self._watch, daemon=True).start()

    @contextlib.contextmanager
    def phase(self, name: str, *, is_watched: bool) -> Iterator[None]:
        """Counts the time of a block for a phase, and not for that around it."""
        self._turn(lambda: self._phases.append((name, is_watched)))
        try:
            yield
        finally:
            self._turn(self._phases.pop, done=True)

    def heartbeat(self) -> None:
        """Says that the phase goes on."""
        self._turn(lambda: None, done=True)

    def _turn(self, change, done: bool = False) -> None:
        with self._lock:
            duration = self._charge()
            if done:
                self._durations[self._name].append(duration)
            change()
            self._silent_s = 0.0

    @property
    def _name(self) -> str:
        return self._phases[-1][0]

    def _charge(self) -> float:
        now = time.monotonic()
        duration, self._since = now - self._since, now
        self._seconds[self._name] += duration
        return duration

    def compiled(self, seconds: float) -> None:
        """Moves what a compilation took from the phase that it came in."""
        with self._lock:
            self._seconds["compiling"] += seconds
            self._seconds[self._name] -= seconds

    def next_training(self, num_steps: int) -> None:
        """Says that another system is trained now, after so many steps of others.

        Its phases may take longer than theirs.
        """
        with self._lock:
            self._first_step = num_steps
            for durations in self._durations.values():
                durations.clear()

    def continued(self, step: int) -> None:
        """Counts for lost the steps that are computed again from a step on."""
        with self._lock:
            step += self._first_step
            if self._next_step > step and self._num_steps:
                share = (self._next_step - step) / self._num_steps
                lost = self._seconds["stepping"] * min(1.0, share)
                self._seconds["lost"] += lost
                self._seconds["stepping"] -= lost
                self._num_steps -= self._next_step - step
            self._next_step = step

    def stepped(self) -> None:
        """Counts a step."""
        with self._lock:
            self._next_step += 1
            self._num_steps += 1

    def write(self) -> None:
        """Writes the account as it is now; without it, a run goes on."""
        with self._lock:
            self._charge()
            wall_s = sum(self._seconds.values())
            content = {
                "goodput": self._seconds["stepping"] / wall_s,
                "wall_s": wall_s,
                "seconds": dict(self._seconds),
                "starts": self._starts,
                "steps": self._num_steps,
                "next_step": self._next_step,
            }
            if self._path is None:
                return
            with contextlib.suppress(OSError):
                partial = self._path.with_suffix(".tmp")
                partial.write_text(json.dumps(seal(content), indent=1) + "\n")
                os.replace(partial, self._path)

    def close(self) -> None:
        """Ends watching, and writes the account for this start."""
        self._over.set()
        self.write()

    def summary(self) -> str:
        """One line of it."""
        self.write()
        wall_s, starts = sum(self._seconds.values()), self._starts
        shares = ", ".join(
            f"{name} {seconds / wall_s:.1%}"
            for name, seconds in self._seconds.items()
            if seconds >= 0.001 * wall_s
        )
        times = f"{starts} starts" if starts > 1 else "one start"
        return f"{wall_s:.1f} s in {times}: {shares}"

    def _watch(self) -> None:
        tick_s = min(1.0, self._floor_s / 4 or 1.0)
        written = before = time.monotonic()
        while not self._over.wait(tick_s):
            now = time.monotonic()
            with self._lock:
                # a process that was stopped meanwhile has waited for nothing
                self._silent_s += min(now - before, 2 * tick_s)
                name, silent_s = self._name, self._silent_s
                limit_s = self._limit_s(*self._phases[-1])
            before = now
            if silent_s > limit_s:
                self.write()
                _end_stuck(name, silent_s)
            if now - written > _WRITE_EVERY_S:
                written = now
                self.write()

    def _limit_s(self, name: str, is_watched: bool) -> float:
        floor_s = self._floor_s * WATCHED.get(name, 0)
        if not is_watched or not floor_s:
            return float("inf")
        if durations := self._durations[name]:
            return max(floor_s, _OFTEN * statistics.median(durations))
        return _AT_FIRST * floor_s


def _end_stuck(name: str, silent_s: float) -> None:
    """Ends the process, though its main thread may hang in C++ or hold a lock."""
    faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
    message = f"error: {name} has hung for {silent_s:.0f} s: run the same command again"
    os.write(2, f"{message} to continue\n".encode())
    os._exit(StuckError.exit_code)


_account: Account | None = None


@contextlib.contextmanager
def opened(folder: Path | None) -> Iterator[Account]:
    """Opens the account of a run for a block; None: this process keeps it nowhere."""
    global _account  # noqa: PLW0603 - phases lie in functions that know no run
    _account = account = Account(folder)
    try:
        yield account
    finally:
        _account = None
        account.close()


def phase(
    name: str, *, is_watched: bool = True
) -> contextlib.AbstractContextManager[None]:
    """Counts the time of a block for a phase of the open account, if there is one."""
    if _account:
        return _account.phase(name, is_watched=is_watched)
    return contextlib.nullcontext()


def heartbeat() -> None:
    """Says that the phase of the open account, if there is one, goes on."""
    if _account:
        _account.heartbeat()


def continued(step: int) -> None:
    """Says from which step on the run goes on."""
    if _account:
        _account.continued(step)


def stepped() -> None:
    """Says that a step was computed."""
    if _account:
        _account.stepped()


def keep() -> None:
    """Writes the open account, if there is one, as it is now."""
    if _account:
        _account.write()


def _on_event(event: str, duration_secs: float, **_: str | int) -> None:
    if _account and event == "/jax/core/compile/backend_compile_duration":
        _account.compiled(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_on_event)
