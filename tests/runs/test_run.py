"""The folder of a run: what it was begun with, and what version 0.1 left in one."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from gcrnn_jax.config import Config
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError, DivergedError
from gcrnn_jax.inference import ModelCard, TrainedModel
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.runs import Run, load_model, train_run, training
from gcrnn_jax.runs.kept_posteriors import predict_epochs
from gcrnn_jax.runs.logs import append_scores
from gcrnn_jax.runs.training import make_train_step
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.checkpoints import saved_steps
from gcrnn_jax.training.fusion import Fusion
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.model_files import read_model, write_model
from gcrnn_jax.training.state import TrainStep, initial_state
from tests.conftest import GOLDENS
from tests.stores import step_log

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
    [again] = predict_epochs(run, [1], split, model)
    np.testing.assert_array_equal(again.clip, before.clip)
    assert again.postprocessing == run.config.postprocessing
    run.posteriors(split, 1).write_bytes(b"damaged")
    [again] = predict_epochs(run, [1], split, model)
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
    append_scores(run.scores, 1, split.name, scores)
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
