"""The frequency dynamic convolution, against loops over its kernels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.frequency_dynamic import (
    FrequencyDynamicConvolution,
    side_by_side,
)
from tests.defaults import network

T, F, C, FILTERS, KERNELS = 6, 5, 2, 3, 4
LENGTHS = np.array([6, 4])
MASK = np.arange(T) < LENGTHS[:, None]


@pytest.fixture(scope="module")
def layer():
    return FrequencyDynamicConvolution(FILTERS, KERNELS)


@pytest.fixture(scope="module")
def x():
    values = np.random.default_rng(0).normal(size=(2, T, F, C)).astype(np.float32)
    return np.where(MASK[..., None, None], values, 0)


@pytest.fixture(scope="module")
def variables(layer, x):
    """Drawn so that the weights of the kernels are far from equal."""
    random = np.random.default_rng(1)
    init = functools.partial(layer.init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), x)
    values = jax.tree.map(lambda leaf: random.uniform(-1, 1, leaf.shape), shapes)
    values["batch_stats"] = jax.tree.map(np.abs, values["batch_stats"])
    values["params"]["weights"]["kernel"] *= 100
    return jax.tree.map(jnp.float32, values)


def by_loops(x, variables):
    """One clip [T, F, C] in prediction."""
    params = jax.tree.map(np.asarray, variables["params"])
    stats = jax.tree.map(np.asarray, variables["batch_stats"]["norm"])
    mean = np.pad(x.mean(0), ((1, 1), (0, 0)))
    hidden = sum(mean[j : j + F] @ params["hidden"]["kernel"][0, j] for j in range(3))
    scale = params["norm"]["scale"] / np.sqrt(stats["var"] + 1e-3)
    hidden = np.maximum((hidden - stats["mean"]) * scale + params["norm"]["bias"], 0)
    last = params["weights"]
    weights = np.exp((hidden @ last["kernel"][0, 0] + last["bias"]) / 31)
    weights /= weights.sum(-1, keepdims=True)
    kernels = params["kernel"].reshape(3, 3, C, KERNELS, FILTERS)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((*x.shape[:2], FILTERS))
    for t, f in np.ndindex(*x.shape[:2]):
        kernel = np.einsum("ijcko,k->ijco", kernels, weights[f])
        out[t, f] = np.einsum("ijc,ijco->o", padded[t : t + 3, f : f + 3], kernel)
    return out, weights


def test_each_bin_has_its_own_mean_of_the_kernels_by_what_the_clip_holds(
    layer, variables, x
):
    actual = jax.jit(layer.apply, static_argnames="train")(
        variables, x, train=False, frame_mask=MASK
    )
    for clip, length in enumerate(LENGTHS):
        expected, weights = by_loops(x[clip, :length], variables)
        assert np.ptp(weights, 0).max() > 0.1
        np.testing.assert_allclose(actual[clip, :length], expected, atol=1e-5)


def test_statistics_are_of_the_clips_of_all_devices_and_of_no_others(
    layer, variables, x
):
    """Each of two has a clip, and a row without a frame that fills it up."""
    rows, masks = (np.stack([one, 0 * one], 1) for one in (x, MASK.astype(int)))
    shared = layer.clone(axis_name="devices")

    def train(layer, x, frame_mask):
        def total(variables):
            options = {"train": True, "frame_mask": frame_mask}
            y, new = layer.apply(variables, x, **options, mutable=["batch_stats"])
            return jnp.square(y).sum(), (y, new)

        grads, (y, new) = jax.grad(total, has_aux=True)(variables)
        return y, new["batch_stats"], grads["params"]

    y, stats, _ = jax.jit(lambda: train(layer, x, MASK))()
    ys, all_stats, grads = jax.jit(
        jax.vmap(lambda *rows: train(shared, *rows), axis_name="devices")
    )(rows, masks.astype(bool))
    np.testing.assert_allclose(ys[:, 0], y, rtol=1e-4, atol=1e-5)
    for name, one in stats["norm"].items():
        expected = np.stack([one, one])
        np.testing.assert_allclose(all_stats["norm"][name], expected, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_kernels_begin_as_a_plain_convolutions_would():
    shape = (3, 3, C, KERNELS * FILTERS)
    kernel = side_by_side(KERNELS)(jax.random.key(0), shape)
    limit = np.sqrt(6 / (9 * (C + FILTERS)))
    greatest = np.abs(kernel).reshape(-1, KERNELS, FILTERS).max((0, 2))
    assert (greatest <= limit).all() and (greatest > 0.8 * limit).all()


def test_the_first_unit_of_a_network_has_a_plain_convolution():
    model = network(3, frequency_kernels=KERNELS, filters=8)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 24, 64)))
    outputs = {
        name: unit["conv"]["kernel"].shape[-1]
        for name, unit in shapes["params"].items()
        if name.startswith("block")
    }
    assert outputs.pop("block_0_unit_0") == 16
    assert set(outputs.values()) == {16 * KERNELS} and len(outputs) == 6
