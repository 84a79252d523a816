import numpy as np
import pytest

from gcrnn_jax.average_checkpoints import average, main
from gcrnn_jax.errors import DataError
from gcrnn_jax.training.checkpoints import Model, load_model, save_model


def make_model(step, shape=(2, 3)):
    rng = np.random.default_rng(step)
    params = {"w": rng.normal(size=shape).astype(np.float32)}
    card = {
        "step": step,
        "config": {"model": {"shape": list(shape)}},
        "front_end": {"kind": "log_mel"},
        "classes": {"names": ["Car"]},
        "scaler": {"mean": [0.0]},
    }
    return Model(card, {"params": params, "batch_stats": {"m": params["w"].copy()}})


def test_the_average_is_the_mean_of_weights_and_statistics():
    models = [make_model(step) for step in (1, 2, 3)]
    card, variables = average(models)
    expected = np.mean([m.variables["params"]["w"] for m in models], 0)
    np.testing.assert_allclose(variables["params"]["w"], expected, rtol=1e-6)
    np.testing.assert_allclose(variables["batch_stats"]["m"], expected, rtol=1e-6)
    assert card == {**models[-1].card, "averaged": [1, 2, 3]}
    assert variables["params"]["w"].dtype == np.float32


def test_what_is_not_finite_is_named_by_step_and_array():
    bad = make_model(2)
    bad.variables["params"]["w"][0, 0] = np.nan
    with pytest.raises(DataError, match=r"step 2.*params.*w"):
        average([make_model(1), bad])


def test_models_of_other_networks_are_refused():
    with pytest.raises(DataError, match=r"steps 1 and 2 differ in their network"):
        average([make_model(1), make_model(2, shape=(2, 4))])


@pytest.mark.parametrize("what", ["front_end", "classes", "scaler"])
def test_models_of_other_features_are_refused(what):
    other = make_model(2)
    other.card[what] = {"other": 1}
    with pytest.raises(DataError, match=r"steps 1 and 2 differ in their .*other"):
        average([make_model(1), other])


def test_nothing_to_average_is_said():
    with pytest.raises(DataError, match="no models"):
        average([])


def test_the_command_averages_models_given_by_path(tmp_path):
    for step in (1, 2):
        save_model(tmp_path / str(step), make_model(step))
    paths = [str(tmp_path / str(step)) for step in (1, 2)]
    main([*paths, "--output", str(tmp_path / "mean")])
    card, variables = load_model(tmp_path / "mean")
    assert card["averaged"] == [1, 2]
    expected = average([make_model(1), make_model(2)]).variables["params"]["w"]
    np.testing.assert_array_equal(variables["params"]["w"], expected)
