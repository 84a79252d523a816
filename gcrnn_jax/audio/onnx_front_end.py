"""Any embedding as front end: frames of features that an ONNX model gives."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd, LogMel
from gcrnn_jax.audio.onnx_inspection import inspect_model
from gcrnn_jax.audio.onnx_model import (
    LAYOUTS,
    TYPES,
    model_frames,
    open_model,
    read_model,
)
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.fields import construct, convert

FILE = "front_end.onnx"  # of the model, in the folder of a run or a trained model
_LARGEST = float(np.finfo(np.float16).max)  # that a feature store holds
_ASKED = {"path": str, "output": str, "mean_over_s": float}


@dataclasses.dataclass(frozen=True)
class OnnxFrontEnd(FrontEnd):
    """Frames of features that an ONNX model gives of a waveform or of log-mel frames.

    The model takes a waveform in [-1, 1] of `sample_rate_hz`, [S], [1, S] or [1, 1, S],
    or the log-mel frames that the other fields describe, [T, M], [1, T, M], [1, M, T],
    or these two with one more axis of 1. It gives [T, F], [1, T, F], [1, F, T] and
    alike, whose time axis is the one that grows with the input, or one vector of a
    whole clip, [F] or [1, F]. A model that takes one length only is run on one stretch
    of a clip after the other, the last filled up with silence; its frames come before
    their values. Frame t covers [t, t + 1) * hop_s; a model whose frames see more than
    that is not moved in time.

    Pictures are of log-mel frames of the other fields, whatever the model takes.

    Of a configuration come `path`, `output` and `mean_over_s`, the rest is read from
    the model, which is run on silence. `path` says where the model is, not what it is:
    that is `sha256`.
    """

    kind = "onnx"
    found = (
        "sha256",
        "input",
        "fixed_length",
        "shortest",
        "time_axis",
        "num_values",
        "frames_per_clip",
        "frame_hop",
        "merged_frames",
    )
    of_waveforms = True

    path: str = dataclasses.field(compare=False)  # of the model's file
    output: str  # of the model, its frames; "": the only one
    mean_over_s: float  # finer frames are averaged over so long; 0: they stay
    sha256: str  # of the model's file
    input: str  # type and layout: "float32 [1, S]"
    fixed_length: int  # samples, or log-mel frames, that the model takes; 0: any
    shortest: int  # samples, or log-mel frames, that it takes
    time_axis: int  # of the output; -1: one vector
    num_values: int  # of one frame, F
    frames_per_clip: int  # of the model, before they are averaged
    frame_hop: int  # samples a frame of the model
    merged_frames: int  # that are averaged into one

    _AT_LEAST: ClassVar[dict[str, int]] = {
        "mean_over_s": 0,
        "fixed_length": 0,
        "shortest": 1,
        "time_axis": -1,
        "num_values": 1,
        "frames_per_clip": 1,
        "frame_hop": 1,
        "merged_frames": 1,
    }

    def _rules(self) -> dict[str, tuple[bool, str]]:
        dtype, _, layout = self.input.partition(" ")
        is_input = dtype in TYPES.values() and layout in LAYOUTS
        is_hash = re.fullmatch("[0-9a-f]{64}", self.sha256) is not None
        least = {
            name: (getattr(self, name) >= value, f"at least {value}")
            for name, value in self._AT_LEAST.items()
        }
        return {
            **super()._rules(),
            **least,
            "input": (is_input, f"a type and one of {', '.join(LAYOUTS)}"),
            "sha256": (is_hash, "64 hexadecimal digits"),
        }

    @classmethod
    def complete(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Adds what is to be read from the model to a section of a configuration.

        Raises:
            ConfigError: The model does not fit the section, or a package is missing.
            DataError: It cannot be read, or fails.
        """
        if "sha256" in values:  # of a store or a model
            return {"path": "", **values}
        asked = {}
        for name, kind in _ASKED.items():
            if name not in values:
                raise ConfigError(f"front_end.{name}: missing")
            asked[name] = convert(values[name], kind, f"front_end.{name}")
        if not asked["path"]:
            raise ConfigError(
                "front_end.path: expected an ONNX model, got an empty path"
            )
        names = [field.name for field in dataclasses.fields(LogMel)]
        of_mels = {name: values[name] for name in names if name in values}
        sound = construct(LogMel, of_mels, "front_end")
        return {**values, **inspect_model(**asked, sound=sound)}

    def of_clips(self, clip_s: float) -> FrontEnd:
        """Returns the same for clips of another length, whose frames are counted anew.

        Raises:
            ConfigError: The model does not take clips so long.
            DataError: It is another than it was, fails or is not to be found.
        """
        if clip_s == self.clip_s:
            return self
        read_model(self._known_path, self.sha256)
        names = [field.name for field in dataclasses.fields(LogMel)]
        values = {name: getattr(self, name) for name in names}
        sound = LogMel(**{**values, "clip_s": clip_s})
        asked = {name: getattr(self, name) for name in _ASKED}
        facts = inspect_model(**asked, sound=sound)
        return dataclasses.replace(self, clip_s=clip_s, **facts)

    @property
    def num_bins(self) -> int:
        """Values per frame, F."""
        return self.num_values

    @property
    def num_frames(self) -> int:
        """Frames of a whole clip, T."""
        return -(-self.frames_per_clip // self.merged_frames)

    @property
    def hop_samples(self) -> int:
        """Samples between the starts of two frames."""
        return self.frame_hop * self.merged_frames

    @property
    def takes_log_mel(self) -> bool:
        """Whether the model takes log-mel frames, and no waveform."""
        return "M" in self.input

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the features of the first `clip_s` seconds, float32 [<= T, F].

        Raises:
            DataError: The model fails, is another than it was or not to be found.
            Rejected: A value is too large for a feature store.
        """
        waveform = np.asarray(waveform, np.float32)[: self.clip_length]
        if len(waveform) == 0:
            return np.zeros((0, self.num_bins), np.float32)
        missing = max(0, self.min_length - len(waveform))
        waveform = np.pad(waveform, (0, missing))
        values = self.log_mel(waveform) if self.takes_log_mel else waveform
        frames = model_frames(values, self._run, vars(self))[: self.num_frames]
        largest = float(np.abs(frames).max())
        if _LARGEST < largest < np.inf:
            raise Rejected(
                "NONFINITE",
                f"{self.path} gives {largest:.3g}, beyond the {_LARGEST:g} of float16 "
                "in which features are kept: scale its output",
            )
        return frames

    def _run(self, values: np.ndarray) -> np.ndarray:
        output = open_model(self._known_path, self.sha256).run(values, self.output)
        sizes, axis = output.shape, self.time_axis
        count = 1 if axis < 0 else sizes[axis] if axis < len(sizes) else 0
        if count == 0 or output.size != count * self.num_values:
            raise DataError(
                f"{self.path}: expected frames of {self.num_values} values of an input "
                f"{list(values.shape)}, got an output {list(output.shape)}"
            )
        return output

    @property
    def _known_path(self) -> str:
        if not self.path:
            raise DataError(
                f"no {FILE} is beside the model, and no front_end.path says where it "
                f"is: expected the ONNX model of SHA-256 {self.sha256}"
            )
        return self.path

    def log_mel_from_features(self, features: np.ndarray) -> None:
        """Returns None: the log-mel frames are not in them."""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values that JSON keeps exactly, without the path."""
        values = {"kind": self.kind, **dataclasses.asdict(self)}
        del values["path"]
        return values

    def config_fields(self) -> dict[str, Any]:
        """Returns the field that says where the model is."""
        return {"path": self.path}

    def files(self) -> dict[str, bytes]:
        """Returns the files, by name, that a trained model takes along.

        Raises:
            DataError: The model is another than it was, or not to be found.
        """
        return {FILE: read_model(self._known_path, self.sha256)}

    def found_near(self, folder: Path, path: str) -> FrontEnd:
        """Returns the front end with its model's file beside a trained model, if it is.

        Args:
            folder: Of the trained model; those of its run are looked into, too.
            path: Where it is otherwise.
        """
        folder = folder.absolute()
        near = [one / FILE for one in (folder, *folder.parents[:2])]
        found = next((str(file) for file in near if file.is_file()), path)
        return dataclasses.replace(self, path=found)
