"""The authors' tagging network with the weights of a Keras 2.0.8 run of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gcrnn_jax.models.convolution import convolution
from gcrnn_jax.models.layers import Convolution
from gcrnn_jax.training.loss import weak_label_loss
from tests.defaults import network

MODEL = network(
    17,
    time_pooling=(2, 2, 2, 1),
    clip_pooling="mean",
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


def backward_through(updated):
    """Layers that hand gradients on through `updated` kernels instead of their own.

    The forward pass and every kernel's own gradient stay as they are.
    """

    def interceptor(call, args, kwargs, context):
        layer = type(context.module)
        if layer not in (Convolution, nn.Dense) or context.method_name != "__call__":
            return call(*args, **kwargs)
        kernel = updated
        for name in context.module.path:
            kernel = kernel[name]
        kernel = jax.lax.stop_gradient(kernel["kernel"])
        x = args[0]
        through = convolution(x, kernel) if layer is Convolution else x @ kernel
        nothing = through - jax.lax.stop_gradient(through)
        return call(jax.lax.stop_gradient(x)) + nothing

    return nn.intercept_methods(interceptor)


@pytest.fixture(scope="module")
def loss_and_gradients(golden):
    @jax.jit
    def compute(params, statistics, updated):
        def loss_of(params):
            with backward_through(updated):
                posteriors, new = MODEL.apply(
                    {"params": params, "batch_stats": statistics},
                    golden["x"],
                    train=True,
                    mutable=["batch_stats"],
                )
            return weak_label_loss(posteriors.clip, golden["y"]), new["batch_stats"]

        return jax.value_and_grad(loss_of, has_aux=True)(params)

    return compute


def three_steps(golden, loss_and_gradients, *, racing):
    """Losses of three steps of Adam on the four clips, and the variables after them.

    TF1 writes variables in place, and Keras 2.0.8 orders neither its step counter nor
    the update of a layer with those that read them. With `racing`, in the order of
    the golden's run (TF 1.15 with one thread between operations), Adam reads the
    counter when it has been raised, and the layers below get their gradient through
    a kernel that has been updated.
    """
    variables = variables_of(golden)
    params, statistics = variables["params"], variables["batch_stats"]
    m = v = jax.tree.map(jnp.zeros_like, params)
    losses = []
    for step in (1, 2, 3):
        updated, new_m, new_v = params, m, v
        # an update is right once those of the layers above are; four passes do
        for _ in range(4 if racing else 1):
            (loss, new), grads = loss_and_gradients(params, statistics, updated)
            updated, new_m, new_v = keras_adam(params, grads, m, v, step + racing)
        params, statistics, m, v = updated, new, new_m, new_v
        losses.append(float(loss))
    return losses, {"params": params, "batch_stats": statistics}


def test_the_authors_weights_train_as_in_keras_without_its_races(
    golden, loss_and_gradients
):
    losses, _ = three_steps(golden, loss_and_gradients, racing=False)
    np.testing.assert_allclose(losses[0], golden["train_losses"][0], rtol=1e-6)
    # what Keras 2.0.8 on TF 1.15 gives when every gradient waits for no update
    np.testing.assert_allclose(losses, [0.687543, 0.532182, 0.371676], rtol=1e-4)


def test_the_authors_weights_train_as_in_the_keras_run_with_its_races(
    golden, loss_and_gradients
):
    losses, variables = three_steps(golden, loss_and_gradients, racing=True)
    np.testing.assert_allclose(losses, golden["train_losses"], rtol=2e-3)
    after = jax.jit(MODEL.apply)(variables, golden["x"])
    count = len(golden["output_after3"])
    np.testing.assert_allclose(after.clip[:count], golden["output_after3"], atol=2e-4)
