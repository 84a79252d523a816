"""Sounds that no class is and that are never labelled, one short function each.

They are synthesizers as in `synthesizers`: a generator and a length in samples in,
float32 [length] out.
"""

import numpy as np

from gcrnn_jax.audio.signals import (
    SAMPLE_RATE_HZ,
    band_gains,
    gain,
    gate,
    harmonic_table,
    impact,
    knots,
    log_uniform,
    noise,
    oscillate,
    pick,
    smooth,
    strike,
    uniform,
    wander,
)
from gcrnn_jax.audio.synthesizers import Synthesizer, harmonics, sweep, voice


def clicks(rng: np.random.Generator, length: int) -> np.ndarray:
    """Some clicks and clatter."""
    sound = np.zeros(length, np.float32)
    modes_hz = [log_uniform(rng, 600.0, 2500.0), log_uniform(rng, 2600.0, 6000.0)]
    click = impact(rng, 1600, modes_hz, uniform(rng, 0.003, 0.02), 2.0)
    for onset_s in rng.random(pick(rng, (1, 2, 5))) * (length / SAMPLE_RATE_HZ - 0.1):
        strike(sound, click, onset_s, uniform(rng, 0.5, 1.0))
    return sound


def bird_chirps(rng: np.random.Generator, length: int) -> np.ndarray:
    """Whistles of 2 to 6 kHz that glide, some a second."""
    rate_hz, low_hz = uniform(rng, 2.0, 9.0), log_uniform(rng, 2000.0, 4500.0)
    hz = sweep(rng, length, rate_hz, low_hz, low_hz * uniform(rng, 1.1, 1.6))
    tone = oscillate(rng, harmonic_table(rng, np.ones(1)), hz, length)
    on_s = uniform(rng, 0.05, 0.2)
    return tone * smooth(gate(length, on_s, uniform(rng, 0.05, 0.5), 0.02), length)


def speech(rng: np.random.Generator, length: int) -> np.ndarray:
    """Syllables of one voice, 90 to 260 Hz, whose vowels and consonants say nothing."""
    hz = log_uniform(rng, 90.0, 260.0) * 2.0 ** (0.25 * wander(rng, length, 0.3))
    vowels = [
        voice(rng, hz, [uniform(rng, 300, 850), uniform(rng, 900, 2300)], length)
        for _ in range(2)
    ]
    syllables = gate(length, uniform(rng, 0.1, 0.2), uniform(rng, 0.04, 0.15), 0.03)
    which = smooth(0.5 + 0.5 * wander(rng, length, 0.18), length)
    sound = vowels[0] * which + vowels[1] * (1.0 - which)
    hiss = noise(rng, length, band_gains(rng, 2500.0, 7000.0))
    return sound * smooth(syllables, length) + 0.2 * hiss * smooth(
        np.maximum(wander(rng, length, 0.1), 0.0), length
    )


def door_slam(rng: np.random.Generator, length: int) -> np.ndarray:
    """A thump of low modes."""
    modes_hz = np.array([1.0, 1.7, 2.9, 6.3]) * log_uniform(rng, 60.0, 160.0)
    stroke = impact(rng, min(length, 8000), modes_hz, uniform(rng, 0.03, 0.1), 2.0)
    return strike(np.zeros(length, np.float32), stroke, 0.0, 1.0)


def wind_gust(rng: np.random.Generator, length: int) -> np.ndarray:
    """Low noise that swells and falls."""
    swell = np.sin(np.pi * np.linspace(0.0, 1.0, len(knots(length)))) ** 2
    flutter = gain(6.0 * wander(rng, length, 0.2)) * swell
    gains = band_gains(rng, 62.5, log_uniform(rng, 150.0, 700.0), -3.0)
    return noise(rng, length, gains) * smooth(flutter, length)


def music(rng: np.random.Generator, length: int) -> np.ndarray:
    """Notes of a scale, plucked or held."""
    note_s, scale = uniform(rng, 0.15, 0.6), np.array([0, 2, 4, 7, 9, 12])
    note = (knots(length) / note_s).astype(int)
    degrees = scale[(rng.random(note[-1] + 1) * len(scale)).astype(int)]
    hz = log_uniform(rng, 130.0, 520.0) * 2.0 ** (degrees[note] / 12.0)
    table = harmonic_table(rng, harmonics(6, uniform(rng, 1.0, 2.0)))
    since_s = knots(length) - note * note_s
    pluck = np.minimum(since_s / 0.01, 1.0) * np.exp(-since_s / uniform(rng, 0.1, 0.8))
    return oscillate(rng, table, hz, length) * smooth(pluck, length)


DISTRACTORS: tuple[Synthesizer, ...] = (
    clicks,
    bird_chirps,
    speech,
    door_slam,
    wind_gust,
    music,
)
"""Sounds that no class is, never labelled."""
