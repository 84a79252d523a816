"""Batches that do not divide among devices, or in parts, train as on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.augment import Inputs, standardize
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.replica_rows import ReplicaRows
from gcrnn_jax.training.state import TrainStep
from tests.defaults import build, network
from tests.training.steps import (
    EVERYTHING,
    SMALL,
    K,
    assert_close,
    first_state,
    losses,
    make_batches,
    make_step,
    one_layer,
    take_steps,
)

MIXED = {"time_masks": 1, "max_time_mask_frames": 3, "mixup_alpha": 0.5}
# with partners, too, and without a Beta distribution, which takes seconds to compile
ADDED = {"time_masks": 1, "max_time_mask_frames": 3, "added_fraction": 0.5}


def gated_crnn(axis_name: str | None = parallel.AXIS, **fields):
    dtype = str(jnp.result_type(float))
    return network(K, **SMALL, dtype=dtype, **fields).clone(axis_name=axis_name)


def trained(make_model, size, num_devices, steps=3, **options):
    """The steps on batches of so many clips, in float64."""
    with jax.enable_x64(True):
        step = make_step(make_model(), batch_size=size, **options)
        return take_steps(step, make_batches(steps, np.float64, size), num_devices)


def dropping_gated_crnn(**fields):
    return gated_crnn(block_dropout=0.3, dropout=0.3, **fields)


@pytest.mark.parametrize(
    ("size", "num_devices", "make_model", "augment"),
    [
        (7, 3, dropping_gated_crnn, MIXED),
        (2, 4, gated_crnn, {}),  # two devices without a clip in statistics
        (10, 4, one_layer, ADDED),
        (1, 2, one_layer, ADDED),
    ],
)
def test_any_number_of_devices_trains_any_batch_as_one_does(
    size, num_devices, make_model, augment
):
    """Partners and random numbers are the same, too."""
    loss = build(Loss, "loss", frame_weight=0.5, frame_attention=True)
    options = {"augment": augment, "loss": loss}
    one = trained(make_model, size, 1, **options)
    assert_close(one, trained(make_model, size, num_devices, **options), 1e-12)


@pytest.mark.parametrize(
    ("name", "fields", "num_devices"),
    [
        (
            "frame_cnn",
            {"filters": (4,), "time_pooling": (2,), "tagging_units": (5,)},
            4,
        ),
        ("window_cnn", {"window_frames": 8, "filters": (2,), "units": 1}, 2),
    ],
)
def test_statistics_over_clips_and_windows_leave_out_rows_that_fill_up(
    name, fields, num_devices
):
    """Their convolutions are float32, whose last digits Adam would make much of."""

    def make_model():
        return network(K, name, **fields).clone(axis_name=parallel.AXIS)

    loss = build(Loss, "loss", frame_weight=1.0)
    options = {"loss": loss, "optimizer": optax.sgd(0.1)}
    one, more = (trained(make_model, 5, n, **options) for n in (1, num_devices))
    assert_close(one, more, 1e-6)


def test_in_float32_losses_agree_to_the_sixth_digit():
    step = make_step(gated_crnn(), augment=ADDED, batch_size=7)
    one, three = (take_steps(step, make_batches(3, size=7), n) for n in (1, 3))
    np.testing.assert_allclose(losses(one), losses(three), rtol=1e-6)


def squared_error(posteriors: Posteriors, inputs: Inputs) -> jax.Array:
    """A loss of somebody else's, who has not heard of rows that fill up."""
    return jnp.mean(jnp.square(posteriors.clip - inputs.weak_label).max(1))


def test_a_loss_of_ones_own_need_not_know_of_rows_that_fill_up():
    one, four = (trained(one_layer, 7, n, loss=squared_error) for n in (1, 4))
    assert_close(one, four, 1e-12)


class HalfLoss(TrainStep):
    """A step of its own, of another objective."""

    def loss_of_params(self, *arguments):
        value, stats = super().loss_of_params(*arguments)
        return value / 2, stats


def test_a_step_of_ones_own_need_not_know_of_them_either():
    one, four = (trained(one_layer, 5, n, cls=HalfLoss) for n in (1, 4))
    assert_close(one, four, 1e-12)
    with jax.enable_x64(True):
        [batch], step = make_batches(1, np.float64, 5), make_step(one_layer())
        state = first_state(step.model, step.optimizer, False, jnp.float64)
        scaled = standardize(batch["features"], batch["num_frames"], step.scaler)
        posteriors = step.model.apply({"params": state.params}, *scaled)
        whole = float(step.loss(posteriors, Inputs(*scaled, batch["weak_label"])))
    np.testing.assert_allclose(losses(four)[0], whole / 2, rtol=1e-12)


@jax.jit
def of_group(params, batch_stats, part, share):
    """Loss and statistics, and gradients, of clips that are normalised together."""
    step = make_step(gated_crnn(None))

    def loss(params):
        scaled = standardize(part["features"], part["num_frames"], step.scaler)
        posteriors, updated = step.model.apply(
            {"params": params, "batch_stats": batch_stats},
            *scaled,
            train=True,
            mutable=["batch_stats"],
        )
        value = step.loss(posteriors, Inputs(*scaled, part["weak_label"]))
        return jax.tree.map(lambda x: share * x, (value, updated["batch_stats"]))

    return jax.value_and_grad(loss, has_aux=True)(params)


def by_hand(state, batch, groups):
    """Loss, gradient norm and statistics of a batch in groups, one after the other."""
    sums = None
    for rows in groups:
        part = {name: values[rows] for name, values in batch.items()}
        share = len(rows) / len(batch["features"])
        one = of_group(state.params, state.batch_stats, part, share)
        sums = jax.tree.map(np.add, sums, one) if sums else jax.device_get(one)
    (value, statistics), grads = sums
    norm = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(grads)))
    return value, norm, statistics


@pytest.mark.parametrize(
    ("num_devices", "parts", "groups"),
    [
        (3, 1, ([0, 1, 2], [3, 4], [5, 6])),
        (1, 3, ([0, 1, 2], [3, 4], [5, 6])),
        (2, 2, ([0, 1], [2, 3], [4, 5], [6])),
        (4, 2, tuple([n] for n in range(7))),  # and an eighth without a clip
    ],
)
def test_statistics_of_each_device_and_part_count_by_their_clips(
    num_devices, parts, groups
):
    with jax.enable_x64(True):
        step = make_step(gated_crnn(None), batch_size=7, accumulate_steps=parts)
        [batch] = make_batches(1, np.float64, 7)
        state = first_state(step.model, step.optimizer, False, jnp.float64)
        expected = by_hand(state, batch, [np.array(rows) for rows in groups])
        [(new, metrics)] = take_steps(step, [batch], num_devices)
    actual = metrics["loss"], metrics["grad_norm"], new.batch_stats
    assert_close(actual, expected, 1e-12)


def dropping_mlp():
    return network(K, "mlp", hidden=(8,), dropout=0.5, median_frames=1)


@pytest.mark.parametrize(
    ("size", "num_devices", "parts", "augment"),
    [(7, 2, 3, EVERYTHING), (8, 1, 4, ADDED), (8, 4, 2, ADDED), (2, 4, 2, ADDED)],
)
def test_a_batch_in_parts_gives_the_step_of_the_whole_batch(
    size, num_devices, parts, augment
):
    """Where there is no BatchNorm; dropout and augmentation included."""
    options = {"augment": augment, "loss": build(Loss, "loss", frame_weight=1.0)}
    whole = trained(dropping_mlp, size, 1, **options)
    options |= {"accumulate_steps": parts}
    assert_close(whole, trained(dropping_mlp, size, num_devices, **options), 1e-12)


def test_statistics_of_a_part_are_those_of_all_devices():
    """Parts in step: the second of both devices is normalised together."""
    with jax.enable_x64(True):
        one = make_step(gated_crnn(), batch_size=6, accumulate_steps=3)
        [batch] = make_batches(1, np.float64, 6)
        order = np.array([0, 3, 1, 4, 2, 5])  # so that parts hold the same clips
        permuted = {name: values[order] for name, values in batch.items()}
        [(first, metrics)] = take_steps(one, [permuted], 1)
        [(second, of_two)] = take_steps(one, [batch], 2)
    assert_close((first, metrics), (second, of_two), 1e-12)


def test_clips_that_devices_hold_are_filled_up_like_those_that_are_sent():
    [batch] = make_batches(1, size=7)
    step = make_step(one_layer(), augment=ADDED, batch_size=7)
    [sent] = take_steps(step, [batch], 4)
    mesh = parallel.make_mesh(jax.devices()[:4])
    held = parallel.put_state(batch, mesh)

    def mapped(step, mesh):
        step = device_cache.gather_on_device(step)
        return parallel.data_parallel(step, mesh, shared=held)

    clips = {"clips": np.arange(7, dtype=np.int32)}
    [from_cache] = take_steps(step, [clips], 4, mapped=mapped)
    assert_close(sent, from_cache, 0)


def lowered(size, batch_size):
    step = make_step(one_layer(), augment=EVERYTHING, batch_size=batch_size)
    mesh = parallel.make_mesh(jax.devices()[:4])
    state = first_state(step.model, step.optimizer, False, jnp.float32)
    [batch] = make_batches(1, size=size)
    state = parallel.put_state(state, mesh)
    batch = parallel.put_batch(batch, mesh)
    return parallel.data_parallel(step, mesh).lower(state, batch).as_text()


def test_a_batch_that_divides_costs_nothing_more():
    assert lowered(8, 8) == lowered(8, None) != lowered(8, 7)


def test_rows_that_are_not_those_of_the_batch_are_refused():
    with pytest.raises(ValueError, match="expected 2 rows a device of a batch of 7 on"):
        lowered(12, 7)


def test_a_row_that_fills_up_has_no_weight_and_all_others_the_same():
    mesh = parallel.make_mesh(jax.devices()[:4])

    def rows(_, batch):
        rows = ReplicaRows(len(batch), batch_size=7, num_parts=1)
        return rows.numbers, rows.weight

    mapped = parallel.data_parallel(rows, mesh, out_axes=parallel.AXIS)
    numbers, weight = mapped((), parallel.put_batch(np.zeros(8), mesh))
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5, 6, 6]
    np.testing.assert_allclose(weight, [8 / 7] * 7 + [0], rtol=1e-6)
