"""Counts of detections at every threshold, from how they change at scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gcrnn_jax.errors import DataError

_PENDING = 1 << 22  # changes that wait to be sorted and summed, 28 bytes each


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
    """Changes of the counts of all classes, summed for each class and score."""

    def __init__(self, floor: np.ndarray):
        self.floor = floor
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._pending, self._limit = 0, _PENDING

    def add(
        self, k: Any, score: np.ndarray, true: Any, false: Any, cross: Any = 0.0
    ) -> None:
        """Adds changes at scores [n], those at the floor not; others [n] or one."""
        values = np.broadcast_arrays(k, score, true, false, cross)
        kept = values[1] > self.floor[values[0]]
        kinds = (np.int32, np.float64, np.int32, np.int32, np.float64)
        self._parts.append(
            tuple(v[kept].astype(t) for v, t in zip(values, kinds, strict=True))
        )
        self._pending += int(kept.sum())
        if self._pending > self._limit:
            self._sum()
            self._limit = _PENDING + 2 * self._pending

    def add_clip(
        self, k: int, score: np.ndarray, true: np.ndarray, false: np.ndarray
    ) -> None:
        """Adds those of one class and clip; scores at which they cancel are none."""
        score, where = np.unique(score, return_inverse=True)
        sums = [np.bincount(where, v, len(score)) for v in (true, false)]
        changed = (sums[0] != 0) | (sums[1] != 0)
        self.add(k, score[changed], sums[0][changed], sums[1][changed])

    def _sum(self) -> None:
        k, score, *changes = map(np.concatenate, zip(*self._parts, strict=True))
        self._parts.clear()
        order = np.lexsort((-score, k))
        k, score = k[order], score[order]
        is_first = np.append(True, (k[1:] != k[:-1]) | (score[1:] != score[:-1]))
        first = np.flatnonzero(is_first[: len(k)])
        sums = [np.add.reduceat(v[order], first) if len(k) else v for v in changes]
        self._parts.append((k[first], score[first], *sums))
        self._pending = len(first)

    def counts(self, num_events: np.ndarray) -> list[ThresholdCounts]:
        """The counts of each class, for good."""
        self.add(np.zeros(0, int), np.zeros(0), 0, 0)
        self._sum()
        k, score, *changes = self._parts[0]
        ends = np.searchsorted(k, np.arange(len(num_events) + 1))
        classes = []
        for c, (first, end) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
            sums = [
                np.append(0, np.cumsum(v[first:end], dtype=type_))
                for v, type_ in zip(changes, (int, int, float), strict=True)
            ]
            scores = np.append(np.inf, score[first:end])
            floor = float(self.floor[c])
            classes.append(ThresholdCounts(scores, *sums, int(num_events[c]), floor))
        return classes
