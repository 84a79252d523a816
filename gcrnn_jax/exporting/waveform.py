"""The front end in JAX, for programs that take waveforms; float64 inside, as NumPy's.

A float32 transform would leave its rounding noise where a recording has next to
nothing, such as above 4 kHz in one of 8 kHz: see `gcrnn_jax.audio.spectrum`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd, LogMel, Mfcc


def features_of_waveform(waveform: jax.Array, front_end: FrontEnd) -> jax.Array:
    """Returns the features of waveforms of any one length; nothing is cut.

    To be traced under `jax.enable_x64(True)`: its products are float64.

    Args:
        waveform: float32 [B, S], mono at the front end's rate, in [-1, 1]. Centered
            frames need more samples than half a frame, an MFCC `delta_width` frames.
        front_end: What is computed, but for `clip_s`.

    Returns:
        float32 [B, T, F].
    """
    frames = _frames(waveform, front_end).astype(jnp.float64)
    window = front_end.scaled_window[None, None]
    magnitude = jnp.abs(jnp.fft.rfft(frames * window, axis=-1))
    spectrum = magnitude if front_end.power == 1 else magnitude**front_end.power
    # the products are float64; the features are rounded where NumPy's are
    log_mel = jnp.log(spectrum @ front_end.filter_bank() + front_end.floor)
    return _FROM_LOG_MEL[type(front_end)](log_mel.astype(jnp.float32), front_end)


def _frames(waveform: jax.Array, front_end: FrontEnd) -> jax.Array:
    """Frames [B, T, frame_length] of waveforms [B, S]."""
    length, hop = front_end.frame_length, front_end.hop_length
    if front_end.centered:
        before, after = length // 2, length - length // 2
        mirrored = jnp.flip(waveform, 1)
        size = waveform.shape[1]
        head = mirrored[:, size - 1 - before : size - 1]
        tail = mirrored[:, 1 : 1 + after]
        waveform = jnp.concatenate([head, waveform, tail], 1)
    count = (waveform.shape[1] - length) // hop + 1
    places = jnp.arange(count)[:, None] * hop + jnp.arange(length)[None]
    return waveform[:, places]


def _mfcc(log_mel: jax.Array, front_end: Mfcc) -> jax.Array:
    """Coefficients and two derivatives, float32 [B, T, 3 * num_coefficients]."""
    from scipy.fft import dct

    basis = np.asarray(dct(np.eye(front_end.num_mels), type=2, axis=1, norm="ortho"))
    cepstrum = log_mel.astype(jnp.float64) @ basis[:, : front_end.num_coefficients]
    parts = [cepstrum] + [
        _derivative(cepstrum, front_end.delta_width, order) for order in (1, 2)
    ]
    return jnp.concatenate(parts, -1).astype(jnp.float32)


def _derivative(x: jax.Array, width: int, order: int) -> jax.Array:
    """The derivative over time of polynomials fitted to `width` frames of [B, T, C]."""
    from scipy.signal import savgol_filter

    # the filter is linear: what it makes of unit impulses is its matrix
    fit = savgol_filter(np.eye(width), width, order, deriv=order, axis=0, mode="interp")
    fit, half = np.asarray(fit), width // 2
    size = x.shape[1]
    middle = sum(fit[half, i] * x[:, i : size - width + 1 + i] for i in range(width))
    first = jnp.einsum("ij,bjc->bic", fit[:half], x[:, :width])
    last = jnp.einsum("ij,bjc->bic", fit[half + 1 :], x[:, size - width :])
    return jnp.concatenate([first, middle, last], 1)


_FROM_LOG_MEL: dict[type[FrontEnd], Callable[..., jax.Array]] = {
    LogMel: lambda log_mel, _: log_mel,
    Mfcc: _mfcc,
}
