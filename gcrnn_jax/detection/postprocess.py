"""Posteriors to decisions: thresholds, tags as a gate, gaps filled, blips removed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.errors import ConfigError

ROUNDING_FRAMES = 1e-6  # 0.4 s / 0.1 s must be 4 frames, whatever its last bits say


@dataclass(frozen=True)
class Postprocessing:
    """How posteriors become tags and active frames.

    In this order: a frame is active where its posterior is greater than
    `event_threshold`; a class that is not tagged in the clip has no active frame
    (`gated`); silent gaps between active frames that are shorter than `gap_s` are
    filled; runs shorter than `min_event_s` are removed. Silence before the first and
    after the last active frame is no gap. In frames: a gap of g frames is filled when
    g * hop_s < gap_s, a run of r frames is removed when r * hop_s < min_event_s, so
    0 s switches either off.

    Attributes:
        tag_threshold: In [0, 1], one number or one a class.
        event_threshold: In [0, 1], one number or one a class.
        gap_s: Seconds.
        min_event_s: Seconds.
        gated: Whether a class must be a tag of the clip to have events in it.
        at_least_one_tag: A clip that no class passes gets the class with the greatest
            posterior as its tag, which also opens the gate for it.

    Raises:
        ConfigError: A threshold outside [0, 1] or a negative time.

    Source: Xu et al., ICASSP 2018; their code: vad.py, evaluate.py.
    Differs: theirs fills and removes in frames of 0.0415 s, gaps of up to 9 and runs
    of up to 10; here that is gap_s=0.4, min_event_s=0.45. Theirs has no gate.
    """

    tag_threshold: float | Sequence[float]
    event_threshold: float | Sequence[float]
    gap_s: float
    min_event_s: float
    gated: bool
    at_least_one_tag: bool

    def __post_init__(self):
        for name in ("tag_threshold", "event_threshold"):
            object.__setattr__(self, name, _threshold(name, getattr(self, name)))
        for name in ("gap_s", "min_event_s"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: expected >= 0, got {getattr(self, name)}")

    def tags(self, clip_posterior: np.ndarray) -> np.ndarray:
        """Decides which classes are in a clip.

        Args:
            clip_posterior: [..., K] in [0, 1].

        Returns:
            bool [..., K].

        Raises:
            ConfigError: As many thresholds as classes are needed, or one for all.
        """
        num_classes = clip_posterior.shape[-1]
        threshold = _per_class("tag_threshold", self.tag_threshold, num_classes)
        tags = clip_posterior > threshold
        if self.at_least_one_tag:
            is_greatest = np.eye(num_classes, dtype=bool)[clip_posterior.argmax(-1)]
            tags |= is_greatest & ~tags.any(-1, keepdims=True)
        return tags

    def detect(
        self, frame_posterior: np.ndarray, clip_posterior: np.ndarray, hop_s: float
    ) -> np.ndarray:
        """Decides in which frames each class is active; `decode_events` reads it.

        Args:
            frame_posterior: [..., T, K] in [0, 1]; many clips at once are fastest.
            clip_posterior: [..., K] in [0, 1]; read only if `gated`.
            hop_s: Seconds a frame.

        Returns:
            bool [..., T, K].

        Raises:
            ConfigError: As many thresholds as classes are needed, or one for all.

        Example:
            >>> quick = Postprocessing(
            ...     tag_threshold=0.3, event_threshold=0.3, gap_s=0.15, min_event_s=0.3,
            ...     gated=False, at_least_one_tag=False)
            >>> frames = np.array([[0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9]]).T
            >>> quick.detect(frames, np.array([1.0]), 0.1)[:, 0].astype(int).tolist()
            [1, 1, 1, 1, 0, 0, 0]
        """
        num_classes = frame_posterior.shape[-1]
        threshold = _per_class("event_threshold", self.event_threshold, num_classes)
        roll = frame_posterior > threshold
        if self.gated:
            roll &= self.tags(clip_posterior)[..., None, :]
        max_gap = _frames_to_reach(self.gap_s, hop_s) - 1
        return _clean_runs(roll, max_gap, _frames_to_reach(self.min_event_s, hop_s))


def _clean_runs(roll: np.ndarray, max_gap: int, min_frames: int) -> np.ndarray:
    """Fills gaps of at most `max_gap` frames, then removes runs under `min_frames`."""
    by_row = np.moveaxis(roll, -2, -1)  # [..., K, T]: a row is one class of one clip
    num_frames = by_row.shape[-1]
    row_length = num_frames + 1  # one silent frame after each row keeps rows apart
    flat = np.zeros((*by_row.shape[:-1], row_length), np.int8)
    flat[..., :num_frames] = by_row
    steps = np.diff(flat.ravel(), prepend=np.int8(0))
    first, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)

    gaps = first[1:] - end[:-1]
    joined = (gaps <= max_gap) & (first[1:] // row_length == end[:-1] // row_length)
    first = first[np.concatenate(([True], ~joined))] if first.size else first
    end = end[np.concatenate((~joined, [True]))] if end.size else end
    kept = end - first >= min_frames

    steps = np.zeros(flat.size, np.int8)
    steps[first[kept]], steps[end[kept]] = 1, -1
    cleaned = np.cumsum(steps, dtype=np.int8).astype(bool).reshape(flat.shape)
    return np.moveaxis(cleaned[..., :num_frames], -1, -2)


def _frames_to_reach(seconds: float, hop_s: float) -> int:
    """The fewest frames that last at least so many seconds."""
    return int(np.ceil(seconds / hop_s - ROUNDING_FRAMES))


def _threshold(
    name: str, threshold: float | Sequence[float]
) -> float | tuple[float, ...]:
    try:
        values = np.asarray(threshold, float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim > 1 or not ((values >= 0) & (values <= 1)).all():
        raise ConfigError(
            f"{name}: expected a number in [0, 1] or one a class, got {threshold!r}"
        )
    return float(values) if values.ndim == 0 else tuple(values.tolist())


def _per_class(
    name: str, threshold: float | Sequence[float], num_classes: int
) -> np.ndarray:
    values = np.asarray(threshold)
    if values.ndim and len(values) != num_classes:
        raise ConfigError(
            f"{name}: expected one number or {num_classes}, one a class, "
            f"got {len(values)}"
        )
    return values
