"""How far a long job is: a bar on a terminal, now and then a plain line elsewhere."""

import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

_EVERY_S = 10.0  # between two plain lines; a last one comes at the end


@dataclasses.dataclass(kw_only=True)
class Progress:
    """A progress display: tqdm on a terminal, plain lines otherwise.

    Attributes:
        label: What is being done, as "training".
        unit: What is counted, as "clips".
        total: How many there will be, if that is known.
        initial: How many were done before, by a run that this one resumes.
        stream: Where to. None: standard error.
        clock: Seconds, monotonic.

    Example:
        >>> import sys
        >>> times = iter([0.0, 4.0, 12.0, 12.0, 16.0])
        >>> with Progress(label="training", unit="clips", total=32,
        ...               stream=sys.stdout, clock=lambda: next(times)) as display:
        ...     for loss in (0.7, 0.5):
        ...         display.postfix(loss=loss)
        ...         display.update(12)
        training: 24/32 clips, 2 clips/s, 0:04 left, loss=0.5
        training: 24/32 clips, 1.5 clips/s, 0:05 left, loss=0.5
    """

    label: str
    unit: str
    total: int | None = None
    initial: int = 0
    stream: TextIO | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.count: float = self.initial
        self._values: dict[str, Any] = {}
        self._started = self._shown = self.clock()
        self._is_closed = False
        stream = self.stream or sys.stderr
        self._bar = _Bar(
            total=self.total,
            initial=self.initial,
            desc=self.label,
            unit=" " + self.unit,
            file=stream,
            dynamic_ncols=True,
            smoothing=0.05,
            disable=not stream.isatty(),
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def postfix(self, **values: Any) -> None:
        """Sets named values, as loss=0.31, to be shown with the next update."""
        self._values |= values
        self._bar.set_postfix_str(self._postfix(), refresh=False)

    def update(self, count: float = 1) -> None:
        """Counts so many more units done, or parts of one."""
        self.count += count
        self._bar.update(count)
        if self._bar.disable and self.clock() - self._shown >= _EVERY_S:
            self._print_line()

    def write(self, message: str) -> None:
        """Prints a message of its own line, above the bar if there is one."""
        self._bar.write(message, file=self.stream or sys.stderr)

    def close(self) -> None:
        """Shows the last state and ends the bar; a second call does nothing."""
        if self._bar.disable and not self._is_closed:
            self._print_line()
        self._bar.close()
        self._is_closed = True

    def _postfix(self) -> str:
        return " ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self._values.items()
        )

    def _print_line(self) -> None:
        self._shown = self.clock()
        elapsed = self._shown - self._started
        rate = (self.count - self.initial) / elapsed if elapsed > 0 else 0.0
        total = "" if self.total is None else f"/{self.total}"
        parts = [f"{self.label}: {_short(self.count)}{total} {self.unit}"]
        parts.append(f"{rate:.4g} {self.unit}/s")
        if self.total is not None and _short(self.count) < self.total and rate > 0:
            parts.append(f"{_duration((self.total - self.count) / rate)} left")
        else:
            parts.append(f"{_duration(elapsed)} taken")
        parts += [self._postfix()] if self._values else []
        print(", ".join(parts), file=self.stream or sys.stderr, flush=True)


class _Bar(tqdm):
    """A bar whose count may be of parts, which are not printed to the last bit."""

    @property
    def format_dict(self) -> dict[str, Any]:
        """What a bar is printed from."""
        return {**super().format_dict, "n": _short(self.n)}


def _short(count: float) -> float:
    """A count with two decimals, or none."""
    rounded = round(count, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
