"""F1 at every threshold, and the best threshold of each class.

For collars and for intersections, from score tables: see `Collars`, `Intersection`.

Source: sed_scores_eval 0.0.4, `fscore_curve` and `best_fscore` of its
`collar_based` and `intersection_based`.
Differs: events that overlap are refused there; here each counts for collars, and they
are merged for intersections. Classes without a reference event are refused there; here
their F1 is nan where nothing is detected, 0 elsewhere, and their best threshold is inf.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.metrics.event_based import Collars, names_in
from gcrnn_jax.metrics.intersection import Intersection, disjoint_events
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.score_tables import ScoreTable
from gcrnn_jax.metrics.tagging import Rates, mean_defined, rates
from gcrnn_jax.metrics.threshold_counts import threshold_counts


@dataclass(frozen=True, eq=False)
class F1Curve:
    """F1 of one class at S thresholds, each just below one of the scores.

    Attributes:
        counts: What it is computed from.
    """

    counts: ThresholdCounts

    @property
    def scores(self) -> np.ndarray:
        """[S], falling; the first is inf, where nothing is detected.

        What is said of a score holds for thresholds below it, down to the next itself.
        """
        return self.counts.scores

    @property
    def rates(self) -> Rates:
        """Precision, recall and F1, [S] each.

        Precision is nan where nothing is detected, recall for a class without a
        reference event.
        """
        hits = self.counts.true_positives
        num_reference = np.array(self.counts.num_reference)
        found = rates(hits, hits + self.counts.false_positives, num_reference)
        # Of thresholds with one F1, sed_scores_eval takes the one where the last bit of
        # this formula is larger, and then the highest.
        with np.errstate(invalid="ignore"):  # nothing is right, or nothing is detected
            f1 = 2 * found.precision * found.recall / (found.precision + found.recall)
        return found._replace(f1=np.where(hits > 0, f1, found.f1))

    def at(self, threshold: float) -> Rates:
        """Precision, recall and F1 of the scores above a threshold.

        Raises:
            DataError: The curve ends above the threshold.
        """
        return self._rates(self.counts.index(threshold))

    @cached_property
    def best_index(self) -> int:
        """Where the best F1 is."""
        return int(np.argmax(np.nan_to_num(self.rates.f1)))

    @property
    def best_threshold(self) -> float:
        """Half way between the score of the best F1 and the next at which it changes.

        Of equal F1 the highest; inf if nothing is ever right, -inf if all that can be
        detected should be.
        """
        i = self.best_index
        below = self.scores[i + 1] if i + 1 < len(self.scores) else self.counts.floor
        return float((self.scores[i] + below) / 2) if below > -np.inf else -np.inf

    @property
    def best(self) -> Rates:
        """Precision, recall and F1 at the best threshold."""
        return self._rates(self.best_index)

    def _rates(self, i: int) -> Rates:
        return Rates(*(np.asarray(values)[i].item() for values in self.rates))


@dataclass(frozen=True, eq=False)
class F1Curves:
    """The curves of all classes.

    Attributes:
        num_merged: Reference rows that overlap another of their class; 0 for collars.
        num_empty: Reference rows without length, left out; 0 for collars.
        num_ignored: Tables of clips that the reference does not have.
    """

    per_class: dict[str, F1Curve]
    num_merged: int
    num_empty: int
    num_ignored: int

    def best_thresholds(self) -> dict[str, float]:
        """The threshold of the best F1 of each class, tuned on these very clips."""
        return {name: curve.best_threshold for name, curve in self.per_class.items()}

    def best_macro_f1(self) -> float:
        """The mean of the best F1 over classes that the reference has."""
        return mean_defined(
            curve.best.f1 for curve in self.per_class.values() if _is_there(curve)
        )

    def best_micro(self) -> Rates:
        """Over all events, each class at its best threshold."""
        return self._micro([curve.best_index for curve in self.per_class.values()])

    def macro_f1(self, threshold: float) -> float:
        """The mean of F1 at one threshold over classes that the reference has."""
        curves = [curve for curve in self.per_class.values() if _is_there(curve)]
        return mean_defined(curve.at(threshold).f1 for curve in curves)

    def micro(self, threshold: float) -> Rates:
        """Over all events, at one threshold."""
        return self._micro(
            [curve.counts.index(threshold) for curve in self.per_class.values()]
        )

    def _micro(self, places: Sequence[int]) -> Rates:
        counts = [curve.counts for curve in self.per_class.values()]
        pairs = list(zip(counts, places, strict=True))
        hits = sum(int(c.true_positives[i]) for c, i in pairs)
        false = sum(int(c.false_positives[i]) for c, i in pairs)
        return rates(hits, hits + false, sum(c.num_reference for c in counts))


def f1_curves(
    tables: Iterable[ScoreTable],
    reference: Mapping[str, Sequence[Event]],
    class_names: Sequence[str] | None = None,
    *,
    criteria: Collars | Intersection,
    max_false_positives: int | None = None,
) -> F1Curves:
    """F1 of every class at every threshold.

    Args:
        tables: Of all clips.
        reference: Events of every file, `[]` for one without; tables of others are
            ignored.
        class_names: K names. None: those in the reference, sorted.
        criteria: sed_scores_eval's are `Collars(time_decimals=6)`.
        max_false_positives: Leaves out thresholds at which so many clips without the
            class are falsely detected; see `threshold_counts`. For large sets: then
            memory is small, and the best F1 is exact if it is above
            R / (R + max_false_positives / 2) for R reference events.

    Raises:
        DataError: A clip of the reference has no table, a table lacks a class.

    Example:
        >>> scores = np.array([[0.1], [0.9], [0.8], [0.3]])
        >>> table = ScoreTable("a", ("Car",), np.arange(5.0), scores)
        >>> reference = {"a.wav": [Event(1, 3, "Car")]}
        >>> curve = f1_curves([table], reference, criteria=Collars()).per_class["Car"]
        >>> curve.scores.tolist(), curve.rates.f1.tolist(), curve.best_threshold
        ([inf, 0.9, 0.8, 0.3], [0.0, 0.0, 1.0, 0.0], 0.55)
    """
    names = names_in(reference) if class_names is None else class_names
    num_merged = num_empty = 0
    there = reference
    if isinstance(criteria, Intersection):
        there = disjoint_events(reference, names)
        num_merged, num_empty = there.num_merged, there.num_empty
    counts, num_ignored = threshold_counts(
        tables, there, names, criteria, max_false_positives=max_false_positives
    )
    curves = {name: F1Curve(count) for name, count in zip(names, counts, strict=True)}
    return F1Curves(curves, num_merged, num_empty, num_ignored)


def _is_there(curve: F1Curve) -> bool:
    return curve.counts.num_reference > 0
