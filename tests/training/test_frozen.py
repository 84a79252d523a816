"""What is frozen stays as it is, computes as in prediction, and the rest is trained."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.network import variable_shapes
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import standardize
from gcrnn_jax.training.frozen import check_frozen, frozen_mask, path_text
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.state import TrainStep, initial_state
from tests.defaults import build, network
from tests.training.steps import (
    OPTIMIZER,
    SMALL,
    F,
    K,
    T,
    make_batches,
    make_step,
    take_steps,
)

FROZEN = ("block_0", "last/kernel", "gru")
FIELDS = {**OPTIMIZER, "clip_norm": 0.1}
TWO_BLOCKS = {"blocks": (1, 1), "time_pooling": (2, 1), "frequency_pooling": (2, 2)}


def frozen_step(frozen, cls=TrainStep, fields=SMALL, accumulate_steps=1):
    model = network(K, **fields).clone(axis_name=parallel.AXIS)
    optimizer = build(Optimizer, "optimizer", **FIELDS).make(10, frozen=frozen)
    changes = {"frozen": frozen, "accumulate_steps": accumulate_steps}
    return make_step(model, cls, optimizer=optimizer, average_decay=0.7, **changes)


def first_state(step):
    options = {"num_frames": T, "num_bins": F, "seed": 1, "average": True}
    return initial_state(step.model, step.optimizer, **options)


def arrays(tree):
    return {path_text(p): x for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_what_is_frozen_is_the_same_to_the_bit_and_all_else_moves():
    """On three devices in two parts: means over them are not exact."""
    step = frozen_step(FROZEN, fields=SMALL | TWO_BLOCKS, accumulate_steps=2)
    state = first_state(step)
    # as after a training: no 0 and 1, of which any mean is exact
    stats = jax.tree.map(lambda x: x + 0.1, state.batch_stats)
    before = state.replace(batch_stats=stats)
    results = take_steps(step, make_batches(3, size=12), 3, first=before)
    before, after = map(jax.device_get, (before, results[-1][0]))
    names = "conv/kernel", "norm/scale", "norm/bias", "norm/mean", "norm/var"
    fixed = {"last/kernel", *(f"block_0_unit_0/{name}" for name in names)}
    fixed |= {name for name in arrays(before.params) if name.startswith("gru_0/")}
    assert len(fixed) == 9
    for part in ("params", "average", "batch_stats"):
        for name, values in arrays(getattr(before, part)).items():
            same = np.array_equal(values, arrays(getattr(after, part))[name])
            assert same == (name in fixed), (part, name)


def test_the_mean_of_weights_that_are_the_same_is_these_weights():
    """Where each product is rounded, 0.3 x + 0.7 x is not always x."""
    step = frozen_step(("block", "last"))
    state = first_state(step).replace(step=jnp.int32(9))
    new = step.update(state, jax.tree.map(jnp.zeros_like, state.params))
    for name in ("block_0_unit_0", "last"):
        for one, other in zip(
            *map(jax.tree.leaves, (new.average[name], state.params[name])), strict=True
        ):
            np.testing.assert_array_equal(one, other)


class RaisedStatistics(TrainStep):
    """Of somebody else: statistics that are no network's."""

    def loss_of_params(self, *arguments):
        value, statistics = super().loss_of_params(*arguments)
        return value, jax.tree.map(lambda x: x + 1, statistics)


def test_a_frozen_network_is_trained_on_what_it_predicts():
    """All but the attention: the loss is that of posteriors in prediction."""
    names, [batch] = ("block", "last", "gru", "detection"), make_batches(1)
    step = frozen_step(names, RaisedStatistics)
    state = first_state(step)
    [(after, metrics)] = take_steps(step, [batch], 1, first=state)
    model = step.model.clone(axis_name=None)

    def loss(attention):
        params = {**state.params, "attention": attention}
        scaled, mask = standardize(
            jnp.asarray(batch["features"]), batch["num_frames"], step.scaler
        )
        own = {"params": params, "batch_stats": state.batch_stats}
        posteriors: Any = model.apply(own, scaled, mask)
        clip, label = posteriors.clip, batch["weak_label"]
        return -jnp.mean(label * jnp.log(clip) + (1 - label) * jnp.log(1 - clip))

    expected, gradient = jax.jit(jax.value_and_grad(loss))(state.params["attention"])
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    # and the norm that is logged, and clipped, is of what is trained alone
    norm = optax.tree.norm(gradient)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-4)
    # whatever a step of somebody else makes of statistics
    mean = after.batch_stats["block_0_unit_0"]["norm"]["mean"]
    np.testing.assert_array_equal(mean, np.zeros_like(mean))


@pytest.mark.parametrize("kind", ["adam", "sgd", "lamb", "lars"])
def test_an_optimizer_follows_what_is_trained_as_if_it_were_all(kind):
    """Norms of all gradients, decay and moments know nothing of what is frozen."""
    optimizer = build(Optimizer, "optimizer", **{**FIELDS, "kind": kind})
    params = {"a": {"kernel": jnp.full((2, 3), 0.5)}, "b": {"kernel": jnp.ones(4)}}
    grads = jax.tree.map(lambda x: 3 * x, params)
    found = {}
    for name, frozen, keys in (("part", ("b",), "ab"), ("alone", (), "a")):
        tree = {key: params[key] for key in keys}
        tx = optimizer.make(10, frozen=frozen)
        state = tx.init(tree)
        for _ in range(3):
            updates, state = tx.update({k: grads[k] for k in keys}, state, tree)
            tree = optax.apply_updates(tree, updates)
        found[name] = tree, sum(x.size for x in jax.tree.leaves(state))
    np.testing.assert_array_equal(
        found["part"][0]["a"]["kernel"], found["alone"][0]["a"]["kernel"]
    )
    np.testing.assert_array_equal(found["part"][0]["b"]["kernel"], np.ones(4))
    assert found["part"][1] == found["alone"][1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("blocks_0",), "of the name 'blocks_0'; did you mean block_0. There"),
        (("last", "blo"), "name 'blo'; "),
        (
            ("zzz",),
            "'zzz'; There are attention, block_0_unit_0, detection, gru_0, last",
        ),
        (
            ("block", "last", "gru", "detection", "attention"),
            "nothing is left to train",
        ),
    ],
)
def test_names_that_freeze_nothing_or_everything_are_refused(names, message):
    params = variable_shapes(network(K, **SMALL), T, F)["params"]
    with pytest.raises(ConfigError, match=f"training.frozen: .*{message}"):
        check_frozen(names, params)
    check_frozen((), params)
    check_frozen(("block_0_unit_0/norm",), params)


def test_a_name_stands_for_whole_words():
    tree = {
        "block_1_unit_0": {"a": 0},
        "block_10_unit_0": {"a": 0},
        "block_1": {"a": 0},
    }
    mask = frozen_mask(tree, ("block_1",))
    assert {name: one["a"] for name, one in mask.items()} == {
        "block_1_unit_0": True,
        "block_10_unit_0": False,
        "block_1": True,
    }
