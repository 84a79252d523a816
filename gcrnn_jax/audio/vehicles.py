"""The sounds of the eight vehicles of the task: engines, wheels and what they run on.

A synthesizer takes a generator and a length in samples, 0.3 to 10 s, and returns
float32 [length] at any level: sound from its first sample to its last.
"""

import numpy as np

from gcrnn_jax.audio.signals import (
    SAMPLE_RATE_HZ,
    band_gains,
    chance,
    gain,
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

_SOUND_M_S = 343.0


def _pulse(sharpness: float) -> np.ndarray:
    """Returns a period, as `harmonic_table`, that starts at 1 and fades to nothing."""
    return np.exp(np.linspace(0.0, -sharpness, 8192)).astype(np.float32)


def bicycle(rng: np.random.Generator, length: int) -> np.ndarray:
    """Ticks of a freewheel that slows and speeds up, tyres, often a bell."""
    rate_hz = log_uniform(rng, 9.0, 45.0) * 2.0 ** (0.5 * wander(rng, length, 1.5))
    ticks = noise(rng, length, band_gains(rng, log_uniform(rng, 1500, 3500), 6000.0))
    ticks *= 3.0 * oscillate(rng, _pulse(uniform(rng, 5.0, 20.0)), rate_hz, length)
    sound = ticks * smooth(1.0 + 0.8 * wander(rng, length, 0.4), length)
    tyres = noise(rng, length, band_gains(rng, 150.0, 2500.0, -2.0))
    sound += uniform(rng, 0.1, 0.8) * tyres
    if chance(rng, 0.5):
        base_hz = log_uniform(rng, 1300.0, 2800.0)
        modes = base_hz * np.array([1.0, 1.51, 2.04, 2.71])
        bell = impact(rng, int(0.7 * SAMPLE_RATE_HZ), modes, uniform(rng, 0.1, 0.4))
        onset_s = uniform(rng, 0.0, 0.7 * length / SAMPLE_RATE_HZ)
        for _ in range(pick(rng, (1, 2, 2, 6))):
            strike(sound, bell, onset_s, uniform(rng, 1.0, 3.0))
            onset_s += uniform(rng, 0.08, 0.3)
            if onset_s * SAMPLE_RATE_HZ >= length:
                break
    return sound


def skateboard(rng: np.random.Generator, length: int) -> np.ndarray:
    """Rough rolling, pairs of cracks where slabs meet, and pops with a gap after."""
    rough = gain(5.0 * wander(rng, length, 0.05) + 6.0 * wander(rng, length, 1.0))
    low_hz, high_hz = log_uniform(rng, 200.0, 600.0), log_uniform(rng, 2500.0, 6000.0)
    gains = band_gains(rng, low_hz, high_hz, uniform(rng, -2.0, 1.5))
    total_s = length / SAMPLE_RATE_HZ
    jumps = np.zeros(0)
    if chance(rng, 0.7):
        jumps = np.sort(uniform(rng, 0.0, 0.3) + total_s * rng.random(3))
        for jump_s in jumps:
            since = knots(length) - jump_s
            flying = (since > 0.0) & (since < min(0.35, 0.2 * total_s))
            rough[flying & (knots(length) < total_s - 0.1)] *= 0.1
    sound = noise(rng, length, gains) * smooth(rough, length)
    crack = impact(rng, 1600, [log_uniform(rng, 250.0, 700.0), 1900.0], 0.02, 2.0)
    onset_s, slab_s = uniform(rng, 0.0, 0.4), log_uniform(rng, 0.15, 0.8)
    axle_s = uniform(rng, 0.2, 0.4) * slab_s
    while onset_s + axle_s < total_s:
        strike(sound, crack, onset_s, uniform(rng, 0.5, 2.0))
        strike(sound, crack, onset_s + axle_s, uniform(rng, 0.5, 2.0))
        onset_s += slab_s * uniform(rng, 0.9, 1.1)
    pop = impact(rng, 2400, [log_uniform(rng, 300.0, 900.0), 2300.0], 0.03, 3.0)
    for jump_s in jumps[jumps < total_s]:
        strike(sound, pop, jump_s, uniform(rng, 2.0, 5.0))
    return sound


def engine(
    rng: np.random.Generator,
    rpm: np.ndarray,
    length: int,
    *,
    cylinders: int,
    tilt: float,
    unevenness_db: float,
    breath: float,
) -> np.ndarray:
    """Returns a four-stroke engine: the orders of its cycle, and noise that they beat.

    Args:
        rng: For phases, resonances and noise.
        rpm: [N], turns a minute at `knots(length)`.
        length: In samples.
        cylinders: Fire once each in a cycle of two turns: these orders are the loudest.
        tilt: Levels of the orders are as order ** -tilt.
        unevenness_db: Level of the orders in between, as a V-twin has: -5, smooth: -25.
        breath: Level of the noise.

    Returns:
        float32 [length].
    """
    orders = np.arange(1, 600)
    cycle_hz = rpm / 120.0
    levels = (orders / cylinders) ** -tilt
    levels[orders < cylinders] = 0.7
    levels *= gain(6.0 * (rng.random(len(orders)) - 0.5))
    levels[orders % cylinders != 0] *= gain(unevenness_db)
    orders_hz = orders * float(np.mean(cycle_hz))
    for resonance_hz in (
        log_uniform(rng, 80.0, 250.0),
        log_uniform(rng, 300.0, 1200.0),
    ):
        levels *= 1.0 + 2.5 * np.exp(-((4.0 * np.log2(orders_hz / resonance_hz)) ** 2))
    levels /= 1.0 + (orders_hz / 2500.0) ** 2
    levels /= 1.0 + (80.0 / orders_hz) ** 2  # as small microphones hear it
    levels[orders * float(np.max(cycle_hz)) > 7500.0] = 0.0  # would fold back
    cycle = harmonic_table(rng, levels, spread=uniform(rng, 0.1, 1.0))
    beats = oscillate(rng, cycle, cycle_hz, length)
    hiss = noise(rng, length, band_gains(rng, 150.0, 4000.0, -3.0))
    load = gain(4.0 * np.log2(rpm / np.mean(rpm)))  # revving is louder
    return (beats + breath * hiss * (0.4 + np.abs(beats))) * smooth(load, length)


def _revs(
    rng: np.random.Generator, length: int, idle_rpm: float, top_rpm: float
) -> np.ndarray:
    """Returns turns a minute: idling, revved in bursts, driven, or speeding up."""
    times = knots(length)
    way = pick(rng, ("idle", "revved", "driven", "leaving"))
    tremble = 1.0 + 0.03 * wander(rng, length, 0.15)
    if way == "idle":
        return idle_rpm * tremble
    if way == "driven":
        middle_rpm = log_uniform(rng, 1.5 * idle_rpm, 0.8 * top_rpm)
        return middle_rpm * tremble * 2.0 ** (0.2 * wander(rng, length, 2.0))
    if way == "leaving":
        share = np.clip((times / times[-1] - uniform(rng, 0.0, 0.4)) * 1.5, 0.0, 1.0)
        return tremble * (idle_rpm + (0.8 * top_rpm - idle_rpm) * share)
    effort = np.zeros(len(times))
    onset_s = uniform(rng, 0.0, 0.5)
    while onset_s < times[-1]:
        rise_s, fall_s = uniform(rng, 0.15, 0.6), uniform(rng, 0.3, 1.2)
        burst = np.interp(times - onset_s, [0.0, rise_s, rise_s + fall_s], [0, 1, 0])
        effort = np.maximum(effort, uniform(rng, 0.4, 1.0) * burst)
        onset_s += rise_s + fall_s + uniform(rng, 0.0, 1.5)
    return tremble * (idle_rpm + (top_rpm - idle_rpm) * effort)


def car(rng: np.random.Generator, length: int) -> np.ndarray:
    """Three to six cylinders on petrol, and tyres."""
    rpm = _revs(rng, length, uniform(rng, 650, 1000), log_uniform(rng, 2500, 4800))
    sound = engine(
        rng,
        rpm,
        length,
        cylinders=pick(rng, (3, 4, 4, 4, 6)),
        tilt=uniform(rng, 0.8, 1.5),
        unevenness_db=uniform(rng, -22.0, -12.0),
        breath=uniform(rng, 0.1, 0.5),
    )
    tyres = noise(rng, length, band_gains(rng, 300.0, 2500.0))
    tyres *= smooth(gain(4.0 * wander(rng, length, 1.5)), length)
    return sound + uniform(rng, 0.0, 0.8) * tyres


def _diesel(
    rng: np.random.Generator,
    length: int,
    rpm: np.ndarray,
    knock: float,
    tilt: float,
) -> np.ndarray:
    """Returns a large engine with the knock of its injection."""
    cylinders = pick(rng, (4, 6, 6, 6, 8))
    sound = engine(
        rng,
        rpm,
        length,
        cylinders=cylinders,
        tilt=tilt,
        unevenness_db=uniform(rng, -16.0, -8.0),
        breath=uniform(rng, 0.2, 0.5),
    )
    knocks = 3.0 * oscillate(rng, _pulse(6.0), rpm * (cylinders / 120.0), length)
    rattle = noise(rng, length, band_gains(rng, 900.0, 3500.0))
    return sound + knock * rattle * knocks


def _air_brake(rng: np.random.Generator, sound: np.ndarray, level: float) -> None:
    """Adds a hiss that starts at once and fades, in place."""
    count = min(len(sound), int(uniform(rng, 0.2, 1.2) * SAMPLE_RATE_HZ))
    hiss = noise(rng, count, band_gains(rng, 2000.0, 7500.0, 1.0))
    fade = np.linspace(1.0, 0.0, count, dtype=np.float32) ** 2
    last_s = (len(sound) - count) / SAMPLE_RATE_HZ
    strike(sound, hiss * fade, uniform(rng, 0.0, last_s), level)


def bus(rng: np.random.Generator, length: int) -> np.ndarray:
    """A smooth diesel, a gearbox that whines with it, doors and brakes that hiss."""
    rpm = _revs(rng, length, uniform(rng, 550, 750), log_uniform(rng, 1500, 2300))
    sound = _diesel(rng, length, rpm, uniform(rng, 0.0, 0.3), uniform(rng, 1.2, 1.8))
    whine = harmonic_table(rng, np.array([1.0, 0.4, 0.1]))
    gear = uniform(rng, 12.0, 28.0) / 60.0
    sound += uniform(rng, 0.02, 0.3) * oscillate(rng, whine, gear * rpm, length)
    if chance(rng, 0.65):
        _air_brake(rng, sound, uniform(rng, 0.7, 2.5))
    return sound


def truck(rng: np.random.Generator, length: int) -> np.ndarray:
    """A heavy diesel that knocks, a body that rattles, sometimes brakes that hiss."""
    rpm = _revs(rng, length, uniform(rng, 420, 650), log_uniform(rng, 1100, 1900))
    sound = _diesel(rng, length, rpm, uniform(rng, 0.3, 1.0), uniform(rng, 0.7, 1.3))
    body = noise(rng, length, band_gains(rng, 60.0, 500.0, -3.0))
    sound += uniform(rng, 0.3, 1.2) * body
    if chance(rng, 0.5):
        thud = impact(rng, 4000, [log_uniform(rng, 70.0, 200.0), 460.0, 1130.0], 0.05)
        for onset_s in rng.random(4) * length / SAMPLE_RATE_HZ:
            strike(sound, thud, onset_s, uniform(rng, 0.5, 2.0))
    if chance(rng, 0.3):
        _air_brake(rng, sound, uniform(rng, 0.5, 2.0))
    return sound


def motorcycle(rng: np.random.Generator, length: int) -> np.ndarray:
    """One or two cylinders, or a fast four, revved or shifted through the gears."""
    times = knots(length)
    idle_rpm, top_rpm = uniform(rng, 900, 1500), log_uniform(rng, 4000, 10000)
    if chance(rng, 0.5):
        gear_s = uniform(rng, 0.8, 2.2)
        in_gear = (times + uniform(rng, 0.0, gear_s)) % gear_s / gear_s
        low_rpm = uniform(rng, 0.45, 0.65) * top_rpm
        rpm = np.interp(in_gear, [0.0, 0.9, 1.0], [low_rpm, top_rpm, low_rpm])
    else:
        rpm = _revs(rng, length, idle_rpm, top_rpm)
    return engine(
        rng,
        rpm,
        length,
        cylinders=pick(rng, (1, 2, 2, 2, 4)),
        tilt=uniform(rng, 0.3, 0.9),
        unevenness_db=uniform(rng, -12.0, -4.0),
        breath=uniform(rng, 0.05, 0.3),
    )


def car_passing_by(rng: np.random.Generator, length: int) -> np.ndarray:
    """Tyre noise and an engine that come, pass and go: level, colour and Doppler."""
    times = knots(length)
    distance_m, reach = log_uniform(rng, 3.0, 12.0), uniform(rng, 4.0, 9.0)
    passed_s = uniform(rng, 0.38, 0.62) * times[-1]
    speed_m_s = min(40.0, reach * distance_m / (0.5 * times[-1]))
    along_m = speed_m_s * (times - passed_s)
    far = np.hypot(distance_m, along_m) / distance_m  # 1 when nearest
    level = far ** -uniform(rng, 0.9, 1.3)
    approach_m_s = -speed_m_s * along_m / (far * distance_m)
    doppler = _SOUND_M_S / (_SOUND_M_S - approach_m_s)
    gains = band_gains(rng, 150.0, log_uniform(rng, 1200.0, 3500.0), -1.0)
    darker = np.linspace(0.0, uniform(rng, 0.3, 1.0), len(gains))
    sound = noise(rng, length, gains[:, None] * far ** -darker[:, None])
    motor = engine(
        rng,
        doppler * uniform(rng, 1400.0, 3200.0),
        length,
        cylinders=4,
        tilt=uniform(rng, 0.9, 1.6),
        unevenness_db=-15.0,
        breath=0.1,
    )
    sound += uniform(rng, 0.1, 0.8) * motor
    return sound * smooth(level, length)


def train(rng: np.random.Generator, length: int) -> np.ndarray:
    """Rumble, wheels over rail joints two by two, motors that whine, flanges too."""
    total_s = length / SAMPLE_RATE_HZ
    sound = noise(rng, length, band_gains(rng, 70.0, log_uniform(rng, 400, 1500), -2.0))
    sound *= smooth(gain(5.0 * wander(rng, length, 0.8)), length)
    modes_hz = [log_uniform(rng, 130.0, 320.0), log_uniform(rng, 500.0, 1300.0), 2100.0]
    clack = impact(rng, 4000, modes_hz, uniform(rng, 0.03, 0.07), 2.0)
    bogie_s = log_uniform(rng, 0.35, 1.1)
    axle_s = bogie_s * uniform(rng, 0.16, 0.3)
    level = uniform(rng, 0.8, 3.5)
    onset_s = uniform(rng, 0.0, min(bogie_s, 0.5 * total_s))
    while onset_s + axle_s < total_s:
        strike(sound, clack, onset_s, level * uniform(rng, 0.7, 1.2))
        strike(sound, clack, onset_s + axle_s, level * uniform(rng, 0.5, 1.0))
        onset_s += bogie_s
    if chance(rng, 0.6):
        table = harmonic_table(rng, np.array([1.0, 0.5, 0.3, 0.1]))
        hz = log_uniform(rng, 120.0, 800.0) * 2.0 ** (0.1 * wander(rng, length, 3.0))
        sound += uniform(rng, 0.1, 0.7) * oscillate(rng, table, hz, length)
    if chance(rng, 0.3):
        squeal = harmonic_table(rng, np.array([1.0, 0.3]))
        hz = log_uniform(rng, 2000.0, 3700.0) * (1 + 0.01 * wander(rng, length, 0.2))
        level_of_squeal = np.maximum(wander(rng, length, 0.6), 0.0)
        sound += smooth(level_of_squeal, length) * oscillate(rng, squeal, hz, length)
    return sound
