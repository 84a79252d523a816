"""Clips and their labels as a network is trained on them; their scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_SILENCE = -100.0  # a natural logarithm too low to add anything


class Scaler(NamedTuple):
    """Mean and standard deviation of every feature bin over the training clips."""

    mean: np.ndarray  # float32 [F]
    std: np.ndarray  # float32 [F]


class Inputs(NamedTuple):
    """Clips and their labels as the network is trained on them."""

    features: jax.Array  # float32 [B, T, F]
    frame_mask: jax.Array  # bool [B, T], False on padding
    weak_label: jax.Array  # float32 [B, K]
    strong_label: jax.Array | None = None  # float32 [B, T, K], where a loss asks for it
    # float32 [B], 0 on rows that only fill up a device, of mean 1 over all devices;
    # None: all rows count the same
    row_weight: jax.Array | None = None
    # int8 [B], UNLABELLED, WEAK or STRONG; None: weak labels are known of every clip
    known: jax.Array | None = None
    # Where `known` is there, float32 [B] each: 0, or else of one value, so that the
    # mean over all clips of what they weight is the mean over the clips
    weak_weight: jax.Array | None = None  # whose weak labels are known
    held_weight: jax.Array | None = None  # of which nothing else is
    strong_weight: jax.Array | None = None  # whose strong labels are known
    # [B, T, F], the teacher's view of the clips, where there is one
    teacher_features: jax.Array | None = None


def standardize(features, num_frames, scaler: Scaler):
    """Scales features to zero mean and unit variance per bin; padding becomes 0.

    Args:
        features: [B, T, F] of any float type.
        num_frames: int [B], real frames of each clip.
        scaler: Statistics of the training clips.

    Returns:
        float32 [B, T, F] and the bool frame mask [B, T].
    """
    frame_mask = jnp.arange(features.shape[1])[None] < num_frames[:, None]
    return rescaled(features, frame_mask, scaler), frame_mask


def rescaled(features, frame_mask, scaler: Scaler) -> jax.Array:
    """Standardized features [B, T, F], 0 on padding."""
    scaled = (features - scaler.mean[None, None]) / scaler.std[None, None]
    return jnp.where(frame_mask[..., None], scaled, 0.0)


def log_magnitude(inputs: Inputs, scaler: Scaler) -> jax.Array:
    """Features before they were standardized; on padding, next to nothing."""
    unscaled = inputs.features * scaler.std[None, None] + scaler.mean[None, None]
    return jnp.where(inputs.frame_mask[..., None], unscaled, _SILENCE)


def amplified(inputs: Inputs, gains: jax.Array, scaler: Scaler) -> Inputs:
    """Adds logarithms of gains, [B, F] or [B, 1], to all real frames."""
    moved = (gains / scaler.std[None]).astype(inputs.features.dtype)[:, None]
    real = inputs.frame_mask[..., None]
    features = jnp.where(real, inputs.features + moved, 0.0)
    return inputs._replace(features=features)
