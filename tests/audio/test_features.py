"""Log-mel and MFCC equal plain scipy and librosa."""

import math
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr

import gcrnn_jax
from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.audio.spectrum import Mels, mel_filter_bank
from tests.defaults import front_end


def log_mel(waveform: np.ndarray, **changes) -> np.ndarray:
    return front_end(**changes).log_mel(waveform)


def mfcc(frames: np.ndarray) -> np.ndarray:
    return front_end(kind="mfcc").features_from_log_mel(frames)


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
        (16000, 512, 40, 1000, 7600),
    ],
)
def test_mel_filters_equal_librosa(rate, window, mels, low, high):
    ours = mel_filter_bank(Mels(rate, window, mels, low, high))
    theirs = librosa.filters.mel(
        sr=rate, n_fft=window, n_mels=mels, fmin=low, fmax=high, dtype=np.float64
    )
    np.testing.assert_array_equal(ours, theirs.T)


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


# Two published front ends, and librosa's arguments for them. The floors are those of
# the unscaled spectrum.
DCASE_2017_BASELINE = (
    dict(window="periodic_hamming", window_length=1764, fft_length=2048, hop_length=882)
    | dict(num_mels=40, power=1.0, floor=np.finfo(np.float64).eps),
    dict(window="hamming", win_length=1764, n_fft=2048, hop_length=882),
)
FRAME_CNN = (
    dict(window="periodic_hann", window_length=2048, hop_length=492)
    | dict(num_mels=128, power=2.0, floor=1e-4),
    dict(window="hann", win_length=2048, n_fft=2048, hop_length=492),
)


def tone_in_noise(samples: int) -> np.ndarray:
    noise = np.random.default_rng(samples).standard_normal(samples)
    return 0.05 * noise + 0.3 * np.sin(2 * np.pi * 997 / 44100 * np.arange(samples))


@pytest.mark.parametrize("samples", [2, 1000, 44100, 44981])
@pytest.mark.parametrize("system", [DCASE_2017_BASELINE, FRAME_CNN])
@pytest.mark.parametrize("centered", [True, False])
def test_published_front_ends_equal_librosa(system, samples, centered):
    """Short waveforms are mirrored several times over."""
    ours, theirs = system
    waveform = tone_in_noise(samples)
    window = scipy.signal.get_window(theirs["window"], theirs["win_length"])
    scale = np.sum(window**2) ** (-ours["power"] / 2)
    features = log_mel(
        waveform,
        sample_rate_hz=44100,
        max_hz=22050,
        centered=centered,
        **{**ours, "floor": ours["floor"] * scale},
    )
    if not centered and samples < 2048:  # which librosa refuses
        assert features.shape == (0, ours["num_mels"])
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=2048 is too large")
        spectrum = librosa.stft(
            waveform, center=centered, pad_mode="reflect", dtype=np.complex128, **theirs
        )
    mel = librosa.filters.mel(
        sr=44100, n_fft=2048, n_mels=ours["num_mels"], dtype=np.float64
    )
    expected = np.log((np.abs(spectrum) ** ours["power"]).T @ mel.T + ours["floor"])
    np.testing.assert_allclose(features - np.log(scale), expected, rtol=0, atol=1e-5)


def test_a_floor_stands_for_a_factor_within_the_log():
    """ln(1 + 10000 * mel) is ln(mel + 1e-4) and a constant."""
    waveform = tone_in_noise(4410)
    power = np.exp(log_mel(waveform, power=2.0, floor=1e-30).astype(np.float64))
    np.testing.assert_allclose(
        log_mel(waveform, power=2.0, floor=1e-4) + np.log(1e4),
        np.log(1 + 1e4 * power),
        atol=1e-5,
    )


@pytest.mark.parametrize("fft_length", [1023, 1024])
@pytest.mark.parametrize("samples", [0, 1, 2, 663, 664, 665, 1328, 160000])
def test_centered_frames_start_at_each_hop(samples, fft_length):
    waveform = tone_in_noise(samples)
    features = log_mel(
        waveform, window_length=1000, fft_length=fft_length, centered=True
    )
    assert features.shape == (samples // 664 + 1 if samples else 0, 64)
    assert np.isfinite(features).all()


def test_a_centered_frame_of_one_sample_is_constant():
    whole = log_mel(np.full(1024, 0.5))
    np.testing.assert_array_equal(log_mel(np.array([0.5]), centered=True), whole)


def test_zeros_of_the_window_count_as_the_frame():
    """Uncentered frames are those of the FFT, as librosa's."""
    assert len(log_mel(np.zeros(1023), window_length=512, fft_length=1024)) == 0
    assert len(log_mel(np.zeros(1024), window_length=512, fft_length=1024)) == 1


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


def test_librosa_is_only_compared_with():
    """It brings numba, which needs a home that can be written."""
    for path in Path(gcrnn_jax.__file__).parent.rglob("*.py"):
        assert "import librosa" not in path.read_text(), path
