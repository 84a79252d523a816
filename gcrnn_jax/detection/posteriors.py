"""Posteriors of one system on one set of clips: saved, loaded and fused."""

import dataclasses
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.detection.events import coarse_frames
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError, GcrnnError, escape

ROUNDING = 1e-6  # that a mean of posteriors may be beyond 0 or 1

# What NumPy raises for files that are missing, damaged or something else.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, GcrnnError),
    *(RuntimeError, MemoryError, OverflowError, AttributeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
_READERS: dict[tuple[int, int], Callable] = {  # of headers, by the format's version
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NoProbabilityError(DataError):
    """A posterior that is not finite, or not in [0, 1]; names the clip."""


@dataclasses.dataclass(frozen=True)
class PosteriorSet:
    """Posteriors of a system for every clip of a set.

    Raises:
        DataError: Arrays of other shapes, or a posterior outside [0, 1] or not finite;
            names the clip.
    """

    clip_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    hop_s: float  # seconds a frame
    clip: np.ndarray  # float32 [N, K]
    frame: np.ndarray  # float32 [N, T, K]
    postprocessing: Postprocessing  # the system's way from posteriors to decisions
    clip_s: float | None = None  # where the last frames end; None: with themselves

    def __post_init__(self):
        shape = len(self.clip_ids), len(self.class_names)
        of_frames = self.frame.ndim == 3 and self.frame.shape[::2]
        if self.clip.shape != shape or of_frames != shape:
            raise DataError(
                f"expected posteriors of clips {list(shape)} and of frames "
                f"[{shape[0]}, T, {shape[1]}], got {list(self.clip.shape)} and "
                f"{list(self.frame.shape)}"
            )
        if not 0 < self.hop_s < math.inf:
            raise DataError(f"expected a positive hop_s, got {self.hop_s}")
        for name in ("clip", "frame"):
            if not is_probability(values := getattr(self, name)):
                good = [is_probability(of_clip) for of_clip in values]
                clip = good.index(False)
                raise NoProbabilityError(
                    f"clip {self.clip_ids[clip]!r}: expected {name} posteriors in "
                    f"[0, 1], got {_first_outside(values[clip]):g}"
                )

    def save(self, path: Path) -> None:
        """Writes a NumPy archive, whole or not at all.

        Raises:
            StorageError: The disk is full or fails.
            WorkdirError: It cannot be written there.
        """
        archive = io.BytesIO()
        np.savez(
            archive,
            allow_pickle=False,
            clip_ids=np.array(self.clip_ids, dtype=np.str_),
            class_names=np.array(self.class_names, dtype=np.str_),
            hop_s=np.float64(self.hop_s),
            clip=self.clip,
            frame=self.frame,
            postprocessing=json.dumps(dataclasses.asdict(self.postprocessing)),
            clip_s=np.float64(np.nan if self.clip_s is None else self.clip_s),
            file_name=path.name,
        )
        make_folder(path.parent)
        write_atomically(path, [archive.getbuffer()])

    @classmethod
    def load(cls, path: Path, *, may_be_renamed: bool = True) -> "PosteriorSet":
        """Reads what `save` wrote.

        Args:
            path: Of the file.
            may_be_renamed: Whether it may have been written under another name, which
                is a warning then.

        Raises:
            DataError: The file is missing, damaged or is not such an archive, or holds
                what cannot be posteriors.
        """
        try:
            _check_archive(path)
            with np.load(path, allow_pickle=False) as archive:
                rules = json.loads(str(archive["postprocessing"]))
                written = str(archive.get("file_name", path.name))
                if written != path.name and not may_be_renamed:
                    raise DataError(f"posteriors that were written as {written}")
                if written != path.name:
                    name = escape(written[:255])
                    logging.warning("%s was written as %s: renamed?", path, name)
                return cls(
                    tuple(map(str, archive["clip_ids"])),
                    tuple(map(str, archive["class_names"])),
                    float(archive["hop_s"]),
                    archive["clip"],
                    archive["frame"],
                    Postprocessing.from_dict(rules),
                    _clip_s(archive),
                )
        except _UNREADABLE as error:
            raise DataError(
                f"{path}: no posteriors as gcrnn_jax writes them: {error}"
            ) from error


def _check_archive(path: Path) -> None:
    """Raises ValueError for a member that is not the array that its header says.

    NumPy would allocate what a damaged header says, or read no further than it says,
    and so not as far as the CRC, which it checks otherwise.
    """
    if not path.is_file():
        raise ValueError("no regular file" if path.exists() else "no file")
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, _, dtype = _READERS[np.lib.format.read_magic(file)](file)
                size = file.tell() + math.prod(shape) * dtype.itemsize
            if size != member.file_size:
                raise ValueError(f"{member.filename}: not the bytes of {dtype} {shape}")


def fuse_posteriors(systems: Sequence[PosteriorSet]) -> PosteriorSet:
    """The mean of the systems' posteriors, all with the same weight.

    Systems with coarser frames are brought to the finest frames of the set, each
    frame taking the posterior of the system's frame that its middle lies in. The
    post-processing is that of the first system.

    Raises:
        DataError: The systems are not of the same clips and classes, in the same
            order.

    Source: Xu et al., ICASSP 2018, section 3.3; weights are not stated there.
    """
    first = systems[0]
    for number, other in enumerate(systems[1:], start=1):
        if other.class_names != first.class_names:
            raise DataError(
                f"system {number + 1} has other classes than the first: "
                f"{other.class_names} and {first.class_names}"
            )
        if difference := first_difference(first.clip_ids, other.clip_ids):
            raise DataError(f"system {number + 1} against the first: {difference}")
    finest = min(systems, key=lambda system: system.hop_s)
    frames = np.arange(finest.frame.shape[1])
    # one system after the other: two million clips of ten systems do not fit
    clip, frame = np.zeros(first.clip.shape), np.zeros(finest.frame.shape)
    for system in systems:
        clip += system.clip
        hops = finest.hop_s, system.hop_s
        frame += system.frame[:, coarse_frames(frames, *hops, system.frame.shape[1])]
    return dataclasses.replace(
        first,
        hop_s=finest.hop_s,
        clip=(clip / len(systems)).astype(np.float32),
        frame=(frame / len(systems)).astype(np.float32),
        clip_s=min((one.clip_s for one in systems if one.clip_s), default=None),
    )


def is_probability(values: np.ndarray) -> bool:
    """Whether all values are finite and in [0, 1], but for rounding."""
    low, high = values.min(initial=0), values.max(initial=0)
    return bool(-ROUNDING <= low and high <= 1 + ROUNDING)  # not so of NaN


def as_bool(labels: np.ndarray) -> np.ndarray:
    """Labels or decisions, bool or 0 and 1 in any other type, as bool.

    Raises:
        DataError: One is neither 0 nor 1.
    """
    labels = np.asarray(labels)
    if labels.dtype == bool:
        return labels
    if not (is_binary := (labels == 0) | (labels == 1)).all():
        raise DataError(f"expected labels of 0 and 1, got {labels[~is_binary][0]}")
    return labels.astype(bool)


def first_difference(expected: Sequence[str], actual: Sequence[str]) -> str | None:
    """Says where two lists of clips differ; None: they do not."""
    for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one != other:
            return f"clip {number + 1} is {other!r}, expected {one!r}"
    if len(expected) != len(actual):
        return f"{len(actual)} clips, expected {len(expected)}"
    return None


def _clip_s(archive) -> float | None:
    """As saved; earlier versions did not."""
    value = float(archive["clip_s"]) if "clip_s" in archive else math.nan
    return value if 0 < value < math.inf else None


def _first_outside(values: np.ndarray) -> float:
    is_good = (values >= -ROUNDING) & (values <= 1 + ROUNDING)
    return float(values[~is_good][0])
