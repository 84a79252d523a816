"""The training step: equal for any number of devices, stopped by what is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.models.mlp import Mlp
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import initial_state, make_optimizer, make_train_step

T, F, K = 16, 16, 3
FIELDS = {
    "blocks": (1, 1),
    "filters": 4,
    "time_pooling": (2, 1),
    "frequency_pooling": (2, 2),
    "last_filters": 6,
    "rnn_units": 3,
}
EVERYTHING = Augmentation(
    max_shift_frames=4,
    max_shift_bins=2,
    filter_db=6.0,
    added_fraction=0.5,
    time_masks=1,
    max_time_mask_frames=3,
    frequency_masks=2,
    max_frequency_mask_bins=3,
    mixup_alpha=0.5,
)
OPTIMIZER = {
    "kind": "adam",
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "warmup_steps": 2,
    "weight_decay": 1e-3,
    "eps": 1e-8,
    "momentum": 0.9,
}


def make_batches(count, size=8, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [
        {
            "features": rng.normal(size=(size, T, F)).astype(dtype),
            "num_frames": rng.integers(T // 2, T + 1, size).astype(np.int32),
            "weak_label": (rng.random((size, K)) < 0.4).astype(dtype),
        }
        for _ in range(count)
    ]


def trained(batches, num_devices, mapped=None, dtype="float32", augment=EVERYTHING):
    """The state and losses after a step on each batch."""
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    model = GatedCrnn(K, **FIELDS, dtype=dtype, axis_name=parallel.AXIS)
    optimizer = make_optimizer(total_steps=10, **OPTIMIZER)
    state = initial_state(model, optimizer, num_frames=T, num_bins=F, seed=1)
    state = jax.tree.map(
        lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, state
    )
    scaler = Scaler(jnp.full(F, 0.1, dtype), jnp.full(F, 2.0, dtype))
    step = make_train_step(
        model, optimizer, augmentation=augment, scaler=scaler, loss=Loss(), seed=5
    )
    state = parallel.put_state(state, mesh)
    compiled = (mapped or parallel.data_parallel)(step, mesh)
    losses = []
    for batch in batches:
        state, metrics = compiled(state, parallel.put_batch(batch, mesh))
        losses.append(float(metrics["loss"]))
    return jax.device_get(state), losses


def assert_close(one, other, tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_four_devices_train_like_one():
    batches = make_batches(5)
    one, one_losses = trained(batches, 1)
    four, four_losses = trained(batches, 4)
    assert_close((one, one_losses), (four, four_losses), 1e-5)


def test_four_devices_train_like_one_to_the_last_digits_of_float64():
    with jax.enable_x64(True):
        batches = make_batches(5, dtype=np.float64)
        one = trained(batches, 1, dtype="float64")
        four = trained(batches, 4, dtype="float64")
    assert one[0].params["detection"]["kernel"].dtype == np.float64
    assert_close(one, four, 1e-12)


def literal_pmap(step, mesh):
    """The step under jax.pmap itself, the batch cut by hand."""
    devices = list(mesh.devices.flat)
    mapped = jax.pmap(
        step, axis_name=parallel.AXIS, in_axes=(None, 0), out_axes=None, devices=devices
    )

    def call(state, batch):
        def cut(x):
            x = np.asarray(x)
            return x.reshape(len(devices), -1, *x.shape[1:])

        return mapped(jax.device_get(state), jax.tree.map(cut, batch))

    return call


def test_the_mapped_step_is_that_of_literal_pmap():
    batches = make_batches(3)
    ours, literal = trained(batches, 4), trained(batches, 4, mapped=literal_pmap)
    assert_close(ours, literal, 1e-6)


def test_the_gradient_is_the_mean_over_devices_and_not_their_sum():
    """Adam hides a factor on the gradient: the norm that is logged must not have it."""
    [batch] = make_batches(1)
    norms = []
    for num_devices in (1, 4):
        mesh = parallel.make_mesh(jax.devices()[:num_devices])
        model = GatedCrnn(K, **FIELDS, axis_name=parallel.AXIS)
        optimizer = optax.sgd(0.1)
        state = initial_state(model, optimizer, num_frames=T, num_bins=F, seed=1)
        scaler = Scaler(jnp.zeros(F), jnp.ones(F))
        step = make_train_step(
            model,
            optimizer,
            augmentation=Augmentation(),
            scaler=scaler,
            loss=Loss(),
            seed=5,
        )
        compiled = parallel.data_parallel(step, mesh)
        _, metrics = compiled(
            parallel.put_state(state, mesh), parallel.put_batch(batch, mesh)
        )
        norms.append(float(metrics["grad_norm"]))
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)


def test_what_is_not_finite_changes_nothing_then_and_later():
    good, bad, after = make_batches(3)
    bad["features"][2, 0, 0] = np.nan
    before, _ = trained([good], 4, augment=Augmentation())
    stopped, losses = trained([good, bad, after], 4, augment=Augmentation())
    assert np.isnan(losses[1])
    assert stopped.diverged and not before.diverged
    assert stopped.step == 1
    for a, b in zip(
        jax.tree.leaves(stopped.replace(diverged=before.diverged)),
        jax.tree.leaves(before),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'linear'"):
        make_optimizer(total_steps=10, **{**OPTIMIZER, "schedule": "linear"})


def test_the_cosine_rate_rises_and_falls_to_nothing():
    optimizer = make_optimizer(total_steps=10, **OPTIMIZER)
    params = {"w": jnp.zeros(1)}
    state, sizes = optimizer.init(params), []
    for _ in range(11):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        sizes.append(abs(float(updates["w"][0])))
    np.testing.assert_allclose(sizes[0], 0, atol=1e-9)
    np.testing.assert_allclose(sizes[2], 1e-2, rtol=1e-3)
    np.testing.assert_allclose(sizes[10], 0, atol=1e-6)


def test_the_staircase_falls_to_a_tenth_after_each_three_tenths():
    fields = {**OPTIMIZER, "kind": "sgd", "schedule": "staircase", "warmup_steps": 0}
    fields |= {"learning_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    optimizer = make_optimizer(total_steps=10, **fields)
    params = {"w": jnp.zeros(1)}
    state, rates = optimizer.init(params), []
    for _ in range(10):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        rates.append(-float(updates["w"][0]))
    expected = [1.0] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_sgd_adds_the_decay_to_the_gradient_and_both_to_the_momentum():
    fields = {**OPTIMIZER, "kind": "sgd", "schedule": "constant", "warmup_steps": 0}
    fields |= {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
    optimizer = make_optimizer(total_steps=10, **fields)
    params, velocity, expected = {"w": jnp.full(1, 2.0)}, 0.0, 2.0
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state, params)
        params = optax.apply_updates(params, updates)
        velocity = 0.9 * velocity + 1 + 0.01 * expected
        expected -= 0.1 * velocity
    np.testing.assert_allclose(params["w"], [expected], rtol=1e-6)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="'lion'"):
        make_optimizer(total_steps=10, **{**OPTIMIZER, "kind": "lion"})


def test_dropout_is_the_same_on_any_number_of_devices():
    batches, losses = make_batches(3), []
    for num_devices, rate in ((1, 0.5), (4, 0.5), (4, 0.0)):
        mesh = parallel.make_mesh(jax.devices()[:num_devices])
        model = Mlp(K, hidden=(8,), dropout=rate, median_frames=1)
        optimizer = make_optimizer(total_steps=10, **OPTIMIZER)
        state = initial_state(model, optimizer, num_frames=T, num_bins=F, seed=1)
        assert not state.batch_stats
        step = make_train_step(
            model,
            optimizer,
            augmentation=Augmentation(),
            scaler=Scaler(np.zeros(F, "f4"), np.ones(F, "f4")),
            loss=Loss(clip=0.0, frame=1.0),
            seed=5,
        )
        compiled = parallel.data_parallel(step, mesh)
        state = parallel.put_state(state, mesh)
        for batch in batches:
            state, metrics = compiled(state, parallel.put_batch(batch, mesh))
            losses.append(float(metrics["loss"]))
    np.testing.assert_allclose(losses[:3], losses[3:6], rtol=1e-5)
    # without it they are others; the output weights are too small for more
    assert min(np.abs(np.subtract(losses[:3], losses[6:]))) > 1e-5
