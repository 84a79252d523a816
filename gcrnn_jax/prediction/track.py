"""Posteriors of a recording of any length, on disk, and the tags and events in them."""

import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.postprocess import Postprocessing

# The parts of a track.
CLIP = 0  # posteriors that the clip around a frame has the tags
FRAME = 1  # posteriors that the classes are active in a frame
ATTENTION = 2  # how much a frame counts for its clip, where that is asked for

_BLOCK_FRAMES = 4096
_BYTES_AT_ONCE = 4_000_000  # of the classes that are decoded together


class Track:
    """What a system says of every frame of one recording.

    It lies in a file without a name, which goes when the track goes: memory does not
    grow with the recording.

    Attributes:
        num_classes: K.
        hop_s: Seconds a frame.
        duration_s: Of the recording.
        num_frames: N, so far.
        num_parts: P, as appended.
        clip_peak: float32 [K], the greatest posterior of each class being a tag.
        frame_peak: float32 [K], the greatest of its being active.
    """

    def __init__(self, num_classes: int, hop_s: float):
        self.num_classes, self.hop_s = num_classes, hop_s
        self.duration_s = 0.0
        self.num_frames = 0
        self.num_parts = 0
        self.clip_peak = np.zeros(num_classes, np.float32)
        self.frame_peak = np.zeros(num_classes, np.float32)
        self._file = tempfile.TemporaryFile()

    def append(self, values: np.ndarray) -> None:
        """Takes the next frames, [n, P, K]; the P parts are `CLIP`, `FRAME`, ..."""
        self.num_parts = values.shape[1]
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(values, np.float32).data)
        self.num_frames += len(values)
        self.clip_peak = np.maximum(self.clip_peak, values[:, CLIP].max(0))
        self.frame_peak = np.maximum(self.frame_peak, values[:, FRAME].max(0))

    def read(self, first: int, end: int) -> np.ndarray:
        """Returns what was appended of frames [first, end), [n, P, K]."""
        row = self.num_parts * self.num_classes
        self._file.seek(4 * row * first)
        content = self._file.read(4 * row * (end - first))
        values = np.frombuffer(content, np.float32)
        return values.reshape(-1, self.num_parts, self.num_classes)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all frames in blocks, as `read` returns them."""
        for first in range(0, self.num_frames, _BLOCK_FRAMES):
            yield self.read(first, min(first + _BLOCK_FRAMES, self.num_frames))


def fuse_tracks(tracks: Sequence[Track]) -> Track:
    """The mean of several systems' tracks of one recording, on the finest frames.

    A coarser frame counts where the middle of a finer one lies in it, as in
    `gcrnn_jax.detection.posteriors.fuse`. Parts that not all have are left out.
    """
    if len(tracks) == 1:
        return tracks[0]
    finest = min(tracks, key=lambda track: track.hop_s)
    num_parts = min(track.num_parts for track in tracks)
    fused = Track(finest.num_classes, finest.hop_s)
    fused.duration_s = finest.duration_s
    for first in range(0, finest.num_frames, _BLOCK_FRAMES):
        end = min(first + _BLOCK_FRAMES, finest.num_frames)
        middles = (np.arange(first, end) + 0.5) * finest.hop_s
        sums = np.zeros((end - first, num_parts, finest.num_classes))
        for track in tracks:
            places = np.minimum(
                (middles / track.hop_s).astype(int), track.num_frames - 1
            )
            values = track.read(places[0], places[-1] + 1)
            sums += values[places - places[0], :num_parts]
        fused.append(sums / len(tracks))
    return fused


class Found(NamedTuple):
    """A tag or an event with its score: the greatest posterior there."""

    event: Event
    score: float


def find_tags(
    track: Track, postprocessing: Postprocessing, class_names: tuple[str, ...]
) -> list[Found]:
    """The classes that are tags anywhere in a recording, the surest first.

    A tag lasts as long as the recording.
    """
    tagged = np.zeros(track.num_classes, bool)
    for block in track.blocks():
        tagged |= postprocessing.tags(block[:, CLIP]).any(0)
    return [
        Found(Event(0.0, track.duration_s, class_names[k]), float(track.clip_peak[k]))
        for k in np.argsort(-track.clip_peak, kind="stable")
        if tagged[k]
    ]


def find_events(
    track: Track, postprocessing: Postprocessing, class_names: tuple[str, ...]
) -> list[Found]:
    """The events of a recording, by onset, then by class.

    The gate of an event is what the windows around it say of their own tags, not what
    is said of hours of recording. A few classes at a time are decoded: memory grows
    with what they take, a megabyte an hour and class.
    """
    thresholds = np.broadcast_to(postprocessing.event_threshold, track.num_classes)
    (heard,) = np.nonzero(track.frame_peak > thresholds)
    at_once = max(1, _BYTES_AT_ONCE // (5 * max(1, track.num_frames)))
    found = []
    for start in range(0, len(heard), at_once):
        found += _decode(
            track, postprocessing, heard[start : start + at_once], class_names
        )
    order = {name: k for k, name in enumerate(class_names)}
    return sorted(found, key=lambda f: (f.event.onset, order[f.event.event_label]))


def _decode(
    track: Track,
    postprocessing: Postprocessing,
    classes: np.ndarray,
    class_names: tuple[str, ...],
) -> list[Found]:
    shape, first = (track.num_frames, len(classes)), 0
    frame, is_tagged = np.empty(shape, np.float32), np.empty(shape, bool)
    for block in track.blocks():
        end = first + len(block)
        frame[first:end] = block[:, FRAME, classes]
        is_tagged[first:end] = postprocessing.tags(block[:, CLIP])[:, classes]
        first = end
    chosen = postprocessing.select_classes(classes, track.num_classes)
    roll = chosen.detect_tagged(frame, is_tagged, track.hop_s)
    names = [class_names[k] for k in classes]
    found = []
    for event in decode_events(roll, track.hop_s, names, track.duration_s):
        onset = round(event.onset / track.hop_s)  # times are whole frames
        offset = max(onset + 1, round(event.offset / track.hop_s))  # but at the end
        column = frame[onset:offset, names.index(event.event_label)]
        found.append(Found(event, float(column.max())))
    return found
