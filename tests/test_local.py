"""launch/local.py: who failed and how, and when all are started again."""

import re
import runpy
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def launch(commands, tmp_path):
    """Launches a program of two processes, which knows `process` and its `start`."""

    def run(body, *flags):
        program = tmp_path / "program.py"
        program.write_text(
            "import os, signal, sys, time\nfrom pathlib import Path\n"
            "process = int(os.environ['GCRNN_PROCESS_ID'])\n"
            f"starts = Path({str(tmp_path)!r}, f'starts{{process}}')\n"
            "start = starts.stat().st_size if starts.exists() else 0\n"
            "starts.open('a').write('.')\n" + body
        )
        line = [sys.executable, "launch/local.py", "-n2", *flags, "--"]
        line += [sys.executable, program]
        result = subprocess.run(
            line,
            cwd=commands.ROOT,
            timeout=100,
            check=False,
            capture_output=True,
            text=True,
        )
        starts = [(tmp_path / f"starts{k}").stat().st_size for k in range(2)]
        return result.returncode, result.stderr, starts

    return run


def test_a_program_that_fails_ends_the_others_with_its_exit_code(launch):
    code, errors, _ = launch(
        "sys.exit(7) if process else time.sleep(500)", "--grace-s=0.5"
    )
    assert code == 7
    assert re.fullmatch(
        r"local.py: process 1 of 2 \(process id \d+\) ended with 7\n", errors
    )


def test_a_program_that_is_killed_is_named(launch):
    code, errors, _ = launch(
        "os.kill(os.getpid(), 11) if process else (time.sleep(1), sys.exit(71))"
    )
    assert code == 128 + 11
    assert re.fullmatch(
        r"local.py: process 1 of 2 \(process id \d+\) was ended by SIGSEGV\n", errors
    )


def test_of_several_that_have_ended_the_one_that_was_killed_is_named(commands, capsys):
    """Where the launcher looks only when the others have ended because of it."""
    local = runpy.run_path(str(commands.ROOT / "launch/local.py"))
    group = local["Group"]([], 3, 0, 20.0)
    codes = {5: 71, 6: -9, 7: 0}
    group._children = [SimpleNamespace(pid=p, returncode=c) for p, c in codes.items()]
    assert group._first_failure().returncode == -9
    told = "local.py: process 1 of 3 (process id 6) was ended by SIGKILL\n"
    assert capsys.readouterr().err == told


def test_a_crash_is_followed_by_as_many_starts_as_allowed(launch):
    fails_twice = "sys.exit(71 if process and start < 2 else 0)"
    code, errors, starts = launch(fails_twice, "--restarts=3")
    assert (code, starts) == (0, [3, 3])
    assert errors.count("ended with 71") == 2 and "restart 2 of 3" in errors


def test_a_signal_while_processes_are_started_ends_them(commands, capsys):
    local = runpy.run_path(str(commands.ROOT / "launch/local.py"))
    group = local["Group"](
        [sys.executable, "-c", "import time; time.sleep(99)"], 2, 0, 20.0
    )
    group.forward(signal.SIGTERM, None)
    assert group.run() == 128 + signal.SIGTERM
    assert "was ended by SIGTERM" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-n1", "nowhere"], "nowhere: no such program"),
        (["-n1", "--restarts=-1", sys.executable], "--restarts of 0 or more"),
        (["-n0", sys.executable], "-n of 1 or more"),
    ],
)
def test_what_cannot_be_started_ends_with_2(commands, flags, message):
    line = [sys.executable, "launch/local.py", *flags]
    result = subprocess.run(
        line, cwd=commands.ROOT, check=False, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("code", "count"),
    [(1, 2), (74, 2), (0, 1), (2, 1), (65, 1), (70, 1), (73, 1), (75, 1), (130, 1)],
)
def test_only_what_may_succeed_is_started_again(launch, code, count):
    assert launch(f"sys.exit({code})", "--restarts=1")[::2] == (code, [count, count])
