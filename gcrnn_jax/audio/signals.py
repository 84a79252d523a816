"""What the soundscapes' sounds are made of: curves, oscillators, noise, impacts, rooms.

Everything takes its random numbers from a generator that it is given, as floats of
`random()`: NumPy promises the stream of Philox, but not what its other distributions
make of it. Curves (pitch, level) have one value every 5 ms and are interpolated, and
noise is a sum of bands that were filtered once: so ten seconds take about 1 ms.
"""

import functools
import math
from collections.abc import Sequence
from typing import TypeVar, overload

import numpy as np

Option = TypeVar("Option")

SAMPLE_RATE_HZ = 16000
SAMPLES_PER_KNOT = 80
KNOT_S = SAMPLES_PER_KNOT / SAMPLE_RATE_HZ
BAND_HZ = 62.5 * 2.0 ** (np.arange(14) / 2 + 0.25)
"""Centres of the noise's 14 bands of half an octave, 62.5 to 8000 Hz."""

_BANK_LENGTH = 2**18  # samples of noise of a band, 16 s
_TABLE_BITS = 13  # an oscillator's table has 8192 entries: errors are below -60 dB


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Returns a number in [low, high)."""
    return low + (high - low) * float(rng.random())


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Returns a number in [low, high) whose logarithm is uniform: a pitch, a rate."""
    return low * (high / low) ** float(rng.random())


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Returns whether something of this probability happens."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """Returns one of the options, each as likely."""
    return options[int(rng.random() * len(options))]


@overload
def gain(level_db: float) -> float: ...
@overload
def gain(level_db: np.ndarray) -> np.ndarray: ...
def gain(level_db: float | np.ndarray) -> float | np.ndarray:
    """Returns the factor of a level in dB."""
    return 10.0 ** (level_db / 20.0)


def knots(length: int) -> np.ndarray:
    """Returns the times in s, float64 [N], at which curves of a sound have values."""
    return np.arange(-(-length // SAMPLES_PER_KNOT) + 1) * KNOT_S


def smooth(curve: np.ndarray, length: int) -> np.ndarray:
    """Interpolates a curve linearly.

    Args:
        curve: [N], values at `knots(length)`.
        length: In samples.

    Returns:
        float32 [length].

    Example:
        >>> smooth(np.array([0.0, 80.0, 80.0]), 160)[[0, 1, 79, 80, 159]].tolist()
        [0.0, 1.0, 79.0, 80.0, 80.0]
    """
    values = np.asarray(curve, np.float32)
    ramp = np.arange(SAMPLES_PER_KNOT, dtype=np.float32) / SAMPLES_PER_KNOT
    lines = np.multiply.outer(np.diff(values), ramp)
    lines += values[:-1, None]
    return lines.ravel()[:length]


def wander(rng: np.random.Generator, length: int, period_s: float) -> np.ndarray:
    """Returns a curve in [-1, 1] with a new random value every `period_s`."""
    times = knots(length)
    count = int(times[-1] / period_s) + 2
    corners = (np.arange(count) - float(rng.random())) * period_s
    corners[-1] = max(corners[-1], times[-1])
    return np.interp(times, corners, 2.0 * rng.random(count) - 1.0)


def gate(length: int, on_s: float, off_s: float, edge_s: float = 0.02) -> np.ndarray:
    """Returns a curve that is on and off in turn, and on at both ends.

    The periods are stretched by what it takes for the last one to end with the sound.

    Args:
        length: In samples.
        on_s: About how long it is on; at least a period is on if this is too long.
        off_s: About how long it is off in between.
        edge_s: How long it takes to be on or off.
    """
    total_s = length / SAMPLE_RATE_HZ
    count = max(1, round((total_s + off_s) / (on_s + off_s)))
    stretch = total_s / (count * (on_s + off_s) - off_s)
    on_s, off_s = on_s * stretch, off_s * stretch
    edge_s = min(edge_s, on_s / 3)
    phase = knots(length) % (on_s + off_s)
    return np.clip(np.minimum(phase, on_s - phase) / edge_s, 0.0, 1.0)


def harmonic_table(
    rng: np.random.Generator,
    amplitudes: Sequence[float] | np.ndarray,
    spread: float = 1.0,
) -> np.ndarray:
    """Returns one period, float32 [8192], of harmonics 1, 2, ... at an RMS of 1.

    Args:
        rng: For the phases.
        amplitudes: Of the harmonics, up to 4096.
        spread: Of the phases, in turns. 0 makes them meet in one pulse.
    """
    spectrum = np.zeros(2 ** (_TABLE_BITS - 1) + 1, complex)
    count = len(amplitudes)
    turns = spread * rng.random(count)
    spectrum[1 : count + 1] = amplitudes * np.exp(2j * np.pi * turns)
    table = np.fft.irfft(spectrum)
    return (table / np.sqrt(np.mean(table**2))).astype(np.float32)


def oscillate(
    rng: np.random.Generator, table: np.ndarray, hz: np.ndarray, length: int
) -> np.ndarray:
    """Reads a period again and again, at a pitch that changes.

    Args:
        rng: For the phase to begin with.
        table: float32 [8192], from `harmonic_table`.
        hz: [N], periods a second at `knots(length)`.
        length: In samples.

    Returns:
        float32 [length].
    """
    # The phase is a 32-bit integer that overflows once a period: no error adds up.
    steps = smooth(hz * (2.0**32 / SAMPLE_RATE_HZ), length).astype(np.uint32)
    steps[0] = int(rng.random() * 2**32)
    phase = np.cumsum(steps, dtype=np.uint32)
    return table.take((phase >> np.uint32(32 - _TABLE_BITS)).astype(np.intp))


@functools.cache
def _noise_bank() -> np.ndarray:
    """Returns the same noise for all clips: float32 [14, 2**18], each band at RMS 1."""
    rng = np.random.Generator(np.random.Philox(key=17))
    white = rng.random(_BANK_LENGTH) + rng.random(_BANK_LENGTH) - 1.0
    spectrum = np.fft.rfft(white)
    hz = np.maximum(np.fft.rfftfreq(_BANK_LENGTH, 1 / SAMPLE_RATE_HZ), 1.0)
    bank = np.empty((len(BAND_HZ), _BANK_LENGTH), np.float32)
    for band, centre_hz in enumerate(BAND_HZ):
        distance = np.abs(2.0 * np.log2(hz / centre_hz))  # in bands
        window = np.cos(0.5 * np.pi * np.minimum(distance, 1.0))
        noise_of_band = np.fft.irfft(spectrum * window)
        bank[band] = noise_of_band / np.sqrt(np.mean(noise_of_band**2))
    bank.setflags(write=False)
    return bank


def band_gains(
    rng: np.random.Generator,
    low_hz: float,
    high_hz: float,
    tilt_db: float = 0.0,
    jitter_db: float = 3.0,
) -> np.ndarray:
    """Returns gains, [14], of noise that a filter shaped.

    Args:
        rng: For the jitter, so that no two are quite alike.
        low_hz: Below it, levels fall by 18 dB an octave.
        high_hz: Above it, levels fall by 18 dB an octave.
        tilt_db: Change an octave in between; 0 is pink noise, 3 white, -3 brown.
        jitter_db: Bands are this much louder or softer at most.
    """
    below = np.maximum(np.log2(low_hz / BAND_HZ), 0.0)
    above = np.maximum(np.log2(BAND_HZ / high_hz), 0.0)
    inside = np.log2(np.clip(BAND_HZ, low_hz, high_hz) / low_hz)
    jitter = jitter_db * (2.0 * rng.random(len(BAND_HZ)) - 1.0)
    level_db = tilt_db * inside - 18.0 * (below + above) + jitter
    return gain(level_db - level_db.max())


def noise(rng: np.random.Generator, length: int, gains: np.ndarray) -> np.ndarray:
    """Returns coloured noise, float32 [length].

    Args:
        rng: For where in the stored noise each band begins.
        length: In samples, up to 10 s.
        gains: Of the bands: [14], or curves [14, N]. Bands below -45 dB are left out.
    """
    starts = (rng.random(len(BAND_HZ)) * (_BANK_LENGTH - length)).astype(int)
    peaks = gains.reshape(len(BAND_HZ), -1).max(axis=1)
    total = np.zeros(length, np.float32)
    for band in np.flatnonzero(peaks > gain(-45.0) * peaks.max()):
        part = _noise_bank()[band, starts[band] : starts[band] + length]
        if gains.ndim == 2:
            total += part * smooth(gains[band], length)
        else:
            total += part * np.float32(gains[band])
    return total


def impact(
    rng: np.random.Generator,
    length: int,
    modes_hz: Sequence[float] | np.ndarray,
    decay_s: float,
    noisiness: float = 1.0,
) -> np.ndarray:
    """Returns a stroke on something that rings, and the noise of being struck.

    Args:
        rng: For the modes' phases and the noise.
        length: In samples.
        modes_hz: What it rings at; higher modes fade sooner.
        decay_s: Time in which the lowest mode falls to 1/e.
        noisiness: Level of the noise, which fades five times as fast.

    Returns:
        float32 [length], from silence and to it within 1 and 3 ms.
    """
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    ring = np.zeros(length)
    for hz in modes_hz:
        fading = np.exp(-seconds * (hz / modes_hz[0]) ** 0.5 / decay_s)
        ring += fading * np.sin(2 * np.pi * (hz * seconds + float(rng.random())))
    hiss = noise(rng, length, band_gains(rng, 0.5 * min(modes_hz), 6000.0))
    ring += noisiness * hiss * np.exp(-5.0 * seconds / decay_s)
    edge = np.minimum(seconds / 0.001, (seconds[-1] - seconds) / 0.003)
    return (ring * np.minimum(edge, 1.0)).astype(np.float32)


def strike(
    sound: np.ndarray, stroke: np.ndarray, onset_s: float, level: float
) -> np.ndarray:
    """Adds a stroke to a sound in place, cut at the sound's end; returns the sound."""
    first = int(onset_s * SAMPLE_RATE_HZ)
    part = sound[first : first + len(stroke)]
    part += stroke[: len(part)] * np.float32(level)
    return sound


def in_room(
    rng: np.random.Generator, waveform: np.ndarray, rt60_s: float, wet: float
) -> np.ndarray:
    """Returns a sound with the echoes of a room.

    Eight filters of two taps in a row, y[n] = x[n] +- g x[n - d], make 256 echoes: with
    delays d that halve, about one every rt60 / 512, and with g = 10^(-3 d / rt60) they
    decay by 60 dB in rt60. A product of short filters costs a tenth of a convolution.

    Args:
        rng: For the delays and signs of the echoes.
        waveform: float32 [S].
        rt60_s: Reverberation time; echoes are cut at half of it, at -30 dB.
        wet: RMS of all echoes together over that of the sound itself.

    Returns:
        float32 [S + tail], tail up to rt60 / 2.
    """
    tail = int(0.5 * rt60_s * SAMPLE_RATE_HZ)
    echoes = np.zeros(len(waveform) + tail, np.float32)
    echoes[: len(waveform)] = waveform
    energy = 1.0
    for stage in range(1, 9):
        delay = max(1, int(tail * uniform(rng, 0.8, 1.0) / 2**stage))
        factor = 10.0 ** (-3.0 * delay / (rt60_s * SAMPLE_RATE_HZ))
        energy *= 1.0 + factor**2
        sign = 1.0 if chance(rng, 0.5) else -1.0
        echoes[delay:] += echoes[:-delay] * np.float32(sign * factor)
    echoes *= np.float32(wet / math.sqrt(energy))
    echoes[: len(waveform)] += waveform
    return echoes
