"""The paper's tables in calls of limited time: order, stops, scores over seeds."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import fold_runs, gpu_tables, kept_runs
from benchmarks.fold_runs import is_finished
from benchmarks.gpu_tables import DONE, STOPPED, Tables, load_row, save_row
from benchmarks.scored_tables import Scored, content_over_seeds, markdown
from benchmarks.systems import SYSTEMS
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.bootstrap import bootstrap
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.runs import Run
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.fusion import Fusion


def tables_of(folder, *line):
    flags, further = gpu_tables._parser().parse_known_args(
        [f"--output={folder}", *line]
    )
    return Tables(flags, further)


def test_seed_0_comes_first_and_what_takes_longest_last(tmp_path):
    tables = tables_of(tmp_path, "--seeds=2", "--small", "--config.seed=7")
    keys = [key for seed, key in tables.todo if seed == 0]
    assert keys[:6] == [
        "crnn_unbalanced",
        "crnn",
        "at",
        "at_fusion",
        "sed",
        "sed_fusion",
    ]
    assert sorted(keys) == sorted({*SYSTEMS} - {"vgg_cnn", "best", "best_narrow"})
    late = [(s, k) for s in (0, 1) for k in ("cnn_ensemble", "frame_cnn")]
    assert sorted(tables.todo[-4:]) == sorted(late)
    seeds = [seed for seed, _ in tables.todo[:-4]]
    assert seeds == sorted(seeds) and set(seeds) == {0, 1}
    folders = [path.name for path in tables.missing()]
    assert folders[:5] == [
        f"{n}-0" for n in ("crnn_unbalanced", "crnn", "at", "at_mfcc", "sed")
    ]
    trainings = tables.trainings(1, "crnn")["crnn"], tables.trainings(0, "mlp")["mlp"]
    for training in trainings:
        assert training.flags[-1] == "--config.seed=7"
        assert f"--config.data.root={tmp_path}/data" in training.flags
    assert "--config.training.seed_offset=1" in trainings[0].flags
    assert "--config.model.filters=16" in trainings[0].flags
    dtype = "--config.model.dtype=float32"  # which the other network has not
    assert dtype in trainings[0].flags and dtype not in trainings[1].flags


def test_the_script_goes_on_from_what_an_earlier_call_kept(tmp_path):
    script = Path(gpu_tables.__file__).with_suffix(".sh")
    (tmp_path / "was").mkdir()

    def line(*arguments, **variables):
        environment = {**os.environ, "PYTHON": "echo", **variables}
        command = [script, *arguments]
        options = {"env": environment, "cwd": tmp_path, "text": True}
        return subprocess.check_output(command, **options).split()

    words = line("runs/other", "--minutes=5", KEPT="was", KEEP="new")
    assert words[:2] == ["-m", "benchmarks.gpu_tables"]
    assert words[2:5] == [
        "--output=runs/other",
        f"--keep={tmp_path}/new",
        f"--kept={tmp_path}/was",
    ]
    assert words[-1] == "--minutes=5"
    words = line("--seeds=1")
    assert "--output=runs/gpu_tables" in words and words[-1] == "--seeds=1"
    assert "--keep=runs/gpu_tables/kept" in words and "kept" not in words[4]
    gpu_tables._parser().parse_known_args(words[2:])


class Process:
    """That ends with a code, or only when it is killed."""

    def __init__(self, *, code=None, ends_when_asked=True):
        self.code, self.ends_when_asked, self.calls = code, ends_when_asked, []

    def wait(self, seconds: float | None = None):
        self.calls.append(("wait", seconds))
        if self.code is None:
            raise subprocess.TimeoutExpired("", seconds or 0.0)
        return self.code

    def terminate(self):
        self.calls.append("terminate")
        self.code = 75 if self.ends_when_asked else None

    def kill(self):
        self.calls.append("kill")
        self.code = -9 if self.code is None else self.code


@pytest.mark.parametrize("ends_when_asked", [True, False])
def test_a_training_is_asked_to_end_in_time_and_else_killed(
    tmp_path, monkeypatch, ends_when_asked
):
    process = Process(ends_when_asked=ends_when_asked)
    monkeypatch.setattr(gpu_tables.subprocess, "Popen", lambda *_, **__: process)
    monkeypatch.setattr(gpu_tables, "time", SimpleNamespace(monotonic=lambda: 400.0))
    assert gpu_tables.run(["a.module"], tmp_path, until=460.0) == STOPPED
    waits = [("wait", 60.0), "terminate", ("wait", 15.0), "kill", ("wait", None)]
    assert process.calls == waits
    assert gpu_tables.run(["a.module"], tmp_path, until=419.0) == STOPPED
    assert process.calls == waits  # too late to start


def test_a_failure_is_named_by_the_last_line(tmp_path):
    line, until = ["no_such_module"], gpu_tables.time.monotonic() + 60
    outcome = gpu_tables.run(line, tmp_path, until)
    assert outcome.startswith("FAILED (1): ") and outcome.endswith("no_such_module")


@pytest.fixture
def run_as(finished_run, monkeypatch):
    """Has trainings be a finished one, or what a function of their folder returns."""

    def fake(outcome):
        started = []

        def run(line, workdir, until):
            started.append(f"{line[0].partition('.')[2]} {workdir.name}")
            if line[0] == "gcrnn_jax.main" and outcome(workdir.name) == DONE:
                (workdir / "output.txt").unlink(missing_ok=True)
                workdir.rmdir()
                workdir.symlink_to(finished_run.workdir)
            return outcome(workdir.name)

        monkeypatch.setattr(gpu_tables, "run", run)
        return started

    monkeypatch.setattr(gpu_tables, "configure_jax", lambda: None)
    monkeypatch.setattr(gpu_tables.signal, "signal", lambda *_: None)
    monkeypatch.setattr(gpu_tables, "write_lists", lambda *_: None)
    monkeypatch.setattr(gpu_tables, "parse", lambda _: (None, None))
    monkeypatch.setattr(gpu_tables, "is_prepared", lambda _: False)
    return fake


def test_a_second_call_goes_on_and_tables_say_what_is_missing(run_as, tmp_path, capsys):
    output, parts = tmp_path / "output", tmp_path / "kept"
    line = [
        f"--output={output}",
        f"--keep={parts}",
        "--seeds=2",
        "--rows",
        "at",
        "crnn",
    ]
    started = run_as(lambda name: DONE if name == "crnn-0" else STOPPED)
    gpu_tables.main(line)
    of_seed_0 = ["task_soundscapes crnn-0", "main crnn-0", "task_soundscapes at-0"]
    assert started == of_seed_0
    printed = capsys.readouterr().out
    assert "\n3 of 4 trainings are missing: at-0 crnn-1 at-1" in printed
    assert "| CRNN log-mel, ReLU | " in printed and "gates" not in printed

    elsewhere = tmp_path / "elsewhere"  # with what was kept alone
    line[0] = f"--output={elsewhere}"
    started = run_as(lambda name: "FAILED (2): why" if name == "at-0" else DONE)
    with pytest.raises(SystemExit) as ending:
        gpu_tables.main([*line, f"--kept={parts}"])
    assert ending.value.code == 1
    assert [one for one in started if "main" in one] == ["main crnn-1", "main at-1"]
    text = capsys.readouterr().out
    assert "\n1 of 4 trainings are missing: at-0\nat-0: FAILED (2): why" in text
    # the same training in all places: no difference, and one end of every range
    assert "gates, tag F1 of at less crnn: +0.0 (- to -), not significant" in text
    assert (elsewhere / "tables.md").read_text() in text
    content = json.loads((elsewhere / "tables.json").read_text())
    assert (parts / "tables.json").read_text() == json_text(content)
    split, posteriors = fold_runs.load(elsewhere / "runs/crnn-1")
    row = Evaluator(split, None).with_own_thresholds("", posteriors)
    [crnn, _] = content["systems"]
    f1 = row.scores.values["f1"]
    assert crnn["scores"]["fixed"]["f1"]["value"] == pytest.approx(f1)
    assert crnn["seeds"]["fixed"]["f1"] == pytest.approx([f1, f1])

    with pytest.raises(ConfigError) as error:
        gpu_tables.main([*line, "--clips=60"])
    assert "holds trainings of other flags" in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed=1"], r"unknown flags \['--seed=1'\]"),
        (["--rows", "at", "mpl"], "--rows: no row 'mpl'; there are mlp, "),
        (["--seeds=0"], "--seeds: expected 1 or more, got 0"),
    ],
)
def test_mistakes_are_named_before_anything_is_made(tmp_path, flags, message):
    with pytest.raises(ConfigError, match=message):
        gpu_tables.main([f"--output={tmp_path / 'output'}", *flags])
    assert not (tmp_path / "output").exists()


def scored(hits):
    """Of 60 clips with a tag each, of which some are found."""
    counts = {"tagging": np.array([[n < hits, 1, 1] for n in range(60)], int)}
    return {way: Scored({"f1": hits / 60}, counts) for way in ("found", "fixed")}


def test_scores_are_means_over_seeds_and_differences_of_those_in_common(tmp_path):
    keys = ("crnn", "at", "at_fusion")
    systems = {key: SYSTEMS[key] for key in keys}
    hits = [
        {"crnn": 24, "at": 30},
        {"crnn": 12, "at": 42, "at_fusion": 42},
        {"crnn": 30},
    ]
    seeds = [{key: scored(n) for key, n in of_seed.items()} for of_seed in hits]
    content = content_over_seeds(systems, seeds)
    crnn, at, fusion = content["systems"]
    assert crnn["scores"]["found"]["f1"].value == pytest.approx((24 + 12 + 30) / 180)
    assert crnn["seeds"]["found"]["f1"] == pytest.approx([0.4, 0.2, 0.5])
    assert at["scores"]["fixed"]["f1"].value == pytest.approx(0.6)
    assert fusion["seeds"]["found"]["f1"] == [0.7]
    by_pair = {
        (one["from"], one["to"]): one["difference"]
        for one in content["differences"]
        if one["thresholds"] == "found"
    }
    gates = by_pair["crnn", "at"]
    assert gates.value == pytest.approx((6 + 30) / 120)  # of seeds 0 and 1
    draws = []
    for of_seed in hits[:2]:
        both = [scored(of_seed[key])["found"].counts for key in ("at", "crnn")]
        drawn = bootstrap(both).drawn[..., 0]
        draws.append(drawn[0] - drawn[1])
    low, high = np.percentile(np.mean(draws, axis=0), [2.5, 97.5])
    shift = gates.value - np.mean(draws)
    assert gates.interval == pytest.approx((low + shift, high + shift))
    assert by_pair["at", "at_fusion"].value == 0

    about = {"heading": "", "commit": "", "date": "", "split": "testing", "clips": 60}
    text = markdown(json.loads(json_text({**about, "fit_split": None, **content})))
    assert "; seeds 20.0 - 50.0) |" in text
    fusion = next(line for line in text.splitlines() if "fusion of log-mel" in line)
    assert "seeds" not in fusion


def test_a_row_is_read_as_it_was_written(tmp_path):
    row = scored(7)
    row["fixed"] = row["fixed"]._replace(values={"f1": float("nan")})
    save_row(tmp_path / "rows/at-0.npz", row, {"clips": 60})
    found, about = load_row(tmp_path / "rows/at-0.npz")
    assert about == {"clips": 60} and np.isnan(found["fixed"].values["f1"])
    assert found["found"].values == row["found"].values
    for way, one in found.items():
        assert np.array_equal(one.counts["tagging"], row[way].counts["tagging"])


def test_kept_trainings_are_those_that_there_is_room_for(
    own_run, tmp_path, monkeypatch
):
    output = tmp_path / "output"
    finished = shutil.copytree(own_run.workdir, output / "runs/at-0")
    begun = shutil.copytree(own_run.workdir, output / "runs/at-1")
    shutil.rmtree(begun / "results")
    runs, parts = [finished, begun], tmp_path / "parts"
    assert kept_runs.keep(output, parts, [], runs, most=1 << 30) == []
    kept_runs.take(parts, tmp_path / "new")
    of_new = [tmp_path / "new" / path.relative_to(output) for path in runs]
    assert [is_finished(path) for path in of_new] == [True, False]
    for old, new in zip(runs, of_new, strict=True):
        assert Run.open(new).config == Run.open(old).config
        models = Run.open(old).models, Run.open(new).models
        steps = saved_steps(models[0])
        assert saved_steps(models[1]) == steps  # all are fused
    states = [saved_steps(Run.open(path).states) for path in (begun, *of_new)]
    assert states[1:] == [[], states[0][-1:]] and len(states[0]) == 2

    run = Run.open(begun)
    last = replace(run, config=replace(run.config, fusion=Fusion.parse("2")))
    with monkeypatch.context() as patched:
        patched.setattr(kept_runs.Run, "open", lambda _: last)
        kept_runs.keep(output, parts, [], [begun], most=1 << 30)
    kept_runs.take(parts, tmp_path / "last")
    kept = Run.open(tmp_path / "last/runs/at-1").models
    assert saved_steps(kept) == steps[-1:] != steps
    assert kept_runs.keep(output, parts, [], runs, most=1) == runs
    (parts / "kept-00").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"expected kept-\*"):
        kept_runs.take(parts, tmp_path / "new")
