"""A front end is checked, travels as plain values and gives what it promises."""

import dataclasses
import json
import math
import warnings

import numpy as np
import pytest

from gcrnn_jax.audio.front_end import FrontEnd, LogMel, Mfcc, make_front_end
from gcrnn_jax.errors import ConfigError
from tests.defaults import front_end, section

# What version 0.1 wrote into stores and cards, in its order.
WRITTEN_BY_0_1 = {
    "kind": "log_mel",
    "sample_rate_hz": 16000,
    "window": "hamming",
    "window_length": 1024,
    "fft_length": 0,
    "hop_length": 664,
    "centered": False,
    "power": 1.0,
    "num_mels": 64,
    "min_hz": 0.0,
    "max_hz": 8000.0,
    "floor": 1e-8,
    "num_coefficients": 40,
    "delta_width": 9,
    "clip_s": 10.0,
}
DCASE_2017_BASELINE = front_end(
    sample_rate_hz=44100,
    window="periodic_hamming",
    window_length=1764,
    fft_length=2048,
    hop_length=882,
    centered=True,
    num_mels=40,
    max_hz=22050,
)
FRAME_CNN = front_end(
    sample_rate_hz=44100,
    window="periodic_hann",
    window_length=2048,
    hop_length=492,
    centered=True,
    power=2,
    num_mels=128,
    max_hz=22050,
)


@pytest.mark.parametrize(("kind", "bins"), [("log_mel", 64), ("mfcc", 120)])
def test_a_front_end_gives_at_most_a_clip_of_frames(kind, bins):
    features_of = front_end(kind=kind)
    assert (features_of.num_frames, features_of.num_bins) == (240, bins)
    noise = np.random.default_rng(0).standard_normal(170000).astype(np.float32)
    assert features_of(noise).shape == (240, bins)
    assert features_of(noise).dtype == np.float32
    np.testing.assert_array_equal(features_of(noise), features_of(noise[:160000]))
    assert features_of(noise[:3000]).shape == (3, bins)


@pytest.mark.parametrize(
    ("centered", "shape"), [(DCASE_2017_BASELINE, (501, 40)), (FRAME_CNN, (897, 128))]
)
def test_a_centered_front_end_reaches_over_both_ends(centered, shape):
    assert (centered.num_frames, centered.num_bins) == shape
    assert (centered.frame_length, centered.min_length) == (2048, 1)
    noise = np.random.default_rng(0).standard_normal(450000).astype(np.float32)
    assert centered(noise).shape == shape
    assert centered(noise[:1]).shape == (1, shape[1])
    assert centered(noise[:0]).shape == (0, shape[1])


def test_a_front_end_that_pads_its_window_has_as_many_frames_as_it_promises():
    padded = front_end(window_length=512, fft_length=1024, hop_length=100)
    assert padded.min_length == 1024
    assert len(padded(np.zeros(160000))) == padded.num_frames == 1590


def test_a_clip_may_be_shorter_than_a_centered_window():
    assert front_end(centered=True, clip_s=0.01).num_frames == 1


@pytest.mark.parametrize(
    ("fields", "fewest"), [({}, 1024), ({"fft_length": 2048}, 2048)]
)
def test_a_clip_may_be_one_frame_and_no_less(fields, fewest):
    assert front_end(clip_s=fewest / 16000, **fields).num_frames == 1
    with pytest.raises(ConfigError, match=f"at least one frame, {fewest} samples"):
        front_end(clip_s=(fewest - 1.5) / 16000, **fields)


def test_enough_zeros_make_room_for_many_mels():
    with pytest.raises(ConfigError, match="an FFT of 1024 samples"):
        front_end(num_mels=400)
    assert front_end(num_mels=400, fft_length=16384).num_bins == 400


def test_only_logarithms_of_magnitudes_turn_a_gain_into_a_constant():
    assert front_end().is_log_magnitude
    assert not front_end(power=2).is_log_magnitude
    assert not front_end(kind="mfcc").is_log_magnitude


def test_log_mel_frames_come_back_from_features_that_hold_them():
    frames = front_end().log_mel(np.random.default_rng(0).standard_normal(20000))
    for kind, comes_back in (("log_mel", True), ("mfcc", False)):
        one = front_end(kind=kind)
        again = one.log_mel_from_features(one.features_from_log_mel(frames))
        assert (again is not None) == comes_back
        assert again is None or np.array_equal(again, frames)


def test_a_derivative_needs_the_frames_that_it_is_fitted_to():
    assert front_end().min_frames == 1
    assert front_end(kind="mfcc", delta_width=5).min_frames == 5


@pytest.mark.parametrize("kind", ["log_mel", "mfcc"])
def test_stores_and_cards_of_0_1_are_read_and_written_as_they_are(kind):
    on_disk = WRITTEN_BY_0_1 | {"kind": kind}
    from_disk = FrontEnd.from_dict(on_disk)
    assert from_disk == front_end(kind=kind)
    assert type(from_disk) is {"log_mel": LogMel, "mfcc": Mfcc}[kind]
    assert json.dumps(from_disk.as_dict()) == json.dumps(on_disk)


@pytest.mark.parametrize(
    "one",
    [
        front_end(kind="mfcc", num_mels=80, num_coefficients=13, delta_width=5),
        DCASE_2017_BASELINE,
        FRAME_CNN,
    ],
)
def test_a_front_end_survives_json(one):
    again = FrontEnd.from_dict(json.loads(json.dumps(one.as_dict())))
    assert again == one
    assert again.as_dict() == one.as_dict()


def test_kinds_differ_though_their_fields_are_equal():
    assert front_end() != front_end(kind="mfcc")
    fields = section("front_end")
    del fields["num_coefficients"], fields["delta_width"]
    assert make_front_end(fields) == front_end(num_coefficients=13, delta_width=5)


def test_an_int_is_a_float():
    assert front_end(clip_s=5) == front_end(clip_s=5.0)
    assert isinstance(front_end(power=2).power, float)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "wavelet"),
        ("kind", 3),
        ("kind", []),
        ("sample_rate_hz", 0),
        ("sample_rate_hz", 16000.0),
        ("window", "hann"),
        ("window", 3),
        ("window_length", 1),
        ("window_length", True),
        ("fft_length", 1023),
        ("fft_length", -1),
        ("fft_length", False),
        ("centered", 1),
        ("centered", "yes"),
        ("power", 0),
        ("power", -1.0),
        ("power", True),
        ("power", 1e9),
        ("power", math.inf),
        ("hop_length", 0),
        ("num_mels", 0),
        ("num_mels", 400),  # narrower than the spectrum's bins
        ("min_hz", -1.0),
        ("max_hz", 0),
        ("max_hz", 8001),
        ("max_hz", math.nan),
        ("floor", 0),
        ("floor", math.inf),
        ("floor", "1e-8"),
        ("num_coefficients", 0),
        ("num_coefficients", 65),
        ("delta_width", 1),
        ("delta_width", 8),
        ("clip_s", 0.01),
        ("clip_s", math.inf),
        ("clip_s", 1e6),
    ],
)
def test_a_bad_field_is_named(field, value):
    named = rf"^front_end(: |\.){field}\b"
    with warnings.catch_warnings(), pytest.raises(ConfigError, match=named):
        warnings.simplefilter("error")
        front_end(**{"kind": "mfcc", field: value})


@pytest.mark.parametrize("kind", ["log_mel", "mfcc"])
def test_an_unknown_field_is_named_with_the_nearest(kind):
    with pytest.raises(ConfigError, match="n_mels: unknown field; did you mean num_me"):
        front_end(kind=kind, n_mels=64)


def test_a_missing_field_is_named():
    with pytest.raises(ConfigError, match="front_end.sample_rate_hz: missing"):
        FrontEnd.from_dict({"kind": "log_mel"})
    with pytest.raises(ConfigError, match="front_end.kind: expected 'log_mel' or"):
        FrontEnd.from_dict({})


def test_a_front_end_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        front_end().num_mels = 3  # type: ignore[misc]
