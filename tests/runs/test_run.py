"""The folder of a run: what it was begun with, and what version 0.1 left in one."""

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from configs import few_clips, laptop, sed
from gcrnn_jax.config import Config
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError, DataError, DivergedError
from gcrnn_jax.inference import ModelCard, TrainedModel
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.runs import Run, load_model, open_store, train_run, training
from gcrnn_jax.runs.training import make_train_step, note_divergence
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.fusion import Fusion
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.model_files import read_model, write_model
from gcrnn_jax.training.state import TrainStep, initial_state
from tests.conftest import GOLDENS
from tests.stores import step_log


def make_run(folder, module=sed, **changes):
    sections = module.get_config().to_dict()
    for name, fields in changes.items():
        sections[name].update(fields)
    return Run(folder, Config.from_dict(sections))


class Clips(list):
    """As much of a split as is compared."""

    content_hash = "d"


def store(num_clips=3, labels="abc", mean=(0.5, 1.5), name="Car", data="all"):
    """As much of a feature store as identifies its training clips."""
    files = ("clip_ids.json", "num_frames.npy", "weak_label.npy")
    return SimpleNamespace(
        content_hash=data,
        splits={"training": Clips(range(num_clips))},
        card={
            "files": {
                f"training/{file}": {"sha256": sha256}
                for file, sha256 in zip(files, labels, strict=True)
            },
            "classes": {"ids": ["/m/1"], "names": [name]},
            "scaler": {"mean": list(mean), "std": [1.0, 2.0]},
        },
    )


def begin(run):
    """Leaves in a run's folder what a start with a finished epoch leaves."""
    run.write_config()
    (run.models / "2").mkdir(parents=True)
    (run.models / "2" / "card").touch()


def test_a_configuration_is_read_as_it_was_written(tmp_path):
    run = make_run(tmp_path)
    run.check_config()  # nothing is there yet
    run.write_config()
    assert Run.open(tmp_path) == run
    run.check_config()


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "filters", 8),
        ("sampling", "class_size_thresholds", (1,)),
        ("data", "soundscapes", (1, 1, 1)),
        ("data", "held_out_fraction", 0.1),
        ("training", "steps_per_epoch", 7),
        ("training", "clips_per_epoch", 7),
        ("sampling", "batch_size", 7),
        ("optimizer", "accumulate_steps", 2),
        ("training", "weight_average", 0.9),
        ("parallel", "sync_batch_norm", False),
    ],
)
def test_what_makes_another_run_is_refused_and_named(tmp_path, section, field, value):
    begin(make_run(tmp_path))
    other = make_run(tmp_path, **{section: {field: value}})
    with pytest.raises(ConfigError, match=rf"\n  {section}\.{field}: .* -> "):
        other.check_config()


def test_a_run_that_saved_nothing_may_be_begun_with_another_configuration(tmp_path):
    make_run(tmp_path).write_config()
    make_run(tmp_path).write_data(store())
    (tmp_path / "resume").mkdir()
    other = make_run(tmp_path, model={"filters": 8})
    other.check_config()
    other.write_config()
    other.write_data(store(num_clips=4))
    other.check_data(store(num_clips=4))
    assert Run.open(tmp_path) == other


@pytest.mark.parametrize("kept", ["resume/2/state", "averaged/card", "scores.jsonl"])
def test_a_run_that_saved_anything_has_begun(tmp_path, kept):
    make_run(tmp_path).write_config()
    (tmp_path / kept).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / kept).touch()
    with pytest.raises(ConfigError, match="another configuration"):
        make_run(tmp_path, model={"filters": 8}).check_config()


def test_after_divergence_the_same_command_goes_on_with_another_rate(tmp_path):
    run = make_run(tmp_path)
    lower = make_run(tmp_path, optimizer={"learning_rate": 1e-5})
    begin(run)
    with pytest.raises(ConfigError, match="learning_rate"):
        lower.check_config()
    diverged = DivergedError("the loss of step 250 is not finite")
    error = note_divergence(run, diverged)
    assert str(error).endswith("starts again: no epoch was finished")
    for step in (100, 200):
        (run.states / str(step) / "state").mkdir(parents=True)
    error = note_divergence(run, diverged)
    assert str(error).startswith(str(diverged))
    expected = r"lower --config\.optimizer\.learning_rate .* goes on after epoch 2, .*"
    assert re.search(expected + f"if {run.states}/200 and", str(error))
    with pytest.raises(ConfigError, match="filters"):
        make_run(tmp_path, model={"filters": 8}).check_config()
    lower.check_config()
    lower.write_config()
    with pytest.raises(ConfigError, match="learning_rate"):
        run.check_config()  # once


def test_a_run_may_be_prolonged_and_its_data_moved(tmp_path):
    begin(make_run(tmp_path))
    make_run(
        tmp_path,
        training={"num_epochs": 100},
        fusion={"first_epoch": 90, "last_epoch": 100},
        data={"root": "elsewhere", "store": "there", "num_workers": 0},
        parallel={"cpu_devices": 2, "device_cache_fraction": 0.1},
        postprocessing={"gap_s": 0.1},
        thresholds={"per_class": False},
    ).check_config()


def test_a_run_whose_rate_falls_to_its_end_cannot_be_prolonged(tmp_path):
    begin(make_run(tmp_path, few_clips))
    other = make_run(tmp_path, few_clips, training={"num_epochs": 100})
    with pytest.raises(ConfigError, match=r"num_epochs: 30 -> 100 \(a cosine schedule"):
        other.check_config()


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0", None])
def test_a_damaged_configuration_is_named(tmp_path, content):
    if content is not None:
        begin(make_run(tmp_path))
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(DataError, match=r"config\.json: "):
            make_run(tmp_path).check_config()
    with pytest.raises(DataError, match=r"config\.json: "):
        Run.open(tmp_path)


def test_a_configuration_with_another_value_than_was_written_is_noticed(tmp_path):
    begin(run := make_run(tmp_path))
    run.write_config()
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 8'))
    for read in (lambda: Run.open(tmp_path), make_run(tmp_path).check_config):
        with pytest.raises(DataError, match=r"config\.json: damaged or edited"):
            read()


def test_a_configuration_that_is_wrong_is_an_error_of_the_data(tmp_path):
    make_run(tmp_path).write_config()
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"filters"', '"filtres"'))
    with pytest.raises(DataError, match=r"config\.json: model\.filtres: .*\.filters\?"):
        Run.open(tmp_path)


def test_the_data_that_a_run_was_begun_with_stay_known(tmp_path, caplog):
    """Other scored clips are other data, with which a run may go on."""
    run = make_run(tmp_path)
    run.write_data(store(data="first"))
    begin(run)
    run.write_data(store(data="second"))
    with caplog.at_level("WARNING", logger="absl"):
        run.check_data(store(data="second"))
    assert not caplog.records
    content = json.loads((tmp_path / "data.json").read_text())
    assert content["data_sha256"] == "first"


def test_the_same_clips_are_accepted_and_others_refused(tmp_path, caplog):
    run = make_run(tmp_path)
    run.write_data(store())
    begin(run)
    run.write_data(store(num_clips=9))  # the first stays
    run.check_data(store())
    rounding = np.add((0.5, 1.5), 1e-4)
    with caplog.at_level("WARNING", logger="absl"):
        run.check_data(store())
        assert not caplog.records
        run.check_data(store(mean=rounding.tolist()))
    assert "computed on another processor" in caplog.text
    for other in (
        store(num_clips=4),
        store(labels="abd"),
        store(mean=(0.5, 1.6)),
        store(mean=(0.5, 1.5, 2.5)),
        store(name="Bus"),
    ):
        with pytest.raises(DataError, match="3 clips then"):
            run.check_data(other)


def test_posteriors_of_other_clips_lie_elsewhere(tmp_path):
    run = make_run(tmp_path)
    split = SimpleNamespace(name="testing", content_hash="0123456789")
    path = tmp_path / "posteriors" / "testing-01234567" / "epoch-3.npz"
    assert run.posteriors(split, 3) == path
    assert run.results(split) == tmp_path / "results" / "testing"


# A run that version 0.1 trained for an epoch of two steps, and its features.


@pytest.fixture
def old_folder(tmp_path):
    return shutil.copytree(GOLDENS / "run_0_1", tmp_path / "run")


def open_old(folder, **changes):
    run = Run.open(folder)
    training = dataclasses.replace(run.config.training, **changes)
    run = Run(folder, dataclasses.replace(run.config, training=training))
    return run, FeatureStore.open(folder / "store")


def test_training_that_diverges_says_how_to_go_on(old_folder, monkeypatch):
    run, features = open_old(old_folder, num_epochs=2)

    def diverge(*_, **__):
        raise DivergedError("the loss of step 3 is not finite")

    monkeypatch.setattr(training, "train", diverge)
    with pytest.raises(DivergedError, match="step 3 is .* goes on after epoch 1$"):
        train_run(run, features, one_device(), lambda *_: None)
    assert run.divergence.exists()


def one_device():
    return parallel.make_mesh(jax.devices()[:1])


def assert_equal_posteriors(one, other):
    assert one.clip_ids == other.clip_ids and one.class_names == other.class_names
    np.testing.assert_allclose(one.clip, other.clip, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.frame, other.frame, rtol=1e-5, atol=1e-6)


def test_a_run_of_version_0_1_is_read(old_folder):
    run, features = open_old(old_folder)
    run.check_config()
    run.check_data(features)
    assert run.config.fusion == Fusion.parse("1:2:1")
    assert saved_steps(run.models) == saved_steps(run.states) == [2]
    model = load_model(old_folder)
    assert model.card.averaged == (2,)  # the averaged one stands for the run
    assert model.front_end == features.front_end
    model.check_features(features)
    assert np.shape(model.postprocessing.tag_threshold) == (17,)
    assert model.postprocessing.require_clip_tag is True


def test_what_version_0_1_predicted_is_predicted(old_folder):
    run, features = open_old(old_folder)
    split = features.splits["testing"]
    before = PosteriorSet.load(run.posteriors(split, 1))
    card, variables = run.load_epoch(1)
    assert card.step == 2 and card.postprocessing == run.config.postprocessing
    assert_equal_posteriors(TrainedModel.create(card, variables).predict(split), before)
    # read where they lie, computed where they do not
    model = TrainedModel.create(card, None)
    [again] = run.predict_epochs([1], split, model)
    np.testing.assert_array_equal(again.clip, before.clip)
    assert again.postprocessing == run.config.postprocessing
    run.posteriors(split, 1).write_bytes(b"damaged")
    [again] = run.predict_epochs([1], split, model)
    assert_equal_posteriors(again, before)
    np.testing.assert_array_equal(
        PosteriorSet.load(run.posteriors(split, 1)).clip, again.clip
    )


def test_what_version_0_1_scored_has_the_same_scores(old_folder):
    run, features = open_old(old_folder)
    split, model = features.splits["validation"], load_model(run.models / "2")
    posteriors = model.predict(split)
    scores = score(decide(posteriors, model.postprocessing), posteriors, split)
    before = run.scores.read_text()
    run.scores.unlink()
    run.append_scores(1, split.name, scores)
    again = json.loads(run.scores.read_text())
    for name, value in json.loads(before).items():
        is_score = isinstance(value, float)
        assert again[name] == (pytest.approx(value) if is_score else value)


def test_thresholds_fitted_by_version_0_1_are_fitted_again(old_folder):
    """Its figures: tag F1 26.67 %, 1-s F1 17.89 %, error rate 2.2."""
    _, features = open_old(old_folder)
    testing, validation = features.splits["testing"], features.splits["validation"]
    model = load_model(old_folder)
    evaluator = Evaluator(testing, validation, per_class=True)
    row = evaluator.with_fitted_thresholds(
        "averaged", model.predict(testing), model.predict(validation)
    )
    fitted = row.fitted_postprocessing
    assert fitted.tag_threshold == model.postprocessing.tag_threshold
    # smaller candidates than then move the middle of a stretch by one
    old = model.postprocessing.event_threshold
    assert fitted.event_threshold == pytest.approx(old, abs=0.021)
    assert row.scores.tagging.micro.f1 == pytest.approx(4 / 15)
    assert row.scores.detection.micro.f1 == pytest.approx(0.17886178861788618)
    assert row.scores.detection.error_rate == pytest.approx(2.2)


def test_a_model_and_scores_that_a_kill_left_out_are_made_at_the_next_start(old_folder):
    run, features = open_old(old_folder, num_epochs=1)
    epochs = []

    def start(is_scored):
        on_epoch = lambda epoch, state: epochs.append(epoch)  # noqa: E731
        train_run(run, features, one_device(), on_epoch, is_scored=lambda _: is_scored)

    shutil.rmtree(run.models / "2")
    start(is_scored=True)
    assert epochs == [] and saved_steps(run.models) == [2]
    start(is_scored=False)
    assert epochs == [1]


def test_a_run_of_version_0_1_goes_on_as_it_would_have_then(old_folder):
    """The figures are of another processor: to the bit they are equal on one."""
    run, features = open_old(old_folder, num_epochs=2)
    run.check_config()
    states = []
    assert train_run(run, features, one_device(), lambda *args: states.append(args))
    expected = (old_folder / "continued.jsonl").read_text().splitlines()
    for line, other in zip(
        step_log(old_folder), map(json.loads, expected), strict=True
    ):
        assert line["step"] == other["step"]
        for name in ("loss", "grad_norm"):
            np.testing.assert_allclose(line[name], other[name], rtol=1e-5)
    card, variables = run.load_epoch(2)
    before = PosteriorSet.load(old_folder / "continued_testing.npz")
    split = features.splits["testing"]
    assert_equal_posteriors(TrainedModel.create(card, variables).predict(split), before)
    [(epoch, state)] = states
    assert epoch == 2 and state.average is None
    # nothing is left to do
    assert not train_run(run, features, one_device(), lambda *args: states.append(args))
    assert len(states) == 1 and len(step_log(old_folder)) == 4


def test_the_models_of_a_run_are_averaged_and_the_average_stands_for_it(old_folder):
    run, _ = open_old(old_folder)
    shutil.rmtree(run.averaged)
    assert load_model(old_folder).card.averaged == ()
    card, variables = run.load_epoch(1)
    one = jax.tree.map(lambda x: x + 1, variables)
    write_model(run.models / "4", {**card.to_dict(), "step": 4}, one)
    run = open_old(old_folder, num_epochs=2)[0]
    averaged = run.average(TrainedModel.create(card, None))
    model = load_model(old_folder)
    assert model.card.averaged == averaged.card.averaged == (2, 4)
    for mean, first in zip(
        *map(jax.tree.leaves, (model.variables, variables)), strict=True
    ):
        np.testing.assert_allclose(mean, first + 0.5, rtol=1e-5)
    assert load_model(run.models / "2").card.averaged == ()


def test_a_run_without_averaged_weights_is_its_newest_epoch(old_folder):
    shutil.rmtree(old_folder / "averaged")
    shutil.copytree(old_folder / "checkpoints/2", old_folder / "checkpoints/10")
    card, variables = read_model(old_folder / "checkpoints/2")
    write_model(old_folder / "checkpoints/10", {**card, "step": 10}, variables)
    assert load_model(old_folder).card.step == 10


def test_an_epoch_that_there_is_not_names_those_that_there_are(old_folder):
    run, _ = open_old(old_folder)
    with pytest.raises(DataError, match=r"has no epoch 2; it has \[1\]"):
        run.load_epoch(2)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} holds no model"):
        load_model(tmp_path)


def test_a_run_averages_weights_where_it_is_asked_to(old_folder, tmp_path):
    sections = Run.open(old_folder).config.to_dict()
    sections["training"] |= {"weight_average": 0.5}
    folder = tmp_path / "averaging"
    run, states = Run(folder, Config.from_dict(sections)), []
    folder.mkdir()
    features = FeatureStore.open(old_folder / "store")
    train_run(run, features, one_device(), lambda *args: states.append(args))
    [(_, state)] = states
    _, variables = run.load_epoch(1)
    saved, mean, last = map(
        jax.tree.leaves, (variables["params"], state.average, state.params)
    )
    for one, other in zip(saved, mean, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.any(one != other) for one, other in zip(mean, last, strict=True))


def test_a_run_trains_with_a_step_and_a_loss_of_ones_own(old_folder, tmp_path):
    class Frozen(TrainStep):
        def update(self, state, grads):
            return state.replace(step=state.step + 1)

    class Doubled(Loss):
        def __call__(self, posteriors, inputs, class_shares=None):
            return 2 * super().__call__(posteriors, inputs, class_shares)

    run, features = open_old(old_folder)
    own = Doubled(**dataclasses.asdict(run.config.loss))
    run = Run(tmp_path, dataclasses.replace(run.config, loss=own))
    states = []
    keep = lambda *args: states.append(args)  # noqa: E731
    assert train_run(run, features, one_device(), keep, step_type=Frozen)
    card = ModelCard.from_run(run.config, features)
    step = make_train_step(run, card, features)
    start = initial_state(
        step.model,
        step.optimizer,
        num_frames=card.front_end.num_frames,
        num_bins=card.front_end.num_bins,
        seed=run.config.seed,
    )
    for one, other in zip(
        *map(jax.tree.leaves, (states[-1][1].params, start.params)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    old, new = (
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["loss"]
        for folder in (old_folder, tmp_path)
    )
    assert new == pytest.approx(2 * old, rel=1e-6)


def test_a_run_whose_clips_the_devices_hold_is_the_same(
    old_folder, tmp_path, monkeypatch
):
    run, features = open_old(old_folder)
    logs, caches = [], []
    put_split = device_cache.put_split
    monkeypatch.setattr(
        device_cache, "put_split", lambda *a: caches.append(put_split(*a)) or caches[0]
    )
    for fits in (False, True):
        monkeypatch.setattr(
            device_cache, "fits_on_devices", lambda split, mesh, part, f=fits: f
        )
        folder = tmp_path / str(fits)
        folder.mkdir()
        one = Run(folder, run.config)
        assert train_run(one, features, parallel.make_mesh(), lambda epoch, state: None)
        logs.append(step_log(folder))
        assert len(caches) == fits
    assert logs[0] == logs[1] and len(logs[0]) == 2


def test_the_seed_and_the_shares_of_classes_come_from_the_run(
    old_folder, tmp_path, monkeypatch
):
    """Seed and offset draw weights and batches, and rare classes weigh more."""
    run, features = open_old(old_folder)
    length = dataclasses.replace(run.config.training, seed_offset=2)
    run = Run(tmp_path, dataclasses.replace(run.config, seed=7, training=length))
    seeds, make_sampler = [], Sampling.make_sampler

    def record(self, weak_label, seed, *rest, **options):
        seeds.append(seed)
        return make_sampler(self, weak_label, seed, *rest, **options)

    def record_weights(*model, seed, **options):
        seeds.append(seed)
        return initial_state(*model, seed=seed, **options)

    monkeypatch.setattr(Sampling, "make_sampler", record)
    monkeypatch.setattr(training, "initial_state", record_weights)
    train_run(run, features, one_device(), lambda epoch, state: None)
    assert seeds == [9, 9]
    step = make_train_step(run, ModelCard.from_run(run.config, features), features)
    assert step.seed == 9
    shares = step.loss.keywords["class_shares"]
    np.testing.assert_array_equal(
        shares, features.splits["training"].weak_label.mean(0)
    )


def test_features_are_made_as_the_configuration_says(tmp_path):
    config = make_run(
        tmp_path,
        laptop,
        data={
            "soundscapes": (3, 1, 1),
            "store": str(tmp_path / "store"),
            "held_out_fraction": 0.4,
            "num_workers": 0,
        },
        front_end={"hop_length": 4000, "window_length": 4096, "num_mels": 16},
        model={"frequency_pooling": (2, 2, 1, 1)},
    ).config
    made = open_store(config)
    sizes = {name: len(split) for name, split in made.splits.items()}
    assert sum(sizes.values()) == 5 and sizes["held_out"] == 1
    assert made.front_end == config.front_end


def test_weights_that_are_not_of_the_network_of_their_card_are_named(tmp_path):
    path = shutil.copytree(GOLDENS / "run_0_1", tmp_path / "run") / "checkpoints"
    (step,) = saved_steps(path)
    card, variables = read_model(path / str(step))
    card["config"]["model"]["rnn_units"] += 1
    write_model(tmp_path / "model", card, variables)
    with pytest.raises(
        DataError, match=r"model: its weights .*is \(4, 17\), expected \("
    ):
        load_model(tmp_path / "model")
