"""Built-in soundscapes: made-up clips of the task's classes, for when there is no data.

A clip is a background of coloured noise and hum, 1 to 4 events, each in a room of its
own at -6 to +20 dB over the background, and in some clips sounds that nobody labelled.
What happens when is drawn first (`plan`, microseconds) and rendered after
(`soundscape`, some milliseconds).

Clip i of seed s is the same on every machine and in every process, whatever was made
before it: all choices are floats of a Philox stream with the key (s, i), and none
depends on computed audio. So labels are equal exactly, and waveforms up to the rounding
of float32 arithmetic, about 1e-6 of the peak. Changing a synthesizer changes clips.

Source: the classes, their frequencies and lengths are those of DCASE 2017 Task 4.
Differs: frequencies are raised to the power 0.66, as the rarest class would be in one
clip of 300 only; the task's ratio of 139 : 1 becomes about 27 : 1.
"""

from typing import NamedTuple

import numpy as np

from gcrnn_jax.audio.distractors import DISTRACTORS
from gcrnn_jax.audio.signals import (
    SAMPLE_RATE_HZ,
    band_gains,
    chance,
    gain,
    harmonic_table,
    in_room,
    knots,
    log_uniform,
    noise,
    oscillate,
    pick,
    smooth,
    uniform,
    wander,
)
from gcrnn_jax.audio.synthesizers import SYNTHESIZERS

CLIP_S = 10.0
NUM_SAMPLES = 160000
CLASS_NAMES: tuple[str, ...] = tuple(SYNTHESIZERS)


class Placed(NamedTuple):
    """An event: heard in [onset, offset) s, this much louder than the background."""

    onset: float
    offset: float
    class_name: str
    snr_db: float


class Soundscape(NamedTuple):
    """A clip.

    Attributes:
        waveform: float32 [160000] at 16 kHz, in [-1, 1].
        events: Sorted by onset; the weak label is the set of their class names.
    """

    waveform: np.ndarray
    events: tuple[Placed, ...]


class Track(NamedTuple):
    """A sound in a clip: float32 [S] from sample `start`, as loud as it is mixed."""

    start: int
    waveform: np.ndarray


class _Habits(NamedTuple):
    """How a class occurs: clips in the task's training list, lengths in s."""

    num_clips: int
    shortest_s: float
    longest_s: float
    whole_clip: float  # probability of lasting for the clip


_HABITS = {
    "Train horn": _Habits(345, 0.8, 5.0, 0.0),
    "Air horn, truck horn": _Habits(313, 0.5, 4.0, 0.0),
    "Car alarm": _Habits(180, 1.5, 7.0, 0.1),
    "Reversing beeps": _Habits(245, 2.0, 8.0, 0.1),
    "Bicycle": _Habits(1897, 1.5, 7.0, 0.1),
    "Skateboard": _Habits(1516, 2.0, 9.0, 0.1),
    "Ambulance (siren)": _Habits(524, 3.0, 10.0, 0.45),
    "Fire engine, fire truck (siren)": _Habits(2288, 4.0, 10.0, 0.5),
    "Civil defense siren": _Habits(1409, 4.0, 10.0, 0.5),
    "Police car (siren)": _Habits(2364, 2.5, 10.0, 0.35),
    "Screaming": _Habits(636, 0.5, 5.0, 0.05),
    "Car": _Habits(25077, 2.0, 10.0, 0.4),
    "Car passing by": _Habits(3598, 3.0, 10.0, 0.2),
    "Bus": _Habits(3617, 3.0, 10.0, 0.45),
    "Truck": _Habits(6885, 3.0, 10.0, 0.45),
    "Motorcycle": _Habits(3162, 2.5, 10.0, 0.35),
    "Train": _Habits(2075, 3.0, 10.0, 0.4),
}
_COMPANIONS = {
    "Train horn": "Train",
    "Air horn, truck horn": "Truck",
    "Reversing beeps": "Truck",
    "Car passing by": "Car",
    "Police car (siren)": "Car",
}
_SHARES = np.array([_HABITS[name].num_clips ** 0.66 for name in CLASS_NAMES])
_SHARES_SO_FAR = np.cumsum(_SHARES / _SHARES.sum())
_EVENTS_SO_FAR = (0.45, 0.78, 0.93, 1.0)  # probabilities of at most 1, 2, 3, 4 events

_PLAN, _BACKGROUND, _DISTRACTORS, _FIRST_EVENT = range(4)  # streams of a clip


def soundscape(seed: int, index: int, *, balanced: bool = False) -> Soundscape:
    """Returns a clip.

    Args:
        seed: Of the data set, 0 to 2**64 - 1.
        index: Of the clip, 0 to 2**64 - 1; clips need not be made in order.
        balanced: Whether all classes are as likely. False: as frequent as in the
            task's training list, the rarest in about one clip of 60.

    Returns:
        The waveform, float32 [160000], and its events.

    Example:
        >>> clip = soundscape(0, 7)
        >>> clip.waveform.shape, clip.waveform.dtype
        ((160000,), dtype('float32'))
        >>> for onset, offset, class_name, snr_db in clip.events:
        ...     print(onset, offset, class_name, snr_db)
        0.027 9.969 Train 18.1
        2.019 9.9 Motorcycle 2.3
    """
    background, tracks, unlabelled = components(seed, index, balanced=balanced)
    mixture = background
    for start, waveform in (*tracks, *unlabelled):
        mixture[start : start + len(waveform)] += waveform
    peak = max(float(mixture.max()), -float(mixture.min()))
    rng = _stream(seed, index, _BACKGROUND, balanced, part=1)
    mixture *= np.float32(gain(uniform(rng, -26.0, -0.5)) / peak)
    return Soundscape(mixture, plan(seed, index, balanced=balanced))


def plan(seed: int, index: int, *, balanced: bool = False) -> tuple[Placed, ...]:
    """Returns the events of a clip without rendering it; arguments as `soundscape`.

    Events of one class do not overlap, and are 0.2 s apart. Times are whole
    milliseconds, as in event lists.
    """
    rng = _stream(seed, index, _PLAN, balanced)
    events: list[Placed] = []
    class_name = ""
    for _ in range(1 + int(np.searchsorted(_EVENTS_SO_FAR, rng.random(), "right"))):
        companion = _COMPANIONS.get(class_name)
        if companion and not balanced and chance(rng, 0.25):
            class_name = companion
        elif balanced:
            class_name = pick(rng, CLASS_NAMES)
        else:
            place = np.searchsorted(_SHARES_SO_FAR, rng.random(), "right")
            class_name = CLASS_NAMES[min(int(place), len(CLASS_NAMES) - 1)]
        taken = [event for event in events if event.class_name == class_name]
        for _ in range(6):
            event = _placed(rng, class_name)
            if not any(_touch(event, other) for other in taken):
                events.append(event)
                break
    return tuple(sorted(events))


def _placed(rng: np.random.Generator, class_name: str) -> Placed:
    """Returns an event somewhere in a clip."""
    habits = _HABITS[class_name]
    snr_db = round(uniform(rng, -6.0, 20.0), 1)
    length_s = uniform(rng, habits.shortest_s, habits.longest_s)
    onset = uniform(rng, 0.0, CLIP_S - length_s)
    if chance(rng, habits.whole_clip):
        return Placed(0.0, CLIP_S, class_name, snr_db)
    offset = min(round(onset + length_s, 3), CLIP_S)
    return Placed(round(onset, 3), offset, class_name, snr_db)


def _touch(event: Placed, other: Placed) -> bool:
    """Returns whether less than 0.2 s are between two events."""
    return event.onset < other.offset + 0.2 and other.onset < event.offset + 0.2


def components(
    seed: int, index: int, *, balanced: bool = False
) -> tuple[np.ndarray, list[Track], list[Track]]:
    """Returns what a clip is the sum of, before its overall gain.

    Returns:
        The background, float32 [160000]; the tracks of `plan`'s events; and those of
        unlabelled sounds. An event's track may be longer than the event, as echoes
        below -20 dB are not counted.
    """
    rng = _stream(seed, index, _BACKGROUND, balanced)
    background = _background(rng)
    tracks = []
    for number, event in enumerate(plan(seed, index, balanced=balanced)):
        rng = _stream(seed, index, _FIRST_EVENT, balanced, part=number)
        tracks.append(_event_track(rng, event, background))
    rng = _stream(seed, index, _DISTRACTORS, balanced)
    return background, tracks, _distractor_tracks(rng, background)


def _stream(
    seed: int, index: int, purpose: int, balanced: bool, part: int = 0
) -> np.random.Generator:
    """Returns the random numbers of one part of a clip: no part moves another's."""
    number = 4 * (2 * part + balanced) + purpose
    key = np.array([seed, index], np.uint64)
    # The counter's last word: streams of one key are 2**192 blocks apart.
    counter = np.array([0, 0, 0, number], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _background(rng: np.random.Generator) -> np.ndarray:
    """Returns drifting noise of a random colour, with a hum in a quarter of clips."""
    tilt_db = uniform(rng, -4.5, 2.0)  # an octave, of a band: brown to almost white
    colour = band_gains(rng, 62.5, 8000.0, tilt_db, jitter_db=4.0)
    drift = gain(uniform(rng, 0.0, 4.0) * wander(rng, NUM_SAMPLES, 2.5))
    background = noise(rng, NUM_SAMPLES, colour)
    background *= smooth(drift, NUM_SAMPLES)
    background /= np.sqrt(np.mean(background**2))
    if chance(rng, 0.25):
        mains_hz = np.full(len(knots(NUM_SAMPLES)), pick(rng, (50.0, 60.0)))
        orders = harmonic_table(rng, rng.random(12) * np.arange(1, 13) ** -0.7)
        level = np.float32(gain(uniform(rng, -20.0, 0.0)))
        background += level * oscillate(rng, orders, mains_hz, NUM_SAMPLES)
    return background


def _event_track(
    rng: np.random.Generator, event: Placed, background: np.ndarray
) -> Track:
    """Returns an event in its room, as loud as planned where it is."""
    start = round(event.onset * SAMPLE_RATE_HZ)
    length = round(event.offset * SAMPLE_RATE_HZ) - start
    rt60_s, wet = log_uniform(rng, 0.06, 0.8), gain(uniform(rng, -22.0, 0.0))
    # The sound stops early by the time its echoes take to fall by 20 dB, unless it
    # goes on after the clip.
    head = int(min(rt60_s / 3.0 * SAMPLE_RATE_HZ, 0.25 * length))
    if event.offset == CLIP_S:
        head = 0
    sound = SYNTHESIZERS[event.class_name](rng, length - head)
    sound[:160] *= np.linspace(0.0, 1.0, 160, dtype=np.float32)
    sound[-480:] *= np.linspace(1.0, 0.0, 480, dtype=np.float32)
    waveform = in_room(rng, sound, rt60_s, wet)[: NUM_SAMPLES - start]
    ratio = _energy(background[start : start + length]) / _energy(waveform[:length])
    waveform *= np.float32(gain(event.snr_db) * np.sqrt(ratio))
    return Track(start, waveform)


def _distractor_tracks(rng: np.random.Generator, background: np.ndarray) -> list[Track]:
    """Returns one to three unlabelled sounds in 40 % of clips, and none in others."""
    tracks: list[Track] = []
    if not chance(rng, 0.4):
        return tracks
    for _ in range(pick(rng, (1, 1, 2, 3))):
        length = int(uniform(rng, 0.5, 4.0) * SAMPLE_RATE_HZ)
        start = int(uniform(rng, 0.0, NUM_SAMPLES - length))
        sound = pick(rng, DISTRACTORS)(rng, length)
        ratio = _energy(background[start : start + length]) / _energy(sound)
        sound *= np.float32(gain(uniform(rng, -6.0, 10.0)) * np.sqrt(ratio))
        tracks.append(Track(start, sound))
    return tracks


def _energy(waveform: np.ndarray) -> float:
    """Returns the mean square."""
    return float(np.mean(np.square(waveform)))
