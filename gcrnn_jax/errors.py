"""The ways a command ends early, each with the exit code that tells a launcher why.

0 done · 2 bad flags or config · 65 bad data · 70 training diverged
73 workdir locked or not writable · 74 disk · 75 preempted, saved, run me again
"""

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


class GcrnnError(Exception):
    """An error whose message is for the user: shown without a traceback."""

    exit_code = 1


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
_AGAIN = "preempted: run the same command again"


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
        sys.exit(exit_code(error))


def exit_at_signals() -> None:
    """Lets SIGTERM and Ctrl-C end the process where it is, with a line and its code.

    At once, where Python would raise an exception: JAX may swallow one, and XLA's
    threads crash at a slow exit while they compile. Files are whole or absent.
    """

    def end(number: int, _) -> None:
        is_interrupt = number == signal.SIGINT
        error = KeyboardInterrupt() if is_interrupt else PreemptedError(_AGAIN)
        print_error(error)
        exit_now(exit_code(error))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def print_error(error: BaseException) -> None:
    """Prints an error as its user should see it."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif isinstance(error, GcrnnError | OSError):
        print(f"error: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)


def exit_code(error: BaseException) -> int:
    """The exit code that tells a launcher of an error."""
    if isinstance(error, GcrnnError):
        return error.exit_code
    if isinstance(error, OSError):  # a disk that fills up or goes away meanwhile
        return StorageError.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def exit_now(code: int) -> NoReturn:
    """Ends the process at once, after bringing out what it has printed."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
