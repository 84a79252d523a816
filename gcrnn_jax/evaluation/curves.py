"""PSDS, over all thresholds, of drawn recordings.

What a recording changes in the counts of all thresholds is found once and kept; in a
draw each change counts as often as its recording. So the figure of a draw is exactly
`psds` of the recordings drawn, each as often as it was.

Only thresholds that may matter are looked at: at all below its highest score, each
recording without the class has a false detection, and where a draw has too many of
those no figure is computed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field

import numpy as np

from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.evaluation.clip_ledger import Changes, ClipLedger
from gcrnn_jax.evaluation.measure import Scored
from gcrnn_jax.metrics.intersection import Intersection
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.polyphonic import (
    PsdsParameters,
    Roc,
    classes_of,
    mean_roc,
    roc_of_counts,
)
from gcrnn_jax.metrics.score_tables import ScoreTable
from gcrnn_jax.metrics.threshold_counts import add_tables, floors_of

_SPARE = 6.0  # standard deviations of false positives that a draw may have less


@dataclass(eq=False)
class Curves:
    """The changes of all classes in N recordings, as many of them as are needed.

    Attributes:
        tables: Of every recording; they may be gone through several times.
        rows: Clip id -> the recording's place in the weights.
        class_names: K names.
        by_clip: Reference events of clips, by class; see `DisjointEvents`.
        criteria: What makes a detection correct.
        most: False positives of a class that are of interest, at first.
    """

    tables: Iterable[ScoreTable]
    rows: Mapping[str, int]
    class_names: tuple[str, ...]
    by_clip: Mapping[str, Mapping[int, np.ndarray]]
    criteria: Intersection
    most: InitVar[int]
    changes: list[Changes] = field(init=False)

    def __post_init__(self, most: int) -> None:
        self._most = most
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

    def counts(self, weights: np.ndarray, most: np.ndarray) -> list[ThresholdCounts]:
        """The counts of every class where recordings count so often, [N].

        Thresholds at which a class certainly has more false positives than its `most`,
        [K], are left out.
        """
        seconds = weights @ self.seconds
        per_second = np.append(np.where(seconds > 0, 1 / np.fmax(seconds, 1e-9), 0), 0)
        num_events = (weights @ self.num_events).tolist()
        lowest = self._lowest(weights, most)
        found = []
        for k, (changes, at) in enumerate(zip(self.changes, lowest, strict=True)):
            end = np.searchsorted(-changes.score, -at, "left")
            score, row, true, false, other, crosses = (v[:end] for v in changes)
            drawn = weights[row]
            is_last = np.append(score[1:] != score[:-1], True)
            last = np.flatnonzero(is_last[:end])
            sums = [np.cumsum(drawn * number)[last] for number in (true, false)]
            crossed = np.zeros(len(last))
            if self._has_crosses:
                crossed = np.cumsum(drawn * crosses * per_second[other])[last]
            hits, wrong, crossed = (np.append(0, c) for c in (*sums, crossed))
            scores, number = np.append(np.inf, score[last]), int(num_events[k])
            counts = ThresholdCounts(scores, hits, wrong, crossed, number, at)
            found.append(counts)
        return found

    def _lowest(self, weights: np.ndarray, most: np.ndarray) -> list[float]:
        """Scores [K] at and below which false positives are too many, or -inf.

        Where it is not known for some class, twice as many changes are kept of all.
        """
        while True:
            lowest = []
            for order, ranked, number in zip(
                self._order, self._ranked, most, strict=True
            ):
                place = np.searchsorted(np.cumsum(weights[order]), number, "right")
                lowest.append(ranked[place] if place < len(ranked) else -np.inf)
            if (np.array(lowest) >= self._floor).all():
                return lowest
            self._most *= 2
            self._collect()

    def _collect(self) -> None:
        wanted = frozenset(self.rows)
        options = wanted, self.by_clip, self.class_names
        floors = floors_of(self.tables, *options, self._most)
        self._floor = floors.floor.copy()
        highest = floors.highest_of(self.rows).T
        self._order = np.argsort(-highest, axis=1)
        self._ranked = np.take_along_axis(highest, self._order, 1)
        ledger = ClipLedger(floors, self.rows)
        add_tables(ledger, self.tables, *options, criteria=self.criteria)
        self.changes = ledger.changes()
        self._has_crosses = any((changes.other >= 0).any() for changes in self.changes)


class PsdsMeasure:
    """PSDS, and the area below the ROC of every class."""

    def __init__(
        self,
        name: str,
        tables: Iterable[ScoreTable],
        reference: Mapping[str, Sequence[Event]],
        durations: Mapping[str, float],
        *,
        parameters: PsdsParameters,
    ):
        """Recordings are those of durations, in their order; see `metrics.psds`."""
        names, there = classes_of(reference, durations)
        self.class_names, self.parameters = tuple(names), parameters
        self.quantity = f"{name}[{psds_text(parameters)}]"
        self._seconds = np.array(list(durations.values()), float)
        rows = {clip_id_of_file(file): n for n, file in enumerate(durations)}
        most = parameters.max_efpr * self._seconds.sum() / 3600
        most = math.ceil(most + _SPARE * math.sqrt(most)) + 1
        criteria = parameters.criteria
        self._curves = Curves(
            tables, rows, self.class_names, there.by_clip, criteria, most
        )

    @property
    def cost(self) -> int:
        """Changes of the counts, of which most draws need a part."""
        return 4 * self._curves.cost

    @property
    def at_once(self) -> int:
        """All of them."""
        return self.cost

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
        counts = self._curves.counts(weights, most)
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
