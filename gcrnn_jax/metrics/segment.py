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
from typing import Any

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event, EventRow, events_by_file
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.events import segment_roll
from gcrnn_jax.detection.posteriors import PosteriorSet, as_bool
from gcrnn_jax.metrics.decisions import Decisions, estimated_times, reference_times
from gcrnn_jax.metrics.metric import (
    Column,
    Metric,
    class_rows,
    ratio,
    sed_eval_error_rate,
)
from gcrnn_jax.metrics.tables import percent, text_table
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates

COUNTS: tuple[str, ...] = ("Ntp", "Ntn", "Nfp", "Nfn", "Nref", "Nsys", "S", "D", "I")
_BLOCK = 4_000_000  # segments of classes that are counted at once


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
        counts = self.true_positives, self.num_estimated, self.num_reference
        return sed_eval_error_rate(*counts)


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
    macro_error_rate_sed_eval: float  # of all classes, 0 without any segment
    counts: dict[str, int]  # by the names in COUNTS, which are sed_eval's
    per_class: dict[str, ClassSegments]
    num_clips: int


class SegmentMetric(Metric):
    """Active seconds of events against strong labels."""

    name, task = "detection", "detection"
    columns = (
        Column("segment_f1", "1-s F1", role="headline"),
        Column("error_rate", "error rate", "number", "main"),
        Column("substitution_rate", "subst.", "number", "detail"),
        Column("deletion_rate", "del.", "number", "detail"),
        Column("insertion_rate", "ins.", "number", "detail"),
    )
    reference_counts = [COUNTS.index("Nref")]
    class_header = ("seconds", "1-s F1", "precision", "recall", "error rate")

    def counts(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> np.ndarray:
        """Counts of segments, int [N, 9], named by COUNTS."""
        return _count(decisions, posteriors, split)[0]

    def scores(self, sums: np.ndarray) -> dict[str, Any]:
        """Micro F1 and error rates."""
        hits, estimated, reference = (
            sums[..., COUNTS.index(name)] for name in ("Ntp", "Nsys", "Nref")
        )
        f1 = rates(hits, estimated, reference).f1
        return {"segment_f1": f1, **error_rates(sums)}

    def details(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> SegmentScores:
        """Micro and macro scores and those of every class."""
        by_clip, by_class = _count(decisions, posteriors, split)
        return _scores(by_clip.sum(0), by_class, split.class_names, len(by_clip))

    def values(self, details: SegmentScores) -> dict[str, float]:
        """Micro F1 and error rates."""
        error_rates = {c.key: getattr(details, c.key) for c in self.columns[1:]}
        return {"segment_f1": details.micro.f1, **error_rates}

    def class_cells(self, details: SegmentScores) -> dict[str, Sequence[object]]:
        """Active seconds, rates and error rate of every class."""
        text = self.columns[1].text
        averages = [text(details.error_rate), text(details.macro_error_rate)]
        return class_rows(details, lambda one: text(one.error_rate), averages)

    def list_details(
        self, reference: Sequence[EventRow], estimated: Sequence[EventRow]
    ) -> SegmentScores:
        """The scores of subtask B.

        As for sed_eval in the official script, a class that only `0 0` rows of the
        reference name is one of the classes, of no segment.
        """
        there, found = events_by_file(reference), events_by_file(estimated)
        names = {row.event_label for row in reference if row.event_label}
        names |= {e.event_label for file in there for e in found.get(file, ())}
        return segment_scores(there, found, sorted(names))

    def list_tables(self, details: SegmentScores) -> list[str]:
        """Averages, kinds of errors and classes."""
        macro = [percent(details.macro_f1), details.macro_error_rate]
        sed_eval = percent(details.macro_f1_sed_eval), details.macro_error_rate_sed_eval
        overall = [
            ["micro (official)", *details.micro.percents(), details.error_rate],
            ["macro", "", "", *macro],
            ["macro, sed_eval", "", "", *sed_eval],
        ]
        values, kinds = self.values(details), self.columns[2:]
        errors = ["micro (official)", *(values[column.key] for column in kinds)]
        classes = [
            [name, *c.rates.percents(), c.error_rate, c.num_reference, c.num_estimated]
            for name, c in details.per_class.items()
        ]
        header = ["precision %", "recall %", "F1 %", "error rate"]
        return [
            f"Detection (subtask B): {details.num_clips} clips in segments of 1 s",
            text_table(["average", *header], overall),
            text_table(
                ["error rate", "substitutions", "deletions", "insertions"], [errors]
            ),
            text_table(["class", *header, "reference", "estimated"], classes),
        ]


def segment_scores(
    reference: Mapping[str, Sequence[Event]],
    estimated: Mapping[str, Sequence[Event]],
    class_names: Sequence[str] | None = None,
) -> SegmentScores:
    """Scores the detected events of clips, given as lists.

    The files are those of the reference: a clip without an estimate is missed whole,
    an estimate for another file is ignored. A clip counts up to the last offset in
    either list, which matters to the true negatives (`Ntn`) only.

    Args:
        reference: Events of every file, from `events_by_file`; `[]` counts as a clip.
        estimated: The system's events.
        class_names: K names. None: those in the two lists, sorted.

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
    rolls = _rolls(reference, estimated, class_names)
    nothing = np.zeros((0, len(class_names)), bool)
    there = np.concatenate([nothing, *(r for r, _ in rolls)])
    found = np.concatenate([nothing, *(e for _, e in rolls)])
    sums = count_segments(there, found).sum(0)
    return _scores(sums, _count_classes(there, found), class_names, len(rolls))


def error_rates(sums: np.ndarray) -> dict[str, Any]:
    """Errors for each active segment of the reference, in all and by their kind.

    From sums [..., 9] of the COUNTS over clips, [...] each; nan without such a segment.
    """
    by_name = dict(zip(COUNTS, np.moveaxis(sums, -1, 0), strict=True))
    errors = {
        "error_rate": by_name["S"] + by_name["D"] + by_name["I"],
        "substitution_rate": by_name["S"],
        "deletion_rate": by_name["D"],
        "insertion_rate": by_name["I"],
    }
    return {name: ratio(count, by_name["Nref"]) for name, count in errors.items()}


def _rolls(
    reference: Mapping[str, Sequence[Event]],
    estimated: Mapping[str, Sequence[Event]],
    class_names: Sequence[str],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Activities in reference and estimate of each clip, as long as its events."""
    rolls = []
    for file, events in reference.items():
        others = estimated.get(file, [])
        last_s = max((e.offset for e in (*events, *others)), default=0.0)
        ends = int(np.ceil(last_s)), class_names
        rolls.append((segment_roll(events, *ends), segment_roll(others, *ends)))
    return rolls


def _count(
    decisions: Decisions, posteriors: PosteriorSet, split: Split
) -> tuple[np.ndarray, np.ndarray]:
    """Counts segments of decisions clip by clip, int [N, 9], and class by class.

    As of the lists of events, some clips at a time.
    """
    num_classes, there = len(split.class_names), reference_times(split)
    found = estimated_times(decisions, posteriors)
    last_s = np.zeros(len(split))
    for events in (there, found):
        np.maximum.at(last_s, events.clips, events.offsets)
    lengths = np.ceil(last_s).astype(int)
    size = max(1, _BLOCK // max(1, lengths.max(initial=0) * num_classes))
    by_clip = np.zeros((len(split), len(COUNTS)), int)
    by_class = np.zeros((3, num_classes), int)
    for first in range(0, len(split), size):
        block = slice(first, min(first + size, len(split)))
        shape = block.stop - first, lengths[block].max(initial=0), num_classes
        rolls = [events.segments(first, shape) for events in (there, found)]
        flat = [roll.reshape(-1, num_classes) for roll in rolls]
        counts = count_segments(*flat).reshape(*shape[:2], len(COUNTS)).sum(1)
        silent = (shape[1] - lengths[block]) * num_classes  # after a clip's last event
        counts[:, COUNTS.index("Ntn")] -= silent
        by_clip[block] = counts
        by_class += _count_classes(*flat)
    return by_clip, by_class


def _count_classes(reference: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Hits, estimated and reference segments of each class, int [3, K], of [M, K]."""
    both = reference & estimated, estimated, reference
    return np.stack([np.count_nonzero(active, axis=0) for active in both])


def _scores(
    sums: np.ndarray, by_class: np.ndarray, class_names: Sequence[str], num_clips: int
) -> SegmentScores:
    """Scores of counts: their sums [9] by COUNTS, and [3, K] of `_count_classes`."""
    counts = dict(zip(COUNTS, sums.tolist(), strict=True))
    per_class = {
        name: _class_segments(*of_class)
        for name, of_class in zip(class_names, by_class.T.tolist(), strict=True)
    }
    classes = per_class.values()
    return SegmentScores(
        micro=rates(counts["Ntp"], counts["Nsys"], counts["Nref"]),
        **error_rates(sums),
        macro_f1=mean_defined(c.rates.f1 for c in classes),
        macro_error_rate=mean_defined(c.error_rate for c in classes),
        macro_f1_sed_eval=mean_defined(c.f1_sed_eval for c in classes),
        macro_error_rate_sed_eval=mean_defined(c.error_rate_sed_eval for c in classes),
        counts=counts,
        per_class=per_class,
        num_clips=num_clips,
    )


def count_segments(reference: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Counts each of M segments, int [M, 9], from [M, K] activities, 0 or 1."""
    reference, estimated = as_bool(reference), as_bool(estimated)
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
    return np.stack([by_segment[name] for name in COUNTS], axis=1)


def _class_segments(hits: int, estimated: int, reference: int) -> ClassSegments:
    errors, counts = estimated + reference - 2 * hits, (hits, estimated, reference)
    return ClassSegments(rates(*counts), ratio(errors, reference), *counts)
