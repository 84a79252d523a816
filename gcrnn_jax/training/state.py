"""The state of training and the one step that changes it."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from gcrnn_jax.fields import check
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.training.augment import (
    Augmentation,
    Inputs,
    Scaler,
    keys_of_clips,
    standardize,
)
from gcrnn_jax.training.parallel import AXIS

PyTree = Any
Metrics = dict[str, jax.Array]

_DROPOUT = 100  # its stream of random numbers; the augmentation has the first ones


class TrainState(struct.PyTreeNode):
    """All that training changes, as arrays only: what a checkpoint holds."""

    step: jax.Array  # int32, optimizer steps taken
    diverged: jax.Array  # bool; once True, no step changes anything
    params: PyTree
    batch_stats: PyTree  # running mean and variance of every BatchNorm
    opt_state: optax.OptState
    average: PyTree = None  # running mean of params, where a run keeps one

    @property
    def variables(self) -> PyTree:
        """The model: averaged weights where they are kept, and batch statistics."""
        params = self.params if self.average is None else self.average
        return {"params": params, "batch_stats": self.batch_stats}


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer and how its learning rate changes.

    Attributes:
        kind: Adam or stochastic gradient descent.
        learning_rate: Its highest value.
        schedule: "constant" (the paper), "cosine", or "staircase": a tenth after each
            three tenths of the run.
        warmup_steps: Steps over which the rate rises from 0.
        weight_decay: With Adam decoupled from the gradient (AdamW), with SGD added to
            it; 0: none.
        eps: Added to the root of the second moment (Adam only).
        momentum: Of past gradients (SGD only).
    """

    kind: Literal["adam", "sgd"]
    learning_rate: float
    schedule: Literal["constant", "cosine", "staircase"]
    warmup_steps: int
    weight_decay: float
    eps: float
    momentum: float

    def __post_init__(self):
        check(self, "greater than 0", "learning_rate", "eps")
        check(self, "0 or more", "warmup_steps", "weight_decay")
        check(self, "in [0, 1)", "momentum")

    def make(self, total_steps: int) -> optax.GradientTransformation:
        """The optimizer of a run of so many steps, at whose end "cosine" reaches 0."""
        rate = self._rate(max(1, total_steps - self.warmup_steps))
        if self.warmup_steps:
            warmup = optax.linear_schedule(0.0, self.learning_rate, self.warmup_steps)
            rate = optax.join_schedules([warmup, rate], [self.warmup_steps])
        if self.kind == "adam":
            return optax.adamw(rate, eps=self.eps, weight_decay=self.weight_decay)
        decay = optax.add_decayed_weights(self.weight_decay)
        return optax.chain(decay, optax.sgd(rate, self.momentum))

    def _rate(self, num_steps: int) -> optax.Schedule:
        if self.schedule == "constant":
            return optax.constant_schedule(self.learning_rate)
        if self.schedule == "cosine":
            return optax.cosine_decay_schedule(self.learning_rate, num_steps)
        stairs = {max(1, n * num_steps // 10): 0.1 for n in (3, 6, 9)}
        return optax.piecewise_constant_schedule(self.learning_rate, stairs)


def initial_state(
    model: Network,
    optimizer: optax.GradientTransformation,
    *,
    num_frames: int,
    num_bins: int,
    seed: int,
    average: bool = False,
) -> TrainState:
    """The state before the first step, from the seed alone.

    Args:
        model: The network.
        optimizer: As of `Optimizer.make`.
        num_frames: Of a clip.
        num_bins: Of a frame.
        seed: Of the weights.
        average: Whether a running mean of the weights is kept.
    """
    model = model.clone(axis_name=None)  # no mapped axis outside the step

    @jax.jit  # one program, to be found compiled at the next start
    def initialize(key: jax.Array) -> TrainState:
        variables = model.init(key, jnp.zeros((1, num_frames, num_bins)))
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            diverged=jnp.zeros((), bool),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(params),
            average=jax.tree.map(jnp.copy, params) if average else None,
        )

    return initialize(jax.random.key(seed))


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
    """One optimizer step on a replica's rows of a batch; pure, within the axis AXIS.

    A subclass may override `loss_of_params` (another objective) or `update` (what
    follows from the gradients).

    Attributes:
        model: With axis_name=AXIS where BatchNorm counts all replicas.
        optimizer: As of `Optimizer.make`.
        augmentation: Applied to the scaled features.
        scaler: Statistics of the training features.
        loss: Of posteriors and inputs, the mean over clips.
        seed: With the step, of all randomness.
        average_decay: Share of the running mean of weights that a step keeps.
    """

    model: Network
    optimizer: optax.GradientTransformation
    augmentation: Augmentation
    scaler: Scaler
    loss: Callable[[Posteriors, Inputs], jax.Array]
    seed: int
    average_decay: float = 0.0

    def __call__(self, state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        """Takes a step.

        Args:
            state: The same on every replica.
            batch: features [B, T, F], num_frames [B], weak_label [B, K] and, for
                losses that use them, strong_label [B, T, K].

        Returns:
            The new state, the same on every replica, and the scalars loss, grad_norm
            and diverged. A loss, a gradient, a weight or another array of the new state
            that is not finite sets `diverged` and leaves everything else as it was, in
            this step and in all that follow.
        """
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        dropout_key = jax.random.fold_in(key, _DROPOUT)
        scaled = standardize(batch["features"], batch["num_frames"], self.scaler)
        inputs = Inputs(*scaled, batch["weak_label"], batch.get("strong_label"))
        inputs = self.augmentation(key, inputs, self.scaler)
        clip_keys = keys_of_clips(dropout_key, len(inputs.features))
        loss = jax.value_and_grad(self.loss_of_params, has_aux=True)
        results = loss(state.params, state, inputs, clip_keys, dropout_key)
        (value, batch_stats), grads = lax.pmean(results, AXIS)
        grad_norm = optax.tree.norm(grads)
        new = self.update(state, grads).replace(batch_stats=batch_stats)
        diverged = state.diverged | ~_is_finite((value, grad_norm, new))
        kept = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, state)
        metrics = {"loss": value, "grad_norm": grad_norm, "diverged": diverged}
        return kept.replace(diverged=diverged), metrics

    def loss_of_params(
        self,
        params: PyTree,
        state: TrainState,
        inputs: Inputs,
        clip_keys: jax.Array,
        dropout_key: jax.Array,
    ) -> tuple[jax.Array, PyTree]:
        """The loss of a replica's clips, and the batch statistics after them.

        Args:
            params: To be differentiated by.
            state: Before the step.
            inputs: Augmented.
            clip_keys: [B] random keys, the same for any number of replicas.
            dropout_key: For flax's own random layers, which draw anew on each replica.
        """
        replica_key = jax.random.fold_in(dropout_key, lax.axis_index(AXIS))
        posteriors, updated = self.model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            inputs.features,
            inputs.frame_mask,
            train=True,
            clip_keys=clip_keys,
            # flax draws from "params" for streams of any other name
            rngs={"dropout": replica_key, "params": replica_key},
            mutable=["batch_stats"],
        )
        return self.loss(posteriors, inputs), updated.get("batch_stats", {})

    def update(self, state: TrainState, grads: PyTree) -> TrainState:
        """The state after a step with these gradients, batch statistics apart."""
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            # as much of the past as there is: the first weights, drawn at random, go
            decay = jnp.minimum(self.average_decay, state.step / (state.step + 1.0))
            average = optax.incremental_update(params, average, 1 - decay)
        return state.replace(
            step=state.step + 1, params=params, opt_state=opt_state, average=average
        )


def _is_finite(tree: PyTree) -> jax.Array:
    """Whether every number is, bool []."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
