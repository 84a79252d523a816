"""Posteriors of a recording of any length, on disk, and their mean over systems."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.errors import StorageError

# The parts of the posteriors of a recording.
CLIP = 0  # that a class is in the window around a frame
FRAME = 1  # that a class is active in a frame
ATTENTION = 2  # weight of a frame in its window, if predicted with attention

_BLOCK_FRAMES = 4096


class RecordingPosteriors:
    """Posteriors of every frame of one recording.

    They lie in a temporary file without a name: memory does not grow with the
    recording.

    Attributes:
        class_names: K.
        hop_s: Seconds a frame.
        duration_s: Of the recording.
        num_frames: N, so far.
        num_parts: P, as appended.
        peak: [3, K], the maximum of each part over all frames.
        fault: Why the recording ends early. None: it is whole.
        folder: Of the file; None: that of temporary files.
    """

    def __init__(
        self, class_names: Sequence[str], hop_s: float, folder: Path | None = None
    ):
        self.class_names, self.hop_s = tuple(class_names), hop_s
        self.folder = folder
        self.duration_s = 0.0
        self.fault: Rejected | None = None
        self.num_frames = self.num_parts = 0
        self.peak = np.zeros((3, len(class_names)))
        with self._storage_errors():
            self._file = tempfile.TemporaryFile(dir=folder)

    def append(self, values: np.ndarray) -> None:
        """Adds the next frames, [n, P, K]; the P parts are `CLIP`, `FRAME`, ...

        Raises:
            StorageError: The disk is full or fails.
        """
        self.num_parts = parts = values.shape[1]
        with self._storage_errors():
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(values, np.float32).data)
            self._file.flush()
        self.num_frames += len(values)
        self.peak[:parts] = np.maximum(self.peak[:parts], values.max(0))

    def read(self, first: int, end: int) -> np.ndarray:
        """Returns frames [first, end), float32 [n, P, K]."""
        shape = (-1, self.num_parts, len(self.class_names))
        row = 4 * shape[1] * shape[2]
        self._file.seek(row * first)
        content = self._file.read(row * (end - first))
        return np.frombuffer(content, np.float32).reshape(shape)

    @contextlib.contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError, AttributeError):
                self._file.close()  # with what it could not write
            row = 4 * self.num_parts * len(self.class_names)
            size, per_hour = row * self.num_frames, row / self.hop_s * 3600
            where = self.folder or f"{tempfile.gettempdir()} (set by TMPDIR)"
            raise StorageError(
                f"cannot keep the posteriors of a recording in {where}: "
                f"{error.strerror or error}, after {size / 1e6:.1f} MB; an hour takes "
                f"{per_hour / 1e6:.1f} MB"
            ) from None

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all frames in blocks, as `read` returns them."""
        for first in range(0, self.num_frames, _BLOCK_FRAMES):
            yield self.read(first, first + _BLOCK_FRAMES)


def fuse_recording(systems: Sequence[RecordingPosteriors]) -> RecordingPosteriors:
    """The mean of several systems' posteriors of one recording, on the finest frames.

    A frame takes the posterior of each system's frame that its middle lies in, as in
    `gcrnn_jax.detection.posteriors.fuse`. Parts that not all have are left out.
    """
    if len(systems) == 1:
        return systems[0]
    finest = min(systems, key=lambda system: system.hop_s)
    num_parts = min(system.num_parts for system in systems)
    fused = RecordingPosteriors(finest.class_names, finest.hop_s, finest.folder)
    fused.duration_s, fused.fault = finest.duration_s, finest.fault
    for first in range(0, finest.num_frames, _BLOCK_FRAMES):
        frames = np.arange(first, min(first + _BLOCK_FRAMES, finest.num_frames))
        middles = (frames + 0.5) * finest.hop_s
        blocks = [_frames_at(system, middles)[:, :num_parts] for system in systems]
        fused.append(np.asarray(np.mean(blocks, axis=0, dtype=np.float64)))
    return fused


def _frames_at(system: RecordingPosteriors, times_s: np.ndarray) -> np.ndarray:
    """The frames that rising times lie in, [n, P, K]; the last one for later times."""
    places = np.minimum((times_s / system.hop_s).astype(int), system.num_frames - 1)
    return system.read(places[0], places[-1] + 1)[places - places[0]]
