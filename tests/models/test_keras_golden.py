"""The authors' tagging network with the weights of a Keras 2.0.8 run of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.training.loss import weak_label_loss

MODEL = GatedCrnn(
    17,
    time_pooling=(2, 2, 2, 1),
    pooling="mean",
    gru_gate="hard_sigmoid",
    gru_candidates=("linear", "sigmoid"),
)


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "goldens" / "keras208_forward_at.npz")


def variables_of(golden):
    """The 51 Keras weights, in layer order, as variables of our module."""
    weights = iter([golden[f"w{i:02}"] for i in range(len(golden["names"]))])
    params, statistics = {}, {}
    for block, units in enumerate((2, 2, 2, 1)):
        for unit in range(units):
            name = f"block_{block}_unit_{unit}"
            kernel, scale, bias, mean, var = (next(weights) for _ in range(5))
            params[name] = {
                "conv": {"kernel": kernel},
                "norm": {"scale": scale, "bias": bias},
            }
            statistics[name] = {"norm": {"mean": mean, "var": var}}
    params["last"] = {"kernel": next(weights), "bias": next(weights)}
    for gru in range(2):
        directions = [[next(weights) for _ in range(3)] for _ in range(2)]
        names = ("input_kernel", "recurrent_kernel", "bias")
        params[f"gru_{gru}"] = {
            name: np.stack(pair)
            for name, pair in zip(names, zip(*directions, strict=True), strict=True)
        }
    params["detection"] = {"kernel": next(weights), "bias": next(weights)}
    return jax.tree.map(jnp.asarray, {"params": params, "batch_stats": statistics})


def test_the_authors_weights_give_the_authors_outputs(golden):
    posteriors = jax.jit(MODEL.apply)(variables_of(golden), golden["x"])
    count = len(golden["output"])
    np.testing.assert_allclose(posteriors.clip[:count], golden["output"], atol=1e-5)
    frame = golden["localization"]
    np.testing.assert_allclose(posteriors.frame[: len(frame)], frame, atol=1e-5)
    loss = weak_label_loss(posteriors.clip, golden["y"])
    np.testing.assert_allclose(loss, golden["eval_loss"], rtol=1e-5)


def keras_adam(params, grads, m, v, t):
    """Adam as Keras 2.0 wrote it: epsilon beside the root that is not yet corrected."""
    rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, grads)
    params = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, m, v
    )
    return params, m, v


@pytest.fixture(scope="module")
def losses(golden):
    """Of three steps of Adam on the four clips, each before its update."""
    variables = variables_of(golden)
    params, statistics = variables["params"], variables["batch_stats"]

    @jax.jit
    def loss_and_gradients(params, statistics):
        def loss_of(params):
            posteriors, updated = MODEL.apply(
                {"params": params, "batch_stats": statistics},
                golden["x"],
                train=True,
                mutable=["batch_stats"],
            )
            return weak_label_loss(posteriors.clip, golden["y"]), updated["batch_stats"]

        return jax.value_and_grad(loss_of, has_aux=True)(params)

    m = v = jax.tree.map(jnp.zeros_like, params)
    losses = []
    for t in (1, 2, 3):
        (loss, statistics), grads = loss_and_gradients(params, statistics)
        params, m, v = keras_adam(params, grads, m, v, t)
        losses.append(float(loss))
    return losses


def test_the_authors_weights_give_the_loss_of_the_first_training_step(golden, losses):
    np.testing.assert_allclose(losses[0], golden["train_losses"][0], rtol=1e-6)


@pytest.mark.xfail(
    strict=True,
    reason="we get 0.5322 and 0.3717 where the Keras run has 0.5526 and 0.4080",
)
def test_two_updates_give_the_losses_of_the_keras_run(golden, losses):
    np.testing.assert_allclose(losses, golden["train_losses"], rtol=2e-3)
