"""The tables of all systems: trained once, scored, written; and those that are kept."""

import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import scored_tables, tables, timing
from benchmarks.scored_tables import differences_of, markdown
from benchmarks.systems import ABLATIONS, SYSTEMS, TAGGING, Paper, System
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.metrics.bootstrap import bootstrap
from tests import defaults
from tests.conftest import make_folder

# seconds instead of hours
TINY = (
    "--config.front_end.clip_s=0.7",
    "--config.data.num_workers=1",
    "--config.model.filters=2",
    "--config.model.last_filters=4",
    "--config.model.rnn_units=2",
    "--config.sampling.batch_size=4",
    "--config.training.steps_per_epoch=1",
    "--config.training.num_epochs=2",
    "--config.fusion.epochs=1:2",
)
KEPT = Path(__file__).parents[1] / "benchmarks"
OF_EARLIER_RECIPES = {  # kept rows that are no longer trained
    "tables": [],
    "ablations": ["best_without_mixup", "best_without_masks"],
}


def test_rows_are_trained_once_and_scored_side_by_side(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "data", {"training": 6, "validation": 6})
    events = [f"validation{n}_0.000_10.000.wav\t0.0\t0.3\tCar\n" for n in range(6)]
    (folder / "groundtruth_strong_label_validation_set.csv").write_text("".join(events))
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("gcrnn_jax.training.parallel.configure_jax", lambda: None)
    output = tmp_path / "output"
    rows = ("--rows", "at_one_epoch", "at")
    tables.main([f"--root={folder}", f"--output={output}", *rows, *TINY])
    text = (output / "tables.md").read_text()
    assert text.count("\n| gated CRNN log-mel |") == 2
    assert "| gated CRNN log-mel, last epoch | gated CRNN log-mel | tag F1 |" in text
    content = json.loads((output / "tables.json").read_text())
    assert text == markdown(content)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", content["date"]) and "commit" in content
    scores = {row["key"]: row["scores"]["found"] for row in content["systems"]}
    assert list(scores) == ["at_one_epoch", "at"] and content["clips"] == 6
    score = scores["at"]["segment_f1"]
    assert score["interval"]["low"] <= score["value"] <= score["interval"]["high"]
    [difference] = [
        one["difference"]["value"]
        for one in content["differences"]
        if one["thresholds"] == "found" and one["task"] == "tagging"
    ]
    values = [scores[key]["f1"]["value"] for key in scores]
    assert difference == pytest.approx(values[1] - values[0])
    # the scores of a row are those that its own run reports
    [reported] = output.glob("runs/at/results/validation/scores.json")
    [last, fused, *_] = json.loads(reported.read_text())["systems"]
    for score, one in zip(scores.values(), (last, fused), strict=True):
        assert one["tagging"]["micro"]["f1"] == pytest.approx(score["f1"]["value"])
    assert [run.name for run in (output / "runs").iterdir()] == ["at"]


def test_a_run_is_started_once_with_all_flags_and_its_failure_is_passed_on(
    tmp_path, monkeypatch
):
    started = []

    def start(command, **_):
        started.append(command)
        return SimpleNamespace(returncode=2)

    monkeypatch.setattr(tables.subprocess, "run", start)
    rows = ("--rows", "at_one_epoch", "at")
    with pytest.raises(SystemExit) as ending:
        tables.main([f"--output={tmp_path}", *rows, "--small", "--config.seed=1"])
    assert ending.value.code == 2
    [[_, *command]] = started
    assert command[:3] == ["-m", "gcrnn_jax.main", "--config=configs/at.py"]
    workdir = f"--workdir={tmp_path}/runs/at"
    assert command[-2:] == ["--config.seed=1", workdir]
    assert "--config.model.filters=16" in command  # --small

    monkeypatch.setattr("gcrnn_jax.training.parallel.configure_jax", lambda: None)
    monkeypatch.setattr(tables, "_train", lambda *run: started.append(run))
    monkeypatch.setattr(scored_tables, "write_tables", lambda *_, **__: sys.exit(0))
    with pytest.raises(SystemExit):
        tables.main([f"--output={tmp_path}", *rows, "mlp"])
    assert [run[0].name for run in started[1:]] == ["at", "mlp"]


@pytest.mark.parametrize(
    ("flags", "name"), [(("--rows", "mlp", "cnn"), "cnn"), (("--seed=1",), "--seed=1")]
)
def test_an_unknown_row_or_flag_is_named(tmp_path, flags, name):
    with pytest.raises(ConfigError, match=name):
        tables.main([f"--output={tmp_path}", *flags])


def test_a_difference_is_what_the_second_system_has_more():
    hits = {"at_one_epoch": 10, "at": 40}
    counts = {
        key: {"tagging": np.array([[n < hit, 1, 1] for n in range(50)], int)}
        for key, hit in hits.items()
    }
    for order in (list(hits), list(hits)[::-1]):
        systems = {key: SYSTEMS[key] for key in order}
        scores = bootstrap([counts[key] for key in order])
        [(one, other, score, difference)] = differences_of(TAGGING, systems, scores)
        assert (one, other, score) == ("at_one_epoch", "at", "f1")
        assert difference.value == pytest.approx(0.6)
        assert difference.is_significant and difference.interval.low > 0


@pytest.mark.parametrize("name", OF_EARLIER_RECIPES)
def test_the_tables_that_are_kept_are_those_of_their_json_and_of_the_paper(name):
    content = json.loads((KEPT / f"results/{name}_weak_esc10.json").read_text())
    assert (KEPT / f"{name}_weak_esc10.md").read_text() == markdown(content)
    systems = {"tables": SYSTEMS, "ablations": ABLATIONS}[name]
    rows = {row["key"]: row for row in content["systems"]}
    kept = [key for key in rows if key in systems]
    assert kept == [key for key in systems if key in rows]  # some were not run yet
    assert [key for key in rows if key not in systems] == OF_EARLIER_RECIPES[name]
    assert len(rows) >= 14
    for key in kept:
        row, system = rows[key], systems[key]
        assert (row["system"], tuple(row["tasks"])) == (system.name, system.tasks)
        assert row["paper"] == asdict(system.paper)


def test_figures_are_kept_with_commit_and_date(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "RESULTS", tmp_path)
    monkeypatch.setattr(timing.subprocess, "check_output", lambda *_, **__: "1a2b3c4\n")
    timing.keep("A title", {"figure": 1.5})
    kept = json.loads((tmp_path / "a_title.json").read_text())
    assert (kept["commit"], kept["figure"]) == ("1a2b3c4", 1.5)
    for path in [tmp_path / "a_title.json", *(KEPT / "results").glob("*.json")]:
        content = json.loads(path.read_text())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", content["date"]) and content["commit"]

    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(timing.subprocess, "check_output", no_git)
    assert timing.code_version()["commit"] == ""


def test_figures_of_the_paper_are_printed_by_task():
    fusion, ensemble = SYSTEMS["at_fusion"].paper, SYSTEMS["cnn_ensemble"].paper
    assert fusion.text("tagging") == "57.7 (56.5, 58.9) / 55.6 (61.4, 50.8)"
    assert ensemble.text("detection") == "- / 55.5, 0.66"
    assert fusion.text("detection") == Paper().text("tagging") == ""


def test_a_system_is_fused_decided_and_weighted_as_its_row_says(monkeypatch):
    decide = Postprocessing(
        tag_threshold=0.5,
        event_threshold=0.5,
        gap_s=0.0,
        min_event_s=0.0,
        require_clip_tag=True,
        at_least_one_tag=False,
        hysteresis=1.0,
        median_s=0.0,
        box_filter_s=0.0,
        box_merge=0.5,
    )
    asked = {}

    def fuse_systems(paths, *, epochs, split):
        asked.update(paths=paths, epochs=epochs, split=split)
        return PosteriorSet((), (), 0.1, np.zeros((0, 0)), np.zeros((0, 1, 0)), decide)

    monkeypatch.setattr(scored_tables, "fuse_systems", fuse_systems)
    run = SimpleNamespace(config=defaults.config(**{"training.num_epochs": 7}))
    monkeypatch.setattr(scored_tables.Run, "open", lambda path: run)
    monkeypatch.setattr(
        scored_tables, "choose_runs", lambda runs, split: [runs[1], runs[1], split]
    )
    split = SimpleNamespace(name="validation")
    fused = System("fused", ("a", "b"), (TAGGING,))
    posteriors = scored_tables._posteriors(fused, ["a", "b"], split)
    assert asked == {"paths": ["a", "b"], "epochs": None, "split": "validation"}
    assert posteriors.postprocessing == decide
    assert scored_tables._members(fused, ["a", "b"]) == ["a", "b"]

    last = replace(fused, is_fused=False, postprocessing={"require_clip_tag": False})
    posteriors = scored_tables._posteriors(last, ["a"], split)
    assert str(asked["epochs"]) == "7:7:1"
    assert posteriors.postprocessing == replace(decide, require_clip_tag=False)
    chosen = replace(fused, choose="held_out")
    assert scored_tables._members(chosen, ["a", "b"]) == ["b", "b", "held_out"]
