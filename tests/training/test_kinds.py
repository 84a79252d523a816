"""Weak, strong and unlabelled clips in one batch: each counts in its own terms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Inputs, standardize
from gcrnn_jax.training.consistency import Consistency
from gcrnn_jax.training.loss import Loss, merge_frames
from gcrnn_jax.training.replica_rows import ReplicaRows
from tests.defaults import build, network
from tests.training.steps import (
    SIZE,
    SMALL,
    F,
    K,
    T,
    assert_close,
    make_batches,
    make_step,
    one_layer,
    take_steps,
)

AUGMENTED = {"max_shift_frames": 4, "added_fraction": 0.5}
KINDS = np.array([2, 1, 0, 1, 2, 0, 0, 1], np.int8)


def mixed_batches(count, known=KINDS, dtype=np.float32):
    """Batches with strong labels, which only strong clips are to be trained on."""
    random = np.random.default_rng(1)
    batches = make_batches(count, dtype, len(known))
    for batch in batches:
        batch["known"] = known
        shape = (len(known), T, K)
        batch["strong_label"] = (random.random(shape) < 0.4).astype(dtype)
    return batches


def same_bits(one, other):
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_array_equal(a, b)


def loss_of_0_2(posteriors, inputs):
    """The loss as it was when all clips were weak."""
    p, label = jnp.clip(posteriors.clip, 1e-7, 1 - 1e-7), inputs.weak_label
    return jnp.mean(-label * jnp.log(p) + -(1 - label) * jnp.log1p(-p))


def test_where_all_clips_are_weak_gradients_are_those_of_before_to_the_bit():
    """Also where batches say so, and have strong labels, whose term is off."""
    plain = make_batches(2)
    masked = [
        of_kinds | of_one_kind
        for of_kinds, of_one_kind in zip(
            mixed_batches(2, np.full(SIZE, WEAK, np.int8)), plain, strict=True
        )
    ]
    options = {"optimizer": optax.sgd(0.1)}
    before = make_step(one_layer(), loss=loss_of_0_2, **options)
    now = make_step(one_layer(), loss=build(Loss, "loss"), **options)
    masking = build(Loss, "loss", strong_weight=0.0)
    without = make_step(one_layer(), loss=masking, **options)
    expected = take_steps(before, plain, 1)
    same_bits(take_steps(now, plain, 1), expected)
    same_bits(take_steps(without, masked, 1), expected)


def cross_entropy(posterior, label):
    return -label * np.log(posterior) - (1 - label) * np.log(1 - posterior)


def loss_by_loops(step, state, batch, *, clip, frame, strong):
    """Each term the mean over the clips that it is known for, one after the other."""
    scaled = standardize(batch["features"], batch["num_frames"], step.scaler)
    posteriors = jax.device_get(
        step.model.apply({"params": state.params}, *scaled, train=True)
    )
    terms = {"clip": [], "frame": [], "strong": []}
    for n, kind in enumerate(batch["known"]):
        frames = slice(batch["num_frames"][n])
        weak = batch["weak_label"][n]
        of_clip, of_frames = posteriors.clip[n], posteriors.frame[n, frames]
        if kind != UNLABELLED:
            terms["clip"].append(cross_entropy(of_clip, weak).mean())
        if kind == WEAK:
            terms["frame"].append(cross_entropy(of_frames, weak[None]).mean())
        if kind == STRONG:
            label = batch["strong_label"][n, frames]
            terms["strong"].append(cross_entropy(of_frames, label).mean())
    weights = {"clip": clip, "frame": frame, "strong": strong}
    return sum(weights[name] * np.mean(of) for name, of in terms.items() if of)


WEIGHTS = {"clip": 0.7, "frame": 0.3, "strong": 2.0}
map_once = functools.cache(parallel.data_parallel)


@functools.cache
def step_of_terms(size):
    """In float64, where the test is; compiled once for all kinds of so many clips."""
    fields = {f"{name}_weight": weight for name, weight in WEIGHTS.items()}
    return make_step(
        one_layer(),
        loss=build(Loss, "loss", **fields),
        optimizer=optax.sgd(0.5),
        batch_size=size,
    )


@pytest.mark.parametrize(
    "known",
    [KINDS, KINDS[:7], [2, 2, 2, 2], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0, 0, 2, 2]],
)
@pytest.mark.parametrize("num_devices", [1, 3])
def test_each_term_is_the_mean_over_the_clips_of_all_devices_that_count(
    known, num_devices
):
    """Also where no clip of a batch, or of a device, does."""
    with jax.enable_x64(True):
        batches = mixed_batches(2, np.array(known, np.int8), np.float64)
        step = step_of_terms(len(known))
        (first, of_first), (second, of_second) = take_steps(
            step, batches, num_devices, mapped=map_once
        )
        assert not second.diverged
        expected = loss_by_loops(step, first, batches[1], **WEIGHTS)
        np.testing.assert_allclose(of_second["loss"], expected, rtol=1e-9, atol=1e-12)
        [(alone, _), _] = take_steps(step, batches, 1, mapped=map_once)
        assert_close(first.params, alone.params, 1e-12)
    assert np.isfinite(of_first["grad_norm"])
    assert (of_first["grad_norm"] > 0) == any(known)


def dropping():
    return network(K, "mlp", hidden=(8,), dropout=0.5, median_frames=1)


@pytest.mark.parametrize(
    ("make_model", "size", "num_devices", "parts"),
    [(dropping, 7, 3, 1), (one_layer, 8, 2, 2)],
)
def test_any_number_of_devices_trains_mixed_batches_with_a_teacher_as_one_does(
    make_model, size, num_devices, parts
):
    with jax.enable_x64(True):
        batches = mixed_batches(3, KINDS[:size], np.float64)
        options = {
            "augment": {**AUGMENTED, "max_shift_bins": 2},
            "loss": build(Loss, "loss", frame_weight=0.5),
            "consistency": Consistency(3.0, 4),
            "average_decay": 0.5,
            "batch_size": size,
        }
        alone = make_step(make_model(), **options)
        one = take_steps(alone, batches, 1, average=True)
        step = make_step(make_model(), **options, accumulate_steps=parts)
        more = take_steps(step, batches, num_devices, average=True)
    assert_close(one, more, 1e-12)


def test_unlabelled_clips_are_learnt_from_by_agreement():
    """Network and teacher hear other masks, so they differ from the first step on."""
    step = make_step(
        one_layer(),
        optimizer=optax.sgd(1.0),
        augment={"frequency_masks": 2, "max_frequency_mask_bins": 8},
        consistency=Consistency(10.0, 0),
    )
    batches = mixed_batches(2, np.zeros(SIZE, np.int8))
    results = take_steps(step, batches, 4, average=True)
    assert all(metrics["grad_norm"] > 1e-4 for _, metrics in results)


def test_the_term_of_agreement_is_its_version_by_loops():
    batches = make_batches(3)
    step = make_step(
        one_layer(),
        optimizer=optax.sgd(5.0),
        average_decay=0.9,
        consistency=Consistency(4.0, 4),
    )
    _, (state, _), (_, metrics) = take_steps(step, batches, 4, average=True)
    scaled = standardize(batches[2]["features"], batches[2]["num_frames"], step.scaler)
    student, teacher = (
        jax.device_get(step.model.apply({"params": params}, *scaled))
        for params in (state.params, state.average)
    )
    agreement = 0.0
    for n, count in enumerate(batches[2]["num_frames"]):
        agreement += np.mean(np.square(student.clip[n] - teacher.clip[n]))
        difference = student.frame[n, :count] - teacher.frame[n, :count]
        agreement += np.mean(np.square(difference))
    agreement *= 4 * np.exp(-5 * (1 - 2 / 4) ** 2) / SIZE
    weak = cross_entropy(student.clip, batches[2]["weak_label"]).mean()
    assert agreement > 1e-3
    np.testing.assert_allclose(metrics["loss"], weak + agreement, rtol=1e-5)


def test_the_weight_of_agreement_rises_to_its_end_and_the_teacher_learns_nothing():
    weights = [float(Consistency(2.0, 10).weight_at(jnp.array(n))) for n in (0, 9, 20)]
    np.testing.assert_allclose(weights, 2 * np.exp([-5, -0.05, 0]), rtol=1e-6)
    scaled = standardize(
        make_batches(1)[0]["features"], np.full(SIZE, T), make_step(one_layer()).scaler
    )
    model = one_layer()
    params = model.init(jax.random.key(0), *scaled)

    def difference(student, teacher):
        both = (model.apply(one, *scaled) for one in (student, teacher))
        return Consistency(1.0, 0)(*both).sum()

    other = jax.tree.map(lambda x: x + 0.1, params)
    of_student, of_teacher = jax.grad(difference, (0, 1))(params, other)
    assert all(np.any(x) for x in jax.tree.leaves(of_student))
    assert not any(np.any(x) for x in jax.tree.leaves(of_teacher))


@pytest.mark.parametrize("size", [8, 7])
def test_clips_are_mixed_with_clips_of_their_own_kind(size):
    known = KINDS[:size]
    mesh = parallel.make_mesh(jax.devices()[:4])

    def partners(key_data, batch):
        rows = ReplicaRows(len(batch["known"]), size)
        key = jax.random.wrap_key_data(key_data)
        of_kind = rows.partners(key, rows.numbers, batch["known"])
        return rows.numbers, of_kind, rows.partners(key, rows.numbers)

    mapped = parallel.data_parallel(partners, mesh, out_axes=parallel.AXIS)
    places = np.minimum(np.arange(8), size - 1)
    met = set()
    for seed in range(12):
        key_data = jax.random.key_data(jax.random.key(seed))
        for kinds in (known, np.ones(size, np.int8)):
            batch = parallel.put_batch({"known": kinds[places]}, mesh)
            numbers, chosen, of_any = map(np.asarray, mapped(key_data, batch))
            of_rows = dict(zip(numbers.tolist(), chosen.tolist(), strict=True))
            assert sorted(of_rows.values()) == [*range(size)]  # each is one's partner
            assert all(kinds[a] == kinds[b] for a, b in of_rows.items())
        np.testing.assert_array_equal(chosen, of_any)  # where all are of a kind
        met |= {*zip(numbers.tolist(), chosen.tolist(), strict=True)}
    assert {(1, 3), (3, 1), (2, 5), (0, 4)} <= met


def test_what_is_known_of_clips_stays_as_it_is_when_they_are_augmented():
    seen = []

    def noting(posteriors, inputs: Inputs):
        jax.debug.callback(seen.append, inputs.known)
        return posteriors.clip.mean()

    step = make_step(
        one_layer(), loss=noting, augment={**AUGMENTED, "mixup_alpha": 1.0}
    )
    take_steps(step, mixed_batches(1), 1)
    assert {tuple(known.tolist()) for known in seen} == {tuple(KINDS.tolist())}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("sed", SMALL),
        ("frame_cnn", {"filters": (4,), "time_pooling": (3,), "tagging_units": (5,)}),
        ("window_cnn", {"window_frames": 6, "filters": (2,), "units": 1}),
        (
            "vgg_cnn",
            {"filters": (2,), "time_pooling": (2,), "frequency_pooling": (2,)},
        ),
    ],
)
def test_strong_labels_are_merged_as_the_network_merges_frames(name, fields):
    model = network(K, name, **fields)
    label = np.zeros((1, T, K), np.float32)
    label[0, [2, T - 1], [0, 1]] = 1
    features = jnp.zeros((1, T, F))

    def posteriors_of(key):
        variables = model.init(key, features)
        return model.apply(variables, features, train=True, mutable=True)[0]

    posteriors = jax.eval_shape(posteriors_of, jax.random.key(0))
    merged = model.training_reduction
    actual = merge_frames(jnp.asarray(label), merged, posteriors.frame.shape[1])
    assert actual.shape == posteriors.frame.shape
    places = np.argwhere(np.asarray(actual)[0]).tolist()
    assert places == [[2 // merged, 0], [(T - 1) // merged, 1]]
