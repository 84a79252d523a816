"""The tables of all systems: trained once, scored, written."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from gcrnn_jax.workdir import read_config

from benchmarks import scored_tables
from benchmarks.scored_tables import Scored
from benchmarks.systems import TAGGING, System
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.bootstrap import ClipCounts, bootstrap

# seconds instead of hours
TINY = (
    "--config.front_end.clip_s=1.0",
    "--config.data.num_workers=1",
    "--config.sampling.batch_size=4",
    "--config.training.steps_per_epoch=1",
    "--config.training.num_epochs=2",
    "--config.fusion.epochs=1:2",
)


@pytest.fixture(scope="module")
def tables(commands, tmp_path_factory):
    from tests.conftest import make_folder

    root = make_folder(
        tmp_path_factory.mktemp("data"), {"training": 9, "validation": 6}
    )
    events = [f"validation{n}_0.000_10.000.wav\t0.0\t0.3\tCar\n" for n in range(6)]
    (root / "groundtruth_strong_label_validation_set.csv").write_text("".join(events))
    output = tmp_path_factory.mktemp("tables")

    def run(*rows):
        flags = (f"--root={root}", f"--output={output}", "--small", *TINY)
        return commands.run("--rows", *rows, *flags, module="benchmarks.tables")

    return run, output


def test_rows_are_trained_once_and_scored_side_by_side(tables):
    run, output = tables
    first = run("mlp", "at_one_epoch", "at")
    assert first.returncode == 0, first.stderr
    text = (output / "tables.md").read_text()
    assert text.count("\n| gated CRNN log-mel |") == 2
    assert "| gated CRNN log-mel, last epoch | gated CRNN log-mel | F1 |" in text
    content = json.loads((output / "tables.json").read_text())
    scores = {row["key"]: row["scores"]["found"] for row in content["systems"]}
    assert list(scores) == ["mlp", "at_one_epoch", "at"] and content["clips"] == 6
    score = scores["mlp"]["segment_f1"]
    assert score["interval"]["low"] <= score["value"] <= score["interval"]["high"]
    [difference] = [
        one["difference"]["value"]
        for one in content["differences"]
        if one["thresholds"] == "found" and one["from"] == "at_one_epoch"
    ]
    values = [scores[key]["f1"]["value"] for key in ("at_one_epoch", "at")]
    assert difference == pytest.approx(values[1] - values[0])
    # the scores of a row are those that its own run reports
    [mlp] = output.glob("runs/mlp/results/validation/scores.json")
    reported = json.loads(mlp.read_text())["systems"][1]["tagging"]["micro"]["f1"]
    assert reported == pytest.approx(scores["mlp"]["f1"]["value"])

    assert read_config(output / "runs" / "at")["model"]["filters"] == 16  # --small

    log = output / "runs" / "at" / "metrics.jsonl"
    before = log.stat().st_mtime_ns
    second = run("at")
    assert second.returncode == 0, second.stderr
    assert "is finished" in (output / "runs" / "at" / "output.txt").read_text()
    assert log.stat().st_mtime_ns == before


def test_a_row_of_other_flags_is_no_row_of_this_table(tables):
    run, _ = tables
    wrong = run("at", "--config.seed=1")
    assert wrong.returncode == 2 and "seed: 0 -> 1" in wrong.stderr


def test_an_unknown_row_or_flag_is_named(tables):
    run, _ = tables
    wrong = run("mlp", "cnn")
    assert wrong.returncode == 2 and "cnn" in wrong.stderr
    wrong = run("mlp", "--seed=1")
    assert wrong.returncode == 2 and "--seed=1" in wrong.stderr


def test_a_difference_is_what_the_second_system_has_more():
    hits = {"at_one_epoch": 10, "at": 40}
    rows = dict.fromkeys(hits)  # of which nothing is asked but their order
    counts = [
        ClipCounts(np.array([[n < hit, 1, 1] for n in range(50)], int), None)
        for hit in hits.values()
    ]
    for order in (list(hits), list(hits)[::-1]):
        by_key = dict(zip(hits, counts, strict=True))
        scored = Scored(
            {key: rows[key] for key in order}, bootstrap([by_key[key] for key in order])
        )
        [(one, other, score, difference)] = scored_tables._compared(
            TAGGING, list(hits), scored
        )
        assert (one, other, score) == ("at_one_epoch", "at", "f1")
        assert difference.value == pytest.approx(0.6)
        assert difference.is_significant and difference.interval.low > 0


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
    )
    asked = {}

    def fuse_systems(paths, *, epochs, split):
        asked.update(paths=paths, epochs=epochs, split=split)
        return PosteriorSet((), (), 0.1, np.zeros(0), np.zeros(0), decide)

    monkeypatch.setattr(scored_tables, "fuse_systems", fuse_systems)
    monkeypatch.setattr(
        scored_tables, "read_config", lambda path: {"training": {"num_epochs": 7}}
    )
    monkeypatch.setattr(
        scored_tables, "choose_runs", lambda runs, split: [runs[1], runs[1], split]
    )
    split = SimpleNamespace(name="validation")
    fused = System("fused", ("a", "b"), (TAGGING,))
    found = scored_tables._posteriors(fused, ["a", "b"], split)
    assert asked == {"paths": ["a", "b"], "epochs": None, "split": "validation"}
    assert found.postprocessing == decide
    assert scored_tables._members(fused, ["a", "b"]) == ["a", "b"]

    last = replace(fused, is_fused=False, postprocessing={"require_clip_tag": False})
    found = scored_tables._posteriors(last, ["a"], split)
    assert asked["epochs"] == "7"
    assert found.postprocessing == replace(decide, require_clip_tag=False)
    chosen = replace(fused, choose="held_out")
    assert scored_tables._members(chosen, ["a", "b"]) == ["b", "b", "held_out"]
