"""Segment-based scores of detected events, as sed_eval computes them.

A clip is cut into segments of 1 s, a class is active in a segment if any of its events
touches it, and the activities of reference and estimate are compared. In a segment
with both a miss and a false alarm the two are one substitution:

    S = min(Nref, Nsys) - Ntp,  D = max(0, Nref - Nsys),  I = max(0, Nsys - Nref)
    error rate = sum of S + D + I over sum of Nref

Source: Mesaros, Heittola, Virtanen, "Metrics for polyphonic sound event detection",
2016; sed_eval 0.2.1, `SegmentBasedMetrics`, the official tool of DCASE 2017 task 4,
subtask B.
Differs: where sed_eval has nan for the F1 of a class, or of a system, that estimates
nothing, F1 is 0 here; its class averages skip such classes, and are given beside under
names ending in `_sed_eval`. Error rates without any reference are nan here, errors
divided by 2.2e-16 there. An estimated label that the reference has not is a class of
false alarms here, an exception there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.detection.events import segment_roll
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates

SED_EVAL_EPS = float(np.spacing(1))  # sed_eval adds it to every denominator of a rate


@dataclass(frozen=True)
class ClassSegments:
    """The score of one class over all segments; no substitutions within one class."""

    rates: Rates
    error_rate: float  # (misses + false alarms) / num_reference
    true_positives: int
    num_estimated: int
    num_reference: int

    @property
    def f1_sed_eval(self) -> float:
        """The F1 that sed_eval prints: nan for a class never estimated."""
        defined = self.num_estimated and self.num_reference
        return self.rates.f1 if defined else float("nan")

    @property
    def error_rate_sed_eval(self) -> float:
        """The error rate that sed_eval prints: immense or 0 without a reference."""
        errors = self.num_estimated + self.num_reference - 2 * self.true_positives
        return errors / (self.num_reference + SED_EVAL_EPS)


@dataclass(frozen=True)
class SegmentScores:
    """Segment-based scores: micro over all segments and classes, and macro."""

    micro: Rates
    error_rate: float
    substitution_rate: float
    deletion_rate: float
    insertion_rate: float
    macro_f1: float  # mean over classes, 0 for a class never estimated
    macro_error_rate: float  # mean over the classes that the reference has
    macro_f1_sed_eval: float  # without the classes never estimated
    macro_error_rate_sed_eval: float
    counts: dict[str, int]  # Ntp Ntn Nfp Nfn Nref Nsys S D I, sed_eval's names
    per_class: dict[str, ClassSegments]
    num_clips: int


def segment_scores(
    reference: Mapping[str, Sequence[Event]],
    estimated: Mapping[str, Sequence[Event]],
    class_names: Sequence[str] | None = None,
    segment_s: float = 1.0,
) -> SegmentScores:
    """Scores the detected events of clips, given as lists.

    The files are those of the reference: a clip without an estimate is missed whole,
    an estimate for another file is ignored. A clip counts up to the last offset in
    either list, which matters to the true negatives (`Ntn`) only.

    Args:
        reference: Events of every file, from `events_by_file`; `[]` counts as a clip.
        estimated: The system's events.
        class_names: K names. None: those in the two lists, sorted.
        segment_s: Seconds a segment; 1 is official.

    Returns:
        Scores over all segments of all clips.

    Raises:
        DataError: A label is not among `class_names`.

    Example:
        >>> reference = {"a.wav": [Event(0.2, 3.0, "Car")]}
        >>> estimated = {"a.wav": [Event(2.9, 4.0, "Car")]}
        >>> scores = segment_scores(reference, estimated)
        >>> scores.micro.f1, round(scores.error_rate, 3)
        (0.4, 1.0)
    """
    if class_names is None:
        both = [*reference.values(), *(estimated.get(f, []) for f in reference)]
        class_names = sorted({event.event_label for events in both for event in events})
    pairs = [(events, estimated.get(file, [])) for file, events in reference.items()]
    lengths = [
        int(np.ceil(max((e.offset for e in (*a, *b)), default=0.0) / segment_s))
        for a, b in pairs
    ]
    rolls = [
        [segment_roll(events, length, class_names, segment_s) for events in pair]
        for pair, length in zip(pairs, lengths, strict=True)
    ]
    nothing = np.zeros((0, len(class_names)), bool)
    return _scores(
        np.concatenate([nothing, *(r for r, _ in rolls)]),
        np.concatenate([nothing, *(e for _, e in rolls)]),
        class_names,
        num_clips=len(pairs),
    )


def segment_scores_of_rolls(
    reference: np.ndarray,
    estimated: np.ndarray,
    class_names: Sequence[str],
    num_segments: np.ndarray | None = None,
) -> SegmentScores:
    """Scores the detected events of clips, given as segment rolls: the fast way.

    Args:
        reference: bool [N, S, K], from `segment_roll` or `segments_of_frames`.
        estimated: bool [N, S, K].
        class_names: K names.
        num_segments: int [N], how many segments of a clip count. None: all S.

    Returns:
        Scores over the segments that count.

    Raises:
        DataError: The two are not the same [N, S, K].
    """
    if reference.shape != estimated.shape or reference.shape[2:] != (len(class_names),):
        raise DataError(
            f"reference and estimate must be the same [N, S, {len(class_names)}], "
            f"got {reference.shape} and {estimated.shape}"
        )
    num_clips, length, _ = reference.shape
    counts = np.ones((num_clips, length), bool)
    if num_segments is not None:
        counts = np.arange(length) < np.asarray(num_segments)[:, None]
    return _scores(
        reference[counts].astype(bool),
        estimated[counts].astype(bool),
        class_names,
        num_clips,
    )


def _scores(
    reference: np.ndarray,
    estimated: np.ndarray,
    class_names: Sequence[str],
    num_clips: int,
) -> SegmentScores:
    """Scores [M, K] activities, whichever clip each segment is from."""
    counts = _counts(reference, estimated)
    per_class = {
        name: _class_segments(reference[:, k], estimated[:, k])
        for k, name in enumerate(class_names)
    }
    classes = per_class.values()
    by_type = {
        f"{name}_rate": _ratio(counts[letter], counts["Nref"])
        for name, letter in zip(
            ("substitution", "deletion", "insertion"), "SDI", strict=True
        )
    }
    return SegmentScores(
        micro=rates(counts["Ntp"], counts["Nsys"], counts["Nref"]),
        error_rate=_ratio(counts["S"] + counts["D"] + counts["I"], counts["Nref"]),
        **by_type,
        macro_f1=mean_defined([c.rates.f1 for c in classes]),
        macro_error_rate=mean_defined([c.error_rate for c in classes]),
        macro_f1_sed_eval=mean_defined([c.f1_sed_eval for c in classes]),
        macro_error_rate_sed_eval=mean_defined(
            [c.error_rate_sed_eval for c in classes]
        ),
        counts=counts,
        per_class=per_class,
        num_clips=num_clips,
    )


def _counts(reference: np.ndarray, estimated: np.ndarray) -> dict[str, int]:
    hits = (reference & estimated).sum(1)  # [M]
    num_reference, num_estimated = reference.sum(1), estimated.sum(1)
    by_segment = {
        "Ntp": hits,
        "Ntn": (~(reference | estimated)).sum(1),
        "Nfp": num_estimated - hits,
        "Nfn": num_reference - hits,
        "Nref": num_reference,
        "Nsys": num_estimated,
        "S": np.minimum(num_reference, num_estimated) - hits,
        "D": np.maximum(0, num_reference - num_estimated),
        "I": np.maximum(0, num_estimated - num_reference),
    }
    return {name: int(count.sum()) for name, count in by_segment.items()}


def _class_segments(reference: np.ndarray, estimated: np.ndarray) -> ClassSegments:
    counts = (
        int((reference & estimated).sum()),
        int(estimated.sum()),
        int(reference.sum()),
    )
    errors = int((reference ^ estimated).sum())
    return ClassSegments(rates(*counts), _ratio(errors, counts[2]), *counts)


def _ratio(count: int, of: int) -> float:
    return count / of if of else float("nan")
