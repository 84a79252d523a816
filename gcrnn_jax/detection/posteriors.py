"""Posteriors of one system on one set of clips: saved, loaded and fused."""

import dataclasses
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from gcrnn_jax.data.atomic_files import atomic_file, make_folder
from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.events import coarse_frames
from gcrnn_jax.detection.posterior_files import (
    Block,
    NoProbabilityError,
    blocks_of,
    check_probabilities,
    checked_blocks,
    is_probability,
)
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError, GcrnnError, escape

__all__ = [
    "NoProbabilityError",
    "PosteriorSet",
    "as_bool",
    "first_difference",
    "fuse_posteriors",
    "is_probability",
    "mean_blocks",
]

# What NumPy raises for files that are missing, damaged or something else.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, GcrnnError),
    *(RuntimeError, MemoryError, OverflowError, AttributeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


@dataclasses.dataclass(frozen=True)
class PosteriorSet:
    """Posteriors of a system for every clip of a set.

    Frames of many clips and classes, more than `IN_MEMORY_BYTES`, may be the map of a
    file: `blocks` reads them some clips at a time.

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
            check_probabilities(name, getattr(self, name), self.clip_ids)

    @classmethod
    def from_blocks(
        cls,
        blocks: Iterable[Block],
        *,
        path: Path | None = None,
        scratch: Path | None = None,
        **fields: Any,
    ) -> "PosteriorSet":
        """Collects the posteriors of some clips at a time, as they are computed.

        Args:
            blocks: (clip [n, K], frame [n, T, K]) of all clips, in order.
            path: Where the set is saved; None: nowhere.
            scratch: Folder of the file that frames too many for memory go to where
                they are not saved; None: that of temporary files (TMPDIR).
            fields: Those of the class, without clip and frame.

        Raises:
            DataError: A posterior outside [0, 1] or not finite; names the clip.
            StorageError: The disk is full or fails.
            WorkdirError: It cannot be written there.
        """
        names = fields["clip_ids"]
        blocks = checked_blocks(blocks, names)
        blocks, (_, frame) = posterior_files.peek(blocks)
        if path is None or not posterior_files.is_large(len(names), frame[:1].nbytes):
            clip, frame = posterior_files.gather(blocks, len(names), scratch)
            whole = cls(clip=clip, frame=frame, **fields)
            if path is not None:
                whole.save(path)
            return whole
        details = _details(path.name, fields)
        make_folder(path.parent)
        with atomic_file(path) as file:
            clip = posterior_files.write_archive(file, blocks, len(names), details)
        frame = posterior_files.map_frames(path, is_checked=True)
        assert frame is not None
        return cls(clip=clip, frame=frame, **fields)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yields the frames of some clips at a time, and which those are.

        Where frames are a map, no more of them than that are in memory.
        """
        return blocks_of(self.frame)

    def without_frames(self) -> "PosteriorSet":
        """The same with silent frames, which take no memory and need no file."""
        silent = np.broadcast_to(np.float32(0), self.frame.shape)
        return dataclasses.replace(self, frame=silent)

    def save(self, path: Path) -> None:
        """Writes a NumPy archive, whole or not at all.

        Raises:
            StorageError: The disk is full or fails.
            WorkdirError: It cannot be written there.
        """
        blocks = ((self.clip[clips], frame) for clips, frame in self.blocks())
        details = _details(path.name, vars(self))
        make_folder(path.parent)
        with atomic_file(path) as file:
            posterior_files.write_archive(file, blocks, len(self.clip_ids), details)

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
                frame = posterior_files.map_frames(path)
                return cls(
                    tuple(map(str, archive["clip_ids"])),
                    tuple(map(str, archive["class_names"])),
                    float(archive["hop_s"]),
                    archive["clip"],
                    archive["frame"] if frame is None else frame,
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
                shape, _, dtype = posterior_files.read_header(file)
                size = file.tell() + math.prod(shape) * dtype.itemsize
            if size != member.file_size:
                raise ValueError(f"{member.filename}: not the bytes of {dtype} {shape}")


def fuse_posteriors(
    systems: Sequence[PosteriorSet],
    *,
    path: Path | None = None,
    scratch: Path | None = None,
) -> PosteriorSet:
    """The mean of the systems' posteriors, all with the same weight.

    Systems with coarser frames are brought to the finest frames of the set, each
    frame taking the posterior of the system's frame that its middle lies in. The
    post-processing is that of the first system.

    Args:
        systems: One or more.
        path: Where the mean is saved; None: nowhere.
        scratch: As of `PosteriorSet.from_blocks`.

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

    def fine_blocks(system: PosteriorSet) -> Iterator[Block]:
        hops, length = (finest.hop_s, system.hop_s), system.frame.shape[1]
        places = coarse_frames(frames, *hops, length)
        is_fine = np.array_equal(places, np.arange(length))
        for clips, frame in blocks_of(system.frame, num_clips):
            yield system.clip[clips], frame if is_fine else frame[:, places]

    # one block after the other: two million clips of ten systems do not fit
    num_clips = posterior_files.clips_in_block(finest.frame)
    return PosteriorSet.from_blocks(
        mean_blocks([fine_blocks(system) for system in systems]),
        path=path,
        scratch=scratch,
        clip_ids=first.clip_ids,
        class_names=first.class_names,
        hop_s=finest.hop_s,
        postprocessing=first.postprocessing,
        clip_s=min((one.clip_s for one in systems if one.clip_s), default=None),
    )


def mean_blocks(systems: Sequence[Iterable[Block]]) -> Iterator[Block]:
    """The mean of the blocks of systems, which are of the same clips and frames."""
    for blocks in zip(*systems, strict=True):
        clip, frame = (_mean(arrays) for arrays in zip(*blocks, strict=True))
        yield clip, frame


def _mean(systems: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of arrays [n, ...], float32, of sums in float64."""
    mean = np.empty(systems[0].shape, np.float32)
    for row in range(len(mean)):  # one clip at a time stays in the processor's cache
        total = np.zeros(mean.shape[1:])
        for system in systems:
            np.add(total, system[row], out=total)
        mean[row] = total / len(systems)
    return mean


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


def _details(file_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What an archive of this name holds beside the posteriors."""
    rules, clip_s = fields["postprocessing"], fields.get("clip_s")
    return {
        "clip_ids": np.array(fields["clip_ids"], dtype=np.str_),
        "class_names": np.array(fields["class_names"], dtype=np.str_),
        "hop_s": np.float64(fields["hop_s"]),
        "postprocessing": np.array(json.dumps(dataclasses.asdict(rules))),
        "clip_s": np.float64(np.nan if clip_s is None else clip_s),
        "file_name": np.array(file_name),
    }


def _clip_s(archive) -> float | None:
    """As saved; earlier versions did not."""
    value = float(archive["clip_s"]) if "clip_s" in archive else math.nan
    return value if 0 < value < math.inf else None
