"""What ends a command decides its exit code, and is told without a traceback."""

import os
import signal
import subprocess
import sys

import pytest

from gcrnn_jax import errors


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.GcrnnError("a"), 1, "error: a\n"),
        (errors.ConfigError("b"), 2, "error: b\n"),
        (errors.DataError("c"), 65, "error: c\n"),
        (errors.DivergedError("d"), 70, "error: d\n"),
        (errors.PeerError("d"), 71, "error: d\n"),
        (errors.WorkdirError("e"), 73, "error: e\n"),
        (errors.StorageError("f"), 74, "error: f\n"),
        (OSError(28, "No space left on device"), 74, "No space left on device\n"),
        (errors.PreemptedError("g"), 75, "error: g\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_every_error_ends_a_command_with_its_code(error, code, message, capsys):
    def command():
        raise error

    with pytest.raises(SystemExit) as end:
        errors.run_command(command)
    assert end.value.code == code
    assert capsys.readouterr().err.endswith(message)


def test_a_name_cannot_forge_a_line_of_an_error(capsys):
    name = "a.wav\nerror: b\x1b[2J\u2028\u202ec\udcff"
    for error in (
        errors.DataError(f"{name}: bad", "  more"),
        OSError(28, "full", name),
    ):
        errors.print_error(error)
    first, more, third = capsys.readouterr().err.splitlines()
    assert first == r"error: a.wav\nerror: b\x1b[2J\u2028\u202ec\udcff: bad"
    assert more == "  more" and third.startswith("error: [Errno 28] full: 'a.wav")


def test_who_no_longer_reads_ends_a_command_quietly(capsys):
    def command():
        raise BrokenPipeError

    with pytest.raises(SystemExit) as end:
        errors.run_command(command)
    assert end.value.code == 0 and capsys.readouterr().err == ""


AS_COMMAND = "sys.argv[0], sys.orig_argv = '-m', ['python', '-m', 'gcrnn_jax.check']"
AS_SCRIPT = "sys.argv[0] = '/bin/gcrnn'"


@pytest.mark.parametrize(
    ("start", "number", "code", "message"),
    [
        (AS_COMMAND, 15, 75, "run the same command again to continue\n"),
        (AS_SCRIPT, 2, 130, "interrupted\n"),
        ("", 15, -15, ""),
    ],
)
def test_signals_end_a_command_from_its_first_moment(start, number, code, message):
    program = (
        f"import os, sys\n{start}\nimport gcrnn_jax\nos.kill(os.getpid(), {number})"
    )
    line = [sys.executable, "-c", program]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert result.stderr.endswith(message) and "Traceback" not in result.stderr


def test_signals_wait_until_a_program_that_is_started_anew_listens():
    again = "import os, signal, gcrnn_jax.errors as errors\nerrors.exit_at_signals()"
    program = (
        "import os, sys, gcrnn_jax.errors as errors\nerrors.hold_signals()\n"
        "os.kill(os.getpid(), 15)\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {again!r}])"
    )
    line = [sys.executable, "-c", program]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == 75, result.stderr


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGTERM, errors.PreemptedError),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_work_that_keeps_what_it_has_is_told_of_signals(number, error):
    before = [signal.getsignal(n) for n in errors._SIGNALS]
    try:
        errors.exit_at_signals()
        ours = signal.getsignal(number)
        with pytest.raises(error), errors.raise_at_signals():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is ours
    finally:
        for n, handler in zip(errors._SIGNALS, before, strict=True):
            signal.signal(n, handler)


def test_a_thread_that_waits_for_ever_holds_up_no_exit():
    script = """
import threading
from gcrnn_jax.errors import DataError, exit_at_signals, run_command
exit_at_signals()
threading.Thread(target=threading.Event().wait).start()
def fail():
    raise DataError("a")
run_command(fail)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (65, b"error: a\n")
