"""Configurations over folds: trained once, scored on each, their means and draws."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import fold_runs, folds
from benchmarks.fold_scores import markdown, mean_precision, over_folds, score_fold
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.bootstrap import draw_weights, interval_of
from gcrnn_jax.metrics.tagging import average_precision, mean_defined, tagging_scores
from tests.defaults import section

NAMES = ("Car", "Bus", "Tram")
RULES = Postprocessing(0.4, 0.4, 0.0, 0.0, True, False, 1.0, 0.0, 0.0, 0.5)


class Labels:
    """Clips of 4 s with random classes, each of them all the time."""

    class_names, known = NAMES, None

    def __init__(self, name, num_clips, seed):
        self.name, self.content_hash = name, f"hash of {name}"
        self.clip_ids = tuple(f"{name} {n}" for n in range(num_clips))
        self.weak_label = np.random.default_rng(seed).random((num_clips, 3)) < 0.4
        rows = zip(self.clip_ids, self.weak_label, strict=True)
        self.events = {
            clip: tuple((0.0, 4.0, NAMES[k]) for k in np.flatnonzero(row))
            for clip, row in rows
        }

    def __len__(self):
        return len(self.clip_ids)


def posteriors_of(split, noise, seed):
    rng = np.random.default_rng(seed)
    frame = split.weak_label[:, None] * 0.5 + noise * rng.random((len(split), 4, 3))
    frame = np.clip(frame, 0, 1).astype(np.float32)
    return PosteriorSet(split.clip_ids, NAMES, 1.0, frame.mean(1), frame, RULES)


@pytest.fixture
def two_folds():
    """Fold -> split and posteriors of a system of two trainings and of one of one."""
    splits = {"1": Labels("1", 20, 1), "2": Labels("2", 30, 2)}
    return {
        fold: (
            split,
            {
                "worse": [posteriors_of(split, 0.9, seed) for seed in (3, 4)],
                "better": [posteriors_of(split, 0.6, 5)],
            },
        )
        for fold, split in splits.items()
    }


def test_mean_precision_is_that_of_clips_which_are_there_as_often():
    rng = np.random.default_rng(0)
    label = rng.random((12, 4)) < 0.3
    label[:, 3] = False  # no part of the mean
    posterior = rng.integers(5, size=(12, 4)) / 4  # many are equal
    weights = rng.integers(3, size=(40, 12))
    weights[0] = label[:, 0] == 0  # a draw without the first class
    weights[1] = 0
    found = mean_precision(label, posterior, weights)
    for value, often in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(12), often)
        of_classes = [
            average_precision(label[rows, k], posterior[rows, k]) for k in range(4)
        ]
        assert value == pytest.approx(mean_defined(of_classes), nan_ok=True)
    assert np.isnan(found[1]) and np.isfinite(found[0])


def fitting():
    """How configs/sed.py finds thresholds."""
    options = section("thresholds")
    del options["groups"]
    return options


def test_scores_are_means_over_folds_and_on_each_over_trainings(two_folds):
    scored = {f: score_fold(*of_fold, num_draws=9) for f, of_fold in two_folds.items()}
    scores = over_folds(scored, "better")
    by_way = {
        "class": lambda split, p: Evaluator(
            split, None, **fitting()
        ).with_fitted_thresholds("", p, None),
        "one": lambda split, p: Evaluator(
            split, None, per_class=False
        ).with_fitted_thresholds("", p, None),
        "fixed": lambda split, p: Evaluator(split, None).with_own_thresholds("", p),
    }
    for way, decide in by_way.items():
        for name in ("worse", "better"):
            for key in ("f1", "mAP", "segment_f1", "error_rate"):
                values = [
                    [decide(split, p).scores.values[key] for p in systems[name]]
                    for split, systems in two_folds.values()
                ]
                summary = scores[name][way][key]
                assert [*summary["folds"].values()] == pytest.approx(
                    [np.mean(of_fold) for of_fold in values]
                )
                mean = np.mean([np.mean(of_fold) for of_fold in values])
                assert summary["mean"].value == pytest.approx(mean)
                assert summary["trainings"]["2"].tolist() == values[1]
    ways = [scores["worse"][way]["f1"]["mean"].value for way in by_way]
    assert len(set(ways)) == 3


def test_differences_are_of_draws_of_every_folds_own_clips(two_folds):
    """Against clips that are drawn, copied and scored one list after the other."""
    scored = {
        fold: score_fold(*of_fold, num_draws=30, seed=seed)
        for seed, (fold, of_fold) in enumerate(two_folds.items())
    }
    found = over_folds(scored, "worse")["better"]["class"]
    drawn = {"f1": np.zeros(30), "mAP": np.zeros(30)}
    for seed, (split, systems) in enumerate(two_folds.values()):
        [weights] = draw_weights(len(split), 30, seed)
        for name, sign in (("better", 1), ("worse", -1)):
            for posteriors in systems[name]:
                evaluator = Evaluator(split, None, **fitting())
                row = evaluator.with_fitted_thresholds("", posteriors, None)
                for draw, often in enumerate(weights):
                    clips = np.repeat(np.arange(len(split)), often.astype(int))
                    arrays = split.weak_label, row.decisions.tags, posteriors.clip
                    of_draw = tagging_scores(*(a[clips] for a in arrays), NAMES)
                    share = sign / 2 / len(systems[name])  # of two folds
                    drawn["f1"][draw] += share * of_draw.micro.f1
                    drawn["mAP"][draw] += share * of_draw.mean_average_precision
    for key, differences in drawn.items():
        difference = found[key]["difference"]
        assert difference.interval == pytest.approx(interval_of(differences))
        assert difference.value > 0
    assert over_folds(scored, "worse")["worse"]["one"]["mAP"]["difference"] == (
        0,
        (0, 0),
    )


@pytest.fixture
def pattern(finished_run, tmp_path):
    """Of finished runs of folds "1" and "2", which are one run."""
    for fold in "12":
        (tmp_path / "folds" / fold).mkdir(parents=True)
        (tmp_path / f"old_{fold}").symlink_to(finished_run.workdir)
    return f"{tmp_path}/old_{{fold}}"


def test_finished_runs_are_rows_beside_their_fusion(
    pattern, tmp_path, capsys, monkeypatch
):
    seeds = []

    def score(*of_fold, seed):
        seeds.append(seed)
        return score_fold(*of_fold, num_draws=20, seed=seed)

    monkeypatch.setattr(folds, "score_fold", score)
    output = tmp_path / "output"
    (output / "runs/half-1-0").mkdir(parents=True)  # has begun on a fold
    line = [f"--folds={tmp_path / 'folds'}", f"--output={output}"]
    rows = ["--runs", f"old={pattern}", "--fuse", "both=old,old", "--base", "old"]
    for _ in range(2):  # the second finds its links
        folds.main([*line, *rows])
    assert seeds[:2] == [0, 1]  # other draws on each fold
    content = json.loads((output / "folds.json").read_text())
    text = (output / "folds.md").read_text()
    assert text == markdown(content) and text in capsys.readouterr().out
    assert [row["name"] for row in content["rows"]] == ["old", "both"]
    assert content["unfinished"] == ["half"] and "left out: half." in text
    old, both = content["rows"]
    assert both["fused"] == ["old", "old"] and old["trainings"] == 1
    assert both["wall_s"] == pytest.approx(2 * old["wall_s"]) and old["cpu_s"] is None
    split, posteriors = fold_runs.load(output / "runs/old-2-0")
    evaluator = Evaluator(split, None, **fitting())
    row = evaluator.with_fitted_thresholds("", posteriors, None)
    mean = old["scores"]["class"]["f1"]["mean"]["value"]
    assert mean == pytest.approx(row.scores.values["f1"])
    fused = fuse_posteriors([posteriors, posteriors]).clip
    assert np.array_equal(fused, posteriors.clip)  # so that nothing differs
    assert "| both | +0.0 (+0.0 to +0.0) |" in text
    assert text.count("--config.model.filters") == 1 and "--workdir" not in text
    folds.main([*line, "--table", "old", "--only", "2"])
    text = (output / "folds.md").read_text()
    assert "What each has more" not in text and "Clips of the folds 2: " in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runs", "new=nowhere/{fold}"], "--runs: nowhere/{fold}: no finished run"),
        (["--runs", "nowhere"], "--runs: expected NAME=..., got 'nowhere'"),
        (["--fuse", "a=missing"], "--fuse: no row 'missing' on every fold"),
        (["--table", "missing"], "no row 'missing' on every fold; there are old"),
        (["--base", "missing"], "no row 'missing' on every fold; there are old"),
        (["--config", "best", "--fields", "seed=1"], "--fields make another row"),
        (["--name", "wide"], "--name is of one --config"),
        (["--only", "7"], "--only: no fold '7'; there are ['1', '2']"),
        (["--seeds", "0"], "--seeds: expected 1 or more, got 0"),
    ],
)
def test_a_wrong_flag_is_named(pattern, tmp_path, flags, message):
    line = [f"--folds={tmp_path / 'folds'}", f"--output={tmp_path / 'output'}"]
    folds.link(tmp_path / "output", "old", pattern, ["1", "2"], 1)
    with pytest.raises(ConfigError) as error:
        folds.main([*line, *flags])
    assert message in str(error.value)


def test_a_row_is_of_the_same_runs_for_good(pattern, tmp_path, finished_run):
    folds.link(tmp_path, "old", pattern, ["1", "2"], 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/results").symlink_to(finished_run.workdir / "results")
    with pytest.raises(ConfigError, match="old is there with other runs"):
        folds.link(tmp_path, "old", str(tmp_path / "other"), ["1"], 1)


def test_every_fold_and_seed_is_trained_with_the_flags_of_its_row(
    tmp_path, monkeypatch
):
    started = []

    def start(command, **_):
        started.append(command[1:])
        return SimpleNamespace(returncode=2 * (len(started) > 3))

    monkeypatch.setattr(fold_runs.subprocess, "run", start)
    for fold in "12":
        (tmp_path / "folds" / fold).mkdir(parents=True)
    line = [f"--folds={tmp_path / 'folds'}", f"--output={tmp_path / 'output'}"]
    more = ["--fields", "model.filters=64", "--name", "wide", "--seeds", "2"]
    with pytest.raises(SystemExit) as ending:
        folds.main([*line, "--config", "best_without_gates", *more])
    assert ending.value.code == 2
    workdirs = [command[-1] for command in started]
    runs = tmp_path / "output/runs"
    names = ["wide-1-0", "wide-2-0", "wide-1-1", "wide-2-1"]
    assert workdirs == [f"--workdir={runs / name}" for name in names]
    root = f"--config.data.root={tmp_path / 'folds/1'}"
    fields = [
        "--config.model.gated_convolution=False",
        "--config.model.filters=64",
        root,
    ]
    module = ["-m", "gcrnn_jax.main", "--config=best"]
    assert started[0][:-1] == [*module, *fields]
    assert started[2][:-1] == [*module, *fields, "--config.seed=1"]
    with pytest.raises(SystemExit):  # goes on, and fails again
        fold_runs.train(runs / "wide-2-1", started[3][2:-1])
    assert len((runs / "wide-2-1/cpu_s.txt").read_text().split()) == 2
    (runs / "wide-2-1/cpu_s.txt").write_text("1.5\n2.0\n")
    assert fold_runs.cpu_s(runs / "wide-2-1") == 3.5


def test_what_is_finished_is_not_trained_again_nor_taken_for_another(
    finished_run, monkeypatch
):
    monkeypatch.setattr(fold_runs.subprocess, "run", None)  # not called
    flags = fold_runs.flags_of(finished_run.workdir)
    assert not any(flag.startswith("--workdir") for flag in flags)
    fold_runs.train(finished_run.workdir, [*flags, "--config.data.root=elsewhere"])
    with pytest.raises(ConfigError) as error:
        fold_runs.train(finished_run.workdir, [*flags, "--config.model.filters=999"])
    assert "  now --config.model.filters=999\nChoose" in str(error.value)


def test_thresholds_that_the_clips_chose_are_not_those_of_the_configuration(
    finished_run,
):
    split, posteriors = fold_runs.load(finished_run.workdir)
    assert posteriors.postprocessing.chosen_on is None
    kept = finished_run.workdir / "results" / split.name / "posteriors.npz"
    rules = PosteriorSet.load(kept).postprocessing
    assert posteriors.postprocessing == replace(
        rules, tag_threshold=0.3, event_threshold=0.3, chosen_on=None
    )
