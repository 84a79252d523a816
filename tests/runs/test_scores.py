"""Epochs and systems of a run are scored alike, whether frames fit in memory or not."""

import dataclasses
import json
import shutil
import weakref

import jax
import numpy as np
import pytest

from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.posterior_files import NoProbabilityError, is_map
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DivergedError
from gcrnn_jax.inference import ModelCard, TrainedModel
from gcrnn_jax.runs import Run, fuse_systems, train_run
from gcrnn_jax.runs.kept_posteriors import collect_in_first
from gcrnn_jax.runs.logs import has_scores
from gcrnn_jax.runs.scores import score_epoch, score_systems
from tests.conftest import GOLDENS
from tests.runs.test_run import one_device, open_old


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two fused epochs: that of version 0.1, gone on with."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(GOLDENS / "run_0_1", folder)
    run, features = open_old(folder, num_epochs=2)
    train_run(run, features, one_device(), lambda *_: None)
    shutil.rmtree(folder / "posteriors")
    run.write_config()
    return folder


@pytest.fixture
def run(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    run, features = open_old(folder, num_epochs=2)
    model = TrainedModel.create(
        ModelCard.from_run(run.config, features), None, mesh=one_device()
    )
    return run, features, model


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1)


def kept(run):
    return sorted(path.name for path in (run.folder / "posteriors").rglob("*.npz"))


def count_predictions(monkeypatch):
    """The splits that models predict from now on."""
    names, predict = [], TrainedModel.predict_blocks

    def record(self, split):
        names.append(split.name)
        return predict(self, split)

    monkeypatch.setattr(TrainedModel, "predict_blocks", record)
    return names


def as_text(row):
    return repr((row.system, row.thresholds, row.scores, row.fitted_postprocessing))


def test_frames_too_large_for_memory_score_as_others(run, monkeypatch):
    run, features, model = run
    averaged = run.average(model)
    before = score_systems(run, features, model, averaged)
    assert kept(run) == ["epoch-1.npz", "epoch-1.npz", "epoch-2.npz", "epoch-2.npz"]
    shutil.rmtree(run.folder / "posteriors")
    monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1)
    names = count_predictions(monkeypatch)
    for predictions in (
        2 * (1 + 2 + 1),
        2 * (1 + 1),
    ):  # of the mean once, of two splits
        names.clear()
        after = score_systems(run, features, model, averaged)
        assert len(names) == predictions
        assert kept(run) == ["epochs-1-2-1.npz"] * 2
        assert [*map(as_text, after)] == [*map(as_text, before)]
        assert [is_map(row.posteriors.frame) for row in after] == [
            number == 1 for number in range(7)
        ]
        np.testing.assert_array_equal(
            np.array(after[1].posteriors.frame), before[1].posteriors.frame
        )


def test_a_damaged_mean_is_computed_again(run, no_memory, caplog):
    run, features, model = run
    averaged = run.average(model)
    [main, *_] = score_systems(run, features, model, averaged)
    split = features.find_split(None)
    path = run.posteriors(split, 1).with_name("epochs-1-2-1.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    [again, *_] = score_systems(run, features, model, averaged)
    assert "epochs-1-2-1.npz" in caplog.text and "computed again" in caplog.text
    assert as_text(again) == as_text(main)
    PosteriorSet.load(path)


def test_fused_runs_too_large_for_memory_are_their_mean(run, monkeypatch, tmp_path):
    run, features, _ = run
    one = run.folder
    monkeypatch.setattr(Run, "open_store", lambda _: features)
    expected = fuse_systems([one, one], split="testing")
    monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1)
    path = tmp_path / "fused.npz"
    fused = fuse_systems([one, one], split="testing", path=path)
    assert is_map(fused.frame) and is_map(PosteriorSet.load(path).frame)
    np.testing.assert_array_equal(np.array(fused.frame), expected.frame)
    np.testing.assert_array_equal(fused.clip, expected.clip)


@pytest.mark.parametrize("is_large", [False, True])
def test_epochs_are_scored_and_logged_as_often_as_asked(run, is_large, monkeypatch):
    run, features, model = run
    if is_large:
        monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1)
    split = features.splits["validation"]
    changes = {"num_epochs": 9, "evaluate_every": 3}
    training = dataclasses.replace(run.config.training, **changes)
    fusion = dataclasses.replace(run.config.fusion, first_epoch=2, last_epoch=2)
    config = dataclasses.replace(run.config, training=training, fusion=fusion)
    run = Run(run.folder, config)
    run.scores.unlink()
    _, variables = run.load_epoch(1)
    of_epoch = model.replace(variables=variables)
    lines = [score_epoch(run, epoch, of_epoch, split) for epoch in range(1, 10)]
    scored = [epoch for epoch, line in enumerate(lines, start=1) if line]
    assert scored == [2, 3, 6, 9]  # the second is fused
    assert lines[2].startswith("epoch 3/9: validation mAP ")
    logged = [json.loads(line)["epoch"] for line in open(run.scores)]
    assert logged == scored
    assert kept(run) == ([] if is_large else ["epoch-2.npz", "epoch-9.npz"])
    assert not [epoch for epoch in scored if not has_scores(run.scores, epoch)]


def test_epochs_that_were_not_to_be_scored_are_not_missed(run, caplog):
    run, features, model = run
    split = features.splits["validation"]
    for changes, missed in (
        ({"num_epochs": 2, "evaluate_every": 2}, False),
        ({}, True),
    ):
        training = dataclasses.replace(run.config.training, **changes)
        fusion = dataclasses.replace(run.config.fusion, first_epoch=2)
        config = dataclasses.replace(run.config, training=training, fusion=fusion)
        one = Run(run.folder, config)
        one.scores.unlink(missing_ok=True)
        _, variables = one.load_epoch(2)
        score_epoch(one, 2, model.replace(variables=variables), split)
        caplog.clear()
        curves = one.curves()
        assert [line["epoch"] for line in curves["scores"]] == [2]
        assert ("scores.jsonl: 1 lines of 2" in caplog.text) == missed


def test_a_posterior_that_is_no_number_names_the_step(run):
    run, features, model = run
    _, variables = run.load_epoch(2)
    variables["params"] = {
        name: _as_nan(values) for name, values in variables["params"].items()
    }
    with pytest.raises(DivergedError, match="the model of step 4: clip "):
        split = features.splits["validation"]
        score_epoch(run, 2, model.replace(variables=variables), split)


def _as_nan(values):
    if isinstance(values, dict):
        return {name: _as_nan(value) for name, value in values.items()}
    return np.full_like(values, np.nan)


def test_how_often_epochs_are_scored_may_change_and_is_one_or_more(run):
    run, _, _ = run
    training = dataclasses.replace(run.config.training, evaluate_every=7)
    Run(run.folder, dataclasses.replace(run.config, training=training)).check_config()
    with pytest.raises(ValueError, match="evaluate_every"):
        dataclasses.replace(run.config.training, evaluate_every=0)
    assert Run.open(GOLDENS / "run_0_1").config.training.evaluate_every == 1


def test_other_processes_than_the_first_keep_no_block(monkeypatch):
    """Views of blocks would keep all of them."""
    alive, counts = [], []

    def blocks(value):
        for _ in range(5):
            counts.append(sum(frame() is not None for frame in alive))
            frame = np.full((2, 5, 3), value, np.float32)
            alive.append(weakref.ref(frame))
            yield np.zeros((2, 3), np.float32), frame
            del frame

    rules = Postprocessing(0.3, 0.3, 0.4, 0.4, True, False, 1.0, 0.0, 0.0, 0.5)
    fields = {
        "clip_ids": tuple("abcdefghij"),
        "class_names": tuple("ABC"),
        "hop_s": 0.1,
    }
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    found = collect_in_first(blocks(0.5), {**fields, "postprocessing": rules})
    assert found.clip.shape == (0, 3) and found.frame.shape == (0, 5, 3)
    assert len(counts) == 5 and max(counts) <= 2  # the first, and that before
    with pytest.raises(NoProbabilityError, match="'a'"):  # they end as the first does
        collect_in_first(blocks(np.nan), {**fields, "postprocessing": rules})
