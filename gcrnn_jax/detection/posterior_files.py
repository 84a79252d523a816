"""Arrays of posteriors, written block by block, and mapped where they are large.

Frames of more than IN_MEMORY_BYTES are never in memory as a whole. They lie in a file,
of which the arrays are maps: an archive of NumPy (.npz) that is kept, or one without a
name, which is gone with the last array that maps it.
"""

import io
import itertools
import math
import mmap
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gcrnn_jax.data.atomic_files import make_folder, storage_errors
from gcrnn_jax.errors import DataError

IN_MEMORY_BYTES = 256 << 20  # 16,000 clips of the paper's 240 frames and 17 classes
ROUNDING = 1e-6  # that a mean of posteriors may be beyond 0 or 1
BLOCK_BYTES = 32 << 20  # of frames that are looked at at once

Block = tuple[np.ndarray, np.ndarray]  # clip [n, K] and frame [n, T, K] of n clips

_FRAME = "frame.npy"  # of the archive, as `np.savez` calls it
_LOCAL_HEADER_BYTES = 30  # of a member, before its name
_READERS: dict[tuple[int, int], Callable] = {  # of headers, by the format's version
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_checked = weakref.WeakValueDictionary[int, np.ndarray]()  # maps, by their id


class NoProbabilityError(DataError):
    """A posterior that is not finite, or not in [0, 1]; names the clip."""


def is_probability(values: np.ndarray) -> bool:
    """Whether all values are finite and in [0, 1], but for rounding.

    A map, which nobody can write to, is read once.
    """
    if _checked.get(id(values)) is values:
        return True
    if len(values) and not values.strides[0]:
        values = values[:1]  # the same for all clips
    good = all(_is_probability(block) for _, block in blocks_of(values))
    if good and is_map(values):
        _checked[id(values)] = values
    return good


def checked_blocks(blocks: Iterable[Block], clip_ids: Sequence[str]) -> Iterator[Block]:
    """The same blocks; raises as `PosteriorSet` for what is no probability."""
    first = 0
    for clip, frame in blocks:
        for name, values in (("clip", clip), ("frame", frame)):
            check_probabilities(name, values, clip_ids[first : first + len(clip)])
        yield clip, frame
        first += len(clip)


def check_probabilities(name: str, values: np.ndarray, clip_ids: Sequence[str]) -> None:
    """Raises NoProbabilityError for the first clip of values [N, ...] that has none."""
    if is_probability(values):
        return
    clip = next(n for n, one in enumerate(values) if not is_probability(one))
    low, high = -ROUNDING, 1 + ROUNDING
    is_good = (values[clip] >= low) & (values[clip] <= high)
    outside = values[clip][~is_good][0]
    raise NoProbabilityError(
        f"clip {clip_ids[clip]!r}: expected {name} posteriors in [0, 1], got "
        f"{outside:g}"
    )


def blocks_of(
    array: np.ndarray, num_clips: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields an array [N, ...] some clips at a time, and which those are.

    Blocks are as of `take`; an array without clips is one block.
    """
    size = num_clips or clips_in_block(array)
    for first in range(0, max(1, len(array)), size):
        clips = slice(first, min(first + size, len(array)))
        yield clips, take(array, clips)


def take(array: np.ndarray, clips: slice | np.ndarray) -> np.ndarray:
    """Some clips of an array [N, ...]; of a map a copy, and no page stays in memory."""
    some = array[clips]
    if is_map(array):
        some = some.copy()
        array.base.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]
    return some


def clips_in_block(array: np.ndarray) -> int:
    """How many clips of an array [N, ...] are looked at at once."""
    return max(1, BLOCK_BYTES // max(1, array[:1].nbytes))


def is_map(array: np.ndarray) -> bool:
    """Whether an array is the map of a file."""
    return isinstance(array.base, mmap.mmap)


def gather(blocks: Iterable[Block], num_clips: int, scratch: Path | None) -> Block:
    """Clip [N, K] and frame [N, T, K], of blocks of them in order.

    Args:
        blocks: At least one.
        num_clips: N.
        scratch: Folder of the file that large frames go to, which has no name; None:
            that of temporary files (TMPDIR).

    Raises:
        StorageError: The disk is full or fails.
    """
    blocks, (_, frame) = peek(blocks)
    if not is_large(num_clips, frame[:1].nbytes):
        clips, frames = zip(*blocks, strict=True)
        return np.concatenate(clips), np.concatenate(frames)
    folder = Path(tempfile.gettempdir() if scratch is None else scratch)
    make_folder(folder)
    clips = []
    with storage_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        for clip, of_clip in blocks:
            clips.append(clip)
            file.write(_bytes(of_clip))
        file.flush()
        shape = num_clips, *frame.shape[1:]
        return np.concatenate(clips), _map(file, frame.dtype, shape, 0)


def is_large(num_clips: int, bytes_a_clip: int) -> bool:
    """Whether the frames of so many clips lie in a file."""
    return num_clips * bytes_a_clip > IN_MEMORY_BYTES


def write_archive(
    file: BinaryIO, blocks: Iterable[Block], num_clips: int, others: Mapping
) -> np.ndarray:
    """Writes an archive as of `np.savez` with "clip", "frame" and other arrays.

    Returns:
        Clip [N, K].
    """
    blocks, (_, frame) = peek(blocks)
    clips, shape = [], (num_clips, *frame.shape[1:])
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open(_FRAME, "w", force_zip64=True) as member:
            content = {"descr": frame.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, content)
            for clip, of_clip in blocks:
                clips.append(clip)
                member.write(_bytes(of_clip))
        clip = np.concatenate(clips)
        for name, array in {"clip": clip, **others}.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", content.getbuffer())
    return clip


def map_frames(path: Path, *, is_checked: bool = False) -> np.ndarray | None:
    """Frames [N, T, K] of an archive as a map; None: they are small, or compressed.

    Args:
        path: Of an archive whose headers were found to be right.
        is_checked: Whether this process has just written it, so that neither damage
            nor other values than probabilities are looked for.

    Raises:
        ValueError: The frames are damaged.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(_FRAME)
        if info.compress_type:
            return None
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
        names = sum(int.from_bytes(header[n : n + 2], "little") for n in (26, 28))
        start = info.header_offset + _LOCAL_HEADER_BYTES + names
        file.seek(start)
        shape, is_fortran, dtype = read_header(file)
        size = math.prod(shape) * dtype.itemsize
        if is_fortran or dtype.hasobject or size <= IN_MEMORY_BYTES:
            return None
        offset = file.tell()
        file.seek(start)
        crc = zlib.crc32(file.read(offset - start))
        frames = _map(file, dtype, shape, offset)
    if is_checked:
        _checked[id(frames)] = frames
        return frames
    is_good = True  # found out at once: reading is what takes time
    for _, block in blocks_of(frames):
        crc = zlib.crc32(_bytes(block), crc)
        is_good = is_good and _is_probability(block)
    if crc != info.CRC:
        raise ValueError(f"bad CRC-32 of {_FRAME}")
    if is_good:
        _checked[id(frames)] = frames
    return frames


def read_header(file) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of a NumPy array in a file.

    Raises:
        KeyError, ValueError: There is none, or of another version.
    """
    return _READERS[np.lib.format.read_magic(file)](file)


def _map(file, dtype: np.dtype, shape: tuple[int, ...], offset: int) -> np.ndarray:
    if offset + math.prod(shape) * dtype.itemsize > file.seek(0, io.SEEK_END):
        raise ValueError(f"{_FRAME}: cut short")
    content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.ndarray(shape, dtype, buffer=content, offset=offset)


def _is_probability(values: np.ndarray) -> bool:
    low, high = values.min(initial=0), values.max(initial=0)
    return bool(-ROUNDING <= low and high <= 1 + ROUNDING)  # not so of NaN


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).data.cast("B")


def peek(blocks: Iterable[Block]) -> tuple[Iterator[Block], Block]:
    """The blocks, and the first of them."""
    iterator = iter(blocks)
    first = next(iterator)
    return itertools.chain([first], iterator), first
