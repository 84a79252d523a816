"""Intersection-based scores: how much of events and detections is shared.

A detection is relevant if at least `dtc` of it lies in reference events of its class; a
reference event is found if at least `gtc` of it lies in relevant detections. Detections
that are not relevant are false positives, and cross-triggers of each other class whose
reference events hold at least `cttc` of them.

Source: Bilen et al., "A framework for the robust evaluation of sound event detection",
ICASSP 2020; psds_eval 0.5.3; sed_scores_eval 0.0.4.
Differs: both tools refuse lists in which events of one class overlap, sed_scores_eval
those that touch, too. Here events that overlap are one event, and how many rows that
made superfluous is returned; touching ones stay two. Events without length, over which
psds_eval passes, are left out and counted. Files, labels and lists may be empty.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.event_based import names_in
from gcrnn_jax.metrics.score_tables import by_clip_id
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates


@dataclass(frozen=True)
class Intersection:
    """The shares that decide, each in [0, 1]; what shares nothing never fulfils one.

    Attributes:
        dtc: Detection tolerance criterion, of a detection.
        gtc: Ground truth intersection criterion, of a reference event.
        cttc: Cross-trigger tolerance criterion, of a detection; None: not counted.
        time_decimals: Seconds are rounded to so many decimals before they are compared,
            as sed_scores_eval does with 6. None: ratios in float64, as psds_eval does.
            They differ where a share is exactly met, as on a grid of 0.1 s.
    """

    dtc: float = 0.7
    gtc: float = 0.7
    cttc: float | None = None
    time_decimals: int | None = 6

    def __post_init__(self) -> None:
        for name in ("dtc", "gtc", "cttc"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise DataError(f"Intersection: expected {name} in [0, 1], got {value}")

    def reaches(
        self, shared_s: np.ndarray, length_s: np.ndarray, share: float
    ) -> np.ndarray:
        """Whether the seconds shared are at least a share of the length, bool [N].

        From [N] or [N, M] seconds shared, with each of M events, and [N] seconds.
        """
        if shared_s.ndim == 1:
            shared_s = shared_s[:, None]
        if self.time_decimals is None:
            parts = (shared_s / length_s[:, None]).tolist()
            total = np.array([math.fsum(row) for row in parts])
            return (total >= share) & (total > 0)
        total = shared_s.sum(1)
        least = np.round(share * length_s, self.time_decimals)
        return (np.round(total, self.time_decimals) >= least) & (total > 0)


@dataclass(frozen=True)
class DisjointEvents:
    """Events of clips, those of one class apart from each other.

    Attributes:
        by_clip: Clip id -> index of a class -> onsets and offsets, rising, [R, 2].
        num_events: int [K].
        seconds: [K] of all clips together.
        num_merged: Rows that were parts of others.
        num_empty: Rows without length, left out.
    """

    by_clip: dict[str, dict[int, np.ndarray]]
    num_events: np.ndarray
    seconds: np.ndarray
    num_merged: int
    num_empty: int


def disjoint_events(
    events: Mapping[str, Sequence[Event]], class_names: Sequence[str]
) -> DisjointEvents:
    """Merges events of one class that overlap.

    Raises:
        DataError: A label is not among the classes.

    Example:
        >>> rows = [Event(0, 2, "Car"), Event(1, 3, "Car"), Event(3, 4, "Car")]
        >>> merged = disjoint_events({"a.wav": rows}, ["Car"])
        >>> merged.by_clip["a"][0].tolist(), merged.num_merged
        ([[0.0, 3.0], [3.0, 4.0]], 1)
    """
    column = {name: k for k, name in enumerate(class_names)}
    num_events, seconds = np.zeros(len(column), int), np.zeros(len(column))
    clips: dict[str, dict[int, np.ndarray]] = {}
    num_merged = num_empty = 0
    for clip_id, rows in by_clip_id(events).items():
        of_class: dict[int, list[list[float]]] = defaultdict(list)
        for onset, offset, label in sorted(rows):
            if label not in column:
                raise DataError(f"{clip_id}: {label!r} is not among the classes")
            spans = of_class[column[label]]
            if not onset < offset:
                num_empty += 1
            elif spans and onset < spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], offset)
                num_merged += 1
            else:
                spans.append([onset, offset])
        clips[clip_id] = {k: np.array(s, float) for k, s in of_class.items() if s}
        for k, spans_s in clips[clip_id].items():
            num_events[k] += len(spans_s)
            seconds[k] += (spans_s[:, 1] - spans_s[:, 0]).sum()
    return DisjointEvents(clips, num_events, seconds, num_merged, num_empty)


@dataclass(frozen=True)
class ClassIntersections:
    """The score of one class."""

    rates: Rates
    true_positives: int  # reference events found
    false_positives: int  # detections that are not relevant
    num_reference: int

    @property
    def f1_psds_eval(self) -> float:
        """The F1 that psds_eval prints: nan for a class of which nothing is found."""
        return self.rates.f1 if self.true_positives else float("nan")


@dataclass(frozen=True)
class IntersectionScores:
    """Intersection-based scores of two lists."""

    micro: Rates
    macro_f1: float  # mean over classes, 0 for one that is never found, or only falsely
    macro_f1_sed_scores_eval: float  # the same over the classes that the reference has
    macro_f1_psds_eval: float  # mean over the classes of which something is found
    per_class: dict[str, ClassIntersections]
    cross_triggers: np.ndarray  # int [K, K]: detections of k in events of another class
    num_merged: tuple[int, int]  # rows of reference and estimate that overlap another
    num_empty: tuple[int, int]  # rows of the two without length, left out
    num_clips: int


def intersection_scores(
    reference: Mapping[str, Sequence[Event]],
    estimated: Mapping[str, Sequence[Event]],
    class_names: Sequence[str] | None = None,
    *,
    criteria: Intersection | None = None,
    durations: Mapping[str, float] | None = None,
) -> IntersectionScores:
    """Scores events by what they share with those of the reference.

    The clips are those of the reference: a clip without an estimate is missed whole, an
    estimate for another clip is ignored.

    Args:
        reference: Events of every file, from `events_by_file`; `[]` counts as a clip.
        estimated: The system's events.
        class_names: K names. None: those in the two lists, sorted.
        criteria: None: `dtc` and `gtc` of 0.7.
        durations: Seconds of every file. Given, a false detection counts only if it
            begins before its clip ends, as for psds_eval. None: each counts.

    Raises:
        DataError: A label is not among `class_names`, or a file has no duration.

    Example:
        >>> reference = {"a.wav": [Event(0.0, 4.0, "Car")]}
        >>> estimated = {"a.wav": [Event(0.0, 3.0, "Car"), Event(3.5, 6.0, "Car")]}
        >>> scores = intersection_scores(reference, estimated)
        >>> scores.micro
        Rates(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    if class_names is None:
        class_names = names_in(reference, estimated)
    criteria = criteria or Intersection()
    estimated = {file: estimated.get(file, ()) for file in reference}
    there, found = (disjoint_events(e, class_names) for e in (reference, estimated))
    hits, false = np.zeros((2, len(class_names)), int)
    cross = np.zeros((len(class_names),) * 2, int)
    for file, (clip_id, detections) in zip(
        reference, found.by_clip.items(), strict=True
    ):
        end_s = math.inf if durations is None else duration_of(file, durations)
        for k, spans in detections.items():
            own = there.by_clip[clip_id]
            counted = count_detections(spans, k, own, criteria, end_s=end_s)
            hits[k] += counted[0]
            false[k] += counted[1]
            for c, count in counted[2].items():
                cross[k, c] += count
    counts = zip(class_names, hits, false, there.num_events, strict=True)
    per_class = {
        name: ClassIntersections(rates(tp, tp + fp, n), tp, fp, n)
        for name, *of_class in counts
        for tp, fp, n in [map(int, of_class)]
    }
    classes = per_class.values()
    return IntersectionScores(
        micro=rates(int(hits.sum()), int((hits + false).sum()), sum(there.num_events)),
        macro_f1=mean_defined(c.rates.f1 for c in classes),
        macro_f1_sed_scores_eval=mean_defined(
            c.rates.f1 for c in classes if c.num_reference
        ),
        macro_f1_psds_eval=mean_defined(c.f1_psds_eval for c in classes),
        per_class=per_class,
        cross_triggers=cross,
        num_merged=(there.num_merged, found.num_merged),
        num_empty=(there.num_empty, found.num_empty),
        num_clips=len(reference),
    )


def duration_of(file: str, durations: Mapping[str, float]) -> float:
    """The seconds of a file; DataError if they are not given or not positive."""
    duration = durations.get(file, math.nan)
    if not 0 < duration < math.inf:
        raise DataError(f"{file}: expected a duration in seconds, got {duration}")
    return duration


def count_detections(
    spans: np.ndarray,
    k: int,
    references: Mapping[int, np.ndarray],
    by: Intersection,
    *,
    end_s: float = math.inf,
) -> tuple[int, int, dict[int, int]]:
    """Counts the detections of class k in one clip that ends at `end_s`, [M, 2].

    Returns:
        Reference events found, false positives, cross-triggers of each other class.
    """
    length_s = spans[:, 1] - spans[:, 0]
    own = references.get(k)
    relevant, hits = np.zeros(len(spans), bool), 0
    if own is not None:
        shared_s = shared_seconds(spans, own)
        relevant = by.reaches(shared_s, length_s, by.dtc)
        in_relevant = (shared_s * relevant[:, None]).T
        hits = int(by.reaches(in_relevant, own[:, 1] - own[:, 0], by.gtc).sum())
    false = spans[~relevant]
    cross = {}
    if by.cttc is not None and len(false):
        for c in references.keys() - {k}:
            reached = by.reaches(
                shared_seconds(false, references[c]), length_s[~relevant], by.cttc
            )
            cross[c] = int(reached.sum())
    return hits, int((false[:, 0] < end_s).sum()), cross


def shared_seconds(spans: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Seconds that each of [M, 2] shares with each of [R, 2], [M, R]."""
    ends = np.minimum(spans[:, None, 1], others[:, 1])
    return np.maximum(ends - np.maximum(spans[:, None, 0], others[:, 0]), 0.0)
