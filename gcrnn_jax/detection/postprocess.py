"""Posteriors to decisions: thresholds, gaps filled, short events removed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gcrnn_jax.detection.event_boxes import confidences_of_frames
from gcrnn_jax.detection.rolls import (
    clean_runs,
    flat_rows,
    running_median,
    runs_of,
    runs_with_seed,
)
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import check, construct

NO_BOXES = {"box_filter_s": 0.0, "box_merge": 0.5}
Threshold = float | tuple[float, ...]  # one number, or one a class

ROUNDING_FRAMES = 1e-6  # 0.4 s / 0.1 s must be 4 frames, whatever its last bits say


@dataclass(frozen=True)
class Postprocessing:
    """How posteriors become tags and active frames.

    In this order:

    0. With `box_filter_s` over 0, extents come first (`event_boxes`): each frame has
       the confidence of the candidate event that it is in, or 0, as its posterior.
    1. A frame is active where its posterior is greater than `event_threshold`.
    2. The neighbours of active frames are active too, in both directions for as long
       as the posterior is greater than `hysteresis * event_threshold`.
    3. A class that is not tagged in the clip has no active frame (`require_clip_tag`).
    4. A frame is active if most frames of the `median_s` around it are; there is
       silence beyond the ends of the clip.
    5. Silent gaps between active frames that are shorter than `gap_s` are filled.
       Silence before the first and after the last active frame is no gap.
    6. Runs of active frames that are shorter than `min_event_s` are removed.

    In frames: the median is over the greatest odd number n with n * hop_s <= median_s,
    a gap of g frames is filled when g * hop_s < gap_s, a run of r frames is removed
    when r * hop_s < min_event_s. So 0 s switches each of the three off.

    Attributes:
        tag_threshold: In [0, 1], one number or one a class; so may be `median_s`.
        event_threshold: In [0, 1], one number or one a class.
        require_clip_tag: Whether only tags of the clip have events in it.
        at_least_one_tag: A clip that no class passes gets the class with the greatest
            posterior as its tag, so that this class may have events.
        hysteresis: In [0, 1], a share of `event_threshold`; 1 switches it off.
        box_filter_s: The frames on both sides of a border that are compared; 0: none.
        box_merge: In [0, 1], as of `event_boxes`.
        chosen_on: The digest of the `Split` whose labels chose the thresholds, where
            their scores are too good; None: no labels did.

    Raises:
        ValueError: A threshold or share outside [0, 1] or a negative time.

    Source: Xu et al., ICASSP 2018; their code: vad.py, evaluate.py. Hysteresis: Kong
        et al., IEEE/ACM TASLP 27(11), 2019. Median: the baseline of DCASE 2017.
    Differs: theirs fills and removes in frames of 0.0415 s, gaps of up to 9 and runs
    of up to 10; here that is gap_s=0.4, min_event_s=0.45. Theirs requires no tag.
    """

    tag_threshold: Threshold
    event_threshold: Threshold
    gap_s: float
    min_event_s: float
    require_clip_tag: bool
    at_least_one_tag: bool
    hysteresis: float
    median_s: float | tuple[float, ...]
    box_filter_s: float
    box_merge: float
    chosen_on: str | None = None

    def __post_init__(self):
        for name in ("tag_threshold", "event_threshold"):
            threshold = _checked_threshold(name, getattr(self, name))
            object.__setattr__(self, name, threshold)
        for name in ("gap_s", "min_event_s", "median_s", "box_filter_s"):
            values = np.asarray(getattr(self, name))
            if not ((values >= 0) & (values < 1e9)).all():  # s: frames must be int64
                raise ValueError(f"{name}: expected >= 0, got {getattr(self, name)}")
        check(self, "in [0, 1]", "hysteresis", "box_merge")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Postprocessing":
        """Reads a section of a configuration, of a model's card or of posteriors.

        Files of version 0.1 call `require_clip_tag` "gated", and the oldest have no
        hysteresis, no median and no candidate events.

        Raises:
            ConfigError: A field is unknown, missing, ill-typed or out of range.
        """
        values = {"hysteresis": 1.0, "median_s": 0.0, **NO_BOXES, **values}
        if "gated" in values:
            values["require_clip_tag"] = values.pop("gated")
        return construct(cls, values, "postprocessing")

    def tags(self, clip_posterior: np.ndarray) -> np.ndarray:
        """Decides which classes are in a clip, bool [..., K], from [..., K] in [0, 1].

        Raises:
            ConfigError: As many thresholds as classes are needed, or one for all.
        """
        num_classes = clip_posterior.shape[-1]
        threshold = _per_class("tag_threshold", self.tag_threshold, num_classes)
        tags = clip_posterior > threshold
        if self.at_least_one_tag:
            is_greatest = np.eye(num_classes, dtype=bool)[clip_posterior.argmax(-1)]
            is_number = ~np.isnan(clip_posterior)  # which argmax takes for greatest
            tags |= is_greatest & is_number & ~tags.any(-1, keepdims=True)
        return tags

    def detect(
        self, frame_posterior: np.ndarray, clip_posterior: np.ndarray, hop_s: float
    ) -> np.ndarray:
        """Decides in which frames each class is active; `decode_events` reads it.

        Args:
            frame_posterior: [..., T, K] in [0, 1]; many clips at once are fastest.
            clip_posterior: [..., K] in [0, 1]; read only if `require_clip_tag`.
            hop_s: Seconds a frame.

        Returns:
            bool [..., T, K].

        Raises:
            ConfigError: As many thresholds as classes are needed, or one for all.

        Example:
            >>> quick = Postprocessing(
            ...     tag_threshold=0.3, event_threshold=0.3, gap_s=0.15, min_event_s=0.3,
            ...     require_clip_tag=False, at_least_one_tag=False,
            ...     hysteresis=1.0, median_s=0.0, box_filter_s=0.0, box_merge=0.5)
            >>> frames = np.array([[0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9]]).T
            >>> quick.detect(frames, np.array([1.0]), 0.1)[:, 0].astype(int).tolist()
            [1, 1, 1, 1, 0, 0, 0]
        """
        is_tagged = np.True_
        if self.require_clip_tag:
            is_tagged = self.tags(clip_posterior)[..., None, :]
        return self.detect_tagged(frame_posterior, is_tagged, hop_s)

    def detect_tagged(
        self,
        frame_posterior: np.ndarray,
        is_tagged: np.ndarray | np.bool_,
        hop_s: float,
    ) -> np.ndarray:
        """As `detect`, for tags decided before, bool [..., T, K] or [..., 1, K]."""
        num_classes = frame_posterior.shape[-1]
        if isinstance(self.median_s, tuple):
            roll = np.zeros(frame_posterior.shape, bool)
            for rules, k in self.by_median(np.arange(num_classes), num_classes):
                part = rules.select_classes(k, num_classes)
                is_array = isinstance(is_tagged, np.ndarray)
                tagged = is_tagged[..., k] if is_array else is_tagged
                frames = frame_posterior[..., k]
                roll[..., k] = part.detect_tagged(frames, tagged, hop_s)
            return roll
        threshold = _per_class("event_threshold", self.event_threshold, num_classes)
        return self._detect(frame_posterior, threshold, is_tagged, hop_s)

    def detect_runs(
        self, frame_posterior: np.ndarray, is_wanted: np.ndarray, hop_s: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `detect` of some classes of each clip, as the runs of active frames.

        It looks at those classes alone that are over their threshold at all, which
        are few where there are many classes.

        Args:
            frame_posterior: [N, T, K] in [0, 1].
            is_wanted: bool [N, K], such as tags; the others have no active frame.
            hop_s: Seconds a frame.

        Returns:
            (clips, classes, first, end), int [R] each, in the order of `Runs`.
        """
        num_classes = frame_posterior.shape[-1]
        threshold = np.broadcast_to(
            _per_class("event_threshold", self.event_threshold, num_classes),
            num_classes,
        )
        is_over = np.fmax.reduce(frame_posterior, axis=1, initial=0) > threshold
        clips, classes = np.nonzero(is_over & is_wanted)
        rows = frame_posterior[clips, :, classes]
        roll = np.zeros((*rows.shape, 1), bool)
        for rules, at in self.by_median(classes, num_classes):
            of_rows = threshold[classes[at], None, None]
            roll[at] = rules._detect(rows[at][..., None], of_rows, np.True_, hop_s)
        flat = flat_rows(roll)
        first, end = runs_of(flat)
        row, first = np.divmod(first, flat.shape[-1])
        return clips[row], classes[row], first, end - row * flat.shape[-1]

    def is_plain(self, hop_s: float) -> bool:
        """Whether every frame is decided on by its own posterior, given the tags."""
        return (
            self.hysteresis >= 1
            and not self.box_filter_s
            and _frames_within(self._longest_median_s, hop_s) <= 1
            and _frames_to_reach(self.gap_s, hop_s) <= 1
            and _frames_to_reach(self.min_event_s, hop_s) <= 1
        )

    def _detect(
        self,
        posterior: np.ndarray,  # [..., T, K]
        threshold: np.ndarray,  # of that shape, when broadcast
        is_tagged: np.ndarray | np.bool_,
        hop_s: float,
    ) -> np.ndarray:
        posterior = self.with_extents(posterior, hop_s)
        roll = posterior > threshold
        if self.hysteresis < 1:
            roll = runs_with_seed(roll, posterior > self.hysteresis * threshold)
        if self.require_clip_tag:
            roll &= is_tagged
        roll = running_median(roll, _frames_within(self._longest_median_s, hop_s))
        max_gap = _frames_to_reach(self.gap_s, hop_s) - 1
        return clean_runs(roll, max_gap, _frames_to_reach(self.min_event_s, hop_s))

    @property
    def _longest_median_s(self) -> float:
        return float(np.max(self.median_s))

    def with_extents(self, posterior: np.ndarray, hop_s: float) -> np.ndarray:
        """Posteriors [..., T, K], or confidences of candidate events in their place."""
        if not self.box_filter_s:
            return posterior
        count = max(1, round(self.box_filter_s / hop_s))
        return confidences_of_frames(posterior, count, self.box_merge)

    def by_median(
        self, classes: np.ndarray, num_classes: int
    ) -> Iterator[tuple["Postprocessing", np.ndarray]]:
        """Rules with one median length each, and where in classes, int [n], it is.

        Raises:
            ConfigError: As many lengths as classes are needed, or one for all.
        """
        if not isinstance(self.median_s, tuple):
            yield self, np.arange(len(classes))
            return
        lengths = _per_class("median_s", self.median_s, num_classes)[classes]
        for length in np.unique(lengths):
            rules = replace(self, median_s=float(length))
            yield rules, np.flatnonzero(lengths == length)

    def select_classes(self, classes: np.ndarray, num_classes: int) -> "Postprocessing":
        """The rules of some of K classes, whose numbers are int [k]."""
        changes: dict[str, Any] = {
            name: np.broadcast_to(getattr(self, name), num_classes)[classes]
            for name in ("tag_threshold", "event_threshold")
        }
        if isinstance(self.median_s, tuple):
            lengths = np.array(self.median_s)[classes]
            changes["median_s"] = tuple(lengths.tolist())
        return replace(self, **changes)


def _frames_within(seconds: float, hop_s: float) -> int:
    """The most frames, an odd number, that last at most so many seconds; or 0."""
    num_frames = int(np.floor(seconds / hop_s + ROUNDING_FRAMES))
    return max(0, num_frames - (num_frames + 1) % 2)


def _frames_to_reach(seconds: float, hop_s: float) -> int:
    """The fewest frames that last at least so many seconds."""
    return int(np.ceil(seconds / hop_s - ROUNDING_FRAMES))


def _checked_threshold(name: str, threshold: Any) -> Threshold:
    try:
        values = np.asarray(threshold, float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim > 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"{name}: expected a number in [0, 1] or one a class, got {threshold!r}"
        )
    return float(values) if values.ndim == 0 else tuple(values.tolist())


def _per_class(name: str, threshold: Threshold, num_classes: int) -> np.ndarray:
    values = np.asarray(threshold)
    if values.ndim and len(values) != num_classes:
        expected = f"expected one number or {num_classes}, one a class"
        raise ConfigError(f"{name}: {expected}, got {len(values)}")
    return values
