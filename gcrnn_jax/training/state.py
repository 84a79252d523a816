"""The state of training and the one step that changes it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from gcrnn_jax.data.split import STRONG, UNLABELLED, WEAK
from gcrnn_jax.models.network import ROWS, Network, Posteriors
from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler, standardize
from gcrnn_jax.training.consistency import Consistency
from gcrnn_jax.training.frozen import fixed_statistics, keep_frozen, without_gradient
from gcrnn_jax.training.loss import merge_frames
from gcrnn_jax.training.parallel import AXIS
from gcrnn_jax.training.replica_rows import ReplicaRows

PyTree = Any
Metrics = dict[str, jax.Array]

# streams of random numbers; the augmentation has the first ones
_DROPOUT, _TEACHER = 100, 101


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
    sizes = {"num_frames": num_frames, "num_bins": num_bins, "average": average}
    draw = functools.partial(draw_state, model, optimizer, **sizes)
    # one program, to be found compiled at the next start; to optimize the draws of
    # small kernels would take seconds, and the numbers are the same
    options = {"xla_backend_optimization_level": 1}
    return jax.jit(draw, compiler_options=options)(jax.random.key(seed))


def draw_state(
    model: Network,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    num_frames: int,
    num_bins: int,
    average: bool = False,
) -> TrainState:
    """`initial_state` as a function of a random key, to be compiled or shaped."""
    model = model.clone(axis_name=None)  # no mapped axis outside the step
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
        loss: Of posteriors and inputs, the mean over clips. Where rows fill up it is
            called for every clip alone, and theirs are left out.
        seed: With the step, of all randomness.
        average_decay: Share of the running mean of weights that a step keeps.
        batch_size: Clips of the global batch, whose rows are as `BatchShares` has them;
            None: every row is one.
        accumulate_steps: Parts of a replica's rows, computed one after the other.
        consistency: With the teacher whose weights are the state's average; None: none.
        frozen: Names of parameters that stay as they are, as of `frozen.is_frozen`,
            with their batch statistics; the optimizer is made with them too.
    """

    model: Network
    optimizer: optax.GradientTransformation
    augmentation: Augmentation
    scaler: Scaler
    loss: Callable[[Posteriors, Inputs], jax.Array]
    seed: int
    average_decay: float = 0.0
    batch_size: int | None = None
    accumulate_steps: int = 1
    consistency: Consistency | None = None
    frozen: tuple[str, ...] = ()

    def __call__(self, state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        """Takes a step.

        Args:
            state: The same on every replica.
            batch: features [B, T, F], num_frames [B], weak_label [B, K] and, for
                losses that use them, strong_label [B, T, K]; where clips are not all
                weak, known [B].

        Returns:
            The new state, the same on every replica, and the scalars loss, grad_norm
            and diverged. A loss, a gradient, a weight or another array of the new state
            that is not finite sets `diverged` and leaves everything else as it was, in
            this step and in all that follow.
        """
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        dropout_key = jax.random.fold_in(key, _DROPOUT)
        scaled = standardize(batch["features"], batch["num_frames"], self.scaler)
        inputs = Inputs(
            *scaled,
            batch["weak_label"],
            batch.get("strong_label"),
            known=batch.get("known"),
        )
        rows = ReplicaRows(len(inputs.features), self.batch_size, self.accumulate_steps)
        inputs = self._augmented(key, inputs, rows)
        if rows.weight is not None:
            frame_mask = inputs.frame_mask & (rows.weight > 0)[:, None]
            inputs = inputs._replace(frame_mask=frame_mask, row_weight=rows.weight)
        results = self._over_parts(state, inputs, rows.keys(dropout_key), dropout_key)
        (value, batch_stats), grads = lax.pmean(results, AXIS)
        grad_norm = optax.tree.norm(grads)
        # not to the bit those that were there: it is a mean over devices and parts
        batch_stats = keep_frozen(batch_stats, state.batch_stats, self.frozen)
        new = self.update(state, grads).replace(batch_stats=batch_stats)
        diverged = state.diverged | ~_is_finite((value, grad_norm, new))
        kept = jax.tree.map(lambda new, old: jnp.where(diverged, old, new), new, state)
        metrics = {"loss": value, "grad_norm": grad_norm, "diverged": diverged}
        return kept.replace(diverged=diverged), metrics

    def _augmented(self, key, inputs: Inputs, rows: ReplicaRows) -> Inputs:
        """Augmented inputs, also the teacher's view; which terms clips count in.

        The sum over the clips of all replicas is divided by their number on all.
        """
        teacher = None
        if self.consistency:
            view = jax.random.fold_in(key, _TEACHER)
            teacher = self.augmentation(key, inputs, self.scaler, rows, view_key=view)
        inputs = self.augmentation(key, inputs, self.scaler, rows)
        if teacher is not None:
            inputs = inputs._replace(teacher_features=teacher.features)
        if (known := inputs.known) is None:
            return inputs
        weights = (known != UNLABELLED, known == WEAK, known == STRONG)
        weak, held, strong = map(rows.weight_of, weights)
        return inputs._replace(weak_weight=weak, held_weight=held, strong_weight=strong)

    def _over_parts(self, state, inputs: Inputs, clip_keys, dropout_key):
        """The loss, the batch statistics and the gradients of a replica's clips."""

        def of_params(params, *rest):
            return self.loss_of_params(without_gradient(params, self.frozen), *rest)

        loss = jax.value_and_grad(of_params, has_aux=True)

        def of_part(part):
            inputs, clip_keys, dropout_key = part
            with fixed_statistics(self.frozen):
                results = loss(state.params, state, inputs, clip_keys, dropout_key)
            if inputs.row_weight is None:
                return results
            (value, stats), grads = results
            share = inputs.row_weight.mean()
            return (value, jax.tree.map(lambda x: share * x, stats)), grads

        if self.accumulate_steps == 1:
            return of_part((inputs, clip_keys, dropout_key))
        count = self.accumulate_steps
        rows = jax.tree.map(
            lambda x: x.reshape(count, -1, *x.shape[1:]), (inputs, clip_keys)
        )
        keys = jax.vmap(jax.random.fold_in, (None, 0))(dropout_key, jnp.arange(count))
        parts = (*rows, keys)
        shapes = jax.eval_shape(of_part, jax.tree.map(lambda x: x[0], parts))
        none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

        def add(total, part):
            return jax.tree.map(jnp.add, total, of_part(part)), None

        total, _ = lax.scan(add, none, parts)
        return jax.tree.map(lambda x: x / count, total)

    def loss_of_params(
        self,
        params: PyTree,
        state: TrainState,
        inputs: Inputs,
        clip_keys: jax.Array,
        dropout_key: jax.Array,
    ) -> tuple[jax.Array, PyTree]:
        """The loss of a replica's clips, and the batch statistics after them.

        The step takes the mean over replicas, so a sum over clips is to be weighted by
        `inputs.row_weight`, where there is one, and divided by the number of rows.

        Args:
            params: To be differentiated by.
            state: Before the step.
            inputs: Augmented.
            clip_keys: [B] random keys, the same for any number of replicas.
            dropout_key: For flax's own random layers, which draw anew on each replica.
        """
        replica_key = jax.random.fold_in(dropout_key, lax.axis_index(AXIS))
        keys = clip_keys, replica_key
        posteriors, stats = self._posteriors(params, state, inputs, *keys)
        if (label := inputs.strong_label) is not None:
            rate = self.model.training_reduction, posteriors.frame.shape[1]
            inputs = inputs._replace(strong_label=merge_frames(label, *rate))
        weight, differences = inputs.row_weight, None
        if self.consistency:
            teacher = self._teacher(state, inputs, *keys)
            differences = self.consistency(posteriors, teacher)
            differences *= self.consistency.weight_at(state.step)
        if weight is None:
            value = self.loss(posteriors, inputs)
            return value if differences is None else value + differences.mean(), stats

        def loss_of_clip(*of_clip):
            return self.loss(*jax.tree.map(lambda x: x[None], of_clip))

        losses = jax.vmap(loss_of_clip)(posteriors, inputs._replace(row_weight=None))
        if differences is not None:
            losses += differences
        return jnp.mean(weight * jnp.where(weight > 0, losses, 0)), stats

    def _posteriors(self, params, state, inputs: Inputs, clip_keys, replica_key):
        """The posteriors of a replica's clips, and the batch statistics after them."""
        variables = {"params": params, "batch_stats": state.batch_stats}
        if (weight := inputs.row_weight) is not None:
            variables[ROWS] = {"is_clip": weight > 0}
        posteriors, updated = self.model.apply(
            variables,
            inputs.features,
            inputs.frame_mask,
            train=True,
            clip_keys=clip_keys,
            # flax draws from "params" for streams of any other name
            rngs={"dropout": replica_key, "params": replica_key},
            mutable=["batch_stats"],
        )
        return posteriors, updated.get("batch_stats", {})

    def _teacher(self, state, inputs: Inputs, clip_keys, replica_key) -> Posteriors:
        """The posteriors of the running mean of the weights, with dropout of its own.

        Its batch statistics are not kept.
        """
        own = jax.vmap(jax.random.fold_in, (0, None))(clip_keys, _TEACHER)
        teacher = inputs._replace(features=inputs.teacher_features)
        replica_key = jax.random.fold_in(replica_key, _TEACHER)
        return self._posteriors(state.average, state, teacher, own, replica_key)[0]

    def update(self, state: TrainState, grads: PyTree) -> TrainState:
        """The state after a step with these gradients, batch statistics apart."""
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            # as much of the past as there is: the first weights, drawn at random, go
            decay = jnp.minimum(self.average_decay, state.step / (state.step + 1.0))
            average = optax.incremental_update(params, average, 1 - decay)
            average = keep_frozen(average, params, self.frozen)
        return state.replace(
            step=state.step + 1, params=params, opt_state=opt_state, average=average
        )


def _is_finite(tree: PyTree) -> jax.Array:
    """Whether every number is, bool []."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
