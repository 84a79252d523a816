"""The mean of the weights of models, as a function and as a command."""

import dataclasses
import shutil

import numpy as np
import pytest

from gcrnn_jax.average_checkpoints import main
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.inference import ModelCard, average_models
from gcrnn_jax.runs import load_model, loading
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.model_files import read_model, write_model
from tests.conftest import GOLDENS

CARD = ModelCard.from_dict(read_model(GOLDENS / "run_0_1" / "averaged")[0], "card")


def make_model(step, **changes):
    rng = np.random.default_rng(step)
    params = {"w": rng.normal(size=(2, 3)).astype(np.float32)}
    card = dataclasses.replace(CARD, step=step, averaged=(), **changes)
    return card, {"params": params, "batch_stats": {"m": 2 * params["w"]}}


def test_the_average_is_the_mean_of_weights_and_statistics():
    models = [make_model(step) for step in (1, 2, 3)]
    card, variables = average_models(iter(models))
    expected = np.mean([v["params"]["w"] for _, v in models], 0)
    np.testing.assert_allclose(variables["params"]["w"], expected, rtol=1e-6)
    np.testing.assert_allclose(variables["batch_stats"]["m"], 2 * expected, rtol=1e-6)
    assert card == dataclasses.replace(models[-1][0], averaged=(1, 2, 3))
    assert variables["params"]["w"].dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named_by_step_and_array(value):
    bad = make_model(2)
    bad[1]["params"]["w"][0, 0] = value
    with pytest.raises(DataError, match=r"step 2.*params.*w.*is not finite"):
        average_models([make_model(1), bad])


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        (
            "network",
            {
                "config": dataclasses.replace(
                    CARD.config, model=CARD.config.model.clone(filters=99)
                )
            },
        ),
        ("front end", {"front_end": dataclasses.replace(CARD.front_end, floor=99)}),
        (
            "classes",
            {"classes": ClassList(CARD.classes.ids, ["99", *CARD.classes.names[1:]])},
        ),
        (
            "scaler of the features",
            {"scaler": Scaler(CARD.scaler.mean, np.full(16, 99, "f4"))},
        ),
    ],
)
def test_models_of_other_systems_are_refused(what, changes):
    other = make_model(2, **changes)
    with pytest.raises(DataError, match=rf"steps 1 and 2 differ in their {what}: .*99"):
        average_models([make_model(1), other])


def test_no_models_are_refused():
    with pytest.raises(DataError, match="no models"):
        average_models([])


def test_the_command_averages_models_given_by_path(tmp_path, monkeypatch):
    # toy weights, of no network
    monkeypatch.setattr(loading, "check_variables", lambda *_: None)
    for step in (1, 2):
        card, variables = make_model(step)
        write_model(tmp_path / str(step), card.to_dict(), variables)
    paths = [str(tmp_path / str(step)) for step in (1, 2)]
    main([*paths, "--output", str(tmp_path / "mean")])
    card, variables = read_model(tmp_path / "mean")
    assert card["averaged"] == [1, 2]
    _, expected = average_models([make_model(1), make_model(2)])
    np.testing.assert_array_equal(variables["params"]["w"], expected["params"]["w"])


def test_the_command_averages_epochs_of_a_run_of_version_0_1(tmp_path):
    run = shutil.copytree(GOLDENS / "run_0_1", tmp_path / "run")
    main([str(run), "--epochs", "1:1", "--output", str(tmp_path / "mean")])
    mean, one = load_model(tmp_path / "mean"), load_model(run / "checkpoints" / "2")
    assert mean.card.to_dict() == {**one.card.to_dict(), "averaged": [2]}
    with pytest.raises(ConfigError, match="epochs"):
        main([str(run), "--epochs", "0:1", "--output", str(tmp_path / "other")])
    with pytest.raises(ConfigError, match="--epochs 90:95: .* is a run of 1 epochs"):
        main([str(run), "--epochs", "90:95", "--output", str(tmp_path / "other")])


def test_the_command_needs_to_know_where_to(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path)])
    assert "--output" in capsys.readouterr().err
