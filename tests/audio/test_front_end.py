"""A front end is checked, travels as plain values and gives what it promises."""

import dataclasses
import json
import math
import warnings

import numpy as np
import pytest

from gcrnn_jax.audio.features import log_mel
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.errors import ConfigError


@pytest.mark.parametrize(("kind", "bins"), [("log_mel", 64), ("mfcc", 120)])
def test_a_front_end_gives_at_most_a_clip_of_frames(kind, bins):
    front_end = FrontEnd(kind=kind)
    assert (front_end.num_frames, front_end.num_bins) == (240, bins)
    noise = np.random.default_rng(0).standard_normal(170000).astype(np.float32)
    assert front_end(noise).shape == (240, bins)
    assert front_end(noise).dtype == np.float32
    np.testing.assert_array_equal(front_end(noise), front_end(noise[:160000]))
    assert front_end(noise[:3000]).shape == (3, bins)


DCASE_2017_BASELINE = FrontEnd(
    sample_rate_hz=44100,
    window="periodic_hamming",
    window_length=1764,
    fft_length=2048,
    hop_length=882,
    centered=True,
    num_mels=40,
    max_hz=22050,
)
FRAME_CNN = FrontEnd(
    sample_rate_hz=44100,
    window="periodic_hann",
    window_length=2048,
    hop_length=492,
    centered=True,
    power=2,
    num_mels=128,
    max_hz=22050,
)


@pytest.mark.parametrize(
    ("front_end", "shape"), [(DCASE_2017_BASELINE, (501, 40)), (FRAME_CNN, (897, 128))]
)
def test_a_centered_front_end_reaches_over_both_ends(front_end, shape):
    assert (front_end.num_frames, front_end.num_bins) == shape
    assert (front_end.frame_length, front_end.min_length) == (2048, 1)
    noise = np.random.default_rng(0).standard_normal(450000).astype(np.float32)
    assert front_end(noise).shape == shape
    assert front_end(noise[:1]).shape == (1, shape[1])
    assert front_end(noise[:0]).shape == (0, shape[1])


@pytest.mark.parametrize("front_end", [DCASE_2017_BASELINE, FRAME_CNN])
def test_a_front_end_hands_every_field_on(front_end):
    noise = np.random.default_rng(0).standard_normal(50000)
    fields = front_end.as_dict()
    for of_others in ("kind", "num_coefficients", "delta_width", "clip_s"):
        del fields[of_others]
    np.testing.assert_array_equal(front_end(noise), log_mel(noise, **fields))


def test_a_front_end_that_pads_its_window_has_as_many_frames_as_it_promises():
    front_end = FrontEnd(window_length=512, fft_length=1024, hop_length=100)
    assert front_end.min_length == 1024
    assert len(front_end(np.zeros(160000))) == front_end.num_frames == 1590


def test_a_clip_may_be_shorter_than_a_centered_window():
    assert FrontEnd(centered=True, clip_s=0.01).num_frames == 1


def test_enough_zeros_make_room_for_many_mels():
    with pytest.raises(ConfigError, match="an FFT of 1024 samples"):
        FrontEnd(num_mels=400)
    assert FrontEnd(num_mels=400, fft_length=16384).num_bins == 400


@pytest.mark.parametrize(
    "front_end",
    [
        FrontEnd(kind="mfcc", num_mels=80, min_hz=50, clip_s=5),
        DCASE_2017_BASELINE,
        FRAME_CNN,
    ],
)
def test_a_front_end_survives_json(front_end):
    again = FrontEnd.from_dict(json.loads(json.dumps(front_end.as_dict())))
    assert again == front_end
    assert again.as_dict() == front_end.as_dict()


def test_an_int_is_a_float():
    assert FrontEnd(clip_s=5) == FrontEnd(clip_s=5.0)
    assert isinstance(FrontEnd(power=2).power, float)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "wavelet"),
        ("kind", 3),
        ("sample_rate_hz", 0),
        ("sample_rate_hz", 16000.0),
        ("window", "hann"),
        ("window", 3),
        ("window_length", True),
        ("fft_length", 1023),
        ("fft_length", -1),
        ("fft_length", False),
        ("centered", 1),
        ("centered", "yes"),
        ("power", 0),
        ("power", -1.0),
        ("power", True),
        ("power", math.inf),
        ("hop_length", 0),
        ("num_mels", 400),  # narrower than the spectrum's bins
        ("min_hz", 9000),
        ("max_hz", 8001),
        ("max_hz", math.nan),
        ("floor", 0),
        ("floor", math.inf),
        ("floor", "1e-8"),
        ("num_coefficients", 65),
        ("delta_width", 8),
        ("clip_s", 0.01),
        ("clip_s", math.inf),
    ],
)
def test_a_bad_field_is_named(field, value):
    fields = {**FrontEnd(kind="mfcc").as_dict(), field: value}
    with warnings.catch_warnings(), pytest.raises(ConfigError, match=field):
        warnings.simplefilter("error")
        FrontEnd.from_dict(fields)


def test_an_unknown_field_is_named():
    with pytest.raises(ConfigError, match="n_mels"):
        FrontEnd.from_dict({"n_mels": 64})


def test_a_front_end_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FrontEnd().num_mels = 3  # type: ignore[misc]
