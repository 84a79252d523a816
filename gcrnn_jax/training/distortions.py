"""Changes of one clip [T, F] at random, as another recording of it would differ."""

import math

import jax
import jax.numpy as jnp

LOG_OF_DB = math.log(10) / 20  # natural logarithm of a magnitude, a decibel

_STRETCHES = 4  # of a clip, each at a speed of its own
_CUT_DB = 40.0  # by which bins beyond the limits of a band are damped
_QUIET = 0.2  # the share of a clip's frames that are its background
_NOISE_DB = 12.0  # a noise is off the mean spectrum by up to this,
_NOISE_POINTS = 6  # at so many bins, with lines between them
_FLUCTUATION = 0.3  # the deviation of a noise in time, in natural logarithms


def drawn_times(key: jax.Array, frame_mask: jax.Array, max_speed: float) -> jax.Array:
    """The frame that each comes from in a clip that is played at changing speeds.

    A quarter of the clip has one speed, from 1 / (1 + max_speed) to 1 + max_speed, and
    the mean of the four is 1: nothing of the clip is lost, and its length stays.

    Args:
        key: Of the clip.
        frame_mask: bool [T], True on the first frames, those that are no padding.
        max_speed: 0.2 is up to 20 % faster.

    Returns:
        int [T], in order: frames are left out or repeated. Means of neighbours would
        be smoother than any frame of a clip that is not augmented: networks trained on
        such, on three folds of weak ESC-10, lost 8 points of mAP.
    """
    most = math.log1p(max_speed) / 2  # of two speeds, the faster by the slower
    speeds = jnp.exp(jax.random.uniform(key, (_STRETCHES,), minval=-most, maxval=most))
    reached = jnp.concatenate([jnp.zeros(1, speeds.dtype), jnp.cumsum(speeds)])
    count = frame_mask.sum().astype(speeds.dtype)
    borders = jnp.linspace(0.0, 1.0, _STRETCHES + 1) * count
    middles = jnp.arange(len(frame_mask)) + 0.5
    times = jnp.interp(middles, borders, reached / reached[-1] * count) - 0.5
    return _nearest(times, frame_mask.sum())


def drawn_bins(key: jax.Array, num_bins: int, max_pitch: float) -> jax.Array:
    """The bin that each comes from when all of them are moved by one factor.

    Args:
        key: Of the clip.
        num_bins: Of a frame, F.
        max_pitch: Of a factor from 1 / (1 + max_pitch) to 1 + max_pitch.

    Returns:
        int [F], in order; the last one is repeated.

    Source: Jaitly, Hinton, "Vocal tract length perturbation", 2013.
    Differs: of mel bins, in place of the spectrum's, and without the knee.
    """
    most = math.log1p(max_pitch)
    factor = jnp.exp(jax.random.uniform(key, minval=-most, maxval=most))
    return _nearest(jnp.arange(num_bins) * factor, num_bins)


def _nearest(places: jax.Array, count: jax.Array | int) -> jax.Array:
    return jnp.clip(jnp.floor(places + 0.5).astype(int), 0, jnp.maximum(count - 1, 0))


def drawn_curve(key: jax.Array, points: int, num_bins: int) -> jax.Array:
    """Straight lines between values in [-1, 1] at so many points over all bins: [F]."""
    values = jax.random.uniform(key, (points,), minval=-1.0, maxval=1.0)
    places = jnp.linspace(0, points - 1, num_bins)
    return jnp.interp(places, jnp.arange(points), values)


def drawn_band(key: jax.Array, num_bins: int, max_cut_bins: int) -> jax.Array:
    """Gains [F], logarithms of magnitudes, of a clip with limits to its frequencies.

    Up to max_cut_bins each are damped at the lower and at the upper end.
    """
    low, high = jax.random.randint(key, (2,), 0, max_cut_bins + 1)
    bins = jnp.arange(num_bins)
    is_cut = (bins < low) | (bins >= num_bins - high)
    return jnp.where(is_cut, -_CUT_DB * LOG_OF_DB, 0.0)


def drawn_spectrum(key: jax.Array, mean: jax.Array) -> jax.Array:
    """A spectrum [F] about the mean one of all clips, logarithms of magnitudes."""
    return mean + _NOISE_DB * LOG_OF_DB * drawn_curve(key, _NOISE_POINTS, len(mean))


def background(log_magnitude: jax.Array, frame_mask: jax.Array) -> jax.Array:
    """The mean spectrum [F] of the quietest fifth of the real frames of a clip [T, F].

    Of a clip without frames: 0.
    """
    loudness = jnp.where(frame_mask, log_magnitude.mean(1), jnp.inf)
    place = jnp.floor(_QUIET * (frame_mask.sum() - 1)).astype(int)
    loudest = jnp.sort(loudness)[jnp.maximum(place, 0)]
    is_quiet = (frame_mask & (loudness <= loudest))[:, None]
    total = log_magnitude.sum(0, where=is_quiet)
    return total / jnp.maximum(is_quiet.sum(), 1).astype(total.dtype)


def with_noise(
    key: jax.Array,
    log_magnitude: jax.Array,
    frame_mask: jax.Array,
    spectrum: jax.Array,
    snr_db: jax.Array,
) -> jax.Array:
    """Adds the power of stationary noise to a clip.

    Args:
        key: Of the noise.
        log_magnitude: [T, F].
        frame_mask: bool [T], False on frames that do not count for its power.
        spectrum: [F] of the noise, at any level.
        snr_db: By how much the mean power of the clip is over that of the noise.

    Returns:
        Logarithms of magnitudes, [T, F].
    """
    real = frame_mask[:, None]
    count = (jnp.maximum(real.sum(), 1) * len(spectrum)).astype(spectrum.dtype)
    signal = jax.nn.logsumexp(2 * log_magnitude, where=real) - jnp.log(count)
    level = jax.nn.logsumexp(2 * spectrum) - math.log(len(spectrum))
    noise = spectrum + (signal - level) / 2 - LOG_OF_DB * snr_db
    drawn = jax.random.normal(key, log_magnitude.shape, spectrum.dtype)
    noise = noise[None] + _FLUCTUATION * drawn
    return jnp.logaddexp(2 * log_magnitude, 2 * noise) / 2


def with_masks(
    key: jax.Array, features: jax.Array, widths: tuple[tuple[int, int], ...]
) -> jax.Array:
    """Sets stretches of a clip [T, F] to the mean, which is 0.

    Args:
        key: Of the clip.
        features: Standardized.
        widths: Of time and of frequency, how many stretches and the longest.
    """
    for axis, (count, longest) in enumerate(widths):
        size = features.shape[axis]
        for n in range(count):
            stretch_key = jax.random.fold_in(key, 1000 * axis + n)
            width_key, start_key = jax.random.split(stretch_key)
            width = jax.random.randint(width_key, (), 0, longest + 1)
            start = jax.random.randint(start_key, (), 0, size - width + 1)
            place = jnp.arange(size)
            hidden = (place >= start) & (place < start + width)
            hidden = jnp.expand_dims(hidden, 1 - axis)
            features = jnp.where(hidden, 0.0, features)
    return features
