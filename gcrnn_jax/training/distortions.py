"""Changes of one clip [T, F] at random, as another recording of it would differ."""

import math

import jax
import jax.numpy as jnp

_STRETCHES = 4  # of a clip, each at a speed of its own


def drawn_times(key: jax.Array, frame_mask: jax.Array, max_speed: float) -> jax.Array:
    """Where each frame comes from in a clip that is played at changing speeds.

    A quarter of the clip has one speed, from 1 / (1 + max_speed) to 1 + max_speed, and
    the mean of the four is 1: nothing of the clip is lost, and its length stays.

    Args:
        key: Of the clip.
        frame_mask: bool [T], True on the first frames, those that are no padding.
        max_speed: 0.2 is up to 20 % faster.

    Returns:
        Frames with parts of one, float [T], in order, for `between`.
    """
    most = math.log1p(max_speed) / 2  # of two speeds, the faster by the slower
    speeds = jnp.exp(jax.random.uniform(key, (_STRETCHES,), minval=-most, maxval=most))
    reached = jnp.concatenate([jnp.zeros(1, speeds.dtype), jnp.cumsum(speeds)])
    count = frame_mask.sum().astype(speeds.dtype)
    borders = jnp.linspace(0.0, 1.0, _STRETCHES + 1) * count
    middles = jnp.arange(len(frame_mask)) + 0.5
    times = jnp.interp(middles, borders, reached / reached[-1] * count) - 0.5
    return jnp.clip(times, 0.0, jnp.maximum(count - 1, 0.0))


def drawn_bins(key: jax.Array, num_bins: int, max_pitch: float) -> jax.Array:
    """Where each bin comes from when all of them are moved by one factor.

    Args:
        key: Of the clip.
        num_bins: Of a frame, F.
        max_pitch: Of a factor from 1 / (1 + max_pitch) to 1 + max_pitch.

    Returns:
        Bins with parts of one, float [F], for `between`; the last one is repeated.

    Source: Jaitly, Hinton, "Vocal tract length perturbation", 2013.
    Differs: of mel bins, in place of the spectrum's, and without the knee.
    """
    most = math.log1p(max_pitch)
    factor = jnp.exp(jax.random.uniform(key, minval=-most, maxval=most))
    return jnp.clip(jnp.arange(num_bins) * factor, 0.0, num_bins - 1.0)


def between(values: jax.Array, places: jax.Array) -> jax.Array:
    """Values [N, ...] at places [M] between them, on straight lines: [M, ...].

    Example:
        >>> between(jnp.array([0.0, 10.0, 20.0]), jnp.array([0.0, 0.5, 2.0])).tolist()
        [0.0, 5.0, 20.0]
    """
    below = jnp.floor(places).astype(int)
    above = jnp.minimum(below + 1, len(values) - 1)
    part = (places - below).astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return values[below] * (1 - part) + values[above] * part
