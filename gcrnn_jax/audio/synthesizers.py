"""One short function a class: sirens, horns, beeps and screams; and the table of all.

A synthesizer takes a generator and a length in samples, 0.3 to 10 s, and returns
float32 [length] at any level: sound from its first sample to its last, or with short
pauses in between, so that the label can be the whole length.
"""

from collections.abc import Callable

import numpy as np

from gcrnn_jax.audio import vehicles
from gcrnn_jax.audio.signals import (
    SAMPLE_RATE_HZ,
    band_gains,
    chance,
    gain,
    gate,
    harmonic_table,
    knots,
    log_uniform,
    noise,
    oscillate,
    pick,
    smooth,
    uniform,
    wander,
)


def harmonics(count: int, power: float) -> np.ndarray:
    """Returns amplitudes that fall as a power of the harmonic."""
    return np.arange(1.0, count + 1.0) ** -power


def _unfolded(levels: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Returns amplitudes without the harmonics of a pitch that would alias."""
    return levels * (np.arange(1, len(levels) + 1) * np.max(hz) < 7800.0)


def sweep(
    rng: np.random.Generator, length: int, rate_hz: float, low_hz: float, high_hz: float
) -> np.ndarray:
    """Returns a pitch that rises and falls `rate_hz` times a second."""
    phase = (uniform(rng, 0.0, 1.0) + rate_hz * knots(length)) % 1.0
    peak = uniform(rng, 0.35, 0.65)
    height = np.interp(phase, [0.0, peak, 1.0], [0.0, 1.0, 0.0])
    return low_hz * (high_hz / low_hz) ** height


def _two_tones(
    rng: np.random.Generator, length: int, note_s: float, low_hz: float, ratio: float
) -> np.ndarray:
    """Returns a pitch that is low and high in turn, gliding for 15 ms."""
    phase = (uniform(rng, 0.0, 2.0) + knots(length) / note_s) % 2.0
    glide = 0.015 / note_s
    corners = [0.0, 1.0 - glide, 1.0, 2.0 - glide, 2.0]
    return low_hz * ratio ** np.interp(phase, corners, [0.0, 0.0, 1.0, 1.0, 0.0])


def _siren(rng: np.random.Generator, hz: np.ndarray, length: int) -> np.ndarray:
    """Returns a loudspeaker's tone at a pitch: some harmonics, uneven in level."""
    levels = harmonics(4, uniform(rng, 0.8, 2.0)) * gain(8.0 * (rng.random(4) - 0.5))
    tone = oscillate(rng, harmonic_table(rng, _unfolded(levels, hz)), hz, length)
    return tone * smooth(gain(2.0 * wander(rng, length, 0.5)), length)


def _switched(
    rng: np.random.Generator, first: np.ndarray, then: np.ndarray
) -> np.ndarray:
    """Returns the first curve up to a random moment, then the other."""
    moment = int(uniform(rng, 0.25, 0.75) * len(first))
    return np.concatenate([first[:moment], then[moment:]])


def police_car(rng: np.random.Generator, length: int) -> np.ndarray:
    """Yelps, wails, or a trill so fast that it growls; switched now and then."""
    low_hz = log_uniform(rng, 450.0, 800.0)
    high_hz = low_hz * uniform(rng, 1.8, 2.6)
    rates_hz = [(2.5, 5.0), (2.5, 5.0), (0.18, 0.45), (8.0, 16.0)]
    curves = [
        sweep(rng, length, log_uniform(rng, *pick(rng, rates_hz)), low_hz, high_hz)
        for _ in range(2)
    ]
    hz = _switched(rng, *curves) if chance(rng, 0.4) else curves[0]
    return _siren(rng, hz, length)


def ambulance(rng: np.random.Generator, length: int) -> np.ndarray:
    """High and low in turn; now and then a wail between the police's and the fire's."""
    low_hz = log_uniform(rng, 420.0, 800.0)
    note_s = log_uniform(rng, 0.25, 1.0)
    hz = _two_tones(rng, length, note_s, low_hz, uniform(rng, 1.15, 1.5))
    if chance(rng, 0.25):
        rate_hz = log_uniform(rng, 0.25, 1.2)
        wail = sweep(rng, length, rate_hz, low_hz, low_hz * uniform(rng, 1.6, 2.2))
        hz = _switched(rng, hz, wail) if chance(rng, 0.5) else wail
    return _siren(rng, hz, length)


def fire_engine(rng: np.random.Generator, length: int) -> np.ndarray:
    """A slow wail that growls when low, or two deep tones; an air horn, a diesel."""
    low_hz = log_uniform(rng, 280.0, 480.0)
    if chance(rng, 0.25):
        hz = _two_tones(rng, length, uniform(rng, 0.6, 1.3), low_hz, 1.335)
    else:
        rate_hz = log_uniform(rng, 0.07, 0.22)
        hz = sweep(rng, length, rate_hz, low_hz, low_hz * uniform(rng, 2.0, 3.2))
    levels = harmonics(6, uniform(rng, 0.4, 1.0))
    rotor = harmonic_table(rng, _unfolded(levels, hz))
    sound = oscillate(rng, rotor, hz, length)
    if chance(rng, 0.35):
        blasts = gate(length, uniform(rng, 0.4, 1.2), uniform(rng, 0.8, 3.0))
        horn = air_horn(rng, length) * smooth(blasts, length)
        sound += uniform(rng, 0.5, 1.0) * horn
    if chance(rng, 0.6):
        rpm = uniform(rng, 700.0, 1500.0) * (1.0 + 0.1 * wander(rng, length, 1.0))
        sound += uniform(rng, 0.1, 0.4) * vehicles.engine(
            rng, rpm, length, cylinders=6, tilt=1.2, unevenness_db=-12.0, breath=0.2
        )
    return sound


def civil_defense_siren(rng: np.random.Generator, length: int) -> np.ndarray:
    """A rotor that winds up and holds, or rises and falls slowly; an echo."""
    top_hz, times = log_uniform(rng, 300.0, 700.0), knots(length)
    if chance(rng, 0.5):
        rise_s = uniform(rng, 1.5, 5.0)
        began_s = uniform(rng, -4.0, 0.0)
        height = 1.0 - np.exp(-(times - began_s) / (0.4 * rise_s))
        hz = top_hz * np.maximum(height, 0.3)
    else:
        hz = sweep(rng, length, log_uniform(rng, 0.06, 0.16), 0.55 * top_hz, top_hz)
    rotor = harmonic_table(rng, harmonics(8, uniform(rng, 0.9, 1.6)))
    sound = oscillate(rng, rotor, hz, length)
    if chance(rng, 0.6):
        ratio = pick(rng, (5 / 6, 4 / 5, 3 / 4))
        sound += uniform(rng, 0.4, 1.0) * oscillate(rng, rotor, ratio * hz, length)
    echo = int(min(uniform(rng, 0.1, 0.6) * SAMPLE_RATE_HZ, 0.5 * length))
    sound[echo:] += uniform(rng, 0.2, 0.6) * sound[:-echo]
    return sound * smooth(gain(3.0 * wander(rng, length, 1.0)), length)


def _horn(
    rng: np.random.Generator, notes_hz: list, power: float, length: int
) -> np.ndarray:
    """Returns a chord whose notes set in a little late and a little flat."""
    dull_hz = log_uniform(rng, 1200.0, 6000.0)  # air and what the horn points away from
    settle = 1.0 - 0.06 * np.exp(-knots(length) / 0.05)
    sound = np.zeros(length, np.float32)
    for hz in notes_hz:
        count = max(1, min(24, int(7000.0 / hz)))
        levels = harmonics(count, power)
        levels /= 1.0 + (hz * np.arange(1, count + 1) / dull_hz) ** 2
        table = harmonic_table(rng, levels)
        bend = 1.0 + 0.004 * wander(rng, length, 0.7)
        sound += uniform(rng, 0.6, 1.0) * oscillate(
            rng, table, hz * settle * bend, length
        )
    return sound


def train_horn(rng: np.random.Generator, length: int) -> np.ndarray:
    """Chords of three to five notes, 250 to 660 Hz, in long blasts."""
    chords = (
        (311, 370, 415, 494, 622),
        (277, 330, 370, 440, 554),
        (255, 311, 440),
        (311, 370, 440),
    )
    tuning = uniform(rng, 0.92, 1.06)
    notes_hz = [tuning * hz * uniform(rng, 0.99, 1.01) for hz in pick(rng, chords)]
    sound = _horn(rng, notes_hz, uniform(rng, 0.5, 1.1), length)
    blast_s, pause_s = log_uniform(rng, 0.8, 4.0), uniform(rng, 0.15, 0.7)
    return sound * smooth(gate(length, blast_s, pause_s, 0.06), length)


def air_horn(rng: np.random.Generator, length: int) -> np.ndarray:
    """One or two low notes that buzz, in short blasts."""
    low_hz = log_uniform(rng, 140.0, 380.0)
    notes_hz = [low_hz, low_hz * uniform(rng, 1.18, 1.5)][: pick(rng, (1, 2))]
    sound = _horn(rng, notes_hz, uniform(rng, 0.1, 0.6), length)
    blast_s, pause_s = log_uniform(rng, 0.2, 1.6), uniform(rng, 0.1, 0.5)
    return sound * smooth(gate(length, blast_s, pause_s, 0.03), length)


def car_alarm(rng: np.random.Generator, length: int) -> np.ndarray:
    """The car's horn on and off, or a small siren that runs through its patterns."""
    if chance(rng, 0.35):
        low_hz = log_uniform(rng, 330.0, 480.0)
        sound = _horn(rng, [low_hz, low_hz * 1.22], uniform(rng, 0.4, 0.9), length)
        honk_s = uniform(rng, 0.2, 0.6)
        return sound * smooth(
            gate(length, honk_s, honk_s * uniform(rng, 0.7, 1.3)), length
        )
    low_hz = log_uniform(rng, 700.0, 1300.0)
    high_hz = low_hz * uniform(rng, 1.5, 2.4)
    patterns = [
        sweep(rng, length, log_uniform(rng, 1.0, 2.0), low_hz, high_hz),
        sweep(rng, length, log_uniform(rng, 5.0, 12.0), low_hz, high_hz),
        _two_tones(rng, length, log_uniform(rng, 0.07, 0.2), low_hz, high_hz / low_hz),
        low_hz + (high_hz - low_hz) * (knots(length) * uniform(rng, 1.5, 4.0) % 1.0),
    ]
    turn_s, first = uniform(rng, 0.7, 2.5), int(rng.random() * 4)
    turn = (first + knots(length) / turn_s).astype(int) % 4
    return _siren(rng, np.choose(turn, patterns), length)


def reversing_beeps(rng: np.random.Generator, length: int) -> np.ndarray:
    """A beep about once a second, a tone at 950 to 1500 Hz; some hiss instead."""
    on_s = uniform(rng, 0.25, 0.6)
    beeps = gate(length, on_s, on_s * uniform(rng, 0.7, 1.3), 0.008)
    if chance(rng, 0.1):
        hiss = noise(rng, length, band_gains(rng, 700.0, 3000.0))
        return hiss * smooth(beeps, length)
    levels = np.array([1.0, uniform(rng, 0.0, 0.3), uniform(rng, 0.0, 0.4)])
    hz = np.full(len(beeps), log_uniform(rng, 950.0, 1500.0))
    tone = oscillate(rng, harmonic_table(rng, levels), hz, length)
    return tone * smooth(beeps, length)


def voice(
    rng: np.random.Generator, hz: np.ndarray, formants_hz: list, length: int
) -> np.ndarray:
    """Returns a voice at a pitch; its formants stay where the mean pitch puts them."""
    mean_hz = float(np.mean(hz))
    orders_hz = mean_hz * np.arange(1, max(2, int(7500.0 / np.max(hz))) + 1)
    levels = np.full(len(orders_hz), 0.05)
    for number, formant_hz in enumerate(formants_hz):
        width = (orders_hz - formant_hz) / (80.0 + 0.12 * formant_hz)
        levels += 0.7**number / (1.0 + width**2)
    return oscillate(rng, harmonic_table(rng, levels), hz, length)


def screaming(rng: np.random.Generator, length: int) -> np.ndarray:
    """Voices of 450 to 1500 Hz that rise and break off, shaken, rough, with breath."""
    cry_s = log_uniform(rng, 0.5, 2.5)
    cries = gate(length, cry_s, uniform(rng, 0.1, 0.5), 0.08)
    times = knots(length)
    vibrato = np.sin(2 * np.pi * uniform(rng, 4.0, 9.0) * times)
    bend = 0.25 * wander(rng, length, cry_s) + uniform(rng, 0.0, 0.05) * vibrato
    hz = log_uniform(rng, 450.0, 1300.0) * 2.0 ** (bend + 0.2 * (cries - 1.0))
    hz *= 1.0 + uniform(rng, 0.0, 0.06) * wander(rng, length, 0.012)
    formants_hz = [uniform(rng, 800, 1200), uniform(rng, 1400, 2200), 3200.0]
    sound = voice(rng, hz, formants_hz, length)
    rough_hz = np.full(len(hz), uniform(rng, 35.0, 110.0))
    rough = oscillate(rng, harmonic_table(rng, np.ones(2)), rough_hz, length)
    sound *= 1.0 + uniform(rng, 0.0, 0.5) * rough
    sound += uniform(rng, 0.1, 0.5) * noise(
        rng, length, band_gains(rng, 1200.0, 5000.0)
    )
    return sound * smooth(cries, length)


Synthesizer = Callable[[np.random.Generator, int], np.ndarray]

SYNTHESIZERS: dict[str, Synthesizer] = {
    "Train horn": train_horn,
    "Air horn, truck horn": air_horn,
    "Car alarm": car_alarm,
    "Reversing beeps": reversing_beeps,
    "Bicycle": vehicles.bicycle,
    "Skateboard": vehicles.skateboard,
    "Ambulance (siren)": ambulance,
    "Fire engine, fire truck (siren)": fire_engine,
    "Civil defense siren": civil_defense_siren,
    "Police car (siren)": police_car,
    "Screaming": screaming,
    "Car": vehicles.car,
    "Car passing by": vehicles.car_passing_by,
    "Bus": vehicles.bus,
    "Truck": vehicles.truck,
    "Motorcycle": vehicles.motorcycle,
    "Train": vehicles.train,
}
"""The classes of DCASE 2017 Task 4, in their official order."""
