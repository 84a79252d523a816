"""The commands as a user runs them, on soundscapes as few as they can be."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TINY = (
    "--config=configs/laptop.py",
    "--config.data.soundscapes=(24,12,12)",
    "--config.data.num_workers=1",
    "--config.model.filters=4",
    "--config.model.last_filters=8",
    "--config.model.rnn_units=4",
    "--config.sampling.batch_size=8",
    "--config.training.steps_per_epoch=2",
    "--config.training.num_epochs=2",
    "--config.fusion.epochs=1:2",
    "--config.optimizer.schedule=constant",  # or the rate would know the run's length
)
LAST_DIGITS = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def environment(folder):
    return {
        **os.environ,
        "GCRNN_CACHE": str(folder / "cache"),
    }


def command(environment, *arguments, module="gcrnn_jax.main", processes=1):
    line = [sys.executable, "-m", module, *map(str, arguments)]
    if processes > 1:
        line = [sys.executable, "launch/local.py", "-n", str(processes), "--", *line]
    return subprocess.run(
        line,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def main(environment, workdir, *fields, processes=1):
    arguments = (*TINY, f"--workdir={workdir}", *fields)
    return command(environment, *arguments, processes=processes)


@pytest.fixture(scope="module")
def finished(environment, folder):
    """A run of two epochs on four devices of one process."""
    result = main(environment, folder / "one", "--config.parallel.cpu_devices=4")
    assert result.returncode == 0, result.stderr
    return folder / "one", result.stdout


def logged(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_a_run_ends_with_a_table_and_what_it_wrote(finished):
    workdir, printed = finished
    for text in ("epochs 1:2 fused", "epochs 1:2 averaged", "the same for all clips"):
        assert text in printed
    assert "Civil defense siren" in printed and "overall (micro)" in printed
    scores = json.loads((workdir / "results" / "testing" / "scores.json").read_text())
    assert len(scores["systems"]) == 7
    clips = (workdir / "results" / "testing" / "tags.csv").read_text().splitlines()
    assert len({line.split("\t")[0] for line in clips}) == 12


def test_a_finished_run_says_so_and_evaluates_to_the_same_scores(finished, environment):
    workdir, printed = finished
    before = (workdir / "results" / "testing" / "scores.json").read_bytes()
    again = main(environment, workdir, "--config.parallel.cpu_devices=4")
    assert again.returncode == 0, again.stderr
    assert "is finished" in again.stdout
    assert (workdir / "results" / "testing" / "scores.json").read_bytes() == before
    assert len(logged(workdir)) == 4


def test_two_processes_of_two_devices_train_and_resume_like_one_of_four(
    finished, environment, folder
):
    workdir, _ = finished
    other = folder / "two"
    fields = ("--config.parallel.cpu_devices=2", "--config.training.num_epochs=1")
    fields = (*fields, "--config.fusion.epochs=1:1")
    half = main(environment, other, *fields, processes=2)
    assert half.returncode == 0, half.stderr
    assert len(logged(other)) == 2
    whole = main(environment, other, "--config.parallel.cpu_devices=2", processes=2)
    assert whole.returncode == 0, whole.stderr
    assert "after step 2 of 4" in whole.stdout
    np.testing.assert_allclose(logged(other), logged(workdir), **LAST_DIGITS)


def test_a_failing_process_ends_the_others_with_its_exit_code(environment, tmp_path):
    program = tmp_path / "one_fails.py"
    program.write_text(
        "import os, sys, time\n"
        "if os.environ['GCRNN_PROCESS_ID'] == '1': sys.exit(7)\n"
        "time.sleep(500)\n"
    )
    line = [sys.executable, "launch/local.py", "-n2", "--grace-s=0.5", "--"]
    line += [sys.executable, program]
    result = subprocess.run(line, cwd=ROOT, env=environment, timeout=100, check=False)
    assert result.returncode == 7


def test_sigterm_saves_and_exits_75_and_the_next_start_continues(environment, folder):
    workdir = folder / "preempted"
    line = [sys.executable, "-m", "gcrnn_jax.main", *TINY, f"--workdir={workdir}"]
    line += ["--config.training.num_epochs=500", "--config.fusion.epochs=500"]
    with subprocess.Popen(
        line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        for printed in process.stderr:
            if printed.startswith("epoch 1/"):
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 75
    steps = len(logged(workdir))
    result = main(
        environment,
        workdir,
        f"--config.training.num_epochs={steps // 2 + 1}",
        f"--config.fusion.epochs={steps // 2 + 1}",
    )
    assert result.returncode == 0, result.stderr
    assert f"after step {steps} of" in result.stdout


def test_averaging_fusing_and_evaluating_agree_with_the_run(
    finished, environment, folder
):
    workdir, _ = finished
    systems = json.loads((workdir / "results" / "testing" / "scores.json").read_text())
    fixed = {
        row["system"]: row["tagging"]["mean_average_precision"]
        for row in systems["systems"]
        if row["thresholds"] == "fixed"
    }
    averaged, fused = folder / "averaged", folder / "fused.npz"
    assert not command(
        environment,
        *(workdir, "--epochs=1:2", f"--output={averaged}"),
        module="gcrnn_jax.average_checkpoints",
    ).returncode
    result = command(environment, workdir, f"--output={fused}", module="gcrnn_jax.fuse")
    assert result.returncode == 0, result.stderr
    [store] = (folder / "cache").glob("soundscapes-*")
    for name, flags in (
        ("epochs 1:2 averaged", (f"--model={averaged}",)),
        ("epochs 1:2 fused", (f"--posteriors={fused}", f"--store={store}")),
    ):
        output = folder / "scores.json"
        result = command(
            environment, *flags, f"--output={output}", module="gcrnn_jax.evaluate"
        )
        assert result.returncode == 0, result.stderr
        scores = json.loads(output.read_text())
        assert scores["tagging"]["mean_average_precision"] == pytest.approx(
            fixed[name], abs=1e-6
        )


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--config.model.filtres=16", "filtres"),
        ("--config.model.filters=many", "filters"),
        ("--config=configs/none.py", "configs/none.py"),
        ("--workdri=x", "workdri"),
    ],
)
def test_a_mistake_in_a_flag_is_named_and_exits_2(environment, tmp_path, flag, named):
    result = main(environment, tmp_path / "run", flag)
    assert result.returncode == 2, result.stderr
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_another_configuration_on_the_same_workdir_is_refused(finished, environment):
    workdir, _ = finished
    result = main(environment, workdir, "--config.optimizer.learning_rate=0.1")
    assert result.returncode == 2
    assert "optimizer.learning_rate: 0.003 -> 0.1" in result.stderr


def test_a_root_that_is_no_data_set_exits_65(environment, tmp_path):
    result = main(environment, tmp_path / "run", f"--config.data.root={tmp_path}")
    assert result.returncode == 65
    assert str(tmp_path) in result.stderr and "Traceback" not in result.stderr


def test_a_diverging_run_exits_70_and_names_the_step(environment, tmp_path):
    result = main(
        environment, tmp_path / "run", "--config.optimizer.learning_rate=1e30"
    )
    assert result.returncode == 70, result.stderr
    assert "of step" in result.stderr and "Traceback" not in result.stderr


def test_help_shows_an_example(environment):
    result = command(environment, "--help")
    assert result.returncode == 0
    assert "--config=configs/sed.py" in result.stdout
