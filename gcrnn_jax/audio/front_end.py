"""The front end: all that says how a waveform becomes the network's input."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from gcrnn_jax.audio.features import WINDOWS, log_mel, mfcc
from gcrnn_jax.audio.mel import mel_filter_bank
from gcrnn_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes the network's input; travels with stores and models.

    Attributes:
        kind: "log_mel" or "mfcc".
        sample_rate_hz: Recordings are resampled to it.
        window: Symmetric "hamming", or "periodic_hamming" or "periodic_hann".
        window_length: Samples of the window.
        fft_length: Samples of a frame; the window gets zeros on both sides. 0: as many
            as the window's.
        hop_length: Samples between the starts of two frames.
        centered: Whether frames reach over both ends by half an FFT, the waveform
            mirrored there.
        power: Exponent of the magnitude, which is over the window's root sum of
            squares: 2 gives |X|^2 / sum(w^2).
        num_mels: Mel bins, also under an MFCC.
        min_hz: Lower edge of the lowest mel bin.
        max_hz: Upper edge of the highest mel bin.
        floor: Added before the log, to the scaled spectrum's mel bins.
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
    window: str = "hamming"
    window_length: int = 1024
    fft_length: int = 0
    hop_length: int = 664
    centered: bool = False
    power: float = 1.0
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
            ("window", self.window in WINDOWS, f"one of {', '.join(WINDOWS)}"),
            ("window_length", self.window_length >= 2, "at least 2"),
            (
                "fft_length",
                self.frame_length >= self.window_length,
                f"0 or at least window_length={self.window_length}",
            ),
            ("hop_length", self.hop_length >= 1, "at least 1"),
            ("power", self.power > 0, "positive"),
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
                0 < self.clip_s < 1e6 and self.clip_length >= self.min_length,
                f"at least one frame, {self.min_length} samples",
            ),
        ]
        for name, is_good, expected in rules:
            if not is_good:
                raise ConfigError(
                    f"front end: {name} must be {expected}, got {getattr(self, name)!r}"
                )
        empty = int(np.sum(~self.filter_bank().any(axis=0)))
        if empty:
            raise ConfigError(
                f"front end: num_mels={self.num_mels} is too many for an FFT "
                f"of {self.frame_length} samples: {empty} mel bins hold no frequency "
                "of the spectrum"
            )

    @property
    def clip_length(self) -> int:
        """Samples of a whole clip."""
        return math.ceil(self.clip_s * self.sample_rate_hz)

    @property
    def frame_length(self) -> int:
        """Samples of a frame: of the FFT, the window with its zeros."""
        return self.fft_length or self.window_length

    @property
    def min_length(self) -> int:
        """Samples of the shortest waveform that has a frame."""
        return 1 if self.centered else self.frame_length

    @property
    def num_frames(self) -> int:
        """Frames of a whole clip, T."""
        last_start = self.clip_length - (0 if self.centered else self.frame_length)
        return last_start // self.hop_length + 1

    @property
    def num_bins(self) -> int:
        """Values per frame, F."""
        return self.num_mels if self.kind == "log_mel" else 3 * self.num_coefficients

    @property
    def hop_s(self) -> float:
        """Seconds per frame."""
        return self.hop_length / self.sample_rate_hz

    def filter_bank(self) -> np.ndarray:
        """Weights of the mel bins, float64 [frame_length // 2 + 1, num_mels]."""
        fields = {name: getattr(self, name) for name in _BANK_FIELDS}
        return mel_filter_bank(fft_length=self.frame_length, **fields)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the features of the first `clip_s` seconds, float32 [<= T, F]."""
        return self.features_from_log_mel(self.log_mel(waveform[: self.clip_length]))

    def log_mel(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the log-mel frames of a waveform of any length, float32 [T, M]."""
        fields = {name: getattr(self, name) for name in _LOG_MEL_FIELDS}
        return log_mel(waveform, **fields)

    def features_from_log_mel(self, log_mel: np.ndarray) -> np.ndarray:
        """Returns the features of a stretch of log-mel frames: [T, M] -> [T, F]."""
        if self.kind == "log_mel":
            return log_mel
        return mfcc(
            log_mel,
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


_BANK_FIELDS = ("sample_rate_hz", "num_mels", "min_hz", "max_hz")
_LOG_MEL_FIELDS = (
    *_BANK_FIELDS,
    "window",
    "window_length",
    "fft_length",
    "hop_length",
    "centered",
    "power",
    "floor",
)


def _check_type(name: str, value: object, expected: type) -> None:
    """Raises unless the value has the type of the field's default; an int is a float.

    But a bool is no int; and NaN and infinity are refused with the ill-typed.
    """
    accepted = (int, float) if expected is float else (expected,)
    is_good = isinstance(value, accepted)
    if isinstance(value, bool) and expected is not bool:
        is_good = False
    if is_good and isinstance(value, float) and not math.isfinite(value):
        is_good = False
    if not is_good:
        raise ConfigError(
            f"front end: {name} must be {expected.__name__}, got {value!r}"
        )
