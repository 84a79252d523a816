"""Features relative to their own clip: what a recording sounds like throughout is off.

Axes: B clips, T frames, F frequency bins.
"""

from typing import Literal

import jax
import jax.numpy as jnp

ClipNormalization = Literal["none", "mean", "mean_and_std"]

# Added to variances: a bin that is the same throughout stays near 0. Features are of
# variance 1 over all clips.
EPSILON = 0.01


def normalized_clips(
    features: jax.Array, frame_mask: jax.Array, kind: ClipNormalization
) -> jax.Array:
    """Takes off each bin's mean over its clip, or also scales to its deviation.

    A filter that does not change in time (a microphone, a distance) adds a constant to
    every bin of log-magnitudes, so it changes nothing of what is left.

    Args:
        features: [B, T, F], standardized, 0 on padding.
        frame_mask: [B, T] bool, False on padding, which counts for nothing.
        kind: "none"; "mean"; or "mean_and_std", which also divides by the deviation.

    Returns:
        [B, T, F], 0 on padding.

    Example:
        >>> mask = jnp.array([[True, True, False]])
        >>> normalized_clips(jnp.array([[[1.0], [3.0], [0.0]]]), mask, "mean").tolist()
        [[[-1.0], [1.0], [0.0]]]

    Source: cepstral mean normalisation, Atal, JASA 1974.
    """
    if kind == "none":
        return features
    real = frame_mask[:, :, None]
    count = jnp.maximum(real.sum(1, keepdims=True), 1).astype(features.dtype)
    centred = features - features.sum(1, keepdims=True, where=real) / count
    centred = jnp.where(real, centred, 0)
    if kind == "mean":
        return centred
    variance = jnp.square(centred).sum(1, keepdims=True) / count
    return centred / jnp.sqrt(variance + EPSILON)
