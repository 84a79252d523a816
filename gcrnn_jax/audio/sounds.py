"""The sounds of soundscapes: a row of numbers each, and the one synthesizer of all."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.random import Generator

from gcrnn_jax.audio import signals
from gcrnn_jax.audio.signals import draw, knots, smooth, wander

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Sound:
    """What a kind of sound is made of: a tone, noise or both; numbers are drawn anew.

    A sound with pauses is short, any other may last for the clip.
    """

    num_clips: int  # in the training list of DCASE 2017 Task 4
    pitch_hz: Range | None = None  # of the tone; None: noise alone
    notes: tuple[int, ...] = (1,)  # multiples of the pitch that sound together
    tilt: Range = (0.5, 1.5)  # the k-th harmonic has the amplitude k ** -tilt
    glide: Range = (0.0, 0.1)  # octaves that the pitch moves up
    period_s: Range = (0.5, 3.0)  # of such a movement
    motion: Literal["sweep", "steps", "drift"] = "drift"
    noise: Range = (0.01, 0.1)  # its RMS; the tone's is 1
    band_hz: Range = (300.0, 4000.0)  # of the noise
    pulse_hz: Range | None = None  # pulses of the noise a second; None: it is even
    on_s: Range | None = None  # between pauses; None: there are none
    off_s: Range = (0.1, 0.5)  # of pauses
    swing_db: float = 3.0  # how much louder and softer it becomes
    passing: Range = (0.0, 0.0)  # distance at its ends over that when it is nearest


def synthesize(rng: Generator, sound: Sound, length: int) -> np.ndarray:
    """Returns a sound of 0.3 to 10 s at any level, float32 [length].

    It is there from its first sample to its last, but for pauses in between.
    """
    waveform = signals.noise(rng, length, *sound.band_hz)
    if sound.pulse_hz:
        rate_hz = draw(rng, *sound.pulse_hz) * 2.0 ** (0.4 * wander(rng, length, 1.0))
        phase = np.cumsum(smooth(rate_hz / signals.SAMPLE_RATE_HZ, length)) % 1.0
        waveform *= 0.1 + np.exp(-np.float32(draw(rng, 6.0, 20.0)) * phase)
    waveform *= np.float32(draw(rng, *sound.noise))
    if sound.pitch_hz:
        waveform += _tone(rng, sound, sound.pitch_hz, length)
    level = signals.gain(sound.swing_db * wander(rng, length, 0.7))
    if sound.on_s:
        level *= signals.on_off(length, draw(rng, *sound.on_s), draw(rng, *sound.off_s))
    times = knots(length) / knots(length)[-1]
    distance = draw(rng, *sound.passing) * (times - draw(rng, 0.4, 0.6)) / 0.5
    level /= np.hypot(1.0, distance) ** 1.5
    return waveform * smooth(level, length)


def _tone(rng: Generator, sound: Sound, pitch_hz: Range, length: int) -> np.ndarray:
    """Returns the tone, float32 [length], RMS 1."""
    low_hz, period_s = draw(rng, *pitch_hz), draw(rng, *sound.period_s)
    phase = (float(rng.random()) + knots(length) / period_s) % 1.0
    if sound.motion == "sweep":
        height = np.interp(phase, [0.0, draw(rng, 0.35, 0.65), 1.0], [0, 1, 0])
    elif sound.motion == "steps":
        height = np.interp(phase, [0.0, 0.48, 0.5, 0.98, 1.0], [0, 0, 1, 1, 0])
    else:
        height = 0.5 + 0.5 * wander(rng, length, period_s)
    hz = low_hz * 2.0 ** (draw(rng, *sound.glide) * height)
    tilt, highest = draw(rng, *sound.tilt), int(7800.0 / hz.max())
    amplitudes = np.zeros(highest)
    for note in sound.notes:
        places = np.arange(note, highest + 1, note)[:24] - 1
        amplitudes[places] += np.arange(1.0, len(places) + 1) ** -tilt
    return signals.tone(rng, amplitudes, hz, length)


CLASSES: dict[str, Sound] = {
    "Train horn": Sound(
        345, (62, 85), (4, 5, 6), (0.5, 1.1), on_s=(0.8, 4), off_s=(0.15, 0.7)
    ),
    "Air horn, truck horn": Sound(313, (250, 380), tilt=(0.0, 0.4), on_s=(0.2, 1.6)),
    "Car alarm": Sound(
        180, (700, 1300), glide=(0.6, 1.3), period_s=(0.08, 0.8), motion="sweep"
    ),
    "Reversing beeps": Sound(245, (1100, 1400), on_s=(0.4, 0.6), off_s=(0.4, 0.6)),
    "Bicycle": Sound(1897, band_hz=(1500, 6000), pulse_hz=(9, 45)),
    "Skateboard": Sound(1516, band_hz=(300, 4500), pulse_hz=(1.5, 9), swing_db=8),
    "Ambulance (siren)": Sound(
        524, (420, 800), glide=(0.2, 0.6), period_s=(0.5, 2.0), motion="steps"
    ),
    "Fire engine, fire truck (siren)": Sound(
        2288, (280, 480), (1,), (0.4, 1), (1, 1.7), (4, 14), "sweep", noise=(0.1, 0.5)
    ),
    "Civil defense siren": Sound(
        1409, (60, 140), (4, 5), glide=(0.2, 0.9), period_s=(6, 16), motion="sweep"
    ),
    "Police car (siren)": Sound(
        2364, (450, 800), glide=(0.8, 1.4), period_s=(0.15, 4), motion="sweep"
    ),
    "Screaming": Sound(
        636, (450, 1300), glide=(0.2, 0.8), noise=(0.1, 0.6), on_s=(0.5, 2)
    ),
    "Car": Sound(25077, (40, 130), glide=(0.2, 1.2), noise=(0.3, 1.2)),
    "Car passing by": Sound(3598, (50, 130), noise=(0.5, 2), passing=(4, 9)),
    "Bus": Sound(
        3617, (25, 80), (1, 12), (1, 1.8), (0.2, 1), noise=(0.1, 1), band_hz=(90, 900)
    ),
    "Truck": Sound(6885, (20, 60), noise=(1, 4), band_hz=(60, 900), pulse_hz=(6, 30)),
    "Motorcycle": Sound(
        3162, (35, 130), tilt=(0.2, 0.8), glide=(0.8, 1.8), period_s=(0.3, 1.5)
    ),
    "Train": Sound(2075, band_hz=(70, 1000), pulse_hz=(1.2, 6), swing_db=5),
}
"""Of DCASE 2017 Task 4, in their official order."""

UNLABELLED: dict[str, Sound] = {
    "speech": Sound(0, (90, 260), glide=(0.2, 0.6), on_s=(0.1, 0.2)),
    "bird": Sound(0, (2000, 4500), period_s=(0.1, 0.5), on_s=(0.05, 0.2)),
    "music": Sound(0, (130, 520), (2, 3), glide=(0.3, 1), motion="steps"),
    "wind": Sound(0, band_hz=(60, 500), swing_db=12),
    "clatter": Sound(0, band_hz=(600, 6000), pulse_hz=(0.5, 3)),
}
"""Sounds that no class is."""
