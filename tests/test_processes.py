"""Several processes train as one does; signals and failures end all of them."""

import fcntl
import json
import os
import re
import signal
import socket
import time

import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet
from tests.commands import Commands

LAST_DIGITS = {"rtol": 1e-5, "atol": 1e-6}
SMALLEST = Commands.SMALLEST[:-1]  # of as many devices as there are cores
TWO_DEVICES = (*SMALLEST, "--config.parallel.cpu_devices=2")
FOUR_DEVICES = "--config.parallel.cpu_devices=4"  # as in the process of the tests
LONG = ("--config.training.num_epochs=5000", "--config.fusion.epochs=5000")


def wait_for(stream, beginning):
    """Reads on until a line begins so."""
    assert any(line.startswith(beginning) for line in stream)


def test_two_processes_of_two_devices_train_and_resume_like_one_of_four(
    commands, tmp_path
):
    """Interrupted meanwhile, which ends both with one line."""
    one, two = tmp_path / "one", tmp_path / "two"
    flags = (*commands.TINY, f"--workdir={two}", *TWO_DEVICES, *LONG)
    with commands.start(*flags, processes=2) as process:
        wait_for(process.stderr, "epoch 2/")  # the first one has been saved
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        errors = process.stderr.read()
        assert errors.count("interrupted") == 1 and "Traceback" not in errors
    last = max(int(path.name) for path in (two / "resume").glob("[0-9]*")) // 2 + 1
    fields = (f"--config.training.num_epochs={last}", f"--config.fusion.epochs={last}")
    resumed = commands.main(two, *TWO_DEVICES, *fields, processes=2)
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(rf"after step [0-9]*[02468] of {2 * last}", resumed.stdout)
    whole = commands.main(one, *SMALLEST, *fields)  # on the four of this process
    assert whole.returncode == 0, whole.stderr
    assert len(commands.losses(two)) == 2 * last
    np.testing.assert_allclose(
        commands.losses(two), commands.losses(one), **LAST_DIGITS
    )


def test_three_processes_train_and_predict_a_batch_that_does_not_divide_like_one(
    commands, tmp_path
):
    one, three = tmp_path / "one", tmp_path / "three"
    fields = (*SMALLEST, "--config.sampling.batch_size=7")
    fields += ("--config.training.num_epochs=1", "--config.fusion.epochs=1")
    result = commands.main(
        three, *fields, "--config.parallel.cpu_devices=1", processes=3
    )
    assert result.returncode == 0, result.stderr
    assert commands.main(one, *fields).returncode == 0
    np.testing.assert_allclose(
        commands.losses(three), commands.losses(one), **LAST_DIGITS
    )
    paths = (next(run.glob("posteriors/testing-*/epoch-1.npz")) for run in (one, three))
    first, second = (PosteriorSet.load(path) for path in paths)
    for name in ("clip", "frame"):
        a, b = getattr(first, name), getattr(second, name)
        np.testing.assert_allclose(a, b, **LAST_DIGITS)


def test_what_the_first_process_alone_cannot_do_ends_both_with_its_code(
    commands, tmp_path
):
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = commands.main(tmp_path / "run", processes=2)
    assert result.returncode == 73
    assert result.stderr.count("is held by") == 1
    assert "Traceback" not in result.stderr


def process_of(launcher, number):
    """The process id of the process that a launcher has given a number."""
    for child in children_of(launcher):
        with open(f"/proc/{child}/environ") as file:
            if f"GCRNN_PROCESS_ID={number}" in file.read().split("\0"):
                return int(child)
    raise AssertionError(f"process {number} is not there")


def test_a_process_that_dies_or_stops_is_named_and_all_end(
    commands, tmp_path, monkeypatch
):
    """The stated time, here 8 s, is over before JAX's own service would end them."""
    monkeypatch.setenv("GCRNN_PEER_TIMEOUT_S", "8")
    flags = (*commands.TINY, f"--workdir={tmp_path}", *TWO_DEVICES, *LONG)
    with commands.start(*flags, processes=2) as launcher:
        wait_for(launcher.stderr, "epoch 1/")
        killed = process_of(launcher.pid, 1)
        os.kill(killed, signal.SIGKILL)
        assert launcher.wait(60) == 128 + signal.SIGKILL
        errors = launcher.stderr.read()
    assert f"local.py: process 1 of 2 (process id {killed}) was ended by SIG" in errors
    assert errors.count("error: ") == 1 and "Traceback" not in errors
    assert f", process id {killed}) has ended unexpectedly" in errors

    with commands.start(*flags, processes=2) as launcher:
        wait_for(launcher.stderr, "epoch ")
        stopped = process_of(launcher.pid, 0)
        os.kill(stopped, signal.SIGSTOP)
        told = []
        while not (told and told[-1].startswith("local.py: process 1 of 2 ")):
            told.append(launcher.stderr.readline())
            assert told[-1]
        os.kill(stopped, signal.SIGKILL)  # the launcher would, after its grace
        assert launcher.wait(60) == 71
    assert told[-1].endswith("ended with 71\n")
    assert re.match(r"error: process 0 .* has given no sign of life for [89]", told[-2])
    assert "Traceback" not in "".join(told)


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (0, r"process 1 of 2 did not come to process 0 at \S+ within 1 s"),
        (1, r"process 1 of 2 had no answer from process 0 at \S+ within 1 s"),
        (None, r"process 0 cannot listen on port [0-9]+ of .*JAX_COORDINATOR_PORT"),
    ],
)
def test_a_process_that_never_comes_and_a_port_in_use_are_named(
    commands, tmp_path, monkeypatch, process, message
):
    monkeypatch.setenv("GCRNN_JOIN_TIMEOUT_S", "1")
    monkeypatch.setenv("GCRNN_NUM_PROCESSES", "2")
    monkeypatch.setenv("GCRNN_PROCESS_ID", str(process or 0))
    with socket.create_server(("127.0.0.1", 0)) as other_program:
        port = other_program.getsockname()[1]
        if process is not None:
            other_program.close()
        monkeypatch.setenv("GCRNN_COORDINATOR", f"127.0.0.1:{port}")
        flags = (*commands.TINY, f"--workdir={tmp_path / 'run'}", *SMALLEST)
        result = commands.run_process(*flags)
    assert result.returncode == 71
    assert re.fullmatch(f"error: {message}.*\n", result.stderr)


def test_sigterm_saves_and_exits_75_and_the_next_start_continues(commands, tmp_path):
    workdir = tmp_path / "run"
    flags = (*commands.TINY, f"--workdir={workdir}", FOUR_DEVICES, *LONG)
    with commands.start(*flags) as process:
        wait_for(process.stderr, "epoch 1/")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75
    steps = len(commands.losses(workdir))
    epochs = steps // 2 + 1
    fields = (
        FOUR_DEVICES,
        f"--config.training.num_epochs={epochs}",
        f"--config.fusion.epochs={epochs}",
    )
    result = commands.main(workdir, *fields)
    assert result.returncode == 0, result.stderr
    assert f"after step {steps} of" in result.stdout


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGTERM, 75, "run the same command again"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_a_signal_before_the_first_step_ends_with_a_line(
    commands, tmp_path, number, code, told
):
    flags = [flag for flag in commands.TINY if "soundscapes" not in flag]
    flags += [f"--config.data.soundscapes=(20000,9,{code})"]
    before = set(commands.cache.glob("*/training"))
    with commands.start(*flags, f"--workdir={tmp_path / 'run'}") as process:
        while set(commands.cache.glob("*/training")) == before:
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == code
        errors = process.stderr.read()
    assert told in errors and "Traceback" not in errors


def test_a_command_that_is_ended_leaves_no_worker_behind(commands, data_folder):
    """Not even one that hangs; a scheduler's signal goes to all of them."""
    root = data_folder(training=40)
    with commands.start(
        *("--root", root, "--output", root / "store", "--workers", 2),
        module="gcrnn_jax.prepare",
        start_new_session=True,
        failpoint="prepare.clip:hang",
    ) as process:
        while len(children := children_of(process.pid)) < 3:  # one keeps track of them
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 75
        assert "run the same command again to continue" in process.stderr.read()
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < deadline


def children_of(process_id):
    with open(f"/proc/{process_id}/task/{process_id}/children") as file:
        return file.read().split()


def test_a_step_that_hangs_ends_with_all_stacks_and_71(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_STUCK_AFTER_S", "1")
    flags = (*commands.TINY, f"--workdir={tmp_path / 'run'}", *SMALLEST)
    with commands.start(*flags, failpoint="train.step@4:hang") as process:
        assert process.wait(100) == 71
        errors = process.stderr.read()
    assert "failpoints.py" in errors and "error: stepping has hung for" in errors
    account = json.loads((tmp_path / "run/goodput.json").read_text())
    assert account["next_step"] >= 2
    parts = sum(account["seconds"].values())
    assert parts == pytest.approx(account["wall_s"], rel=1e-6)
