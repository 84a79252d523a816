"""Waveform -> log-mel or MFCC, exactly as in the paper's front end.

Every frame is computed in float64: a recording of 8 kHz leaves the upper half of
the mel bins 120 dB below the lower, where a float32 FFT holds rounding noise only.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from gcrnn_jax.audio.mel import mel_bands, mel_filter_bank
from gcrnn_jax.errors import ConfigError

# As many frames as stay in a core's cache. Each block is written over the last one:
# memory that NumPy asks of the system anew may cost more than the transform.
_FRAMES_AT_ONCE = 64


def log_mel(
    waveform: np.ndarray,
    *,
    sample_rate_hz: int = 16000,
    window_length: int = 1024,
    hop_length: int = 664,
    num_mels: int = 64,
    min_hz: float = 0.0,
    max_hz: float = 8000.0,
    floor: float = 1e-8,
) -> np.ndarray:
    """Returns the natural log of the mel-weighted magnitude spectrum.

    Frames do not reach over the ends: T = (S - window_length) // hop_length + 1, and
    0 for a waveform shorter than one window. The window is the symmetric Hamming, and
    the magnitude is divided by sqrt(sum(window ** 2)), the density scale of
    `scipy.signal.spectrogram` at fs=1; without it the floor would sit elsewhere.

    Args:
        waveform: [S], mono, in [-1, 1].
        sample_rate_hz: Of the waveform.
        window_length: Samples of a frame.
        hop_length: Samples between the starts of two frames.
        num_mels: Number of mel bins, F.
        min_hz: Lower edge of the lowest mel bin.
        max_hz: Upper edge of the highest mel bin.
        floor: Added before the log; digital silence becomes ln(floor).

    Returns:
        float32 [T, F].

    Raises:
        ValueError: The waveform is not one-dimensional.

    Example:
        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(160000) / 16000)
        >>> features = log_mel(tone)
        >>> features.shape, int(features[0].argmax())
        ((240, 64), 21)
        >>> print(f"{log_mel(np.zeros(1024)).max():.2f}")
        -18.42

    Source: Xu et al., ICASSP 2018; their code: prepare_data.py, `calculate_logmel`.
    """
    waveform = np.ascontiguousarray(waveform)
    if waveform.ndim != 1:
        raise ValueError(f"waveform must be mono [S], got {waveform.shape}")
    if len(waveform) < window_length:
        return np.zeros((0, num_mels), np.float32)
    bands = mel_bands(
        sample_rate_hz=sample_rate_hz,
        window_length=window_length,
        num_mels=num_mels,
        min_hz=min_hz,
        max_hz=max_hz,
    )
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window_length)
    frames = frames[::hop_length]  # [T, window_length], still without a copy
    window = _unit_hamming(window_length)
    windowed = np.empty((_FRAMES_AT_ONCE, window_length))
    spectrum = np.empty((_FRAMES_AT_ONCE, window_length // 2 + 1), np.complex128)
    magnitude = np.empty(spectrum.shape)
    mel = np.empty((len(frames), num_mels))
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        n = len(block := frames[start : start + _FRAMES_AT_ONCE])
        np.multiply(block, window, out=windowed[:n])
        np.fft.rfft(windowed[:n], axis=1, out=spectrum[:n])
        np.abs(spectrum[:n], out=magnitude[:n])
        for mels, bins, weights in bands:
            np.matmul(magnitude[:n, bins], weights, out=mel[start : start + n, mels])
    return np.log(mel + floor).astype(np.float32)


def mfcc(
    log_mel: np.ndarray, *, num_coefficients: int = 40, delta_width: int = 9
) -> np.ndarray:
    """Returns cepstral coefficients with their first and second time derivatives.

    The coefficients are the orthonormal DCT-II over the mel bins; the derivatives are
    those of a line and of a parabola fitted to `delta_width` frames, at the two ends
    of the clip to the first and last such frames.

    Args:
        log_mel: [T, F].
        num_coefficients: How many coefficients to keep, from the lowest; <= F.
        delta_width: Frames per fit, odd and >= 3.

    Returns:
        float32 [T, 3 * num_coefficients]: coefficients, deltas, delta-deltas.

    Raises:
        ValueError: num_coefficients > F, or delta_width is even or below 3.

    Example:
        >>> mfcc(np.ones((240, 64))).shape
        (240, 120)

    Source: librosa.feature.mfcc and librosa.feature.delta (mode "interp").
    Differs: A clip of fewer frames than delta_width is fitted with its first and last
        frame repeated; librosa refuses it.
    """
    num_frames, num_bins = log_mel.shape
    if num_coefficients > num_bins:
        raise ValueError(f"{num_coefficients} coefficients of only {num_bins} mel bins")
    if delta_width < 3 or delta_width % 2 == 0:
        raise ValueError(f"delta_width must be odd and >= 3, got {delta_width}")
    if num_frames == 0:
        return np.zeros((0, 3 * num_coefficients), np.float32)
    # Slow to import, and log-mel needs neither.
    from scipy.fft import dct
    from scipy.signal import savgol_filter

    double = np.asarray(log_mel, np.float64)
    cepstrum = np.asarray(dct(double, type=2, axis=1, norm="ortho"))
    cepstrum = cepstrum[:, :num_coefficients]
    mode = "interp" if num_frames >= delta_width else "nearest"
    derivatives = [
        np.asarray(
            savgol_filter(cepstrum, delta_width, order, deriv=order, axis=0, mode=mode)
        )
        for order in (1, 2)
    ]
    return np.concatenate([cepstrum, *derivatives], axis=1).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _unit_hamming(window_length: int) -> np.ndarray:
    """Returns the symmetric Hamming window divided by its root sum of squares."""
    window = np.hamming(window_length)
    window /= np.sqrt(np.sum(window**2))
    window.setflags(write=False)
    return window


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes the network's input; travels with stores and models.

    Attributes:
        kind: "log_mel" or "mfcc".
        sample_rate_hz: Recordings are resampled to it.
        window_length: Samples of a frame.
        hop_length: Samples between the starts of two frames.
        num_mels: Mel bins, also under an MFCC.
        min_hz: Lower edge of the lowest mel bin.
        max_hz: Upper edge of the highest mel bin.
        floor: Added before the log.
        num_coefficients: Cepstral coefficients ("mfcc" only).
        delta_width: Frames per derivative ("mfcc" only).
        clip_s: Longer waveforms are cropped to their first `clip_s` seconds.

    Raises:
        ConfigError: A field is ill-typed or contradicts another; names the field.

    Example:
        >>> front_end = FrontEnd()
        >>> front_end.num_frames, front_end.num_bins, front_end.hop_s
        (240, 64, 0.0415)
        >>> front_end(np.zeros(80000)).shape
        (119, 64)
    """

    kind: str = "log_mel"
    sample_rate_hz: int = 16000
    window_length: int = 1024
    hop_length: int = 664
    num_mels: int = 64
    min_hz: float = 0.0
    max_hz: float = 8000.0
    floor: float = 1e-8
    num_coefficients: int = 40
    delta_width: int = 9
    clip_s: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), type(field.default))
            if isinstance(field.default, float):  # 10 and 10.0 are one front end
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        self._check_values()

    def _check_values(self) -> None:
        rules = [
            ("kind", self.kind in ("log_mel", "mfcc"), '"log_mel" or "mfcc"'),
            ("sample_rate_hz", self.sample_rate_hz > 0, "positive"),
            ("window_length", self.window_length >= 2, "at least 2"),
            ("hop_length", self.hop_length >= 1, "at least 1"),
            ("num_mels", self.num_mels >= 1, "at least 1"),
            ("min_hz", self.min_hz >= 0, "at least 0"),
            (
                "max_hz",
                self.min_hz < self.max_hz <= self.sample_rate_hz / 2,
                f"above min_hz={self.min_hz} and up to sample_rate_hz / 2",
            ),
            ("floor", self.floor > 0, "positive"),
            (
                "num_coefficients",
                self.kind != "mfcc" or 1 <= self.num_coefficients <= self.num_mels,
                f"from 1 to num_mels={self.num_mels}",
            ),
            (
                "delta_width",
                self.delta_width >= 3 and self.delta_width % 2 == 1,
                "odd and at least 3",
            ),
            (
                "clip_s",
                0 < self.clip_s < 1e6 and self.clip_length >= self.window_length,
                f"at least one window of {self.window_length} samples",
            ),
        ]
        for name, is_good, expected in rules:
            if not is_good:
                raise ConfigError(
                    f"front end: {name} must be {expected}, got {getattr(self, name)!r}"
                )
        empty = int(np.sum(~self._filter_bank().any(axis=0)))
        if empty:
            raise ConfigError(
                f"front end: num_mels={self.num_mels} is too many for "
                f"window_length={self.window_length}: {empty} mel bins hold no "
                "frequency of the spectrum"
            )

    @property
    def clip_length(self) -> int:
        """Samples of a whole clip."""
        return math.ceil(self.clip_s * self.sample_rate_hz)

    @property
    def num_frames(self) -> int:
        """Frames of a whole clip, T."""
        return (self.clip_length - self.window_length) // self.hop_length + 1

    @property
    def num_bins(self) -> int:
        """Values per frame, F."""
        return self.num_mels if self.kind == "log_mel" else 3 * self.num_coefficients

    @property
    def hop_s(self) -> float:
        """Seconds per frame."""
        return self.hop_length / self.sample_rate_hz

    def _filter_bank(self) -> np.ndarray:
        return mel_filter_bank(**{name: getattr(self, name) for name in _BANK_FIELDS})

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the features of the first `clip_s` seconds, float32 [<= T, F]."""
        spectral = log_mel(
            waveform[: self.clip_length],
            **{name: getattr(self, name) for name in _LOG_MEL_FIELDS},
        )
        if self.kind == "log_mel":
            return spectral
        return mfcc(
            spectral,
            num_coefficients=self.num_coefficients,
            delta_width=self.delta_width,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values that JSON keeps exactly."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Returns the front end that `as_dict` described.

        Raises:
            ConfigError: A field is unknown, or its value is not allowed.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise ConfigError(
                    f"front end: unknown field {name!r}; known: {', '.join(known)}"
                )
        return cls(**fields)


_BANK_FIELDS = ("sample_rate_hz", "window_length", "num_mels", "min_hz", "max_hz")
_LOG_MEL_FIELDS = (*_BANK_FIELDS, "hop_length", "floor")


def _check_type(name: str, value: object, expected: type) -> None:
    """Raises unless the value has the type of the field's default; an int is a float.

    NaN and infinity are refused with the ill-typed.
    """
    accepted = (int, float) if expected is float else (expected,)
    is_good = isinstance(value, accepted) and not isinstance(value, bool)
    if is_good and isinstance(value, float) and not math.isfinite(value):
        is_good = False
    if not is_good:
        raise ConfigError(
            f"front end: {name} must be {expected.__name__}, got {value!r}"
        )
