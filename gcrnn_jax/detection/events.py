"""The one convention of time: which frames an event covers, and back.

Frame t covers [t, t + 1) * hop_s seconds. An event is active in [onset, offset):
it includes its onset, not its offset. So frames 2 and 3 of 0.02 s each are the event
[0.04, 0.08), which is 2 frames long, and the last frame of a clip ends with the clip.

Segments, the units of segment-based scores (1 s), are looser: a segment is active
when an event touches it at all, floor(onset) <= segment < ceil(offset).

Source: Mesaros, Heittola, Virtanen, "Metrics for polyphonic sound event detection",
2016, and sed_eval for the segments.
Differs: the authors' vad.py ends an event where its last frame begins, one frame early.
"""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError

LIST_ROUNDING_S = 0.0006  # event lists have three decimals; a little over half of one


def frame_roll(
    events: Iterable[Event], num_frames: int, hop_s: float, class_names: Sequence[str]
) -> np.ndarray:
    """Marks the frames that events cover, wholly or in part.

    A frame that an event only reaches by the rounding of an event list (0.6 ms, or a
    quarter of a frame if that is less) stays silent. So decoding a roll, writing the
    list and reading it back gives the same roll.

    Args:
        events: Of one clip; overlaps merge, what is after the last frame is dropped.
        num_frames: T.
        hop_s: Seconds a frame.
        class_names: K names, the columns of the roll.

    Returns:
        bool [T, K].

    Raises:
        DataError: An event's label is not a class name.

    Example:
        >>> roll = frame_roll([Event(0.04, 0.08, "Car")], 5, 0.02, ["Car"])
        >>> roll[:, 0].astype(int).tolist()
        [0, 0, 1, 1, 0]
    """
    roll = np.zeros((num_frames, len(class_names)), bool)
    column = {name: k for k, name in enumerate(class_names)}
    for onset, offset, label in events:
        first, end = active_frames(onset, offset, hop_s)
        roll[first:end, _column(column, label)] = True
    return roll


def active_frames(onset: float, offset: float, hop_s: float) -> tuple[int, int]:
    """The first frame of an event and the one after its last, as of `frame_roll`."""
    slack = min(LIST_ROUNDING_S / hop_s, 0.25)  # in frames
    first = int(np.floor(onset / hop_s + slack))
    return first, int(np.ceil(offset / hop_s - slack)) if offset > onset else first


def decode_events(
    roll: np.ndarray,
    hop_s: float,
    class_names: Sequence[str],
    max_s: float | None = None,
) -> list[Event]:
    """Turns every run of active frames into an event.

    Args:
        roll: bool [T, K].
        hop_s: Seconds a frame.
        class_names: K names.
        max_s: Length of the clip in seconds; no event ends after it. None: T frames.

    Returns:
        Events by onset, then by class; times rounded to a microsecond, so that 30
        frames of 0.1 s end at 3.0 and not at 3.0000000000000004.

    Example:
        >>> roll = np.array([[0], [1], [1]], bool)
        >>> decode_events(roll, 0.1, ["Car"], max_s=0.25)
        [Event(onset=0.1, offset=0.25, event_label='Car')]
    """
    silent = np.zeros((1, roll.shape[1]), np.int8)
    steps = np.diff(roll.astype(np.int8), axis=0, prepend=silent, append=silent)
    classes, first = np.nonzero(steps.T == 1)
    _, end = np.nonzero(steps.T == -1)  # pairs with first: both go class by class
    onsets, offsets = run_times(first, end, hop_s, max_s)
    return [
        Event(float(onsets[i]), float(offsets[i]), class_names[int(classes[i])])
        for i in np.lexsort((classes, onsets))
        if onsets[i] < offsets[i]
    ]


def segment_roll(
    events: Iterable[Event],
    num_segments: int,
    class_names: Sequence[str],
    segment_s: float = 1.0,
) -> np.ndarray:
    """Marks the segments that events touch, however little.

    Args:
        events: Of one clip; overlaps merge, what is after the last segment is dropped.
        num_segments: S.
        class_names: K names.
        segment_s: Seconds a segment.

    Returns:
        bool [S, K].

    Raises:
        DataError: An event's label is not a class name.

    Source: sed_eval, `event_list_to_event_roll`.

    Example:
        >>> roll = segment_roll([Event(0.9, 2.0, "Car")], 4, ["Car"])
        >>> roll[:, 0].astype(int).tolist()
        [1, 1, 0, 0]
    """
    roll = np.zeros((num_segments, len(class_names)), bool)
    column = {name: k for k, name in enumerate(class_names)}
    for onset, offset, label in events:
        first, end = np.floor(onset / segment_s), np.ceil(offset / segment_s)
        roll[int(first) : int(end), _column(column, label)] = True
    return roll


def segments_of_times(
    rows: tuple[np.ndarray, np.ndarray],
    onsets: np.ndarray,
    offsets: np.ndarray,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Marks the segments of 1 s that events of several clips touch, as `segment_roll`.

    Args:
        rows: Clips and classes of the events, int [E] each.
        onsets: float [E].
        offsets: float [E].
        shape: (N, S, K); what is after the last segment is dropped.

    Returns:
        bool [N, S, K].
    """
    num_clips, num_segments, num_classes = shape
    first = np.minimum(np.floor(onsets).astype(int), num_segments)
    end = np.minimum(np.ceil(offsets).astype(int), num_segments)
    end = np.maximum(first, end)
    steps = np.zeros((num_clips, num_segments + 1, num_classes), np.int32)
    np.add.at(steps, (rows[0], first, rows[1]), 1)
    np.add.at(steps, (rows[0], end, rows[1]), -1)
    return np.cumsum(steps[:, :-1], axis=1) > 0


def segments_from_frames(
    roll: np.ndarray,
    hop_s: float,
    num_segments: int,
    max_s: float | None = None,
) -> np.ndarray:
    """Marks the segments of 1 s that active frames touch, as `segment_roll` of events.

    bool [..., T, K] -> [..., S, K]; frames after the last segment are dropped, and so
    is what is after `max_s`, as in `decode_events`.
    """
    segments = np.zeros((*roll.shape[:-2], num_segments, roll.shape[-1]), bool)
    every = frames_of_segments(roll.shape[-2], hop_s, num_segments, max_s)
    for s, frames in enumerate(every):
        segments[..., s, :] = roll[..., frames, :].any(axis=-2)
    return segments


@functools.lru_cache(maxsize=16)  # the same for every threshold and block of clips
def frames_of_segments(
    num_frames: int, hop_s: float, num_segments: int, max_s: float | None = None
) -> tuple[slice, ...]:
    """Which frames touch each segment of 1 s; neighbours, or none."""
    edges = frame_times(np.arange(num_frames + 1), hop_s)
    edges = np.minimum(edges, np.inf if max_s is None else max_s)
    first, end = np.floor(edges[:-1]), np.ceil(edges[1:])  # segments of each frame
    end[edges[1:] == edges[:-1]] = 0  # of frames after the end
    touching = (np.flatnonzero((first <= s) & (s < end)) for s in range(num_segments))
    return tuple(slice(t[0], t[-1] + 1) if t.size else slice(0) for t in touching)


def run_times(
    first: np.ndarray, end: np.ndarray, hop_s: float, max_s: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and offsets, in seconds, of runs of frames; none ends after max_s."""
    onsets, offsets = frame_times(first, hop_s), frame_times(end, hop_s)
    return onsets, offsets if max_s is None else np.minimum(offsets, max_s)


def frame_times(frames: np.ndarray, hop_s: float) -> np.ndarray:
    """When frames of these numbers begin, in seconds, rounded to a microsecond."""
    return np.round(frames * hop_s, 6)


def coarse_frames(
    frames: np.ndarray, hop_s: float, coarse_hop_s: float, num_coarse: int
) -> np.ndarray:
    """The coarse frames that the middles of finer frames, int [n], lie in.

    The last of the coarse frames stands for all after it.

    Example:
        >>> coarse_frames(np.arange(6), 0.1, 0.2, 3).tolist()
        [0, 0, 1, 1, 2, 2]
    """
    middles = (frames + 0.5) * hop_s
    return np.minimum((middles / coarse_hop_s).astype(int), num_coarse - 1)


def class_numbers(labels: Iterable[str], class_names: Sequence[str]) -> np.ndarray:
    """The columns of labels, int [n].

    Raises:
        DataError: A label is not a class name.
    """
    column = {name: k for k, name in enumerate(class_names)}
    return np.array([_column(column, label) for label in labels], int)


def _column(column: dict[str, int], label: str) -> int:
    if label not in column:
        names = ", ".join(map(repr, column))
        raise DataError(f"expected one of the classes {names}, got {label!r}")
    return column[label]
