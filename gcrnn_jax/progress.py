"""How far a long job is: a bar on a terminal, now and then a plain line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TextIO, TypeVar

Item = TypeVar("Item")


class Progress(Generic[Item]):
    """Shows count, rate, time left and a few named values; see `progress`."""

    def __init__(
        self,
        iterable: Iterable[Item] | None,
        *,
        total: int | None,
        label: str,
        unit: str,
        initial: int,
        every_s: float,
        stream: TextIO,
        clock: Callable[[], float],
    ):
        self.count = initial
        self._iterable = iterable
        self._initial = initial
        self._total = total
        self._label = label
        self._unit = unit
        self._every_s = every_s
        self._stream = stream
        self._clock = clock
        self._postfix: dict[str, Any] = {}
        self._started = self._shown = clock()
        self._is_closed = False
        self._bar = None
        if stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=initial,
                desc=label,
                unit=" " + unit,
                file=stream,
                dynamic_ncols=True,
                smoothing=0.05,
            )

    def __enter__(self) -> "Progress[Item]":
        return self

    def __exit__(self, error_type: type | None, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        """Yields the items of the iterable, counting each when it is done."""
        with self:
            for item in self._iterable if self._iterable is not None else ():
                yield item
                self.update()

    def postfix(self, **values: Any) -> None:
        """Sets named values, as loss=0.31, to be shown with the next update."""
        self._postfix.update(values)
        if self._bar is not None:
            self._bar.set_postfix_str(_join(self._postfix), refresh=False)

    def update(self, count: int = 1) -> None:
        """Counts so many more units done."""
        self.count += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._clock() - self._shown >= self._every_s:
            self._print_line()

    def write(self, message: str) -> None:
        """Prints a message of its own line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(message, file=self._stream)
        else:
            print(message, file=self._stream, flush=True)

    def close(self) -> None:
        """Shows the last state and ends the bar; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._bar is not None:
            self._bar.close()
        else:
            self._print_line()

    def _print_line(self) -> None:
        now = self._shown = self._clock()
        elapsed = now - self._started
        rate = (self.count - self._initial) / elapsed if elapsed > 0 else 0.0
        total = "" if self._total is None else f"/{self._total}"
        parts = [f"{self._label}: {self.count}{total} {self._unit}"]
        parts.append(f"{rate:.4g} {self._unit}/s")
        if self._total is not None and self.count < self._total and rate > 0:
            parts.append(f"{_duration((self._total - self.count) / rate)} left")
        else:
            parts.append(f"{_duration(elapsed)} taken")
        if self._postfix:
            parts.append(_join(self._postfix))
        print(", ".join(parts), file=self._stream, flush=True)


def progress(
    iterable: Iterable[Item] | None = None,
    *,
    label: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    every_s: float = 10.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress[Item]:
    """Returns a progress display: tqdm on a terminal, plain lines otherwise.

    Iterate over it, or use it as a context manager and call `update`.

    Args:
        iterable: What to iterate over, if anything.
        label: What is being done, as "training".
        unit: What is counted, as "clips".
        total: How many there will be. None: the iterable's length, if it has one.
        initial: How many were done before, by a run that this one resumes.
        every_s: Seconds between two plain lines; a last one comes at the end.
        stream: Where to. None: standard error.
        clock: Seconds, monotonic.

    Example:
        >>> import sys
        >>> times = iter([0.0, 4.0, 12.0, 12.0, 16.0])
        >>> with progress(label="training", unit="clips", total=32, every_s=10.0,
        ...               stream=sys.stdout, clock=lambda: next(times)) as display:
        ...     for loss in (0.7, 0.5):
        ...         display.postfix(loss=loss)
        ...         display.update(12)
        training: 24/32 clips, 2 clips/s, 0:04 left, loss=0.5
        training: 24/32 clips, 1.5 clips/s, 0:05 left, loss=0.5
    """
    if total is None and iterable is not None and hasattr(iterable, "__len__"):
        total = len(iterable)  # type: ignore[arg-type]
    return Progress(
        iterable,
        total=total,
        label=label,
        unit=unit,
        initial=initial,
        every_s=every_s,
        stream=sys.stderr if stream is None else stream,
        clock=clock,
    )


def _join(values: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
