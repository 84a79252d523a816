"""launch/slurm.sbatch as it is, on a SLURM cluster of two nodes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from gcrnn_jax.training import read_model
from gcrnn_jax.training.checkpoints import saved_steps
from tests.cluster.slurm import NODES

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "launch/slurm.sbatch")
TWO_TASKS = (
    *("--ntasks-per-node=1", "--gpus-per-node=1", "--cpus-per-task=2", "--time=10"),
    "--output=output",
)


class Job:
    """A job of the shipped script in a folder, whose environment is there."""

    def __init__(self, cluster, folder: Path, *arguments: str, env=None):
        """Submits it, with overrides only."""
        self.cluster, self.folder = cluster, folder
        self.workdir, self.restarts = folder / "run", 0
        arguments = (SCRIPT, *(arguments or (f"--workdir={self.workdir}",)))
        self.number = cluster.submit(
            *TWO_TASKS, *arguments, folder=folder, env={**(env or {})}
        )

    @property
    def output(self) -> str:
        """What all its starts have printed."""
        path = self.folder / "output"
        return path.read_text() if path.exists() else ""

    def scontrol(self, verb: str, *arguments: str) -> None:
        """Does something to the job."""
        self.cluster.run("scontrol", verb, *(arguments or (self.number,)))

    def start_again(self, seconds: float = 100.0) -> None:
        """Waits until it is queued again, and starts it at once."""
        self.restarts += 1
        self.cluster.start_again(self.number, self.restarts, seconds)

    def ends(self, state: str, code: int) -> None:
        """Waits until it has ended for good."""
        ends = {"JobState": state, "ExitCode": f"{code}:0"}
        self.cluster.wait_for(self.number, seconds=300, **ends)


@pytest.fixture
def jobs(cluster):
    """The cluster, whose jobs are cancelled at the end of a test."""
    yield cluster
    cluster.run("scancel", "--name=gcrnn")


@pytest.fixture
def stub(jobs, tmp_path):
    """Submits the script where the interpreter is a few lines of shell."""

    def submit(name: str, lines: str, *arguments: str) -> Job:
        program = tmp_path / name / ".venv/bin/python"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/bash\n{lines}\n")
        program.chmod(0o755)
        return Job(jobs, tmp_path / name, *arguments)

    return submit


def test_a_preempted_job_is_queued_again_when_its_last_task_has_saved(stub):
    """The first to end with 75 must not end the other; each has the cores asked for."""
    job = stub(
        "preempted",
        "scontrol -o show step $SLURM_JOB_ID.0\n"
        '[ "$SLURM_PROCID" = 1 ] && exit 75\n'
        "[ -f saved ] && exit 0; sleep 1; touch saved; exit 75",
    )
    job.start_again()
    assert (job.folder / "saved").exists()
    assert "Tasks=2" in job.output and "TresPerTask=cpu:2" in job.output
    job.start_again()  # task 1 was preempted once more


def test_what_would_end_so_again_is_not_queued_again(stub):
    codes = [0, 2, 65, 70, 73, 130]
    for job, code in [(stub(str(code), f"exit {code}"), code) for code in codes]:
        job.ends("FAILED" if code else "COMPLETED", code)
        assert job.cluster.job(job.number)["Restarts"] == "0"
        assert not (job.workdir / "slurm_crashes").exists()


def test_crashes_are_queued_again_three_times_without_a_new_checkpoint(stub):
    """A checkpoint, here that of the second start, begins the count anew."""
    cases = {
        71: ("exit 71", "runs/best", "--config=configs/best.py"),
        74: ("exit 74", "other folder", "--workdir", "other folder"),
        137: ("kill -9 $$", "run", "--config=best", "--workdir=run"),
    }
    new = "resume/$((SLURM_RESTART_COUNT == 1 ? 8 : 2))"
    jobs = {
        code: stub(
            str(code),
            f'[ "$SLURM_PROCID" = 0 ] || exit 0; mkdir -p "{folder}"/{new}; {end}',
            *arguments,
        )
        for code, (end, folder, *arguments) in cases.items()
    }
    for _ in range(4):
        for job in jobs.values():
            job.start_again()
    expected = ((1, 2), (1, 8), (2, 8), (3, 8), (4, 8))
    for code, job in jobs.items():
        job.ends("FAILED", code)
        told = re.findall(r"exit code (\d+), crash (\d) after step (\d)", job.output)
        assert told == [tuple(map(str, (code, *crash))) for crash in expected]


def test_crashes_that_cannot_be_counted_are_not_queued_again(stub):
    full = "mkdir -p run/slurm_crashes; exit 74"  # a folder cannot be written to either
    for name, lines, workdir in (("no", "exit 74", "/proc/run"), ("full", full, "run")):
        job = stub(name, lines, f"--workdir={workdir}")
        job.ends("FAILED", 74)
        assert job.cluster.job(job.number)["Restarts"] == "0"
        assert "exit code 74, crash 1 after step 0" in job.output


def test_a_job_that_is_cancelled_stays_so_though_its_tasks_save(stub):
    save = "trap 'touch saved$SLURM_PROCID; exit 75' TERM"
    job = stub("cancelled", f"{save}; touch on$SLURM_PROCID; sleep 60 & wait")
    for task in (0, 1):
        job.cluster.wait((job.folder / f"on{task}").exists, f"task {task}")
    job.cluster.run("scancel", job.number)
    for task in (0, 1):
        job.cluster.wait((job.folder / f"saved{task}").exists, f"task {task} to save")
    job.cluster.wait_for(job.number, JobState="CANCELLED", Restarts=0)


def test_parts_are_prepared_and_then_sealed(jobs, tmp_path):
    """In three tasks, the second of which is preempted once, and then slow."""
    program = tmp_path / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/bash\n"
        'if [ "$SLURM_ARRAY_TASK_ID" = 2 ]; then\n'
        "    [ -f again ] || { touch again; exit 75; }\n"
        "    sleep 4\n"
        'fi\necho "$*" >> calls\n'
    )
    program.chmod(0o755)
    result = subprocess.run(
        ["bash", ROOT / "launch/prepare.sbatch", "--root", "a", "--output", "b"],
        cwd=tmp_path,
        env={**jobs.environment, "SBATCH_ARRAY_INX": "1-3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    last = int(result.stdout.split()[-1])
    jobs.start_again(f"{last - 1}_2", 1)
    jobs.wait_for(str(last), JobState="COMPLETED")
    command = "-m gcrnn_jax.prepare --root a --output b"
    *parts, seal = (tmp_path / "calls").read_text().splitlines()
    assert sorted(parts) == [f"{command} --part {part}/3" for part in (1, 2, 3)]
    assert seal == command


def epochs(number: int) -> tuple[str, str]:
    return f"--config.training.num_epochs={number}", f"--config.fusion.epochs={number}"


@pytest.fixture
def train(jobs, tmp_path, commands):
    """Submits the script with the environment of the tests, in two tasks."""

    def submit(name: str, num_epochs: int) -> Job:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if not (folder / ".venv").exists():
            (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        env = {"GCRNN_CACHE": str(commands.cache), "PYTHONPATH": str(ROOT)}
        env |= {"JAX_PLATFORMS": "cpu"}
        config = f"--config={ROOT / 'configs/laptop.py'}"
        flags = [config, *commands.TINY[1:], *commands.SMALLEST, *epochs(num_epochs)]
        flags.append(f"--workdir={folder / 'run'}")
        return Job(jobs, folder, *flags, env=env)

    return submit


def test_a_job_that_is_disturbed_in_all_ways_ends_like_one_that_is_not(train, commands):
    job = train("disturbed", 5000)
    cluster, before = job.cluster, 0

    def trains() -> None:
        """Waits for an epoch of this start."""
        nonlocal before
        cluster.wait(lambda: "epoch " in job.output[before:], "an epoch", 200)

    def is_queued_again(seconds: float = 100.0) -> None:
        nonlocal before
        job.start_again(seconds)
        before = len(job.output)

    trains()
    cluster.run("scancel", "--signal=TERM", job.number)
    is_queued_again()
    assert job.output.count("preempted before step") == 2  # said by each task

    trains()
    job.scontrol("requeue")
    is_queued_again()

    trains()
    os.kill(cluster.tasks(job.number)[1], signal.SIGKILL)
    is_queued_again()
    assert "process 1 (" in job.output and "has ended unexpectedly" in job.output
    assert "exit code 137, crash 1 after step" in job.output

    trains()
    cluster.kill_node(NODES[1])
    cluster.wait_for(job.number, JobState="PENDING", Restarts=4)
    cluster.clear_node(NODES[1])
    cluster.start_node(NODES[1])
    is_queued_again()

    trains()
    start = before
    job.scontrol("update", f"JobId={job.number}", "TimeLimit=3")
    cluster.wait_for(job.number, JobState="PENDING", Restarts=5)
    assert job.output[start:].count("preempted before step") == 2

    cluster.run("scancel", job.number)
    cluster.wait_for(job.number, JobState="CANCELLED")
    last = max(saved_steps(job.workdir / "resume")) // 2 + 1
    ended, whole = train("disturbed", last), train("undisturbed", last)
    for one in (ended, whole):
        one.ends("COMPLETED", 0)
    assert f"of {2 * last}" in ended.output
    assert commands.losses(job.workdir) == commands.losses(whole.workdir)
    step = f"checkpoints/{2 * last}"
    _, variables = read_model(job.workdir / step)
    _, expected = read_model(whole.workdir / step)
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
