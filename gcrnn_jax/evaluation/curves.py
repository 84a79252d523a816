"""Figures over all thresholds, PSDS and the best F1, of drawn recordings.

What a recording changes in the counts of all thresholds is found once and kept; in a
draw each change counts as often as its recording. So the figure of a draw is exactly
`psds`, or `f1_curves`, of the recordings drawn, each as often as it was.

Only changes at thresholds that may matter are kept: below a class's floor so many
recordings without it have a false detection that no figure is computed there. Whether
that holds is looked at for each draw, and where it does not more changes are kept.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.evaluation.decided import collars_text
from gcrnn_jax.evaluation.measure import Scored, mean_of_defined
from gcrnn_jax.metrics.event_based import Collars, names_in
from gcrnn_jax.metrics.floors import Floors
from gcrnn_jax.metrics.intersection import Intersection
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.polyphonic import (
    PsdsParameters,
    Roc,
    classes_of,
    mean_roc,
    roc_of_counts,
)
from gcrnn_jax.metrics.score_tables import ScoreTable
from gcrnn_jax.metrics.tagging import rates
from gcrnn_jax.metrics.threshold_counts import add_tables, floors_of, references_of

_SPARE = 6.0  # standard deviations of false positives that a draw may have less


class Changes(NamedTuple):
    """What recordings change in the counts of one class, at falling scores; M of them.

    Cross-triggers are of one other class each; -1: the change is none.
    """

    score: np.ndarray
    row: np.ndarray  # int, of which recording
    true: np.ndarray
    false: np.ndarray
    other: np.ndarray  # int, the class of the events that are crossed
    crosses: np.ndarray


class ClipLedger:
    """Takes the changes of counts, as `Ledger` does, and keeps whose they are."""

    def __init__(self, floors: Floors, rows: Mapping[str, int]):
        self.floors, self._rows = floors, rows
        self._waiting: list[tuple[Any, ...]] = []  # of the recording at hand
        self._all: list[list[np.ndarray]] = []

    def add(
        self, k: Any, score: np.ndarray, true: Any, false: Any, cross: Any = 0.0
    ) -> None:
        """See `Ledger`; cross-triggers come by `add_crosses`."""
        self._waiting.append((k, score, true, false, -1, 0))

    def add_clip(
        self, k: int, score: np.ndarray, true: np.ndarray, false: np.ndarray
    ) -> None:
        """See `Ledger`."""
        self.add(k, score, true, false)

    def add_crosses(
        self, other: int, k: np.ndarray, score: np.ndarray, number: np.ndarray
    ) -> None:
        """See `Ledger`."""
        self._waiting.append((k, score, 0, 0, other, number))

    def end_clip(self, clip_id: str) -> None:
        """All changes of a recording are added."""
        kinds = (np.int32, np.float64, np.int32, np.int32, np.int32, np.int32)
        for k, score, *others in self._waiting:
            columns = np.broadcast_arrays(k, score, *others)
            kept = columns[1] > self.floors.floor[columns[0]]
            chosen = [c[kept].astype(t) for c, t in zip(columns, kinds, strict=True)]
            row = np.full(len(chosen[0]), self._rows[clip_id], np.int32)
            self._all.append([*chosen, row])
        self._waiting.clear()

    def changes(self) -> list[Changes]:
        """Those of each class."""
        empty = [np.zeros(0, np.int32) for _ in range(7)]
        columns = map(np.concatenate, zip(empty, *self._all, strict=True))
        k, score, true, false, other, crosses, row = columns
        order = np.lexsort((-score, k))
        ends = np.searchsorted(k[order], np.arange(len(self.floors.floor) + 1))
        columns = [c[order] for c in (score, row, true, false, other, crosses)]
        return [
            Changes(*(column[first:end] for column in columns))
            for first, end in zip(ends, ends[1:], strict=False)
        ]


@dataclass(eq=False)
class Curves:
    """The changes of all classes in N recordings, as many of them as are needed.

    Attributes:
        tables: Of every recording; they may be gone through several times.
        rows: Clip id -> the recording's place in the weights.
        class_names: K names.
        by_clip: Reference events of clips, by class; see `references_of`.
        criteria: What makes a detection correct.
        most: False positives of a class that are of interest.
    """

    tables: Iterable[ScoreTable]
    rows: Mapping[str, int]
    class_names: tuple[str, ...]
    by_clip: Mapping[str, Mapping[int, np.ndarray]]
    criteria: Intersection | Collars
    most: int
    changes: list[Changes] = field(init=False)

    def __post_init__(self) -> None:
        shape = len(self.rows), len(self.class_names)
        self.num_events, self.seconds = np.zeros(shape), np.zeros(shape)
        for clip_id, of_class in self.by_clip.items():
            for k, times in of_class.items():
                row = self.rows[clip_id]
                self.num_events[row, k] = len(times)
                self.seconds[row, k] = (times[:, 1] - times[:, 0]).sum()
        self._collect()

    @property
    def cost(self) -> int:
        """Changes of all classes."""
        return sum(len(changes.score) for changes in self.changes) + 1

    def counts(self, weights: np.ndarray) -> list[ThresholdCounts]:
        """The counts of every class where recordings count so often, [N]."""
        seconds = weights @ self.seconds
        per_second = np.append(np.where(seconds > 0, 1 / np.fmax(seconds, 1e-9), 0), 0)
        num_events = weights @ self.num_events
        found = []
        for k, changes in enumerate(self.changes):
            drawn = weights[changes.row]
            score = changes.score
            last = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])
            true, false, crosses = (
                np.append(0, np.cumsum(drawn * number)[last])
                for number in (
                    changes.true,
                    changes.false,
                    changes.crosses * per_second[changes.other],
                )
            )
            scores, floor = np.append(np.inf, score[last]), float(self._floor[k])
            number = int(num_events[k])
            counts = ThresholdCounts(scores, true, false, crosses, number, floor)
            found.append(counts)
        return found

    def keep(self, weights: np.ndarray, most: np.ndarray) -> None:
        """Keeps what is needed where recordings count so often, [N].

        As long as some class may have no more than its false positives [K] of interest
        below its floor, twice as many are kept for all.
        """
        while self._is_short(weights, most):
            self.most *= 2
            self._collect()

    def _is_short(self, weights: np.ndarray, most: np.ndarray) -> bool:
        """A recording has a false detection at thresholds below its highest score."""
        certain = weights @ (self._highest > self._floor)
        return bool(((certain <= most) & (self._floor > -np.inf)).any())

    def _collect(self) -> None:
        wanted = frozenset(self.rows)
        options = wanted, self.by_clip, self.class_names
        floors = floors_of(self.tables, *options, self.most)
        self._floor = floors.floor
        self._highest = floors.highest_of(self.rows)
        ledger = ClipLedger(floors, self.rows)
        add_tables(ledger, self.tables, *options, self.criteria)
        self.changes = ledger.changes()


class PsdsMeasure:
    """PSDS, and the area below the ROC of every class."""

    def __init__(
        self,
        name: str,
        tables: Iterable[ScoreTable],
        reference: Mapping[str, Sequence[Event]],
        durations: Mapping[str, float],
        parameters: PsdsParameters,
        clip_ids: Sequence[str],
    ):
        """Of recordings `clip_ids` [N], named so in tables; see `metrics.psds`."""
        names, there = classes_of(reference, durations)
        self.class_names, self.parameters = tuple(names), parameters
        self.quantity = f"{name}[{psds_text(parameters)}]"
        self._seconds = np.array(list(durations.values()), float)
        rows = {clip_id: n for n, clip_id in enumerate(clip_ids)}
        most = parameters.max_efpr * self._seconds.sum() / 3600
        most = math.ceil(most + _SPARE * math.sqrt(most)) + 1
        criteria = parameters.criteria
        self._curves = Curves(
            tables, rows, self.class_names, there.by_clip, criteria, most
        )

    @property
    def cost(self) -> int:
        """Changes of the counts, which are sorted."""
        return 20 * self._curves.cost

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`; classes without a reference event in a draw have none."""
        values = np.full(len(weights), np.nan)
        classes = np.full((len(weights), len(self.class_names)), np.nan)
        for b, drawn in enumerate(weights):
            rocs = self.rocs(drawn)
            if rocs:
                max_efpr = self.parameters.max_efpr
                classes[b, list(rocs)] = [roc.area(max_efpr) for roc in rocs.values()]
                roc = mean_roc(list(rocs.values()), self.parameters.alpha_st)
                values[b] = roc.area(max_efpr)
        return Scored({(self.quantity, "classes"): values}, {self.quantity: classes})

    def rocs(self, weights: np.ndarray) -> dict[int, Roc]:
        """The ROC of every class with an event where recordings count so often."""
        hours = float(weights @ self._seconds) / 3600
        most = np.full(len(self.class_names), self.parameters.max_efpr * hours)
        self._curves.keep(weights, most)
        counts = self._curves.counts(weights)
        there = {k: c for k, c in enumerate(counts) if c.num_reference}
        options = len(there), hours, self.parameters
        return {k: roc_of_counts(c, *options) for k, c in there.items()}


def psds_text(by: PsdsParameters) -> str:
    """What a PSDS is made of.

    Example:
        >>> psds_text(PsdsParameters(Intersection(0.7, 0.7), alpha_st=1.0))
        'dtc 0.7, gtc 0.7, alpha_st 1, 100 per hour'
    """
    shares = by.criteria
    parts = [f"dtc {shares.dtc:g}", f"gtc {shares.gtc:g}"]
    if shares.cttc is not None:
        parts += [f"cttc {shares.cttc:g}", f"alpha_ct {by.alpha_ct:g}"]
    parts += [f"alpha_st {by.alpha_st:g}", f"{by.max_efpr:g} per hour"]
    return ", ".join(parts)


class BestF1Measure:
    """The best F1 of every class over all thresholds, chosen on these very recordings.

    In a draw it is chosen anew.
    """

    def __init__(
        self,
        tables: Iterable[ScoreTable],
        reference: Mapping[str, Sequence[Event]],
        collars: Collars,
        clip_ids: Sequence[str],
    ):
        """Of recordings `clip_ids` [N], named so in tables; see `f1_curves`."""
        self.class_names = tuple(names_in(reference))
        self.quantity = f"event_f1_best[{collars_text(collars)}]"
        by_clip, num_events, _ = references_of(reference, self.class_names)
        rows = {clip_id: n for n, clip_id in enumerate(clip_ids)}
        most = 2 * int(num_events.max(initial=1)) + 100
        self._curves = Curves(tables, rows, self.class_names, by_clip, collars, most)

    @property
    def cost(self) -> int:
        """Changes of the counts."""
        return 10 * self._curves.cost

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`."""
        shape = len(weights), len(self.class_names)
        f1, micro = np.full(shape, np.nan), np.full(len(weights), np.nan)
        for b, drawn in enumerate(weights):
            best = self._best(drawn)
            f1[b] = np.where(best[2] > 0, rates(*best).f1, np.nan)
            micro[b] = rates(*best.sum(1)).f1
        averages = {
            (self.quantity, "macro"): mean_of_defined(f1),
            (self.quantity, "micro"): micro,
        }
        return Scored(averages, {self.quantity: f1})

    def _best(self, weights: np.ndarray) -> np.ndarray:
        """True positives, detections and reference events at the best, [3, K].

        More false positives than R (2 / F1 - 2) give less than F1 for R events.
        """
        best = self._at_best(weights)
        while True:
            hits, found, number = best
            f1 = np.fmax(ratio(2.0 * hits, found + number), 1e-3)
            f1 = np.where(number > 0, f1, 1.0)
            before = self._curves.most
            self._curves.keep(weights, number * (2 / f1 - 2))
            if self._curves.most == before:
                return best
            best = self._at_best(weights)

    def _at_best(self, weights: np.ndarray) -> np.ndarray:
        best = np.zeros((3, len(self.class_names)))
        for k, counts in enumerate(self._curves.counts(weights)):
            hits, number = counts.true_positives, counts.num_reference
            found = hits + counts.false_positives
            f1 = ratio(2 * hits, found + number)
            i = int(np.argmax(np.nan_to_num(f1)))
            best[:, k] = hits[i], found[i], number
        return best
