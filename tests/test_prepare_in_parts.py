"""Parts from the command line, and the SLURM script that makes an array of them."""

import os
import subprocess
import sys

import pytest

from tests.stores import content

SCRIPT = "launch/prepare.sbatch"
COMMANDS = {
    # what the script says to SLURM is noted; a step is run here
    "sbatch": 'IFS="|"; echo "sbatch|$*" >> noted; echo "7;cluster"',
    "scontrol": 'echo scontrol "$@" >> noted',
    "srun": 'echo "srun $SRUN_CPUS_PER_TASK" >> noted; exec "$@"',
    ".venv/bin/python": f'exec {sys.executable} "$@"',
}


@pytest.fixture
def site(tmp_path):
    """A folder with the commands of SLURM, in which a script is run."""
    folder = tmp_path / "site"
    for name, text in COMMANDS.items():
        command = folder / name if "/" in name else folder / "bin" / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f"#!/bin/bash\n{text}\n")
        command.chmod(0o755)
    return folder


@pytest.fixture
def run_script(site, commands):
    """Runs the script as SLURM does; returns its process, and what it said to it."""

    def run(*arguments, **variables):
        (site / "noted").unlink(missing_ok=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SLURM_")
        }
        environment |= {
            "PATH": f"{site / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(commands.ROOT),
            **variables,
        }
        result = subprocess.run(
            ["bash", commands.ROOT / SCRIPT, *map(str, arguments)],
            cwd=site,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        noted = site / "noted"
        return result, noted.read_text().splitlines() if noted.exists() else []

    return run


def task(number, count, **more):
    return {
        "SLURM_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_TASK_COUNT": str(count),
        "SLURM_CPUS_PER_TASK": "1",
        **more,
    }


def test_tasks_of_an_array_and_one_that_seals_make_the_store_of_one_process(
    commands, data_folder, tmp_path, run_script
):
    root = data_folder(training=6, testing=3)
    command = ("--root", root, "--workers", 1, "--output")
    for number in (2, 1):
        result, noted = run_script(*command, tmp_path / "store", **task(number, 2))
        assert result.returncode == 0, result.stderr
        assert f"part {number}/2 of {tmp_path / 'store'} is ready" in result.stdout
        assert noted == ["srun 1"]
    assert not (tmp_path / "store/card.json").exists()
    result, _ = run_script(*command, tmp_path / "store", **task(0, 1))
    assert result.returncode == 0 and "training: 6 clips" in result.stdout
    one = commands.run(*command, tmp_path / "one", module="gcrnn_jax.prepare")
    assert one.returncode == 0
    assert content(tmp_path / "store") == content(tmp_path / "one")


def test_outside_of_a_job_the_script_submits_the_array_and_what_seals(
    commands, run_script
):
    path = commands.ROOT / SCRIPT
    result, noted = run_script("--root", "a b", "--output", "c")
    assert result.returncode == 0, result.stderr
    assert noted == [
        f"sbatch|--parsable|{path}|--root|a b|--output|c",
        "sbatch|--array=0|--dependency=afterok:7|--kill-on-invalid-dep=yes|"
        f"{path}|--root|a b|--output|c",
    ]


@pytest.mark.parametrize(("code", "is_requeued"), [(75, True), (65, False), (0, False)])
def test_a_task_whose_time_is_over_is_queued_again(site, run_script, code, is_requeued):
    (site / ".venv/bin/python").write_text(f"#!/bin/bash\nexit {code}\n")
    result, noted = run_script("--root", "a", **task(1, 2))
    assert result.returncode == code
    assert noted == ["srun 1", *["scontrol requeue 12"] * is_requeued]


@pytest.mark.parametrize("part", ["0/3", "4/3", "x", "1", "1/", "-1/3", "1/3/3", "1/0"])
def test_a_part_that_there_is_not_ends_with_2(commands, part, tmp_path):
    flags = ("--root", tmp_path, "--output", tmp_path, f"--part={part}")
    result = commands.run(*flags, module="gcrnn_jax.prepare")
    assert result.returncode == 2
    assert f"expected I/N, from 1/N to N/N, got {part}" in result.stderr


def test_a_part_needs_an_output_that_all_share(commands, tmp_path):
    flags = ("--root", tmp_path, "--part", "1/2")
    result = commands.run(*flags, module="gcrnn_jax.prepare")
    assert result.returncode == 2
    assert "--part needs an --output, a folder that all parts share" in result.stderr
