"""Counts of detections at every threshold, from how they change at scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.floors import Floors

_MOST_NEW = 1 << 20  # changes that wait to be sorted by class

Columns = tuple[np.ndarray, ...]  # of n changes: score, true, false, cross-triggers


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """Counts of one class at S thresholds, each just below one of its scores.

    Attributes:
        scores: [S], falling; the first is inf, where nothing is detected. Counts hold
            for thresholds below a score down to the next score itself: a score is above
            a threshold strictly.
        true_positives: int [S], reference events found.
        false_positives: int [S], detections.
        cross_triggers: [S], for each second of the other class's reference events,
            summed over the other classes; 0 if they are not counted.
        num_reference: Reference events.
        floor: Thresholds below this score are left out; -inf: none is.
    """

    scores: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    cross_triggers: np.ndarray
    num_reference: int
    floor: float

    def index(self, threshold: float) -> int:
        """Where the counts of a threshold are.

        Raises:
            DataError: The threshold is below the floor.
        """
        if threshold < self.floor:
            raise DataError(
                f"expected a threshold of {self.floor:g} or more, below which nothing "
                f"was counted, got {threshold:g}"
            )
        return max(int(np.searchsorted(-self.scores, -threshold, "left")) - 1, 0)


class Ledger:
    """Changes of the counts of K classes at scores.

    Memory is what the changes need, 16 bytes each and 8 more if cross-triggers are
    counted. They are summed class by class whenever as many new ones have come.
    """

    def __init__(self, floors: Floors, seconds: np.ndarray | None = None):
        """Seconds [K] of the reference events weigh cross-triggers; None: no such."""
        self.floors, self._seconds = floors, seconds
        kinds = (np.float64, np.int32, np.int32, np.float64)
        self._kinds = kinds[:3] if seconds is None else kinds
        self._new: list[tuple[np.ndarray, ...]] = []
        self._num_new = self._num_unsummed = self._num_summed = 0
        self._classes: list[list[Columns]] = [[] for _ in floors.floor]

    def add(
        self, k: Any, score: np.ndarray, true: Any, false: Any, cross: Any = 0.0
    ) -> None:
        """Adds changes at scores [n], those at the floor not; others [n] or one."""
        k, *values = np.broadcast_arrays(k, score, true, false, cross)
        kept = score > self.floors.floor[k]
        columns = zip(values, self._kinds, strict=False)
        self._new.append((k[kept], *(v[kept].astype(kind) for v, kind in columns)))
        self._num_new += int(kept.sum())

    def add_crosses(
        self, other: int, k: np.ndarray, score: np.ndarray, number: np.ndarray
    ) -> None:
        """Adds changes in how many detections of k lie in events of another class."""
        if self._seconds is not None:
            self.add(k, score, 0, 0, number / self._seconds[other])

    def end_clip(self, clip_id: str) -> None:
        """All changes of a clip are added."""
        self.floors.pass_by(clip_id)
        if self._num_new > _MOST_NEW:
            self._sort_new()
            if self._num_unsummed > max(self._num_summed, _MOST_NEW):
                self._sum()

    def add_clip(
        self, k: int, score: np.ndarray, true: np.ndarray, false: np.ndarray
    ) -> None:
        """Adds those of one class and clip; scores at which they cancel are none."""
        score, where = np.unique(score, return_inverse=True)
        sums = [np.bincount(where, v, len(score)) for v in (true, false)]
        changed = (sums[0] != 0) | (sums[1] != 0)
        self.add(k, score[changed], sums[0][changed], sums[1][changed])

    def counts(self, num_events: np.ndarray) -> list[ThresholdCounts]:
        """The counts of each class, for good; the ledger is empty then."""
        self._sort_new()
        self._sum()
        return [self._count(k, int(number)) for k, number in enumerate(num_events)]

    def _sort_new(self) -> None:
        """Hands the new changes to their classes."""
        if not self._new:
            return
        k, *columns = map(np.concatenate, zip(*self._new, strict=True))
        self._new.clear()
        self._num_unsummed += len(k)
        self._num_new = 0
        order = np.argsort(k, kind="stable")
        ends = np.searchsorted(k[order], np.arange(len(self._classes) + 1))
        columns = [column[order] for column in columns]
        for parts, first, end in zip(self._classes, ends, ends[1:], strict=False):
            if first < end:
                parts.append(tuple(column[first:end].copy() for column in columns))

    def _sum(self) -> None:
        """One change a class and score, without those that no longer matter."""
        self._num_summed = self._num_unsummed = 0
        for k, parts in enumerate(self._classes):
            if parts:
                score, true, false, *crosses = _summed(parts)
                num = self.floors.num_above(k, score, false)
                columns = (score, true, false, *crosses)
                parts[:] = [tuple(column[:num].copy() for column in columns)]
                self._num_summed += num

    def _count(self, k: int, num_reference: int) -> ThresholdCounts:
        empty = tuple(np.zeros(0, kind) for kind in self._kinds)
        parts, self._classes[k] = self._classes[k], []
        score, *changes = _summed([empty, *parts])
        sums = [
            np.append(v.dtype.type(0), np.cumsum(v, dtype=v.dtype)) for v in changes
        ]
        no_crosses = np.broadcast_to(0.0, len(score) + 1)  # takes no memory
        true, false, crosses = [*sums, no_crosses][:3]
        scores, floor = np.append(np.inf, score), float(self.floors.floor[k])
        return ThresholdCounts(scores, true, false, crosses, num_reference, floor)


def _summed(parts: list[Columns]) -> Columns:
    """Changes of one class, one for each score, falling."""
    score, *changes = map(np.concatenate, zip(*parts, strict=True))
    order = np.argsort(-score)
    score = score[order]
    first = np.flatnonzero(np.append(True, score[1:] != score[:-1])[: len(score)])
    sums = [np.add.reduceat(v[order], first, dtype=v.dtype) for v in changes]
    return (score[first], *sums) if len(score) else (score, *changes)
