"""What tests of the training step share: small networks, batches, steps taken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.models import Network, Posteriors
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.state import TrainStep, initial_state
from tests.defaults import build

T, F, K, SIZE = 16, 16, 3, 8
SMALL = {
    "blocks": (1,),
    "filters": 3,
    "time_pooling": (2,),
    "frequency_pooling": (4,),
    "last_filters": 4,
    "rnn_units": 2,
}
EVERYTHING = {
    "max_speed": 0.3,
    "max_shift_frames": 4,
    "max_pitch": 0.1,
    "max_shift_bins": 2,
    "filter_db": 6.0,
    "added_fraction": 0.5,
    "time_masks": 1,
    "max_time_mask_frames": 3,
    "frequency_masks": 2,
    "max_frequency_mask_bins": 3,
    "mixup_alpha": 0.5,
}
OPTIMIZER = {
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "warmup_steps": 2,
    "weight_decay": 1e-3,
}


class OneLayer(Network):
    """A network of somebody else's: flax's own dropout and one layer."""

    rate: float = 0.0
    stream: str = "dropout"

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys):
        dropout = nn.Dropout(
            self.rate, deterministic=not train, rng_collection=self.stream
        )
        x = dropout(features)
        frame = nn.sigmoid(nn.Dense(self.num_classes)(x))
        mask = frame_mask[..., None]
        clip = (frame * mask).sum(1) / jnp.maximum(mask.sum(1), 1)
        return Posteriors(clip, frame, jnp.ones_like(frame), frame_mask)


def one_layer(rate=0.0, stream="dropout"):
    return OneLayer(K, axis_name=None, rate=rate, stream=stream)


def make_batches(count, dtype=np.float32, size=SIZE):
    rng = np.random.default_rng(0)
    return [
        {
            "features": rng.normal(size=(size, T, F)).astype(dtype),
            "num_frames": rng.integers(T // 2, T + 1, size).astype(np.int32),
            "weak_label": (rng.random((size, K)) < 0.4).astype(dtype),
        }
        for _ in range(count)
    ]


@functools.cache
def adam():
    return build(Optimizer, "optimizer", **OPTIMIZER).make(10)


def make_step(model, cls=TrainStep, *, augment=None, optimizer=None, **changes):
    dtype = jnp.result_type(float)
    arguments = {
        "optimizer": optimizer or adam(),
        "augmentation": build(Augmentation, "augmentation", **augment or {}),
        "scaler": Scaler(jnp.full(F, 0.1, dtype), jnp.full(F, 2.0, dtype)),
        "loss": build(Loss, "loss"),
        "seed": 5,
    }
    return cls(model, **arguments | changes)


@functools.cache
def first_state(model, optimizer, average, dtype):
    """In the float type that a test is in, computed once for all of its steps."""
    state = initial_state(
        model, optimizer, num_frames=T, num_bins=F, seed=1, average=average
    )
    return in_dtype(state, dtype)


def in_dtype(tree, dtype):
    return jax.tree.map(
        lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, tree
    )


def take_steps(step, batches, num_devices, *, mapped=None, average=False, first=None):
    """The states and metrics after a step on each batch, on devices that share it."""
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    dtype = jnp.result_type(float)  # float64 where a test says so
    model = step.model.clone(axis_name=None)
    state = first or first_state(model, step.optimizer, average, dtype)
    state = parallel.put_state(in_dtype(state, dtype), mesh)
    compiled = (mapped or parallel.data_parallel)(step, mesh)
    results = []
    num_shares = num_devices * step.accumulate_steps
    for batch in batches:
        size = len(next(iter(batch.values())))
        rows = BatchShares(size, num_shares).rows.ravel()
        shared = {name: values[rows] for name, values in batch.items()}
        state, metrics = compiled(state, parallel.put_batch(shared, mesh))
        results.append(jax.device_get((state, metrics)))
    return results


def losses(results):
    return [float(metrics["loss"]) for _, metrics in results]


def assert_close(one, other, tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
