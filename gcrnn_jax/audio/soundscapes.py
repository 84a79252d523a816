"""Built-in soundscapes: synthetic clips of the task's classes, to try the program with.

A clip is a background of coloured noise, 1 to 4 events at -6 to +20 dB over it, and in
some clips sounds that have no label. Clip i of seed s is the same on every machine: all
choices are floats of a Philox stream with the key (s, i), and none depends on computed
audio. So labels are equal exactly, and waveforms but for rounding.

Source: the classes and their frequencies are those of DCASE 2017 Task 4.
Differs: frequencies are raised to the power 0.66, as the rarest class would be in one
clip of 300 only; the task's ratio of 139 : 1 becomes about 27 : 1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from gcrnn_jax.audio import signals
from gcrnn_jax.audio.signals import SAMPLE_RATE_HZ, draw, gain, rms
from gcrnn_jax.audio.sounds import CLASSES, UNLABELLED, synthesize

VERSION = 2  # of the clips: raise it with any change that makes others
CLIP_S = 10.0
CLASS_NAMES: tuple[str, ...] = tuple(CLASSES)
_NUM_SAMPLES = 160000
_SHARES = np.cumsum([sound.num_clips**0.66 for sound in CLASSES.values()])
_EVENTS = (0.45, 0.78, 0.93)  # probabilities of at most 1, 2, 3 events of 4
_UNLABELLED = (0.6, 0.8, 0.9)  # of at most 0, 1, 2 sounds without a label of 3


class Placed(NamedTuple):
    """An event in [onset, offset) s, this much louder than the background."""

    onset: float
    offset: float
    class_name: str
    snr_db: float


class Soundscape(NamedTuple):
    """A clip, float32 [160000] at 16 kHz in [-1, 1], and its events by onset."""

    waveform: np.ndarray
    events: tuple[Placed, ...]


def soundscape(seed: int, index: int, *, balanced: bool = False) -> Soundscape:
    """Returns a clip.

    Args:
        seed: Of the data set, 0 to 2**64 - 1.
        index: Of the clip, 0 to 2**64 - 1; clips need not be made in order.
        balanced: Whether all classes are as likely. False: as frequent as in the
            task's training list, the rarest in about one clip of 60.
    """
    mixture = components(seed, index, balanced=balanced).sum(axis=0)
    peak_db = draw(_stream(seed, index, balanced, part=2), -26.0, -0.5)
    mixture *= gain(peak_db) / np.abs(mixture).max()
    return Soundscape(mixture, plan(seed, index, balanced=balanced))


def plan(seed: int, index: int, *, balanced: bool = False) -> tuple[Placed, ...]:
    """Returns the events of a clip without rendering it; arguments as `soundscape`.

    Events of one class do not overlap, and are 0.2 s apart. Times are whole
    milliseconds, as in event lists.
    """
    rng = _stream(seed, index, balanced, part=0)
    shares = np.arange(1, len(CLASS_NAMES) + 1) if balanced else _SHARES
    events: list[Placed] = []
    for _ in range(1 + _pick(rng, _EVENTS)):
        event = _placed(rng, CLASS_NAMES[_pick(rng, shares[:-1] / shares[-1])], 20.0)
        same = (one for one in events if one.class_name == event.class_name)
        if all(max(event[0], one[0]) >= min(event[1], one[1]) + 0.2 for one in same):
            events.append(event)
    return tuple(sorted(events))


def _pick(rng: Generator, bounds: Sequence[float] | np.ndarray) -> int:
    """Returns how many of the bounds a number in [0, 1) reaches."""
    return int(np.searchsorted(bounds, rng.random(), "right"))


def _placed(rng: Generator, name: str, max_snr_db: float) -> Placed:
    """Returns a sound somewhere in a clip."""
    has_pauses = (CLASSES | UNLABELLED)[name].on_s is not None
    snr_db = round(draw(rng, -6.0, max_snr_db), 1)
    length_s = draw(rng, 1.0, 6.0) if has_pauses else draw(rng, 2.0, 10.0)
    onset = draw(rng, 0.0, CLIP_S - length_s)
    if rng.random() < 0.35 and not has_pauses:
        return Placed(0.0, CLIP_S, name, snr_db)
    return Placed(round(onset, 3), round(onset + length_s, 3), name, snr_db)


def components(seed: int, index: int, *, balanced: bool = False) -> np.ndarray:
    """Returns what a clip is the sum of but for its level: float32 [N, 160000].

    That is the background, the events of `plan`, and up to three sounds without label.
    """
    rng = _stream(seed, index, balanced, part=1)
    background = signals.noise(rng, _NUM_SAMPLES, 62.5, draw(rng, 62.5, 8000.0))
    drift_db = draw(rng, 0.0, 4.0) * signals.wander(rng, _NUM_SAMPLES, 2.5)
    background *= signals.smooth(gain(drift_db), _NUM_SAMPLES)
    placed = list(plan(seed, index, balanced=balanced))
    for _ in range(_pick(rng, _UNLABELLED)):
        name = tuple(UNLABELLED)[int(rng.random() * len(UNLABELLED))]
        placed.append(_placed(rng, name, 10.0))
    layers = np.zeros((1 + len(placed), _NUM_SAMPLES), np.float32)
    layers[0] = background
    for number, (onset, offset, name, snr_db) in enumerate(placed, start=1):
        rng = _stream(seed, index, balanced, part=2 + number)
        start, end = round(onset * SAMPLE_RATE_HZ), round(offset * SAMPLE_RATE_HZ)
        sound = synthesize(rng, (CLASSES | UNLABELLED)[name], end - start)
        sound[:160] *= np.linspace(0.0, 1.0, 160, dtype=np.float32)
        sound[-480:] *= np.linspace(1.0, 0.0, 480, dtype=np.float32)
        level = gain(snr_db) * rms(background[start:end]) / rms(sound)
        layers[number, start:end] = level * sound
    return layers


def _stream(seed: int, index: int, balanced: bool, part: int) -> Generator:
    """Returns the random numbers of one part of a clip: no part moves another's."""
    key = np.array([seed, index], np.uint64)
    # The counter's last word: streams of one key are 2**192 blocks apart.
    counter = np.array([0, 0, 0, 2 * part + balanced], np.uint64)
    return Generator(np.random.Philox(key=key, counter=counter))
