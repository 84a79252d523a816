"""The sounds that soundscapes are made of: they fill, they vary, they sound right."""

import numpy as np
import pytest

from gcrnn_jax.audio.distractors import DISTRACTORS
from gcrnn_jax.audio.signals import band_gains, gate, in_room, noise
from gcrnn_jax.audio.synthesizers import SYNTHESIZERS

SOUNDS = [*SYNTHESIZERS.values(), *DISTRACTORS]


def stream(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=number))


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def loudest_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum)) * 16000 / len(waveform)


def pitches_hz(waveform: np.ndarray, window: int = 1600) -> np.ndarray:
    """The loudest frequency of each window."""
    whole = len(waveform) // window
    return np.array(
        [loudest_hz(w) for w in waveform[: whole * window].reshape(whole, -1)]
    )


def levels(waveform: np.ndarray, window: int = 800) -> np.ndarray:
    whole = len(waveform) // window
    return np.array([rms(w) for w in waveform[: whole * window].reshape(whole, -1)])


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.__name__)
def test_a_synthesizer_fills_any_length_asked_for(sound):
    for number, length in enumerate((4800, 4801, 23456, 160000)):
        waveform = sound(stream(number), length)
        assert waveform.shape == (length,)
        assert waveform.dtype == np.float32
        assert np.isfinite(waveform).all()
        assert rms(waveform) > 1e-3
        assert abs(np.mean(waveform)) < 0.3 * rms(waveform)


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.__name__)
def test_a_synthesizer_never_makes_the_same_sound_twice(sound):
    first, second = (sound(stream(number), 32000) for number in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9


def many(name: str, length: int = 80000) -> list[np.ndarray]:
    return [SYNTHESIZERS[name](stream(100 + number), length) for number in range(10)]


def test_reversing_beeps_are_tones_of_900_to_1600_hz_about_once_a_second():
    tonal = 0
    for waveform in many("Reversing beeps"):
        tonal += 900 < loudest_hz(waveform) < 1600
        loud = levels(waveform) > 0.3 * rms(waveform)
        beeps = np.count_nonzero(np.diff(loud.astype(int)) == 1) + loud[0]
        assert 4 <= beeps <= 12  # in 5 s
    assert tonal >= 8  # the others are bursts of noise


def test_an_ambulance_alternates_two_pitches_and_a_police_car_does_not():
    def share_near_two_pitches(waveform):
        log_hz = np.log2(pitches_hz(waveform, 800))
        low, high = np.quantile(log_hz, [0.15, 0.85])
        near = np.minimum(np.abs(log_hz - low), np.abs(log_hz - high)) < 0.06
        return near.mean()

    ambulance = [share_near_two_pitches(w) for w in many("Ambulance (siren)")]
    police = [share_near_two_pitches(w) for w in many("Police car (siren)")]
    assert np.median(ambulance) > 0.9
    assert max(police) < 0.6


def test_a_police_siren_moves_faster_than_a_civil_defense_siren():
    def octaves_a_second(waveform):
        return np.abs(np.diff(np.log2(pitches_hz(waveform, 1600)))).mean() * 10

    police = [octaves_a_second(w) for w in many("Police car (siren)")]
    civil = [octaves_a_second(w) for w in many("Civil defense siren")]
    assert np.median(police) > 3 * np.median(civil)


def test_a_passing_car_is_loudest_in_the_middle():
    for waveform in many("Car passing by"):
        loudness = levels(waveform, 8000)
        assert 2 <= np.argmax(loudness) <= 7
        assert loudness.max() > 4 * max(loudness[0], loudness[-1])


def test_horns_and_engines_are_low_and_a_screams_voice_is_above_them():
    def centre_hz(name):
        return np.median([loudest_hz(waveform) for waveform in many(name)])

    assert 200 < centre_hz("Train horn") < 700
    assert centre_hz("Truck") < 300
    assert centre_hz("Bus") < 300
    assert centre_hz("Motorcycle") < 400
    assert 450 < centre_hz("Screaming") < 3000


def test_a_gate_is_on_at_both_ends_and_off_in_between():
    opened = gate(16000, 0.2, 0.2, 0.01)
    assert opened[2] == 1.0
    assert opened[-4] == 1.0
    assert (opened == 0.0).mean() > 0.3
    assert (gate(4800, 5.0, 1.0)[1:-1] > 0.0).all()


def test_noise_has_the_colour_asked_for():
    gains = band_gains(stream(0), 500.0, 1000.0, jitter_db=0.0)
    spectrum = np.abs(np.fft.rfft(noise(stream(1), 16000, gains))) ** 2
    inside = spectrum[350:1400].sum()
    assert inside > 0.9 * spectrum.sum()


def test_echoes_of_a_room_decay_by_60_db_in_its_reverberation_time():
    click = np.zeros(16000, np.float32)
    click[0] = 1.0
    for number in range(5):
        heard = in_room(stream(number), click, 0.8, 1.0)
        assert rms(heard) == pytest.approx(
            rms(click) * np.sqrt(2 * 16000 / len(heard)), rel=0.1
        )
        early, late = heard[160:1760], heard[3360:4960]  # 0.2 s apart: 15 dB
        fall_db = 20 * np.log10(rms(early) / rms(late))
        assert fall_db == pytest.approx(15.0, abs=3.0)
