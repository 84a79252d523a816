"""Runs that start from a trained model: what they take, say, keep and refuse."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest

from gcrnn_jax.config import Config
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.inference import ModelCard
from gcrnn_jax.runs import Run, configure_start, load_model, train_run
from gcrnn_jax.runs.training import _first_state, make_train_step
from gcrnn_jax.training import parallel
from gcrnn_jax.training.frozen import path_text
from gcrnn_jax.training.model_files import read_model, write_model
from tests.conftest import GOLDENS
from tests.defaults import network
from tests.stores import step_log

OLD = GOLDENS / "run_0_1"
FROZEN = ("block_0", "last")


@pytest.fixture(scope="module")
def features():
    return FeatureStore.open(OLD / "store")


@pytest.fixture
def model(tmp_path):
    """A model with statistics and a scaler unlike those of the features."""
    card, variables = read_model(OLD / "averaged")
    card["scaler"]["mean"] = [mean + 0.5 for mean in card["scaler"]["mean"]]
    variables["batch_stats"] = jax.tree.map(lambda x: x + 0.1, variables["batch_stats"])
    write_model(tmp_path / "model", card, variables)
    return tmp_path / "model"


def make_run(folder, start, frozen=(), **changes):
    """A run as that of version 0.1, which starts from a model."""
    sections = Run.open(OLD).config.to_dict()
    sections["training"] |= {"start_from": str(start), "frozen": frozen}
    for name, fields in changes.items():
        sections[name] |= fields
    folder.mkdir(exist_ok=True)
    return Run(folder, Config.from_dict(sections))


def train(run, features):
    """Trains; the states after the epochs."""
    states = []
    mesh = parallel.make_mesh(jax.devices()[:1])
    train_run(
        run, features, mesh, lambda _, state: states.append(jax.device_get(state))
    )
    return states


def by_name(tree):
    return {path_text(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_a_run_starts_from_a_model_says_so_and_keeps_what_it_took(
    model, features, tmp_path, capsys
):
    run = make_run(tmp_path / "run", model, FROZEN, training={"weight_average": 0.5})
    [state] = train(run, features)
    card, variables = read_model(model)
    theirs = by_name(variables)
    for tree in (state.variables, {"params": state.params}):
        for name, values in by_name(tree).items():
            is_fixed = name.split("/")[1] in ("block_0_unit_0", "last")
            assert np.array_equal(values, theirs[name]) == is_fixed, name
    printed = capsys.readouterr().out
    assert f"starting from {model}, the mean of steps [2]\n" in printed
    assert "classes: 17 of 17 are the model's, which has 17" in printed
    assert re.search(r"block_0_unit_0 +taken, frozen +3 +44\n", printed)
    assert re.search(r"gru_0 +taken +3 +72\nlast +taken, frozen +2 +57\n", printed)
    count = sum(values.size for values in jax.tree.leaves(variables["params"]))
    assert re.search(rf"\nall +11 +{count}\n", printed)
    kept = json.loads(run.start.read_text())
    assert kept["path"] == str(model) and kept["new"] == []
    assert set(kept["taken"]) == set(theirs) and kept["card"]["step"] == card["step"]
    # the scaler is the model's, in the models of the run too
    own = load_model(run.models / "2").card
    np.testing.assert_array_equal(own.scaler.mean, np.float32(card["scaler"]["mean"]))
    assert own.config.training.start_from == str(model)
    assert not np.allclose(own.scaler.mean, features.mean)


def test_a_run_begins_with_the_weights_that_are_taken(model, features, tmp_path):
    run = make_run(tmp_path / "run", model, training={"weight_average": 0.5})
    card = run.card(features)
    step = make_train_step(run, card, features)
    state = _first_state(run, card, step)
    _, variables = read_model(model)
    for tree in (state.variables, {"params": state.params}):
        for name, values in by_name(tree).items():
            np.testing.assert_array_equal(values, by_name(variables)[name])
    assert state.step == 0 and len(by_name(state.variables)) == 13


def test_a_run_goes_on_without_the_model_and_never_starts_anew_or_from_another(
    model, features, tmp_path, capsys
):
    whole = make_run(tmp_path / "whole", model, training={"num_epochs": 2})
    expected = train(whole, features)[-1]
    part = make_run(tmp_path / "part", model)
    part.write_config()
    train(part, features)
    shutil.rmtree(model)
    other = make_run(part.folder, tmp_path / "other")
    with pytest.raises(ConfigError, match="training.start_from: .*model -> .*other"):
        configure_start(other)[0].check_config()
    capsys.readouterr()
    longer = make_run(tmp_path / "part", model, training={"num_epochs": 2})
    longer, _ = configure_start(longer)
    [state] = train(longer, features)
    assert "starting from" not in capsys.readouterr().out
    assert step_log(part.folder) == step_log(whole.folder)
    for one, other in zip(
        jax.tree.leaves(state), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_first_start_that_failed_is_forgotten(model, features, tmp_path):
    """Nothing was saved: another model is another start, not the first one's scaler."""
    run = make_run(tmp_path / "run", model)
    run.start.write_text("{}")
    np.testing.assert_array_equal(
        run.card(features).scaler.mean, load_model(model).card.scaler.mean
    )


def test_all_but_the_length_of_clips_is_of_the_models_front_end(model, tmp_path):
    own = {"hop_length": 8000, "num_mels": 20, "clip_s": 5.0}
    run = make_run(tmp_path / "run", model, front_end=own)
    changed, line = configure_start(run)
    expected = ModelCard.from_dict(read_model(model)[0], model).front_end
    assert changed.config.front_end == dataclasses.replace(expected, clip_s=5.0)
    assert changed.folder == run.folder
    assert line.endswith("hop_length 8000 -> 4000, num_mels 20 -> 16")
    assert configure_start(changed) == (changed, "")
    without = make_run(tmp_path / "other", "")
    assert configure_start(without) == (without, "")
    own = {"window_length": 512, "hop_length": 512, "clip_s": 0.1}
    run = make_run(tmp_path / "run", model, front_end=own)
    with pytest.raises(ConfigError, match=f"front_end, of {model}: clip_s"):
        configure_start(run)


def test_features_of_another_front_end_are_refused(model, features, tmp_path):
    card, variables = read_model(model)
    card["front_end"]["floor"] = 1e-5
    card["config"]["front_end"]["floor"] = 1e-5
    write_model(model, card, variables)
    run = make_run(tmp_path / "run", model)
    with pytest.raises(DataError, match=r"front end than that of .*: floor 1e-08 -> 1"):
        train(run, features)


def test_another_kind_of_network_is_refused(model, features, tmp_path):
    run = make_run(tmp_path / "run", model)
    config = dataclasses.replace(run.config, model=network(1, "mlp"))
    run = Run(run.folder, config)
    for attempt in (configure_start, lambda run: train(run, features)):
        with pytest.raises(ConfigError, match="a gated_crnn, expected a mlp as in"):
            attempt(run)


def test_a_network_that_nothing_fits_is_refused(model, features, tmp_path):
    """But for the bias of the head, which is no start."""
    fields = {"filters": 3, "last_filters": 5, "rnn_units": 3}
    run = make_run(tmp_path / "run", model, model=fields)
    with pytest.raises(ConfigError, match=f"nothing of {model} fits the"):
        train(run, features)


def test_what_is_frozen_has_to_be_taken(model, features, tmp_path):
    run = make_run(tmp_path / "run", model, FROZEN, model={"last_filters": 5})
    with pytest.raises(
        ConfigError,
        match=f"frozen: {model} does not have all of last/bias, last/kernel in the sh",
    ):
        train(run, features)


def damage(path):
    (path / "card" / "data.json").write_text("{")


def make_exported(path):
    shutil.rmtree(path)
    path.mkdir()
    (path / "card.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "holds no model: expected a run's folder, .* found nothing"),
        (damage, "data.json"),
        (make_exported, "an exported model: start from the one that it is of"),
    ],
)
def test_a_start_that_cannot_be_read_is_named(
    model, features, tmp_path, change, message
):
    change(model)
    run = make_run(tmp_path / "run", model)
    for attempt in (configure_start, lambda run: train(run, features)):
        with pytest.raises(
            DataError, match=rf"training.start_from: {model}\b.*{message}"
        ):
            attempt(run)


def test_frozen_names_without_a_model_or_of_nothing_are_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"training: frozen is \('last',\), .* random"
    ):
        make_run(tmp_path / "run", "", ("last",))
    assert Run.open(OLD).config.training.frozen == ()  # which knew none
    run = make_run(tmp_path / "run", "somewhere", ("lst",))
    with pytest.raises(ConfigError, match=r"training.frozen: .* did you mean last\?"):
        run.config.check_shapes()
    home = make_run(tmp_path / "run", "~/model").config.training.start_from
    assert home.endswith("/model") and "~" not in home
