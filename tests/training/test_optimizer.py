"""The optimizer: each kind, schedule and field beside a short version in NumPy."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.network import variable_shapes
from gcrnn_jax.training.optimizer import Optimizer, _is_kernel
from tests.defaults import build, network


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schedule", "linear", "'constant' or 'cosine' or 'staircase', got 'linear'"),
        ("kind", "lion", "'adam' or 'sgd' or 'lamb' or 'lars', got 'lion'"),
        ("learning_rate", 0.0, "learning_rate must be greater than 0, got 0.0"),
        ("eps", -1e-8, "eps must be greater than 0"),
        ("warmup_steps", -1, "warmup_steps must be 0 or more"),
        ("weight_decay", -0.1, "weight_decay must be 0 or more"),
        ("clip_norm", -1.0, "clip_norm must be 0 or more"),
        ("reference_batch_size", -1, "reference_batch_size must be 0 or more"),
        ("accumulate_steps", 0, "accumulate_steps must be 1 or more"),
        ("momentum", 1.0, r"momentum must be in \[0, 1\), got 1.0"),
    ],
)
def test_an_optimizer_that_there_is_not_is_refused(field, value, message):
    with pytest.raises(ConfigError, match=f"optimizer.*{message}"):
        build(Optimizer, "optimizer", **{field: value})


def rates(batch_size=None, **fields):
    """What a gradient of 1 takes from a weight of 0, in eleven steps of ten."""
    optimizer = build(Optimizer, "optimizer", **fields).make(10, batch_size)
    params = {"w": jnp.zeros(1)}
    state, sizes = optimizer.init(params), []
    for _ in range(11):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        sizes.append(-float(updates["w"][0]))
    return sizes


@pytest.mark.parametrize("schedule", ["constant", "cosine", "staircase"])
@pytest.mark.parametrize(
    ("total", "warmup"), [(40, 0), (40, 7), (1, 0), (3, 5), (9, 9)]
)
@pytest.mark.parametrize(("reference", "size"), [(0, 32), (8, 32), (8, None)])
def test_the_rate_that_is_logged_is_that_of_the_schedule(
    schedule, total, warmup, reference, size
):
    fields = {"schedule": schedule, "warmup_steps": warmup, "learning_rate": 3e-3}
    fields["reference_batch_size"] = reference
    optimizer = build(Optimizer, "optimizer", **fields)
    with mock.patch.object(optax, "adamw", lambda rate, **_: rate):
        rate = optimizer.make(total, size)
    steps = np.arange(total + 3)
    expected = [float(rate(step)) for step in steps]
    found = [optimizer.rate_at(int(step), total, size) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


def test_the_cosine_rate_rises_and_falls_to_nothing():
    sizes = rates(learning_rate=1e-2, schedule="cosine", warmup_steps=2)
    np.testing.assert_allclose(sizes[0], 0, atol=1e-9)
    np.testing.assert_allclose(sizes[1:3], [5e-3, 1e-2], rtol=1e-3)
    np.testing.assert_allclose(sizes[10], 0, atol=1e-6)


def test_the_staircase_falls_to_a_tenth_after_each_three_tenths():
    sizes = rates(kind="sgd", schedule="staircase", learning_rate=1.0, momentum=0.0)
    expected = [1.0] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001] * 2
    np.testing.assert_allclose(sizes, expected, rtol=1e-6)


def test_sgd_adds_the_decay_to_the_gradient_and_both_to_the_momentum():
    fields = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    optimizer = build(Optimizer, "optimizer", kind="sgd", **fields).make(10)
    params, velocity, expected = {"w": jnp.full(1, 2.0)}, 0.0, 2.0
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        params = optax.apply_updates(params, updates)
        velocity = 0.9 * velocity + 1 + 0.01 * expected
        expected -= 0.1 * velocity
    np.testing.assert_allclose(params["w"], [expected], rtol=1e-6)


def test_adam_adds_eps_to_the_root_and_decays_apart_from_the_gradient():
    fields = {"learning_rate": 0.1, "eps": 0.5, "weight_decay": 0.01}
    optimizer = build(Optimizer, "optimizer", **fields).make(10)
    params, m, v, expected = {"w": jnp.full(1, 2.0)}, 0.0, 0.0, 2.0
    state = optimizer.init(params)
    for step in range(1, 4):
        grad = 0.3 * step
        updates, state = optimizer.update({"w": jnp.full(1, grad)}, state, params)
        params = optax.apply_updates(params, updates)
        m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
        root = np.sqrt(v / (1 - 0.999**step))
        expected -= 0.1 * (m / (1 - 0.9**step) / (root + 0.5) + 0.01 * expected)
    np.testing.assert_allclose(params["w"], [expected], rtol=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "staircase"])
def test_the_rate_is_in_proportion_to_the_batch_after_the_warm_up_too(schedule):
    fields = {"kind": "sgd", "momentum": 0.0, "schedule": schedule, "warmup_steps": 2}
    scaled = rates(88, learning_rate=0.1, reference_batch_size=44, **fields)
    np.testing.assert_allclose(scaled, rates(learning_rate=0.2, **fields), rtol=1e-6)
    same = rates(88, learning_rate=0.2, **fields)
    np.testing.assert_allclose(same, scaled, rtol=1e-6)


def random_weights():
    """Two kernels and a bias, and three gradients, the middle one large."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 2), "last_kernel": (4,), "bias": (5,)}
    params, *grads = (
        {name: size * rng.normal(size=shape) for name, shape in shapes.items()}
        for size in (1.0, 0.3, 30.0, 0.3)
    )
    params["bias"][:] = 0  # as biases begin
    return params, grads


def follow(optimizer, params, grads):
    """The weights after steps along gradients."""
    params, state = jax.tree.map(jnp.asarray, params), optimizer.init(params)
    for grad in grads:
        updates, state = optimizer.update(
            jax.tree.map(jnp.asarray, grad), state, params
        )
        params = optax.apply_updates(params, updates)
    return params


def assert_follows(optimizer, expected):
    params, grads = random_weights()
    with jax.enable_x64(True):
        actual = follow(optimizer, params, grads)
    for name, values in expected(params, grads).items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-6, err_msg=name)


def norm(x):
    return np.sqrt(np.sum(np.square(x)))


def test_a_gradient_is_clipped_by_its_norm_over_all_weights():
    def expected(params, grads):
        for grad in grads:
            size = norm(np.concatenate([np.ravel(x) for x in grad.values()]))
            factor = 0.1 * min(1.0, 5.0 / size)
            params = {name: params[name] - factor * grad[name] for name in params}
        return params

    fields = {"kind": "sgd", "momentum": 0.0, "learning_rate": 0.1, "clip_norm": 5.0}
    assert_follows(build(Optimizer, "optimizer", **fields).make(10), expected)


def test_lars_is_its_version_in_numpy():
    """Kernels go by a thousandth of their norm, biases as with SGD."""

    def expected(params, grads):
        velocity = dict.fromkeys(params, 0.0)
        for grad in grads:
            for name, w in params.items():
                g = grad[name]
                if name != "bias":
                    g = g + 0.01 * w
                    g = 0.001 * norm(w) / norm(g) * g
                velocity[name] = 0.9 * velocity[name] + 0.5 * g
                params = {**params, name: w - velocity[name]}
        return params

    fields = {"kind": "lars", "learning_rate": 0.5, "weight_decay": 0.01}
    assert_follows(build(Optimizer, "optimizer", **fields).make(10), expected)


def test_lamb_is_its_version_in_numpy():
    def expected(params, grads):
        m, v = dict.fromkeys(params, 0.0), dict.fromkeys(params, 0.0)
        for step, grad in enumerate(grads, 1):
            for name, w in params.items():
                g = grad[name]
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g**2
                root = np.sqrt(v[name] / (1 - 0.999**step))
                update = m[name] / (1 - 0.9**step) / (root + 1e-3) + 0.01 * w
                ratio = norm(w) / norm(update) if norm(w) else 1.0
                params = {**params, name: w - 0.1 * ratio * update}
        return params

    fields = {"learning_rate": 0.1, "eps": 1e-3, "weight_decay": 0.01}
    optimizer = build(Optimizer, "optimizer", kind="lamb", **fields)
    assert_follows(optimizer.make(10), expected)


def test_kernels_of_a_network_follow_lars_and_biases_and_scales_do_not():
    shapes = variable_shapes(network(3), 240, 64)["params"]
    named = {
        jax.tree_util.keystr(path, simple=True, separator="."): is_kernel
        for path, is_kernel in jax.tree.leaves_with_path(_is_kernel(shapes))
    }
    assert named["gru_0.recurrent_kernel"] and named["block_0_unit_0.conv.kernel"]
    assert not named["gru_0.bias"] and not named["block_0_unit_0.norm.scale"]
    assert not any(value for name, value in named.items() if "kernel" not in name)
    assert all(value for name, value in named.items() if "kernel" in name)
