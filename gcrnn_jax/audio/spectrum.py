"""Frames of a waveform -> mel spectrum; windows and mel filters.

Every frame is computed in float64: a recording of 8 kHz leaves the upper half of
the mel bins 120 dB below the lower, where a float32 FFT holds rounding noise only.
Mel filters are triangles of unit area on Slaney's scale, which is linear up to 1 kHz
and logarithmic above, 27 steps for each factor of 6.4.
"""

import functools
from typing import NamedTuple

import numpy as np

# A periodic window is the symmetric one of a sample more, without its last.
WINDOWS = {
    "hamming": np.hamming,
    "periodic_hamming": lambda length: np.hamming(length + 1)[:-1],
    "periodic_hann": lambda length: np.hanning(length + 1)[:-1],
}
_LINEAR_HZ = 200 / 3  # of a step on Slaney's scale up to 1 kHz
_LINEAR_STEPS = 1000 / _LINEAR_HZ  # 15 but for rounding, which is that of librosa
_LOG_STEP = np.log(6.4) / 27  # of the logarithm above
_MELS_PER_BAND = 8
# As many frames as stay in a core's cache. Each block is written over the last one:
# memory that NumPy asks of the system anew may cost more than the transform.
_FRAMES_AT_ONCE = 64

# Mel bins, bins of the spectrum and the filters between them, [bins, mel bins].
Band = tuple[slice, slice, np.ndarray]


class Mels(NamedTuple):
    """What mel filters depend on; names as in `librosa.filters.mel`."""

    sr: int  # Hz
    n_fft: int
    n_mels: int
    fmin: float  # Hz
    fmax: float


@functools.lru_cache(maxsize=16)
def unit_window(window: str, window_length: int, frame_length: int) -> np.ndarray:
    """Returns a window over its root sum of squares, amid zeros: [frame_length]."""
    values = WINDOWS[window](window_length)
    values /= np.sqrt(np.sum(values**2))
    zeros = frame_length - window_length
    values = np.pad(values, (zeros // 2, zeros - zeros // 2))
    values.setflags(write=False)
    return values


@functools.lru_cache(maxsize=16)
def mel_filter_bank(mels: Mels) -> np.ndarray:
    """Returns the filters, float64 [n_fft // 2 + 1, n_mels], not writable."""
    edges_hz = mel_frequencies(mels.n_mels + 2, mels.fmin, mels.fmax)
    bins_hz = np.fft.rfftfreq(mels.n_fft, 1.0 / mels.sr)[:, None]
    widths = np.diff(edges_hz)
    rising = (bins_hz - edges_hz[:-2]) / widths[:-1]
    falling = (edges_hz[2:] - bins_hz) / widths[1:]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank *= 2.0 / (edges_hz[2:] - edges_hz[:-2])
    bank.setflags(write=False)
    return bank


def mel_frequencies(count: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Returns frequencies in Hz that are evenly spaced on Slaney's scale, [count].

    Source: Slaney's Auditory Toolbox, 1998; `librosa.mel_frequencies` has the same.
    """
    low, high = (
        hz / _LINEAR_HZ if hz < 1000 else _LINEAR_STEPS + np.log(hz / 1000) / _LOG_STEP
        for hz in (low_hz, high_hz)
    )
    mels = np.linspace(low, high, count)
    log_hz = 1000 * np.exp(_LOG_STEP * (mels - _LINEAR_STEPS))
    return np.where(mels < _LINEAR_STEPS, mels * _LINEAR_HZ, log_hz)


@functools.lru_cache(maxsize=16)
def mel_bands(mels: Mels) -> list[Band]:
    """Returns the filters in groups of a few mel bins, without their zeros.

    A seventh of the work; and each product is too small for BLAS to share among
    threads, which takes 10 times as long where the cores are busy with other things.
    """
    bank, bands = mel_filter_bank(mels), []
    for start in range(0, mels.n_mels, _MELS_PER_BAND):
        group = slice(start, start + _MELS_PER_BAND)
        used = np.flatnonzero(bank[:, group].any(axis=1))
        bins = slice(int(used.min()), int(used.max()) + 1) if used.size else slice(0, 0)
        bands.append((group, bins, np.ascontiguousarray(bank[bins, group])))
    return bands


def mel_spectrum(
    frames: np.ndarray, window: np.ndarray, power: float, bands: list[Band]
) -> np.ndarray:
    """Returns the mel-weighted spectrum of frames [T, N], float64 [T, M].

    The window is [N], `power` the exponent of the magnitude; the bands are those of
    `mel_bands` for N.
    """
    length = len(window)
    windowed = np.empty((_FRAMES_AT_ONCE, length))
    spectrum = np.empty((_FRAMES_AT_ONCE, length // 2 + 1), np.complex128)
    magnitude = np.empty(spectrum.shape)
    mel = np.empty((len(frames), sum(weights.shape[1] for *_, weights in bands)))
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        n = len(block := frames[start : start + _FRAMES_AT_ONCE])
        np.multiply(block, window, out=windowed[:n])
        np.fft.rfft(windowed[:n], axis=1, out=spectrum[:n])
        np.abs(spectrum[:n], out=magnitude[:n])
        if power != 1:
            np.power(magnitude[:n], power, out=magnitude[:n])
        for mels, bins, weights in bands:
            np.matmul(magnitude[:n, bins], weights, out=mel[start : start + n, mels])
    return mel
