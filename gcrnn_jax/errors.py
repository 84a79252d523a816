"""The ways a command ends early, each with the exit code that tells a launcher why.

0 done · 2 bad flags or config · 65 bad data · 70 training diverged
73 workdir locked or not writable · 74 disk · 75 preempted, saved, run me again
"""

import sys
from collections.abc import Callable


class GcrnnError(Exception):
    """An error whose message is for the user: shown without a traceback."""

    exit_code = 1


class ConfigError(GcrnnError):
    """A flag or config field that is unknown, ill-typed or contradicts another."""

    exit_code = 2


class DataError(GcrnnError):
    """Recordings, lists or stores that cannot be used; names file and line."""

    exit_code = 65


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


def run_command(command: Callable[[], None]) -> None:
    """Runs a command and ends the process with the exit code of its error, if any."""
    try:
        command()
    except GcrnnError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a disk that fills up or goes away meanwhile
        print(f"error: {error}", file=sys.stderr)
        sys.exit(StorageError.exit_code)
