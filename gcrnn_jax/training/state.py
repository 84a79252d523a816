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

from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler, standardize
from gcrnn_jax.training.loss import weak_label_loss
from gcrnn_jax.training.parallel import AXIS

PyTree = Any


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
    learning_rate: float,
    schedule: str,
    warmup_steps: int,
    weight_decay: float,
    eps: float,
) -> optax.GradientTransformation:
    """Adam, as the config section `optimizer` describes it.

    Args:
        total_steps: Steps of the whole run, at the end of which "cosine" reaches 0.
        learning_rate: Its highest value.
        schedule: "constant" (the paper) or "cosine".
        warmup_steps: Steps over which the rate rises from 0.
        weight_decay: Decoupled from the gradient (AdamW); 0: plain Adam.
        eps: Added to the root of the second moment.

    Raises:
        ValueError: The schedule has another name, or a number cannot be.
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
    if schedule == "cosine":
        rate = optax.cosine_decay_schedule(
            learning_rate, max(1, total_steps - warmup_steps)
        )
    elif schedule == "constant":
        rate = optax.constant_schedule(learning_rate)
    else:
        raise ValueError(f'schedule must be "constant" or "cosine", got {schedule!r}')
    if warmup_steps:
        warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
        rate = optax.join_schedules([warmup, rate], [warmup_steps])
    return optax.adamw(rate, eps=eps, weight_decay=weight_decay)


def initial_state(
    model: GatedCrnn,
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
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
    )


def make_train_step(
    model: GatedCrnn,
    optimizer: optax.GradientTransformation,
    augmentation: Augmentation,
    scaler: Scaler,
    seed: int,
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]]:
    """The training step with all that stays the same during a run filled in."""
    return partial(
        train_step,
        model=model,
        optimizer=optimizer,
        augmentation=augmentation,
        scaler=scaler,
        seed=seed,
    )


def train_step(
    state: TrainState,
    batch: PyTree,
    *,
    model: GatedCrnn,
    optimizer: optax.GradientTransformation,
    augmentation: Augmentation,
    scaler: Scaler,
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
        seed: With the step, of all randomness.

    Returns:
        The new state, the same on every replica, and the scalars loss, grad_norm and
        diverged. A loss or gradient that is not finite sets `diverged` and leaves
        everything else as it was, in this step and in all that follow.
    """
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    features, frame_mask = standardize(batch["features"], batch["num_frames"], scaler)
    inputs = augmentation(key, Inputs(features, frame_mask, batch["weak_label"]))

    def loss_of(params):
        posteriors, updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            inputs.features,
            inputs.frame_mask,
            train=True,
            mutable=["batch_stats"],
        )
        loss = weak_label_loss(posteriors.clip, inputs.weak_label)
        return loss, updated["batch_stats"]

    (loss, batch_stats), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    loss, batch_stats, grads = lax.pmean((loss, batch_stats, grads), AXIS)
    grad_norm = optax.tree.norm(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    diverged = state.diverged | ~(jnp.isfinite(loss) & jnp.isfinite(grad_norm))
    new = state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    kept = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, state)
    metrics = {"loss": loss, "grad_norm": grad_norm, "diverged": diverged}
    return kept.replace(diverged=diverged), metrics
