"""Pooling over time and frequency, and over all of a clip: pure functions.

Axes: B clips, T frames, F frequency bins, C channels, K classes.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def max_pool(
    x: jax.Array, time: int, frequency: int, frame_mask: jax.Array | None = None
) -> jax.Array:
    """Maximum over blocks of time x frequency, of real frames only.

    The last block of time may have fewer frames, so that none is lost; bins that fill
    no block are dropped. A clip gives the same alone and padded in a longer batch.

    By the maximum of slices, whose gradient is elementwise: the reduce-window's,
    select-and-scatter, is slow on every backend; and XLA for CPUs computes what comes
    before a reduction, such as gates, value by value in it.

    Args:
        x: [B, T, F, C].
        time: Frames per block.
        frequency: Bins per block.
        frame_mask: [B, T] bool, False on padding, which no maximum counts; None: every
            frame is real. With blocks of one frame it is not read.

    Returns:
        [B, ceil(T / time), F // frequency, C]; 0 where a block is nothing but padding.

    Example:
        >>> print(max_pool(jnp.arange(8.0).reshape(1, 2, 4, 1), 2, 2).ravel())
        [5. 7.]
        >>> print(max_pool(-jnp.ones((1, 3, 1, 1)), 2, 1).ravel())
        [-1. -1.]
    """
    num_clips, num_frames, num_bins, channels = x.shape
    frames, bins = -(-num_frames // time), num_bins // frequency
    x = x[:, :, : bins * frequency]
    if time > 1:
        if frame_mask is not None:
            x = jnp.where(frame_mask[:, :, None, None], x, -jnp.inf)
        missing = ((0, 0), (0, frames * time - num_frames), (0, 0), (0, 0))
        x = jnp.pad(x, missing, constant_values=-jnp.inf)
    x = x.reshape(num_clips, frames, time, bins * frequency, channels)
    x = _largest(x, 2)
    x = _largest(x.reshape(num_clips, frames, bins, frequency, channels), 3)
    if time > 1 and frame_mask is not None:
        x = jnp.where(pool_mask(frame_mask, time)[:, :, None, None], x, 0)
    return x


def _largest(x: jax.Array, axis: int) -> jax.Array:
    """The maximum over an axis, of the slices along it."""
    slices = (
        lax.index_in_dim(x, place, axis, keepdims=False)
        for place in range(x.shape[axis])
    )
    return functools.reduce(jnp.maximum, slices)


def mean_pool(
    x: jax.Array, time: int, frequency: int, frame_mask: jax.Array | None = None
) -> jax.Array:
    """Mean over blocks of time x frequency, of real frames only.

    Blocks are those of `max_pool`.

    Args:
        x: [B, T, F, C].
        time: Frames per block.
        frequency: Bins per block.
        frame_mask: [B, T] bool, False on padding, which no mean counts; None: every
            frame is real.

    Returns:
        [B, ceil(T / time), F // frequency, C]; 0 where a block is nothing but padding.

    Example:
        >>> print(mean_pool(jnp.arange(12.0).reshape(1, 3, 4, 1), 2, 2).ravel())
        [ 2.5  4.5  8.5 10.5]
    """
    num_clips, num_frames, num_bins, channels = x.shape
    frames, bins = -(-num_frames // time), num_bins // frequency
    if frame_mask is None:
        frame_mask = jnp.ones((num_clips, num_frames), bool)
    x = jnp.where(frame_mask[:, :, None, None], x, 0)[:, :, : bins * frequency]
    missing = frames * time - num_frames
    x = jnp.pad(x, ((0, 0), (0, missing), (0, 0), (0, 0)))
    count = jnp.pad(frame_mask, ((0, 0), (0, missing)))
    count = count.reshape(num_clips, frames, time).sum(-1, dtype=x.dtype) * frequency
    x = x.reshape(num_clips, frames, time, bins, frequency, channels).sum((2, 4))
    return x / jnp.maximum(count, 1)[:, :, None, None]


def check_bins(x: jax.Array, frequency_pooling: tuple[int, ...], block: int) -> None:
    """Raises ValueError where a block merges more bins than x, [B, T, F, C], has."""
    if x.shape[2] < frequency_pooling[block]:
        raise ValueError(
            f"frequency_pooling {frequency_pooling} leaves nothing of {x.shape[2]} "
            f"bins in block {block}"
        )


def pool_mask(frame_mask: jax.Array, time: int) -> jax.Array:
    """Merges the mask [B, T] of real frames as `max_pool` merges the frames.

    A merged frame is real where any of its frames is.
    """
    num_clips, num_frames = frame_mask.shape
    frames = -(-num_frames // time)
    frame_mask = jnp.pad(frame_mask, ((0, 0), (0, frames * time - num_frames)))
    return frame_mask.reshape(num_clips, frames, time).any(-1)


def attention_pool(
    detection: jax.Array,
    attention: jax.Array,
    frame_mask: jax.Array | None = None,
    *,
    eps: float = 1e-7,
) -> jax.Array:
    """Pools frame posteriors into clip posteriors, frames weighted by attention.

        clip[b, k] = sum_t attention[b, t, k] * detection[b, t, k]
                     / sum_t attention[b, t, k]

    A class is tagged when the frames that attend to it detect it: that is how labels
    that name no time teach when a sound is there.

    Args:
        detection: [B, T, K] in [0, 1], posterior of class k in frame t.
        attention: [B, T, K], >= 0, how much frame t counts for class k.
        frame_mask: [B, T] bool, False on padding; None when every frame is real.
        eps: Floor of the denominator: a wholly masked clip gives 0 and not NaN.

    Returns:
        [B, K] in [0, 1].

    Raises:
        ValueError: The two inputs are not of one shape [B, T, K].

    Example:
        >>> detection = jnp.array([[[1.0], [0.0]]])  # active in the first frame
        >>> attention = jnp.array([[[3.0], [1.0]]])  # which counts three times
        >>> print(attention_pool(detection, attention))
        [[0.75]]

    Source: Xu et al., ICASSP 2018, eq. 4.
    Differs: the authors' code floors every weight in the denominator, we its sum.
    """
    if detection.ndim != 3 or detection.shape != attention.shape:
        raise ValueError(
            "detection and attention must be of one shape [B, T, K], "
            f"got {detection.shape} and {attention.shape}"
        )
    if frame_mask is not None:
        attention = jnp.where(frame_mask[:, :, None], attention, 0.0)
    weighted = (attention * detection).sum(1)
    return weighted / jnp.maximum(attention.sum(1), eps)
