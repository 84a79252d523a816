"""The card of a model: read as it was written, wrong ones named."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.calibration import Calibrator, Probabilities
from gcrnn_jax.errors import DataError
from gcrnn_jax.inference import ModelCard, average_models
from gcrnn_jax.inference.card import check_values
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.model_files import read_model
from tests.conftest import GOLDENS

OLD = GOLDENS / "run_0_1"
CARD = ModelCard.from_dict(
    json.loads((OLD / "averaged" / "card" / "data.json").read_text()), "card"
)


FITTED = Calibrator(*(tuple(x + k for k in range(len(CARD.classes))) for x in (-1, 1)))


def assert_same_card(one, other):
    np.testing.assert_array_equal(one.scaler.mean, other.scaler.mean)
    np.testing.assert_array_equal(one.scaler.std, other.scaler.std)
    for field in dataclasses.fields(ModelCard):
        if field.name not in ("scaler", "classes"):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert one.class_names == other.class_names
    assert list(one.classes.ids) == list(other.classes.ids)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"averaged": ()},
        {"step": 7, "averaged": (3, 7)},
        {"probabilities": Probabilities(FITTED, None)},
        {"probabilities": Probabilities(FITTED, FITTED)},
    ],
)
def test_a_card_is_written_as_it_is_read(changes):
    card = dataclasses.replace(CARD, **changes)
    written = json.loads(json.dumps(card.to_dict()))
    assert_same_card(ModelCard.from_dict(written, "card"), card)
    assert ("averaged" in written) == bool(card.averaged)
    assert ("probabilities" in written) == (card.probabilities is not None)


def test_the_card_of_a_run_is_of_its_features():
    store = FeatureStore.open(OLD / "store")
    card = ModelCard.from_run(CARD.config, store)
    assert card.front_end == store.front_end and card.step == 0
    assert card.postprocessing == CARD.config.postprocessing
    np.testing.assert_array_equal(card.scaler.mean, CARD.scaler.mean)
    assert card.scaler.std.dtype == np.float32
    assert card.to_dict()["hop_s"] == 0.25


def changed(*path, to):
    card = json.loads(json.dumps(CARD.to_dict()))
    part = card
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = to(part[path[-1]]) if callable(to) else to
    return card


def test_probabilities_that_do_not_fit_the_classes_are_named():
    card = dataclasses.replace(CARD, probabilities=Probabilities(FITTED, FITTED))
    good = json.loads(json.dumps(card.to_dict()))
    for part, field, value, message in (
        ("clip", "bias", [0.0], "finite bias and a slope over 0 a class"),
        ("frame", "slope", [1.0, "a", 2.0], "slope: expected a list"),
        ("frame", None, {"bias": [], "slope": []}, "expected the same"),
        ("clip", "slope", None, "slope"),
    ):
        wrong = copy.deepcopy(good)
        if field is None:
            wrong["probabilities"][part] = value
        else:
            wrong["probabilities"][part][field] = value
        with pytest.raises(DataError, match=f"^a/model: its card .*{message}"):
            ModelCard.from_dict(wrong, "a/model")
    one = Calibrator((0.0,), (1.0,))
    with pytest.raises(ValueError, match="expected those of"):
        dataclasses.replace(CARD, probabilities=Probabilities(one, None))


def test_averaged_weights_have_no_probabilities_of_other_weights():
    card = dataclasses.replace(CARD, probabilities=Probabilities(FITTED, FITTED))
    model = card, {"kernel": np.ones(2)}
    assert average_models([model, model])[0].probabilities is None
    assert average_models([model])[0].probabilities == card.probabilities


@pytest.mark.parametrize(
    "name", ["config", "front_end", "classes", "scaler", "postprocessing"]
)
def test_a_card_that_lacks_a_field_is_named(name):
    card = CARD.to_dict()
    del card[name]
    with pytest.raises(DataError, match=f"^a/model: its card lacks '{name}'$"):
        ModelCard.from_dict(card, "a/model")


@pytest.mark.parametrize(
    "path", [("classes", "names"), ("scaler", "std"), ("config", "model", "filters")]
)
def test_a_card_that_lacks_a_part_of_a_field_names_it(path):
    card = copy.deepcopy(CARD.to_dict())
    part = card
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    with pytest.raises(DataError, match=f"^a/model: its card .*{path[-1]}"):
        ModelCard.from_dict(card, "a/model")


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("scaler", "mean"), lambda x: [math.nan, *x[1:]], "scaler.mean: expected 16"),
        (("scaler", "std"), lambda x: [*x[1:], math.inf], "scaler.std: expected 16"),
        (("scaler", "std"), lambda x: [0.0, *x[1:]], "scaler.std: expected positive"),
        (("scaler", "mean"), lambda x: x[1:], "scaler.mean: expected 16 finite"),
        (("scaler", "mean"), lambda x: [x], "scaler.mean: expected 16 finite"),
        (("scaler", "mean"), "abc", "could not convert"),
        (
            ("postprocessing", "tag_threshold"),
            lambda x: x[1:],
            "tag_threshold: expected one for each of the 17 classes, got 16",
        ),
        (
            ("postprocessing", "event_threshold"),
            lambda x: [*x, 0.5],
            "event_threshold: expected one for each of the 17 classes, got 18",
        ),
        (("front_end", "hop_length"), 0, "hop_length"),
        (("front_end", "kind"), "mel", "kind"),
        (("config", "model", "filters"), 0, "filters"),
        (("config", "model", "kind"), "crnn", "model.kind"),
        (("config", "seed"), -1, "seed"),
    ],
)
def test_a_card_that_is_wrong_is_named(path, to, message):
    with pytest.raises(DataError, match=f"^a/model: its card is wrong: .*{message}"):
        ModelCard.from_dict(changed(*path, to=to), "a/model")


@pytest.mark.parametrize("card", [None, [], "card", {}, {"format": "other"}])
def test_what_has_another_format_is_no_card(card):
    with pytest.raises(DataError, match="^a/model: its card has not the format 'gcrnn"):
        ModelCard.from_dict(card, "a/model")


def test_sizes_are_checked_where_a_card_is_made():
    wrong = Scaler(CARD.scaler.mean[1:], CARD.scaler.std[1:])
    with pytest.raises(ValueError, match="scaler.mean: expected 16 finite numbers"):
        dataclasses.replace(CARD, scaler=wrong)


@pytest.mark.parametrize(
    ("collection", "name", "value", "message"),
    [
        ("params", "scale", math.nan, r"\['scale'\] is not finite"),
        ("batch_stats", "mean", math.inf, r"\['mean'\] is not finite"),
        ("batch_stats", "var", -1.0, r"\['var'\] is negative"),
    ],
)
def test_weights_that_cannot_be_are_named(collection, name, value, message):
    _, variables = read_model(OLD / "averaged")
    check_values(variables, "a/model")
    norm = variables[collection]["block_0_unit_0"]["norm"]
    norm[name] = np.full_like(norm[name], value)
    with pytest.raises(DataError, match=f"^a/model: its weights are .*{message}$"):
        check_values(variables, "a/model")
