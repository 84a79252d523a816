"""The training step: equal for any number of devices, stopped by what is not finite."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.training import parallel
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import TrainStep, draw_state, initial_state
from tests.defaults import build, network
from tests.training.steps import (
    EVERYTHING,
    SIZE,
    SMALL,
    F,
    K,
    T,
    assert_close,
    losses,
    make_batches,
    make_step,
    one_layer,
    take_steps,
)


@functools.cache
def trained(num_devices, mapped=None, dtype="float32"):
    """Five steps of a gated CRNN, in float64 with every augmentation."""
    model = network(K, **SMALL, dtype=dtype).clone(axis_name=parallel.AXIS)
    with jax.enable_x64(dtype == "float64"):
        augment = EVERYTHING if dtype == "float64" else {"mixup_alpha": 0.5}
        step = make_step(model, augment=augment)
        return take_steps(step, make_batches(5, dtype), num_devices, mapped=mapped)


def test_four_devices_train_like_one():
    one, four = trained(1), trained(4)
    assert_close(one[-1][0], four[-1][0], 1e-5)
    assert_close(losses(one), losses(four), 1e-5)


def test_the_first_state_is_the_same_however_much_it_is_optimized():
    model = network(K, **SMALL, block_dropout=0.1)
    options = {"num_frames": T, "num_bins": F}
    drawn = functools.partial(draw_state, model, optax.adam(1e-3), **options)
    jax.tree.map(
        np.testing.assert_array_equal,
        initial_state(model, optax.adam(1e-3), seed=3, **options),
        jax.jit(drawn)(jax.random.key(3)),
    )


def test_the_gradient_is_the_mean_over_devices_and_not_their_sum():
    """Adam hides a factor on the gradient: the norm that is logged must not have it."""
    one, four = trained(1)[0][1], trained(4)[0][1]
    np.testing.assert_allclose(four["grad_norm"], one["grad_norm"], rtol=1e-5)


def test_four_devices_train_like_one_to_the_last_digits_of_float64():
    one, four = (trained(n, dtype="float64") for n in (1, 4))
    assert one[-1][0].params["detection"]["kernel"].dtype == np.float64
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
    assert_close(trained(4), trained(4, mapped=literal_pmap), 1e-6)


def test_what_is_not_finite_changes_nothing_then_and_later():
    good, bad, after = make_batches(3)
    bad["features"][2] = np.nan
    step = make_step(network(K, **SMALL).clone(axis_name=parallel.AXIS))
    (before, _), (_, metrics), (stopped, _) = take_steps(step, [good, bad, after], 4)
    assert np.isnan(metrics["loss"])
    assert stopped.diverged and not before.diverged
    assert stopped.step == 1
    same = stopped.replace(diverged=before.diverged)
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_is_not_finite_stops_the_run_too():
    def loss(posteriors, inputs):
        return jnp.sqrt(0 * posteriors.clip.sum())

    [(state, metrics)] = take_steps(
        make_step(one_layer(), loss=loss), make_batches(1), 1
    )
    assert metrics["loss"] == 0
    assert state.diverged and state.step == 0


class PoisonedStatistics(TrainStep):
    """Its batch statistics are not finite, and nothing else."""

    def loss_of_params(self, *arguments):
        value, statistics = super().loss_of_params(*arguments)
        return value, jax.tree.map(lambda x: x + jnp.inf, statistics)


class PoisonedUpdate(TrainStep):
    """Its new weights are not finite, and nothing else."""

    def update(self, state, grads):
        new = super().update(state, grads)
        return new.replace(params=jax.tree.map(lambda x: x * jnp.inf, new.params))


@pytest.mark.parametrize("cls", [PoisonedStatistics, PoisonedUpdate])
def test_a_new_state_that_is_not_finite_is_never_kept(cls):
    model = network(K, **SMALL).clone(axis_name=parallel.AXIS)
    [(state, metrics)] = take_steps(make_step(model, cls), make_batches(1), 1)
    assert np.isfinite([metrics["loss"], metrics["grad_norm"]]).all()
    assert metrics["diverged"] and state.diverged and state.step == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


def test_dropout_is_the_same_on_any_number_of_devices():
    batches, results = make_batches(3), []
    loss = build(Loss, "loss", clip_weight=0.0, frame_weight=1.0)
    for num_devices, rate in ((1, 0.5), (4, 0.5), (4, 0.0)):
        model = network(K, "mlp", hidden=(8,), dropout=rate, median_frames=1)
        step = make_step(model, loss=loss)
        steps = take_steps(step, batches, num_devices)
        assert not steps[0][0].batch_stats
        results += losses(steps)
    np.testing.assert_allclose(results[:3], results[3:6], rtol=1e-5)
    # without it they are others; the output weights are too small for more
    assert min(np.abs(np.subtract(results[:3], results[6:]))) > 1e-5


@pytest.mark.parametrize("stream", ["dropout", "noise"])
def test_flax_dropout_draws_anew_in_every_step_and_on_every_device(stream):
    batch = make_batches(1)[0]
    batch = jax.tree.map(lambda x: np.repeat(x[:1], SIZE, 0), batch)  # one clip alone

    def loss(posteriors, inputs):  # of clips that are equal but for dropout
        return jnp.ptp(jax.lax.all_gather(posteriors.clip[0, 0], parallel.AXIS))

    frozen = optax.sgd(0.0)
    spreads = {
        rate: losses(
            take_steps(
                make_step(one_layer(rate, stream), loss=loss, optimizer=frozen),
                [batch, batch],
                4,
            )
        )
        for rate in (0.0, 0.5)
    }
    assert spreads[0.0] == [0, 0]
    assert min(spreads[0.5]) > 1e-3
    assert spreads[0.5][0] != spreads[0.5][1]


class SignStep(TrainStep):
    """A step of its own: the sign of the gradient of half the loss."""

    def loss_of_params(self, params, state, inputs, clip_keys, dropout_key):
        value, stats = super().loss_of_params(
            params, state, inputs, clip_keys, dropout_key
        )
        return value / 2, stats

    def update(self, state, grads):
        params = jax.tree.map(lambda p, g: p - 0.1 * jnp.sign(g), state.params, grads)
        return state.replace(step=state.step + 1, params=params)


def test_a_step_of_ones_own_overrides_the_objective_and_the_update():
    batches = make_batches(2)
    plain = take_steps(make_step(one_layer()), batches, 4)
    (first, metrics), (second, _) = take_steps(
        make_step(one_layer(), SignStep), batches, 4
    )
    np.testing.assert_allclose(metrics["loss"], plain[0][1]["loss"] / 2, rtol=1e-6)
    np.testing.assert_allclose(
        metrics["grad_norm"], plain[0][1]["grad_norm"] / 2, rtol=1e-5
    )
    assert second.step == 2
    for a, b in zip(*map(jax.tree.leaves, (first.params, second.params)), strict=True):
        np.testing.assert_allclose(np.abs(a - b), 0.1, rtol=1e-4)


def test_strong_labels_of_a_batch_reach_the_loss_augmented():
    batches = make_batches(2)
    strong = np.zeros((SIZE, T, K), np.float32)
    strong[:, 3] = [1, 2, 4]
    for batch in batches:
        batch["strong_label"] = strong

    def loss(posteriors, inputs):  # the frames that have labels, and their sum
        frames = (inputs.strong_label.sum(2) * jnp.arange(T)[None]).sum(1) / 7
        return jnp.sum(frames) + 100 * inputs.strong_label.sum()

    results = take_steps(make_step(one_layer(), loss=loss), batches, 4)
    assert losses(results) == [2 * 3 + 100 * 2 * 7] * 2  # each device has two clips
    step = make_step(one_layer(), loss=loss, augment={"max_shift_frames": 3})
    moved = np.subtract(losses(take_steps(step, batches, 4)), 100 * 2 * 7)
    assert moved.min() >= 0 and moved.max() <= 2 * 6
    assert moved[0] != moved[1]


def test_the_average_of_weights_is_its_version_by_loops():
    step = make_step(one_layer(), average_decay=0.6)
    results = take_steps(step, make_batches(5), 4, average=True)
    expected = None
    for number, (state, _) in enumerate(results):
        decay = min(0.6, number / (number + 1))
        params = jax.tree.map(lambda x: np.asarray(x, np.float64), state.params)
        expected = expected or params
        expected = jax.tree.map(
            lambda mean, p, d=decay: d * mean + (1 - d) * p, expected, params
        )
        assert_close(state.average, expected, 1e-6)
        assert state.variables["params"] is state.average
    # of three steps at most all count the same
    weights = [state.params for state, _ in results[:2]]
    assert_close(
        results[1][0].average, jax.tree.map(lambda a, b: (a + b) / 2, *weights), 1e-6
    )


def test_an_average_changes_no_step_and_stays_when_a_step_is_refused():
    good, bad = make_batches(2)
    bad["features"][:] = np.inf
    plain = take_steps(make_step(one_layer()), [good], 1)
    averaging = make_step(one_layer(), average_decay=0.9)
    first, refused = take_steps(averaging, [good, bad], 1, average=True)
    assert plain[0][0].average is None
    assert plain[0][0].variables["params"] is plain[0][0].params
    assert_close(plain[0][0].params, first[0].params, 0)
    assert refused[0].diverged
    assert_close(refused[0].average, first[0].average, 0)
