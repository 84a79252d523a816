"""The front end equals plain scipy and librosa."""

import dataclasses
import json
import math
import warnings

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr

from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.audio.features import FrontEnd, log_mel, mfcc
from gcrnn_jax.audio.mel import mel_filter_bank
from gcrnn_jax.errors import ConfigError


def plain_log_mel(waveform: np.ndarray) -> np.ndarray:
    """The paper's front end in double precision, one call a step."""
    _, _, spectrum = scipy.signal.spectrogram(
        waveform.astype(np.float64),
        fs=1,
        window=np.hamming(1024),
        nperseg=1024,
        noverlap=360,
        detrend=False,  # type: ignore[arg-type]
        scaling="density",
        mode="magnitude",
    )
    mel = librosa.filters.mel(
        sr=16000, n_fft=1024, n_mels=64, fmin=0, fmax=8000, dtype=np.float64
    )
    return np.log(spectrum.T @ mel.T + 1e-8)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_log_mel_equals_scipy_and_librosa(tmp_path, rate, channels):
    """At 8 kHz half the bins lie 120 dB down: a float32 FFT fails there."""
    data = 0.1 * np.random.default_rng(rate).standard_normal((3 * rate, channels))
    soundfile.write(tmp_path / "a.wav", data, rate, subtype="FLOAT")
    mono = data.astype(np.float32).mean(axis=1, dtype=np.float64).astype(np.float32)
    resampled = soxr.resample(mono, rate, 16000, quality="HQ")
    assert len(resampled) == math.ceil(len(data) * 16000 / rate)
    ours = log_mel(read_waveform(tmp_path / "a.wav"))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, plain_log_mel(resampled), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "window", "mels", "low", "high"),
    [
        (16000, 1024, 64, 0, 8000),
        (44100, 2048, 128, 50, 14000),
        (8000, 512, 20, 0, 900),
    ],
)
def test_mel_filters_equal_librosa(rate, window, mels, low, high):
    ours = mel_filter_bank(
        sample_rate_hz=rate,
        window_length=window,
        num_mels=mels,
        min_hz=low,
        max_hz=high,
    )
    theirs = librosa.filters.mel(
        sr=rate, n_fft=window, n_mels=mels, fmin=low, fmax=high, dtype=np.float64
    )
    np.testing.assert_allclose(ours, theirs.T, rtol=1e-12, atol=1e-15)


def test_log_mel_of_other_sizes_equals_librosa():
    """66 mels are not a multiple of the bins that are multiplied at once."""
    waveform = np.random.default_rng(0).standard_normal(44100)
    ours = log_mel(
        waveform,
        sample_rate_hz=44100,
        window_length=2048,
        hop_length=441,
        num_mels=66,
        min_hz=50,
        max_hz=14000,
        floor=1e-6,
    )
    window = np.hamming(2048)
    spectrum = librosa.stft(
        waveform, n_fft=2048, hop_length=441, window=window, center=False
    )
    mel = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=66, fmin=50, fmax=14000)
    scale = np.sqrt(np.sum(window**2))
    expected = np.log(np.abs(spectrum).T @ mel.T / scale + 1e-6)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (1, 0), (1023, 0), (1024, 1), (1687, 1), (1688, 2), (160000, 240)],
)
def test_frames_do_not_reach_over_the_ends(samples, frames):
    assert log_mel(np.zeros(samples, np.float32)).shape == (frames, 64)


@pytest.mark.parametrize("signal", [np.zeros, np.ones])
def test_silence_and_constants_stay_finite(signal):
    assert np.isfinite(log_mel(signal(16000))).all()


@pytest.mark.parametrize("num_frames", [9, 10, 240])
def test_mfcc_equals_librosa(num_frames):
    features = np.random.default_rng(num_frames).normal(-6, 3, (num_frames, 64))
    cepstrum = librosa.feature.mfcc(S=features.T, n_mfcc=40, dct_type=2, norm="ortho")
    expected = [
        cepstrum,
        librosa.feature.delta(cepstrum, width=9, order=1),
        librosa.feature.delta(cepstrum, width=9, order=2),
    ]
    ours = mfcc(features)
    assert ours.shape == (num_frames, 120)
    np.testing.assert_allclose(ours, np.concatenate(expected).T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_frames", [0, 1, 2, 8])
def test_mfcc_of_a_clip_shorter_than_the_delta_repeats_its_ends(num_frames):
    features = np.random.default_rng(0).normal(-6, 3, (num_frames, 64))
    ours = mfcc(features)
    assert ours.shape == (num_frames, 120)
    if num_frames:
        padded = np.pad(features, ((4, 4), (0, 0)), mode="edge")
        whole = mfcc(np.pad(padded, ((9, 9), (0, 0)), mode="edge"))
        np.testing.assert_allclose(ours, whole[13:-13], atol=1e-5)


def test_mfcc_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="coefficients"):
        mfcc(np.zeros((10, 20)))
    with pytest.raises(ValueError, match="odd"):
        mfcc(np.zeros((10, 64)), delta_width=4)


@pytest.mark.parametrize(("kind", "bins"), [("log_mel", 64), ("mfcc", 120)])
def test_a_front_end_gives_at_most_a_clip_of_frames(kind, bins):
    front_end = FrontEnd(kind=kind)
    assert (front_end.num_frames, front_end.num_bins) == (240, bins)
    noise = np.random.default_rng(0).standard_normal(170000).astype(np.float32)
    assert front_end(noise).shape == (240, bins)
    assert front_end(noise).dtype == np.float32
    np.testing.assert_array_equal(front_end(noise), front_end(noise[:160000]))
    assert front_end(noise[:3000]).shape == (3, bins)


def test_a_front_end_survives_json():
    front_end = FrontEnd(kind="mfcc", num_mels=80, min_hz=50, clip_s=5)
    again = FrontEnd.from_dict(json.loads(json.dumps(front_end.as_dict())))
    assert again == front_end
    assert again.clip_s == 5.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "wavelet"),
        ("kind", 3),
        ("sample_rate_hz", 0),
        ("sample_rate_hz", 16000.0),
        ("window_length", True),
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
