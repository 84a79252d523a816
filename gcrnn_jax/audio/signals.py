"""Curves, tones and noise, of which the soundscapes' sounds are made.

Everything takes its random numbers from the generator `rng`, as floats of
`random()`: NumPy promises the stream of Philox, but not what its other distributions
make of it. Curves (pitch, level) have one value every 5 ms and are interpolated, and
noise is a sum of octaves that were filtered once: so ten seconds take about 1 ms.
"""

import functools

import numpy as np
from numpy.random import Generator

SAMPLE_RATE_HZ = 16000
_TABLE_LENGTH = 8192  # values of a stored period: errors are below -60 dB
_KNOT_LENGTH = 80  # samples
_OCTAVES_HZ = 62.5 * 2.0 ** (np.arange(7) + 0.5)  # centres, of 62.5 to 8000 Hz
_BANK_LENGTH = 2**18  # samples of noise of an octave, 16 s


def draw(rng: Generator, low: float, high: float) -> float:
    """Returns a number in [low, high), its logarithm uniform where low is above 0."""
    if low > 0:
        return low * (high / low) ** float(rng.random())
    return low + (high - low) * float(rng.random())


def gain(level_db: float | np.ndarray) -> np.ndarray:
    """Returns the factor of a level in dB, float32."""
    return np.power(10.0, np.divide(level_db, 20.0)).astype(np.float32)


def rms(waveform: np.ndarray) -> np.ndarray:
    """Returns the root mean square, of the waveform's type."""
    return np.sqrt(np.mean(np.square(waveform)))


def knots(length: int) -> np.ndarray:
    """Returns the times in s, float64 [N], at which curves of a sound have values."""
    return np.arange(-(-length // _KNOT_LENGTH) + 1) * (_KNOT_LENGTH / SAMPLE_RATE_HZ)


def smooth(curve: np.ndarray, length: int) -> np.ndarray:
    """Interpolates a curve linearly: [N], at `knots(length)` -> float32 [length].

    Example:
        >>> smooth(np.array([0.0, 80.0, 80.0]), 160)[[0, 1, 79, 80, 159]].tolist()
        [0.0, 1.0, 79.0, 80.0, 80.0]
    """
    values = np.asarray(curve, np.float32)
    ramp = np.arange(_KNOT_LENGTH, dtype=np.float32) / _KNOT_LENGTH
    lines = np.multiply.outer(np.diff(values), ramp) + values[:-1, None]
    return lines.ravel()[:length]


def wander(rng: Generator, length: int, period_s: float) -> np.ndarray:
    """Returns a curve in [-1, 1] with a new random value every `period_s`."""
    times = knots(length)
    corners = (np.arange(int(times[-1] / period_s) + 3) - rng.random()) * period_s
    return np.interp(times, corners, 2.0 * rng.random(len(corners)) - 1.0)


def on_off(length: int, on_s: float, off_s: float) -> np.ndarray:
    """Returns a curve that is 1 and 0 in turn, and 1 at both ends.

    The periods, of `on_s` and `off_s`, are stretched to end with the sound.
    """
    total_s = length / SAMPLE_RATE_HZ
    count = max(1, round((total_s + off_s) / (on_s + off_s)))
    stretch = total_s / (count * (on_s + off_s) - off_s)
    phase = knots(length) % ((on_s + off_s) * stretch)
    edge_s = min(0.02, on_s * stretch / 3)
    return np.clip(np.minimum(phase, on_s * stretch - phase) / edge_s, 0.0, 1.0)


def tone(
    rng: Generator, amplitudes: np.ndarray, hz: np.ndarray, length: int
) -> np.ndarray:
    """Returns a tone at an RMS of 1, float32 [length].

    It has harmonics 1, 2, ... of these amplitudes, and the pitch `hz`, [N], at
    `knots(length)`.
    """
    spectrum = np.zeros(_TABLE_LENGTH // 2 + 1, complex)
    turns = rng.random(len(amplitudes))
    spectrum[1 : len(turns) + 1] = amplitudes * np.exp(2j * np.pi * turns)
    table = np.fft.irfft(spectrum).astype(np.float32)
    # The phase is a 32-bit integer that overflows once a period: no error adds up.
    steps = smooth(hz * (2.0**32 / SAMPLE_RATE_HZ), length).astype(np.uint32)
    phase = np.cumsum(steps, dtype=np.uint32)
    places = (phase // np.uint32(2**32 // _TABLE_LENGTH)).astype(np.intp)
    return (table / rms(table)).take(places)


def noise(rng: Generator, length: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Returns noise at an RMS of about 1, float32 [length], up to 10 s.

    It is pink between two frequencies, each octave up to 4 dB louder or softer, and
    falls by 18 dB an octave outside.
    """
    starts = (rng.random(len(_OCTAVES_HZ)) * (_BANK_LENGTH - length)).astype(int)
    outside = np.maximum(np.log2(low_hz / _OCTAVES_HZ), np.log2(_OCTAVES_HZ / high_hz))
    jitter_db = 8.0 * rng.random(len(_OCTAVES_HZ)) - 4.0
    gains = gain(jitter_db - 18.0 * np.maximum(outside, 0.0))
    gains /= np.sqrt(np.sum(gains**2))
    total = np.zeros(length, np.float32)
    for k in np.flatnonzero(gains > 0.005):
        total += gains[k] * _noise_bank()[k, starts[k] : starts[k] + length]
    return total


@functools.cache
def _noise_bank() -> np.ndarray:
    """Returns the same noise for all clips: float32 [7, 2**18], octaves at RMS 1."""
    rng = Generator(np.random.Philox(key=17))
    spectrum = np.fft.rfft(rng.random(_BANK_LENGTH) + rng.random(_BANK_LENGTH) - 1.0)
    hz = np.maximum(np.fft.rfftfreq(_BANK_LENGTH, 1 / SAMPLE_RATE_HZ), 1.0)
    distance = np.abs(np.log2(hz / _OCTAVES_HZ[:, None]))  # octaves
    window = np.cos(0.5 * np.pi * np.minimum(distance, 1.0))
    bank = np.fft.irfft(spectrum * window).astype(np.float32)
    return bank / np.sqrt(np.mean(bank**2, axis=1, keepdims=True))
