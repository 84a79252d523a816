"""The state of training and the one step that changes it."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler, standardize
from gcrnn_jax.training.parallel import AXIS

PyTree = Any
LossFunction = Callable[[Posteriors, jax.Array], jax.Array]

_DROPOUT = 100  # its stream of random numbers; the augmentation has the first ones


class TrainState(struct.PyTreeNode):
    """All that training changes, as arrays only: what a checkpoint holds."""

    step: jax.Array  # int32, optimizer steps taken
    diverged: jax.Array  # bool; once True, no step changes anything
    params: PyTree
    batch_stats: PyTree  # running mean and variance of every BatchNorm
    opt_state: optax.OptState


def make_optimizer(
    *,
    total_steps: int,
    kind: str,
    learning_rate: float,
    schedule: str,
    warmup_steps: int,
    weight_decay: float,
    eps: float,
    momentum: float,
) -> optax.GradientTransformation:
    """The optimizer that the config section `optimizer` describes.

    Args:
        total_steps: Steps of the whole run, at the end of which "cosine" reaches 0.
        kind: "adam" or "sgd".
        learning_rate: Its highest value.
        schedule: "constant" (the paper), "cosine", or "staircase": a tenth after each
            three tenths of the run.
        warmup_steps: Steps over which the rate rises from 0.
        weight_decay: With Adam decoupled from the gradient (AdamW), with SGD added to
            it; 0: none.
        eps: Added to the root of the second moment (Adam only).
        momentum: Of past gradients (SGD only).

    Raises:
        ValueError: A kind or schedule has another name, or a number cannot be.
    """
    if not 0 < learning_rate < math.inf or not eps > 0:
        raise ValueError(
            "learning_rate and eps must be greater than 0 and finite, got "
            f"{learning_rate} and {eps}"
        )
    if not warmup_steps >= 0 or not weight_decay >= 0:
        raise ValueError(
            "warmup_steps and weight_decay must be 0 or more, got "
            f"{warmup_steps} and {weight_decay}"
        )
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
    rate = _rate(schedule, learning_rate, max(1, total_steps - warmup_steps))
    if warmup_steps:
        warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
        rate = optax.join_schedules([warmup, rate], [warmup_steps])
    if kind == "adam":
        return optax.adamw(rate, eps=eps, weight_decay=weight_decay)
    if kind == "sgd":
        return optax.chain(
            optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum)
        )
    raise ValueError(f'kind must be "adam" or "sgd", got {kind!r}')


def _rate(schedule: str, highest: float, num_steps: int) -> optax.Schedule:
    if schedule == "constant":
        return optax.constant_schedule(highest)
    if schedule == "cosine":
        return optax.cosine_decay_schedule(highest, num_steps)
    if schedule == "staircase":
        stairs = {max(1, n * num_steps // 10): 0.1 for n in (3, 6, 9)}
        return optax.piecewise_constant_schedule(highest, stairs)
    raise ValueError(
        f'schedule must be "constant", "cosine" or "staircase", got {schedule!r}'
    )


def initial_state(
    model: Network,
    optimizer: optax.GradientTransformation,
    *,
    num_frames: int,
    num_bins: int,
    seed: int,
) -> TrainState:
    """The state before the first step, from the seed alone."""
    model = model.clone(axis_name=None)  # no mapped axis outside the step
    features = jnp.zeros((1, num_frames, num_bins))
    variables = jax.jit(model.init)(jax.random.key(seed), features)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        diverged=jnp.zeros((), bool),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(variables["params"]),
    )


def make_train_step(
    model: Network,
    optimizer: optax.GradientTransformation,
    *,
    augmentation: Augmentation,
    scaler: Scaler,
    loss: LossFunction,
    seed: int,
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]]:
    """The training step with all that stays the same during a run filled in."""
    return partial(
        train_step,
        model=model,
        optimizer=optimizer,
        augmentation=augmentation,
        scaler=scaler,
        loss=loss,
        seed=seed,
    )


def train_step(
    state: TrainState,
    batch: PyTree,
    *,
    model: Network,
    optimizer: optax.GradientTransformation,
    augmentation: Augmentation,
    scaler: Scaler,
    loss: LossFunction,
    seed: int,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Takes one step on a replica's rows of a batch; pure, within the axis AXIS.

    Args:
        state: The same on every replica.
        batch: features [B, T, F], num_frames [B], weak_label [B, K].
        model: With axis_name=AXIS where BatchNorm counts all replicas.
        optimizer: As of `make_optimizer`.
        augmentation: Applied to the scaled features.
        scaler: Statistics of the training features.
        loss: Of posteriors and weak labels [B, K], the mean over clips.
        seed: With the step, of all randomness.

    Returns:
        The new state, the same on every replica, and the scalars loss, grad_norm and
        diverged. A loss or gradient that is not finite sets `diverged` and leaves
        everything else as it was, in this step and in all that follow.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    features, frame_mask = standardize(batch["features"], batch["num_frames"], scaler)
    clip_keys = _clip_keys(jax.random.fold_in(key, _DROPOUT), len(features))
    inputs = augmentation(
        key, Inputs(features, frame_mask, batch["weak_label"]), scaler
    )

    def loss_of(params):
        posteriors, updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            inputs.features,
            inputs.frame_mask,
            train=True,
            clip_keys=clip_keys,
            mutable=["batch_stats"],
        )
        value = loss(posteriors, inputs.weak_label)
        return value, updated.get("batch_stats", {})

    results = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    (value, batch_stats), grads = lax.pmean(results, AXIS)
    grad_norm = optax.tree.norm(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    diverged = state.diverged | ~(jnp.isfinite(value) & jnp.isfinite(grad_norm))
    new = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    kept = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, state)
    metrics = {"loss": value, "grad_norm": grad_norm, "diverged": diverged}
    return kept.replace(diverged=diverged), metrics


def _clip_keys(key: jax.Array, size: int) -> jax.Array:
    """A key for each of a replica's clips, by its row in the global batch."""
    rows = lax.axis_index(AXIS) * size + jnp.arange(size)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
