"""The front end: all that says how a waveform becomes the network's input."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from gcrnn_jax.audio import spectrum
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import construct


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes the network's input; travels with stores and models.

    A kind of features is a subclass, which changes what is not as in log-mel frames.

    Raises:
        ValueError: A field has a value that cannot be; names the field.
    """

    kind: ClassVar[str]  # name of the features in configurations and on disk
    found: ClassVar[tuple[str, ...]] = ()  # fields that no configuration has to state
    of_waveforms: ClassVar[bool] = False  # and not of log-mel frames, one by one
    sample_rate_hz: int  # recordings are resampled to it
    window: Literal["hamming", "periodic_hamming", "periodic_hann"]  # first: symmetric
    window_length: int  # samples
    fft_length: int  # samples of a frame, the window amid zeros; 0: window_length
    hop_length: int  # samples between the starts of two frames
    centered: bool  # frames reach over both ends by half, the waveform mirrored there
    power: float  # of the magnitude over the window's root sum of squares
    num_mels: int  # mel bins, M
    min_hz: float  # lower edge of the lowest mel bin
    max_hz: float  # upper edge of the highest mel bin
    floor: float  # added before the log; digital silence becomes ln(floor)
    clip_s: float  # longer waveforms are cropped to their first `clip_s` seconds

    def __post_init__(self) -> None:
        for name, (is_good, text) in self._rules().items():
            if not is_good:
                raise ValueError(f"{name} must be {text}, got {getattr(self, name)!r}")
        for what, count, most in (
            ("Hz", self.sample_rate_hz, 1_000_000),
            ("samples a clip", self.clip_length, 1 << 30),
            ("values a clip", self.num_frames * self.num_bins, 1 << 24),
            ("mel weights", self.frame_length * self.num_mels, 1 << 25),
        ):
            if count > most:  # of a hostile model: a computer's memory
                raise ValueError(f"{count} {what}, more than {most}")
        if empty := int(np.sum(~self.filter_bank().any(axis=0))):
            raise ValueError(
                f"num_mels={self.num_mels} is too many: {empty} of them hold no "
                f"frequency of an FFT of {self.frame_length} samples"
            )

    def _rules(self) -> dict[str, tuple[bool, str]]:
        """Returns by field whether its value can be, and what can."""
        window, least = self.window_length, self.min_length
        of_fft = f"0 or at least window_length={window}"
        return {
            "sample_rate_hz": (self.sample_rate_hz > 0, "positive"),
            "window_length": (window >= 2, "at least 2"),
            "fft_length": (self.frame_length >= window, of_fft),
            "hop_length": (self.hop_length >= 1, "at least 1"),
            "power": (0 < self.power <= 8, "above 0 and up to 8"),
            "num_mels": (self.num_mels >= 1, "at least 1"),
            "min_hz": (self.min_hz >= 0, "at least 0"),
            "max_hz": (
                self.min_hz < self.max_hz <= self.sample_rate_hz / 2,
                f"above min_hz={self.min_hz} and up to sample_rate_hz / 2",
            ),
            "floor": (self.floor > 0, "positive"),
            "clip_s": (
                0 < self.clip_s < 1e6 and self.clip_length >= least,
                f"at least one frame, {least} samples",
            ),
        }

    @property
    def num_bins(self) -> int:
        """Values per frame, F."""
        return self.num_mels

    @property
    def min_frames(self) -> int:
        """Fewest frames that features are computed from without repeating any."""
        return 1

    @property
    def is_log_magnitude(self) -> bool:
        """Whether features are logarithms of magnitudes: a gain is a constant."""
        return self.kind == "log_mel" and self.power == 1

    def features_from_log_mel(self, log_mel: np.ndarray) -> np.ndarray:
        """Returns the features of a stretch of log-mel frames: [T, M] -> [T, F]."""
        return log_mel

    def log_mel_from_features(self, features: np.ndarray) -> np.ndarray | None:
        """Returns the log-mel frames of features, [T, M]; None: they are lost."""
        return features

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
    def hop_samples(self) -> int:
        """Samples between the starts of two frames."""
        return self.hop_length

    @property
    def hop_s(self) -> float:
        """Seconds per frame."""
        return self.hop_samples / self.sample_rate_hz

    @property
    def scaled_window(self) -> np.ndarray:
        """Window over its root sum of squares, amid zeros: float64 [frame_length]."""
        return spectrum.unit_window(self.window, self.window_length, self.frame_length)

    @property
    def _mels(self) -> spectrum.Mels:
        size = self.sample_rate_hz, self.frame_length
        return spectrum.Mels(*size, self.num_mels, self.min_hz, self.max_hz)

    def filter_bank(self) -> np.ndarray:
        """Weights of the mel bins, float64 [frame_length // 2 + 1, num_mels]."""
        return spectrum.mel_filter_bank(self._mels)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the features of the first `clip_s` seconds, float32 [<= T, F]."""
        return self.features_from_log_mel(self.log_mel(waveform[: self.clip_length]))

    def log_mel(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the natural log of the mel-weighted spectrum.

        Frames do not reach over the ends: T = (S - frame_length) // hop_length + 1, and
        0 for a waveform shorter than one frame. Centered frames do, by half a frame:
        T = S // hop_length + 1, and 0 for an empty one. The magnitude has the density
        scale of `scipy.signal.spectrogram` at fs=1, which moves the floor.

        Args:
            waveform: [S] of any length, mono, in [-1, 1].

        Returns:
            float32 [T, M].

        Raises:
            ValueError: The waveform is not one-dimensional.

        Source: Xu et al., ICASSP 2018; their code: prepare_data.py,
            `calculate_logmel`. Centering and the window's zeros: librosa.stft.
        Differs: Centered frames of an odd frame_length number S // hop_length + 1 too;
            those of librosa may be one fewer.
        """
        waveform, length = np.ascontiguousarray(waveform), self.frame_length
        if waveform.ndim != 1:
            raise ValueError(f"waveform must be mono [S], got {waveform.shape}")
        if len(waveform) < self.min_length:
            return np.zeros((0, self.num_mels), np.float32)
        if self.centered:
            waveform = np.pad(waveform, (length // 2, -(-length // 2)), "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(waveform, length)
        frames = frames[:: self.hop_length]  # [T, length], still without a copy
        bands = spectrum.mel_bands(self._mels)
        mel = spectrum.mel_spectrum(frames, self.scaled_window, self.power, bands)
        return np.log(mel + self.floor).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values that JSON keeps exactly, those of all kinds.

        Stores and cards hold it and their paths its hash: it may never change.
        """
        values = {"kind": self.kind, **_CEPSTRAL, **dataclasses.asdict(self)}
        return {name: values[name] for name in _ON_DISK}

    def config_fields(self) -> dict[str, Any]:
        """Returns fields of a configuration that are not in `as_dict`."""
        return {"path": "", "output": "", "mean_over_s": 0.0}

    def files(self) -> dict[str, bytes]:
        """Returns the files, by name, that a trained model takes along."""
        return {}

    def found_near(self, folder: Path, path: str) -> "FrontEnd":
        """Returns the same with `files` in a trained model's folder, or at `path`."""
        return self

    def of_clips(self, clip_s: float) -> "FrontEnd":
        """Returns the same for clips of another length; ValueError: of none."""
        return dataclasses.replace(self, clip_s=clip_s)

    @classmethod
    def complete(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Adds to a section of a configuration what is read from files."""
        return dict(values)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "FrontEnd":
        """Returns the front end that `as_dict` described; errors: `make_front_end`."""
        return make_front_end(fields)


class LogMel(FrontEnd):
    """Log-mel frames, F = num_mels."""

    kind = "log_mel"


@dataclasses.dataclass(frozen=True)
class Mfcc(FrontEnd):
    """Cepstral coefficients with their first and second time derivatives.

    The coefficients are the orthonormal DCT-II over the mel bins; the derivatives are
    those of a line and of a parabola fitted to `delta_width` frames, at the two ends
    of the clip to the first and last such frames. F = 3 * num_coefficients:
    coefficients, deltas, delta-deltas.

    Source: librosa.feature.mfcc and librosa.feature.delta (mode "interp").
    Differs: A clip of fewer frames than delta_width is fitted with its first and last
        frame repeated; librosa refuses it.
    """

    kind = "mfcc"
    num_coefficients: int  # from the lowest
    delta_width: int  # frames per derivative

    def _rules(self) -> dict[str, tuple[bool, str]]:
        count, mels, width = self.num_coefficients, self.num_mels, self.delta_width
        return super()._rules() | {
            "num_coefficients": (1 <= count <= mels, f"from 1 to num_mels={mels}"),
            "delta_width": (width >= 3 and width % 2 == 1, "odd and at least 3"),
        }

    @property
    def num_bins(self) -> int:
        """Values per frame, F."""
        return 3 * self.num_coefficients

    @property
    def min_frames(self) -> int:
        """Fewest frames that features are computed from without repeating any."""
        return self.delta_width

    def features_from_log_mel(self, log_mel: np.ndarray) -> np.ndarray:
        """Returns the features of a stretch of log-mel frames: float32 [T, F]."""
        if len(log_mel) == 0:
            return np.zeros((0, self.num_bins), np.float32)
        from scipy.fft import dct  # slow to import
        from scipy.signal import savgol_filter

        cepstrum = dct(log_mel.astype(np.float64), type=2, axis=1, norm="ortho")
        parts = [np.asarray(cepstrum)[:, : self.num_coefficients]]
        width = self.delta_width
        mode = "interp" if len(log_mel) >= width else "nearest"
        for n in (1, 2):
            fitted = savgol_filter(parts[0], width, n, deriv=n, axis=0, mode=mode)
            parts.append(np.asarray(fitted))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def log_mel_from_features(self, features: np.ndarray) -> None:
        """Returns None: coefficients that were left out are lost."""


from gcrnn_jax.audio.onnx_front_end import OnnxFrontEnd  # noqa: E402 - extends one

KINDS: dict[str, type[FrontEnd]] = {c.kind: c for c in (LogMel, Mfcc, OnnxFrontEnd)}
_CEPSTRAL = {"num_coefficients": 40, "delta_width": 9}  # on disk, of other kinds too
*_FIELDS, _LAST = (field.name for field in dataclasses.fields(FrontEnd))
_ON_DISK = ("kind", *_FIELDS, *_CEPSTRAL, _LAST)


def make_front_end(fields: Mapping[str, Any]) -> FrontEnd:
    """Builds the front end that a section of a configuration describes.

    Args:
        fields: "kind" and the fields of its class; those of other kinds are ignored.

    Raises:
        ConfigError: A field is unknown, missing or ill-typed, or contradicts another;
            names the field.
        DataError: A file that it names cannot be read.

    Example:
        >>> from configs import sed
        >>> front_end = make_front_end(sed.get_config().to_dict()["front_end"])
        >>> front_end.num_frames, front_end.num_bins, front_end.hop_s
        (240, 64, 0.0415)
        >>> front_end(np.zeros(80000)).shape
        (119, 64)
    """
    kind = fields.get("kind")
    if (cls := KINDS.get(str(kind))) is None:
        expected = " or ".join(map(repr, KINDS))
        raise ConfigError(f"front_end.kind: expected {expected}, got {kind!r}")
    known = {field.name for one in KINDS.values() for field in dataclasses.fields(one)}
    unused = known - {field.name for field in dataclasses.fields(cls)} | {"kind"}
    values = {name: value for name, value in fields.items() if name not in unused}
    return construct(cls, cls.complete(values), "front_end")
