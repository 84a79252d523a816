"""What each recording changes in the counts of all thresholds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.metrics.floors import Floors


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
