"""A trained model predicts what its network does, on any number of devices."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection import posterior_files
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference import TrainedModel
from gcrnn_jax.inference.model import hash_model
from gcrnn_jax.runs import load_model, read_card_and_variables
from gcrnn_jax.training import parallel
from gcrnn_jax.training.model_files import read_model
from tests.conftest import GOLDENS
from tests.defaults import network

OLD = GOLDENS / "run_0_1"


@pytest.fixture(scope="module")
def model():
    return load_model(OLD)


@pytest.fixture(scope="module")
def store():
    return FeatureStore.open(OLD / "store")


class UnevenSplit:
    """The first clips of a split, cut to fewer frames."""

    strong_label = known = None

    def __init__(self, split, num_frames=(39, 20, 2, 39, 30, 7, 38)):
        count = len(num_frames)
        self.clip_ids = split.clip_ids[:count]
        self.class_names = split.class_names
        self.weak_label = split.weak_label[:count]
        self.num_frames = np.array(num_frames)
        self.features = split.rows(np.arange(count))
        self.frame_shape = split.frame_shape

    def __len__(self):
        return len(self.clip_ids)

    def rows(self, indices):
        return self.features[indices]


def clip_by_clip(model, split):
    """Clip, frame and attention of each clip alone, without its padding."""
    scaler, apply = model.card.scaler, jax.jit(model.network.apply)
    for features, count in zip(split.features, split.num_frames, strict=True):
        scaled = (features[:count].astype("f4") - scaler.mean) / scaler.std
        posteriors = apply(model.variables, scaled[None])
        yield posteriors.clip[0], posteriors.frame[0], posteriors.attention[0]


def other_network(card, time_pooling):
    """A card of a network that merges frames, and random weights."""
    blocks = len(time_pooling)
    fields = {
        "blocks": (1,) * blocks,
        "filters": 2,
        "time_pooling": time_pooling,
        "frequency_pooling": (2,) * blocks,
        "last_filters": 3,
        "rnn_units": 2,
    }
    config = dataclasses.replace(card.config, model=network(1, **fields))
    features = np.zeros((1, 39, 16), np.float32)
    init = jax.jit(config.model.clone(num_classes=17).init)
    return dataclasses.replace(card, config=config), init(jax.random.key(0), features)


@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("time_reduction", [1, 2])
def test_predictions_are_the_networks_clip_by_clip(
    model, store, num_devices, time_reduction
):
    split = UnevenSplit(store.splits["training"])
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    card, variables = model.card, model.variables
    if time_reduction == 2:
        card, variables = other_network(card, (2,))
    trained = TrainedModel.create(card, variables, batch_size=3, mesh=mesh)
    assert trained.batch_size == {1: 3, 4: 4}[num_devices]
    posteriors, attention = trained.predict(split), trained.attention(split)
    assert posteriors.clip_ids == tuple(split.clip_ids)
    assert posteriors.class_names == tuple(split.class_names) == trained.class_names
    assert posteriors.hop_s == trained.hop_s == 0.25 * time_reduction
    assert posteriors.postprocessing == model.postprocessing
    for row, (clip, frame, weight) in enumerate(clip_by_clip(trained, split)):
        np.testing.assert_allclose(posteriors.clip[row], clip, rtol=1e-5, atol=1e-6)
        count = len(frame)
        for actual, expected in ((posteriors.frame, frame), (attention, weight)):
            np.testing.assert_allclose(
                actual[row, :count], expected, rtol=1e-5, atol=1e-6
            )
            assert not actual[row, count:].any()
    weighted = (attention * posteriors.frame).sum(1) / attention.sum(1)
    np.testing.assert_allclose(weighted, posteriors.clip, rtol=1e-5)


def test_frames_that_fill_no_pooled_frame_have_a_posterior_of_their_own(
    model, store, monkeypatch
):
    trained = TrainedModel.create(*other_network(model.card, (4, 5)))
    split = UnevenSplit(store.splits["training"], (39, 24))
    posteriors = trained.predict(split)
    assert posteriors.frame.shape == (2, 2, 17)
    assert posteriors.frame[0].all() and posteriors.frame[1].all()
    assert posteriors.hop_s == pytest.approx(0.25 * 20)
    for limit, is_large in ((0, False), (1, True)):
        size = posteriors.frame.nbytes - limit
        monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", size)
        assert trained.is_large(split) == is_large


def test_an_empty_split_has_no_attention(model):
    class Empty:
        clip_ids, class_names, strong_label, known = [], ["a"] * 17, None, None
        num_frames, weak_label = np.zeros(0, int), np.zeros((0, 17), bool)

        def __len__(self):
            return 0

    assert model.attention(Empty()).shape == (0, 0, 17)


def test_a_model_is_saved_as_it_is_loaded(model, tmp_path):
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.content_hash == model.content_hash
    card, _ = read_model(tmp_path / "model")
    assert card == json.loads(json.dumps(model.card.to_dict()))
    for one, other in zip(
        *map(jax.tree.leaves, (again.variables, model.variables)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_content_hash_does_not_depend_on_the_order_of_a_card(model):
    card = model.card.to_dict()
    turned = {name: card[name] for name in reversed(card)}
    turned["front_end"] = dict(sorted(card["front_end"].items()))
    assert json.dumps(turned) != json.dumps(card)
    contents = [leaf.tobytes() for leaf in jax.tree.leaves(model.variables)]
    assert hash_model(turned, contents) == hash_model(card, contents)
    assert hash_model(card, contents) == model.content_hash


def test_the_content_hash_differs_with_a_weight_a_threshold_and_the_scaler(model):
    card, variables = read_card_and_variables(OLD)
    assert TrainedModel.create(card, variables).content_hash == model.content_hash

    def with_threshold(value):
        processing = dataclasses.replace(card.postprocessing, gap_s=value)
        return dataclasses.replace(card, postprocessing=processing)

    weights = jax.tree.map(np.copy, variables)
    weights["params"]["detection"]["bias"][3] += 1e-6
    statistics = jax.tree.map(np.copy, variables)
    jax.tree.leaves(statistics["batch_stats"])[0][0] += 1e-3
    scaler = card.scaler._replace(mean=card.scaler.mean + 1)
    hashes = [
        model.content_hash,
        model.replace(card=with_threshold(0.41)).content_hash,
        model.replace(variables=weights).content_hash,
        model.replace(variables=statistics).content_hash,
        model.replace(card=dataclasses.replace(card, scaler=scaler)).content_hash,
        load_model(OLD / "checkpoints" / "2").content_hash,
    ]
    assert len(set(hashes)) == len(hashes)


def test_replaced_weights_predict_and_the_others_stay(model, store):
    split = store.splits["testing"]
    before = model.predict(split)
    silent = jax.tree.map(np.zeros_like, model.variables)
    other = model.replace(variables=silent)
    assert other.compiled is model.compiled
    np.testing.assert_allclose(other.predict(split).clip, 0.5)
    np.testing.assert_array_equal(model.predict(split).clip, before.clip)
    processing = dataclasses.replace(model.postprocessing, gap_s=9.0)
    card = dataclasses.replace(model.card, postprocessing=processing)
    assert model.replace(card=card).predict(split).postprocessing.gap_s == 9


def test_features_of_another_front_end_or_of_other_classes_are_refused(model, store):
    model.check_features(store)
    front_end = dataclasses.replace(model.front_end, floor=1e-3)
    other = model.replace(card=dataclasses.replace(model.card, front_end=front_end))
    with pytest.raises(
        DataError, match=r"another front end .*floor 1e-08, expected 0\.001$"
    ):
        other.check_features(store)
    classes = type(model.card.classes)(
        ["x", *model.card.classes.ids[1:]], model.card.classes.names
    )
    other = model.replace(card=dataclasses.replace(model.card, classes=classes))
    with pytest.raises(DataError, match="has other classes than the model"):
        other.check_features(store)


def test_the_batch_size_of_training_is_that_of_prediction(model):
    assert model.batch_size == model.card.config.sampling.batch_size == 4
    assert load_model(OLD, batch_size=5).batch_size == 8  # of four devices
    assert model.network.num_classes == 17
    assert model.time_reduction == 1 and model.min_input_frames == 1
