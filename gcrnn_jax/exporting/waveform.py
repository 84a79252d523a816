"""The front end in a few lines of arrays, the same for NumPy and for JAX.

`compute_features` is traced for programs that take waveforms, and the README of an
exported model shows its source. It is float64 inside, as the front end of training: a
float32 transform leaves its rounding noise where a recording has next to nothing, such
as above 4 kHz in one of 8 kHz.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd, Mfcc


def compute_features(waveform, front_end, np=np):
    """Waveforms [..., samples] in [-1, 1] -> features, float32 [..., frames, bins]."""
    waveform = np.asarray(waveform, np.float64)
    window, hop = front_end["window"], front_end["hop_length"]
    size, half = len(window), len(window) // 2
    if front_end["centered"]:  # both ends are mirrored
        head = np.flip(waveform[..., 1 : half + 1], -1)
        tail = np.flip(waveform[..., half - size - 1 : -1], -1)
        waveform = np.concatenate([head, waveform, tail], -1)
    starts = np.arange((waveform.shape[-1] - size) // hop + 1) * hop
    frames = waveform[..., starts[:, None] + np.arange(size)]
    spectrum = np.abs(np.fft.rfft(frames * window)) ** front_end["power"]
    mel = np.log(spectrum @ front_end["filter_bank"] + front_end["floor"])
    mel = mel.astype(np.float32)
    if "dct" not in front_end:
        return mel
    parts = [mel.astype(np.float64) @ front_end["dct"]]
    for fit in front_end["derivatives"]:  # of polynomials through `width` frames
        x, width = parts[0], len(fit)
        middle, last = width // 2, x.shape[-2] - width
        inner = sum(fit[middle, i] * x[..., i : last + 1 + i, :] for i in range(width))
        head, tail = x[..., :width, :], x[..., last:, :]
        ends = fit[:middle] @ head, fit[middle + 1 :] @ tail
        parts.append(np.concatenate([ends[0], inner, ends[1]], -2))
    return np.concatenate(parts, -1).astype(np.float32)


def front_end_arrays(front_end: FrontEnd) -> dict[str, Any]:
    """The parameters of `compute_features`, as they lie in front_end.npz."""
    arrays: dict[str, Any] = {
        "window": front_end.scaled_window,
        "hop_length": front_end.hop_length,
        "centered": front_end.centered,
        "power": front_end.power,
        "filter_bank": front_end.filter_bank(),
        "floor": front_end.floor,
    }
    if isinstance(front_end, Mfcc):
        from scipy.fft import dct
        from scipy.signal import savgol_filter

        width = front_end.delta_width
        basis = np.asarray(dct(np.eye(front_end.num_mels), axis=1, norm="ortho"))
        arrays["dct"] = basis[:, : front_end.num_coefficients]
        # the filter is linear: its output for unit impulses is its matrix
        fits = [savgol_filter(np.eye(width), width, n, n, axis=0) for n in (1, 2)]
        arrays["derivatives"] = np.asarray(fits)
    return arrays


def features_in_jax(waveform: jax.Array, front_end: FrontEnd) -> jax.Array:
    """Features [B, T, F] of waveforms [B, S] of any one length; nothing is cut.

    To be traced under `jax.enable_x64(True)`: its products are float64.
    """
    functions: Any = jnp
    with jax.numpy_rank_promotion("allow"):  # as NumPy does
        return compute_features(waveform, front_end_arrays(front_end), functions)


def samples_for(front_end: FrontEnd, num_frames: int) -> int:
    """Fewest samples of a waveform that has so many frames."""
    first = 0 if front_end.centered else front_end.frame_length
    return first + (num_frames - 1) * front_end.hop_length


def min_samples(front_end: FrontEnd, min_frames: int) -> int:
    """Samples of the shortest waveform with at least `min_frames` frames.

    Ends that are mirrored need what they mirror.
    """
    if front_end.of_waveforms:
        return front_end.min_length + (min_frames - 1) * front_end.hop_samples
    samples = samples_for(front_end, max(min_frames, front_end.min_frames))
    mirrored = (front_end.frame_length + 1) // 2 + 1 if front_end.centered else 0
    return max(samples, mirrored)
