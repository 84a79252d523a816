"""What recordings change in the counts of all thresholds, for several criteria at once.

All score tables are gone through once, in parallel processes where they are large
files, and of each only the scores at which a count changes are kept, above a floor
below which false positives are too many to matter. Most changes are of classes without
an event in their recording, which are the same for all criteria. Where they are very
many, floors rise as false positives are counted, so that memory stays small.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.placed_tables import over_tables
from gcrnn_jax.evaluation.steps import Columns, Steps, by_class, steps_of
from gcrnn_jax.metrics.clip_changes import add_collars, add_shares
from gcrnn_jax.metrics.detections import changes_in_number
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.floors import Floors
from gcrnn_jax.metrics.intersection import Intersection
from gcrnn_jax.metrics.score_tables import ScoreTable
from gcrnn_jax.metrics.threshold_counts import columns_of

_MOST_NEW = 4_000_000  # changes that are kept before floors rise


@dataclass(frozen=True, eq=False)
class Sought:
    """One criterion, and what of its counts is of interest.

    Attributes:
        criteria: What makes a detection correct.
        by_clip: Clip id -> class -> onsets and offsets of reference events, [R, 2].
        most: False positives of a class that are of interest; inf: any number.
        spare: Standard deviations by which draws of recordings may have fewer.
    """

    criteria: Intersection | Collars
    by_clip: Mapping[str, Mapping[int, np.ndarray]]
    most: float
    spare: float = 0.0


class Counted(NamedTuple):
    """The counts of all K classes for one criterion.

    Attributes:
        steps: Of each class.
        pairs: int [Q, 2], recordings and classes with events.
        floor: [K], scores at or below which changes are not known; -inf: all are.
        false: float32 [N, K], false positives of recordings without an event of the
            class: at least so many below the floor, or, where that rose, at it.
    """

    steps: list[Steps]
    pairs: np.ndarray
    floor: np.ndarray
    false: np.ndarray


class Sweep:
    """The tables of N recordings, and what is needed to count in them."""

    def __init__(
        self,
        tables: Iterable[ScoreTable],
        clip_ids: Sequence[str],
        class_names: tuple[str, ...],
        highest: np.ndarray | None = None,
    ):
        """Takes the tables, which may be gone through several times.

        Args:
            tables: Of all recordings, others are ignored.
            clip_ids: N, in the order of weights.
            class_names: K of the tables' classes.
            highest: [N, K], the highest score of each recording and class; None: the
                tables are gone through for them, if they are needed.
        """
        self.tables, self.class_names = tables, class_names
        self.clip_ids = tuple(clip_ids)
        self._highest = highest

    def highest(self) -> np.ndarray:
        """[N, K], the highest score of each recording and class."""
        if self._highest is None:
            shape = len(self.clip_ids), len(self.class_names)
            self._highest = np.full(shape, -np.inf)
            context = self.class_names, self._rows()
            for found in over_tables(_highest_of, context, self.tables):
                if found is not None:
                    self._highest[found[0]] = found[1]
        return self._highest

    def floors(self, sought: Sought) -> tuple[np.ndarray, np.ndarray]:
        """Scores [K] that need not be gone below, and the highest false ones, [N, K].

        At all thresholds below the highest score of a recording without an event of the
        class it has a false positive.
        """
        names = self.class_names
        if sought.most >= len(self.clip_ids):
            return Floors(len(names)).floor, np.zeros((0, len(names)))
        false = self.highest().astype(np.float64)
        for clip_id, row in self._rows().items():
            false[row, list(sought.by_clip.get(clip_id, ()))] = -np.inf
        options = sought.most, self.clip_ids, false, sought.spare
        return Floors(len(names), *options).floor, false

    def count(self, sought: Sequence[Sought]) -> list[Counted]:
        """Counts for several criteria, in one pass through the tables.

        Raises:
            DataError: A recording has no table, or two; a table lacks a class.
        """
        every = [self.floors(one) for one in sought]
        floors = [floor for floor, _ in every]
        rising = self._rising(sought)
        rows, seen, num_new = self._rows(), set[int](), 0
        parts: list[list[Columns]] = [[] for _ in range(1 + len(sought))]
        context = _Context(self.class_names, rows, tuple(sought), tuple(floors))
        for found in over_tables(_changes_of, context, self.tables):
            if found is None:
                continue
            row, changes = found
            if row in seen:
                one = self.clip_ids[row]
                raise DataError(f"{one}: expected one score table, got two")
            seen.add(row)
            for all_, new in zip(parts, changes, strict=True):
                kept = _over(rising, [(*new, np.full(len(new[0]), row, np.int32))])
                all_.append(kept)
                num_new += len(kept[0])
            rising.pass_by(self.clip_ids[row])
            if num_new > _MOST_NEW:
                parts[0] = [_above(rising, parts[0])]
                parts[1:] = [[_over(rising, one)] for one in parts[1:]]
                num_new = 0
        if missing := [n for n in range(len(self.clip_ids)) if n not in seen]:
            raise DataError(
                f"{len(missing)} of {len(self.clip_ids)} clips have no score table, "
                f"first {self.clip_ids[missing[0]]}"
            )
        num = len(self.class_names)
        without, *with_ = (by_class(part, num) for part in parts)
        parts.clear()
        return [
            self._counted(one, lowest, rising.floor, (without, own))
            for one, lowest, own in zip(sought, every, with_, strict=True)
        ]

    def _rising(self, sought: Sequence[Sought]) -> Floors:
        """Floors that rise as false positives are counted; for all criteria."""
        widest = max(sought, key=lambda one: one.most, default=None)
        if widest is None or widest.most >= len(self.clip_ids):
            return Floors(len(self.class_names))
        false, spare = self.floors(widest)[1], max(one.spare for one in sought)
        options = widest.most, self.clip_ids, false, spare
        return Floors(len(self.class_names), *options)

    def _counted(
        self,
        sought: Sought,
        lowest: tuple[np.ndarray, np.ndarray],
        risen: np.ndarray,
        changes: tuple[list[Columns], list[Columns]],
    ) -> Counted:
        floor, (without, own) = np.maximum(lowest[0], risen), changes
        rows = self._rows()
        pairs = [(rows[c], k) for c, all_ in sought.by_clip.items() for k in all_]
        place = np.full((len(rows), len(self.class_names)), -1, np.int32)
        place[tuple(np.array(pairs, int).reshape(-1, 2).T)] = np.arange(len(pairs))
        steps = [
            steps_of(mine, others, least, place, len(pairs))
            for mine, others, least in zip(own, without, floor, strict=True)
        ]
        false = np.zeros(place.shape, np.float32)
        for k, (score, change, row) in enumerate(without):
            if floor[k] > lowest[0][k]:
                kept = score > floor[k]
                false[:, k] = np.bincount(row[kept], change[kept], len(place))
            elif np.isfinite(floor[k]):
                false[:, k] = lowest[1][:, k] >= floor[k]
        return Counted(steps, np.array(pairs, int).reshape(-1, 2), floor, false)

    def _rows(self) -> dict[str, int]:
        return {clip_id: n for n, clip_id in enumerate(self.clip_ids)}


def _above(floors: Floors, parts: list[Columns]) -> Columns:
    """The changes of recordings without events that may still matter."""
    kept = []
    for k, columns in enumerate(by_class(parts, len(floors.floor))):
        order = np.argsort(-columns[0])
        score, change, row = (column[order] for column in columns)
        num = floors.num_above(k, score, change, row)
        end = min(num, int(np.searchsorted(-score, -floors.floor[k], "left")))
        kept.append((np.full(end, k, np.int32), score[:end], change[:end], row[:end]))
    return tuple(map(np.concatenate, zip(*kept, strict=True)))


def _over(floors: Floors, parts: list[Columns]) -> Columns:
    """The changes above the floors, of columns that begin with class and score."""
    kept = [one[1] > floors.floor[one[0]] for one in parts]
    return tuple(
        np.concatenate([one[chosen] for one, chosen in zip(column, kept, strict=True)])
        for column in zip(*parts, strict=True)
    )


class _Context(NamedTuple):
    class_names: tuple[str, ...]
    rows: Mapping[str, int]
    sought: tuple[Sought, ...]
    floors: tuple[np.ndarray, ...]


def _highest_of(
    context: tuple[tuple[str, ...], Mapping[str, int]], table: ScoreTable
) -> tuple[int, np.ndarray] | None:
    class_names, rows = context
    if (row := rows.get(table.clip_id)) is None:
        return None
    return row, columns_of(table, class_names).max(0)


def _changes_of(
    context: _Context, table: ScoreTable
) -> tuple[int, list[Columns]] | None:
    """Of a table: changes of the classes without events, and of the others.

    The first are class, score and false positives; the others, for each criterion,
    class, score, events found, false positives, the class of events that are crossed
    (-1: none) and by how many.
    """
    class_names, rows, every, floors = context
    if (row := rows.get(table.clip_id)) is None:
        return None
    scores = columns_of(table, class_names)
    has_none = np.ones(len(class_names), bool)
    has_none[list(every[0].by_clip.get(table.clip_id, ()))] = False
    lowest = np.min(floors, 0)
    k, score, change = changes_in_number(scores, lowest, has_none)
    found: list[Columns] = [
        (k.astype(np.int32), score.astype(np.float64), change.astype(np.int8))
    ]
    for sought, floor in zip(every, floors, strict=True):
        own = sought.by_clip.get(table.clip_id, {})
        ledger = _Changes(Floors(len(class_names)))
        ledger.floors.floor = floor
        if own and isinstance(sought.criteria, Collars):
            add_collars(ledger, scores, table.times, own, sought.criteria)
        elif own and isinstance(sought.criteria, Intersection):
            add_shares(ledger, scores, table.times, own, by=sought.criteria)
        found.append(ledger.columns())
    return row, found


class _Changes:
    """Takes the changes of one recording, as `Ledger` does."""

    _KINDS = (np.int32, np.float64, np.int32, np.int32, np.int32, np.int32)

    def __init__(self, floors: Floors):
        self.floors = floors
        self._parts: list[Columns] = [tuple(np.zeros(0, t) for t in self._KINDS)]

    def add(
        self, k: Any, score: np.ndarray, true: Any, false: Any, cross: Any = 0.0
    ) -> None:
        """See `Ledger`; cross-triggers come by `add_crosses`."""
        self._take(k, score, true, false, -1, 0)

    add_clip = add

    def add_crosses(
        self, other: int, k: np.ndarray, score: np.ndarray, number: np.ndarray
    ) -> None:
        """See `Ledger`."""
        self._take(k, score, 0, 0, other, number)

    def end_clip(self, clip_id: str) -> None:
        """See `Ledger`; of one recording nothing is left to do."""

    def _take(self, *values: Any) -> None:
        columns = np.broadcast_arrays(*values)
        kept = columns[1] > self.floors.floor[columns[0]]
        pairs = zip(columns, self._KINDS, strict=True)
        self._parts.append(tuple(c[kept].astype(kind) for c, kind in pairs))

    def columns(self) -> Columns:
        """All of them."""
        return tuple(map(np.concatenate, zip(*self._parts, strict=True)))
