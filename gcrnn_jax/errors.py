"""The ways a command ends early, each with the exit code that tells a launcher why.

0 done · 2 bad flags or config · 65 bad data · 70 training diverged
71 stuck, or a process of the run is missing, gone or silent
73 workdir locked or not writable · 74 disk · 75 preempted, saved, run me again
"""

import atexit
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn


class GcrnnError(Exception):
    """An error whose message is for the user: shown without a traceback.

    Several arguments are lines of it; a line break within one is part of some name.
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class ConfigError(GcrnnError):
    """A flag or config field that is unknown, ill-typed or contradicts another."""

    exit_code = 2


class DataError(GcrnnError):
    """Recordings, lists or stores that cannot be used; names file and line."""

    exit_code = 65


class RecordingsMissingError(DataError):
    """A data set that is not there, or its recordings: perhaps a disk is missing."""


class DivergedError(GcrnnError):
    """A loss or gradient that is not finite; names the step."""

    exit_code = 70


class StuckError(GcrnnError):
    """A step, an evaluation, a save or a worker that takes far too long."""

    exit_code = 71


class PeerError(GcrnnError):
    """Another process of the run that never came, has ended, or gives no sign of life.

    Also a port of the first process that another program holds.
    """

    exit_code = 71


class WorkdirError(GcrnnError):
    """A folder that another run holds, or that cannot be written."""

    exit_code = 73


class StorageError(GcrnnError):
    """A disk that is full or fails."""

    exit_code = 74


class PreemptedError(GcrnnError):
    """The scheduler asked for the machine; the state is saved, run me again."""

    exit_code = 75


INTERRUPTED = 130  # as shells have it
_AGAIN = "preempted: run the same command again to continue"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_command(command: Callable[[], None]) -> None:
    """Runs a command and ends the process with the exit code of its error, if any."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may be any bytes
    try:
        command()
    except BrokenPipeError:
        sys.exit(0)
    except (GcrnnError, KeyboardInterrupt, OSError) as error:
        print_error(error)
        if is_command():  # a thread that waits for what cannot come holds up no exit
            atexit._run_exitfuncs()
            exit_now(exit_code(error))
        sys.exit(exit_code(error))
    if is_command():  # Python would take a second to take all of JAX apart
        atexit._run_exitfuncs()
        exit_now(0)


def exit_at_signals() -> None:
    """Lets SIGTERM and Ctrl-C end the process where it is, with a line and its code.

    At once, where Python would raise an exception: JAX may swallow one, and XLA's
    threads crash at a slow exit while they compile. Files are whole or absent, and
    workers end with this process.
    """
    for number in _SIGNALS:
        signal.signal(number, _exit_at_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextlib.contextmanager
def raise_at_signals() -> Iterator[None]:
    """Lets signals that would end the process raise meanwhile.

    For work without JAX that keeps what it has got so far.
    """
    numbers = [n for n in _SIGNALS if signal.getsignal(n) is _exit_at_signal]
    try:
        for number in numbers:
            signal.signal(number, _raise_at_signal)
        yield
    finally:
        for number in numbers:
            signal.signal(number, _exit_at_signal)


def is_command() -> bool:
    """Whether this process is a command, and no program that imports the package."""
    return signal.getsignal(signal.SIGTERM) is _exit_at_signal


def hold_signals() -> None:
    """Keeps signals back until this process, or the program it becomes, listens."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _signal_error(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else PreemptedError(_AGAIN)


def _exit_at_signal(number: int, _: object) -> None:
    error = _signal_error(number)
    with contextlib.suppress(RuntimeError):  # it came while something was printed
        print_error(error)
    exit_now(exit_code(error))


def _raise_at_signal(number: int, _: object) -> None:
    raise _signal_error(number)


def print_error(error: BaseException) -> None:
    """Prints an error as its user should see it."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif isinstance(error, GcrnnError | OSError):
        lines = error.args if isinstance(error, GcrnnError) else (error,)
        text = "\n".join(escape(str(line)) for line in lines)
        print(f"error: {text}", file=sys.stderr)
    else:
        traceback.print_exception(error)


def escape(text: str) -> str:
    r"""A text on one line of a terminal, whatever names are in it.

    Example:
        >>> escape("a\nerror: b\x1b[2J")
        'a\\nerror: b\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def error_text(error: Exception) -> str:
    """What another library found wrong, without its description of every array."""
    return f"{type(error).__name__}: {str(error)[:200]}"


def exit_code(error: BaseException) -> int:
    """The exit code that tells a launcher of an error."""
    if isinstance(error, GcrnnError):
        return error.exit_code
    if isinstance(error, OSError):  # a disk that fills up or goes away meanwhile
        return StorageError.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def exit_now(code: int) -> NoReturn:
    """Ends the process at once, after bringing out what it has printed."""
    with contextlib.suppress(OSError, RuntimeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def message_of(error: Exception) -> str:
    """What an error of another library says, on one line."""
    detail: object = error
    while isinstance(detail, Exception) and detail.args:
        detail = detail.args[0]  # str() of a KeyError quotes it
    return " ".join(str(detail).split())[:300]
