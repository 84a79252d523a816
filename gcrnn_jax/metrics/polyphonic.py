"""Polyphonic sound detection score: how much is found before false alarms pile up.

The share of found reference events of each class against the effective false positives
an hour, over all thresholds, is the class's ROC, a staircase that never falls. Its mean
over classes, less `alpha_st` times its standard deviation, is the PSD-ROC; the score is
the area below it up to `max_efpr`, over `max_efpr`:

    eFPR = false positives / hour + alpha_ct * mean over other classes of
           (cross-triggers / hour of that class's reference events)

Source: Bilen et al., "A framework for the robust evaluation of sound event detection",
ICASSP 2020; Ebbers et al., "Threshold-independent evaluation of sound event detection
scores", ICASSP 2022, whose sed_scores_eval 0.0.4 the exact score equals; psds_eval
0.5.3, which the score of operating points equals.
Differs: classes without a reference event are left out, with their false detections; of
the official tools one refuses them, the other has an arbitrary number there. Events of
one class that overlap are merged, both tools refuse them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.event_based import names_in
from gcrnn_jax.metrics.intersection import (
    DisjointEvents,
    Intersection,
    disjoint_events,
    duration_of,
    intersection_scores,
)
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.score_tables import ScoreTable
from gcrnn_jax.metrics.threshold_counts import threshold_counts

_HOUR_S = 3600.0
_MAX_POINTS = 4096  # of the PSD-ROC at a time, for every class


@dataclass(frozen=True)
class PsdsParameters:
    """What a PSDS is made of.

    Attributes:
        criteria: When a detection is relevant, an event found, another's event crossed.
        alpha_ct: Weight of cross-triggers; not 0 only with `criteria.cttc`.
        alpha_st: Weight of the standard deviation over classes.
        max_efpr: Effective false positives an hour up to which the area is taken.
    """

    criteria: Intersection
    alpha_ct: float = 0.0
    alpha_st: float = 0.0
    max_efpr: float = 100.0

    def __post_init__(self) -> None:
        has_cross = self.criteria.cttc is not None
        if not (0 <= self.alpha_ct <= 1 and self.alpha_st >= 0 and self.max_efpr > 0):
            raise DataError(
                "PSDS: expected alpha_ct in [0, 1], alpha_st of 0 or more and max_efpr "
                f"above 0, got {self.alpha_ct}, {self.alpha_st} and {self.max_efpr}"
            )
        if has_cross != (self.alpha_ct > 0):
            raise DataError(
                f"PSDS: cttc is {self.criteria.cttc} and alpha_ct {self.alpha_ct}: "
                "expected both or neither"
            )


# The two scenarios of DCASE since 2021: reacting fast, and not confusing classes.
PSDS1 = PsdsParameters(Intersection(dtc=0.7, gtc=0.7), alpha_st=1.0)
PSDS2 = PsdsParameters(
    Intersection(dtc=0.1, gtc=0.1, cttc=0.3), alpha_ct=0.5, alpha_st=1.0
)


@dataclass(frozen=True, eq=False)
class Roc:
    """A staircase: `tpr[i]` holds from `efpr[i]` to the next, the last to the end.

    Attributes:
        efpr: [S] effective false positives an hour, rising, the first is 0.
        tpr: [S] share of reference events that are found.
        scores: [S], thresholds just below give the point; nan in a mean of classes.
    """

    efpr: np.ndarray
    tpr: np.ndarray
    scores: np.ndarray

    def area(self, max_efpr: float) -> float:
        """The area up to `max_efpr`, over `max_efpr`, in [0, 1]."""
        ends = np.append(self.efpr[1:], max_efpr)
        return float((self.tpr * (ends - self.efpr)).sum() / max_efpr)


@dataclass(frozen=True, eq=False)
class Psds:
    """A score with its curves."""

    value: float
    roc: Roc  # the PSD-ROC
    per_class: dict[str, Roc]  # of the classes that the reference has
    parameters: PsdsParameters
    num_merged: int  # reference rows that overlap another of their class
    num_empty: int  # reference rows without length, left out
    num_ignored: int  # tables of clips that have no duration

    def class_value(self, name: str) -> float:
        """The area below the ROC of one class."""
        return self.per_class[name].area(self.parameters.max_efpr)


def psds(
    tables: Iterable[ScoreTable],
    reference: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    parameters: PsdsParameters = PSDS1,
) -> Psds:
    """The exact score, over all thresholds.

    Args:
        tables: Of every clip that has a duration, others are ignored; a list or a
            `ScoreFolder`, as they are gone through twice.
        reference: Events of every file.
        durations: Seconds of every file; one that the reference does not have is
            without events.
        parameters: `PSDS1`, `PSDS2` or other ones.

    Returns:
        nan, and an empty curve, if the reference has no event.

    Raises:
        DataError: Clips of the three do not agree, a table lacks a class.

    Example:
        >>> scores = np.array([[0.1], [0.9], [0.8], [0.7]])
        >>> table = ScoreTable("a", ("Car",), np.arange(5.0), scores)
        >>> found = psds([table], {"a.wav": [Event(1, 3, "Car")]}, {"a.wav": 4.0})
        >>> found.value, found.roc.tpr.tolist(), found.per_class["Car"].scores.tolist()
        (1.0, [1.0], [0.8])
    """
    names, there = classes_of(reference, durations)
    if not names:
        return _psds([], [], there, parameters)
    hours = _hours(durations)
    counts, num_ignored = threshold_counts(
        tables,
        there,
        names,
        parameters.criteria,
        clip_ids=[clip_id_of_file(file) for file in durations],
        max_false_positives=math.floor(parameters.max_efpr * hours) + 1,
    )
    rocs = [roc_of_counts(count, len(names), hours, parameters) for count in counts]
    return _psds(names, rocs, there, parameters, num_ignored)


def psds_of_lists(
    points: Iterable[Mapping[str, Sequence[Event]]],
    reference: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    parameters: PsdsParameters = PSDS1,
) -> Psds:
    """The score of some operating points, as psds_eval computes it: a lower bound.

    With `time_decimals=None` in the criteria it is psds_eval's to the last bits.

    Args:
        points: Events of every file, for each threshold or other setting of a system.
        reference: As for `psds`, as are the other arguments.
        durations: Files that only an operating point has do not count.
        parameters: See `PsdsParameters`.

    Raises:
        DataError: A file of the reference has no duration.

    Example:
        >>> reference = {"a.wav": [Event(1, 3, "Car")]}
        >>> point = {"a.wav": [Event(1, 3.2, "Car")]}
        >>> psds_of_lists([point], reference, {"a.wav": 4.0}).value
        1.0
    """
    names, there = classes_of(reference, durations)
    if not names:
        return _psds([], [], there, parameters)
    present = frozenset(names)
    everywhere = {file: reference.get(file, ()) for file in durations}
    counts = np.zeros((1, 3, len(names)))  # the point where nothing is detected
    for point in points:
        known = {f: [e for e in point.get(f, ()) if e[2] in present] for f in durations}
        scores = intersection_scores(
            everywhere, known, names, criteria=parameters.criteria, durations=durations
        )
        true, false = np.transpose(
            [(c.true_positives, c.false_positives) for c in scores.per_class.values()]
        )
        crosses = scores.cross_triggers @ (1 / there.seconds)
        counts = np.append(counts, [[true, false, crosses]], 0)
    scores = np.append(np.inf, np.full(len(counts) - 1, np.nan))
    hours, rocs = _hours(durations), []
    for (true, false, crosses), number in zip(
        counts.transpose(2, 1, 0), there.num_events, strict=True
    ):
        count = ThresholdCounts(scores, true, false, crosses, int(number), -np.inf)
        rocs.append(roc_of_counts(count, len(names), hours, parameters))
    return _psds(names, rocs, there, parameters)


def classes_of(
    reference: Mapping[str, Sequence[Event]], durations: Mapping[str, float]
) -> tuple[list[str], DisjointEvents]:
    """The classes that have a reference event, and their events."""
    if unknown := [file for file in reference if file not in durations]:
        raise DataError(
            f"{len(unknown)} of {len(reference)} files of the reference have no "
            f"duration, first {unknown[0]}"
        )
    timed = {f: [e for e in rows if e[0] < e[1]] for f, rows in reference.items()}
    names = names_in(timed)
    num_empty = sum(map(len, reference.values())) - sum(map(len, timed.values()))
    return names, replace(disjoint_events(timed, names), num_empty=num_empty)


def _hours(durations: Mapping[str, float]) -> float:
    return sum(duration_of(file, durations) for file in durations) / _HOUR_S


def roc_of_counts(
    counts: ThresholdCounts, num_classes: int, hours: float, by: PsdsParameters
) -> Roc:
    """The staircase of one class: where it rises, up to `max_efpr`."""
    tpr = counts.true_positives / counts.num_reference
    efpr = counts.false_positives / hours
    if by.alpha_ct:
        crosses = np.maximum(counts.cross_triggers, 0)  # a sum may end at -1e-17
        efpr = efpr + by.alpha_ct * _HOUR_S * crosses / max(num_classes - 1, 1)
    order = np.lexsort((tpr, efpr))
    order = order[efpr[order] <= by.max_efpr]
    tpr, efpr, scores = tpr[order], efpr[order], counts.scores[order]
    rises = np.diff(np.maximum.accumulate(tpr), prepend=-1) > 0
    tpr, efpr, scores = tpr[rises], efpr[rises], scores[rises]
    is_last = np.append(efpr[1:] > efpr[:-1], True)  # of points with equal eFPR
    return Roc(efpr[is_last], tpr[is_last], scores[is_last])


def _psds(
    names: Sequence[str],
    rocs: Sequence[Roc],
    there: DisjointEvents,
    by: PsdsParameters,
    num_ignored: int = 0,
) -> Psds:
    value, roc = math.nan, Roc(*[np.zeros(0)] * 3)
    if rocs:
        roc = mean_roc(rocs, by.alpha_st)
        value = roc.area(by.max_efpr)
    per_class = dict(zip(names, rocs, strict=True))
    counts = there.num_merged, there.num_empty, num_ignored
    return Psds(value, roc, per_class, by, *counts)


def mean_roc(rocs: Sequence[Roc], alpha_st: float) -> Roc:
    """Mean over classes less the weighted deviation, not below 0."""
    efpr = np.unique(np.concatenate([roc.efpr for roc in rocs]))
    parts = []
    for part in np.array_split(efpr, len(efpr) // _MAX_POINTS + 1):
        places = [np.searchsorted(roc.efpr, part, "right") - 1 for roc in rocs]
        tpr = np.stack([roc.tpr[i] for roc, i in zip(rocs, places, strict=True)])
        parts.append(np.maximum(tpr.mean(0) - alpha_st * tpr.std(0), 0))
    return Roc(efpr, np.concatenate(parts), np.full(len(efpr), np.nan))
