"""Counts of correct and false detections at every threshold, from score tables.

Recordings are gone through one by one, and of each only the scores at which a count
changes are kept: time grows with the number of recordings, memory with what they count.
Most detections meet no reference event, and of those the number alone is needed.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.clip_changes import ClipChanges, add_collars, add_shares
from gcrnn_jax.metrics.detections import changes_in_number
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.floors import Floors
from gcrnn_jax.metrics.intersection import DisjointEvents, Intersection
from gcrnn_jax.metrics.ledger import Ledger, ThresholdCounts
from gcrnn_jax.metrics.score_tables import ScoreTable, by_clip_id


def threshold_counts(
    tables: Iterable[ScoreTable],
    reference: DisjointEvents | Mapping[str, Sequence[Event]],
    class_names: Sequence[str],
    criteria: Intersection | Collars,
    *,
    clip_ids: Iterable[str] | None = None,
    max_false_positives: int | None = None,
) -> tuple[list[ThresholdCounts], int]:
    """Counts every threshold of every class.

    Args:
        tables: Of all clips. A list or a `ScoreFolder`, not an iterator, where
            `max_false_positives` is given: they are gone through twice.
        reference: Events of clips, apart from each other for an `Intersection`, see
            `disjoint_events`.
        class_names: K of the tables' classes.
        criteria: What makes a detection correct.
        clip_ids: Of the clips that count, each of which must have a table; one that the
            reference does not have is without events. None: those of the reference.
        max_false_positives: Thresholds at which a class certainly has more are left
            out, so that memory stays small: as many clips without an event of the class
            have a higher score. None: every threshold counts.

    Returns:
        K, and how many tables are of other clips, which do not count.

    Raises:
        DataError: A clip has no table, or two; a table lacks a class.
    """
    references, num_events, seconds = references_of(reference, class_names)
    wanted = frozenset(references if clip_ids is None else clip_ids)
    floors = floors_of(tables, wanted, references, class_names, max_false_positives)
    has_crosses = isinstance(criteria, Intersection) and criteria.cttc is not None
    ledger = Ledger(floors, seconds if has_crosses else None)
    options = wanted, references, class_names
    num_ignored = add_tables(ledger, tables, *options, criteria=criteria)
    return ledger.counts(num_events), num_ignored


def add_tables(
    ledger: ClipChanges,
    tables: Iterable[ScoreTable],
    wanted: frozenset[str],
    references: Mapping[str, Mapping[int, np.ndarray]],
    class_names: Sequence[str],
    *,
    criteria: Intersection | Collars,
) -> int:
    """Adds what tables change in the counts, clip by clip.

    Returns:
        How many tables are of clips that are not wanted.

    Raises:
        DataError: A wanted clip has no table, or two; a table lacks a class.
    """
    seen: set[str] = set()
    num_ignored = 0
    for table in tables:
        if table.clip_id not in wanted:
            num_ignored += 1
            continue
        if table.clip_id in seen:
            raise DataError(f"{table.clip_id}: expected one score table, got two")
        seen.add(table.clip_id)
        scores = columns_of(table, class_names)
        own = references.get(table.clip_id, {})
        has_none = np.ones(len(class_names), bool)
        has_none[list(own)] = False
        k, score, change = changes_in_number(scores, ledger.floors.floor, has_none)
        ledger.add(k, score, 0, change)
        clip = ledger, scores, table.times, own
        if own and isinstance(criteria, Collars):
            add_collars(*clip, criteria)
        elif own and isinstance(criteria, Intersection):
            add_shares(*clip, by=criteria)
        ledger.end_clip(table.clip_id)
    if missing := sorted(wanted - seen):
        raise DataError(
            f"{len(missing)} of {len(wanted)} clips have no score table, first "
            f"{missing[0]}"
        )
    return num_ignored


def columns_of(table: ScoreTable, class_names: Sequence[str]) -> np.ndarray:
    """The scores of some classes in their order, [T, K]; the table's own if all."""
    if tuple(class_names) == table.class_names:
        return table.scores
    try:
        return table.scores[:, _places(table.class_names, tuple(class_names))]
    except KeyError as lacking:
        message = f"{table.clip_id}: the table has no column {lacking}"
        raise DataError(message) from None


@lru_cache(maxsize=2)  # tables have the same columns, one after the other
def _places(columns: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    place = {column: k for k, column in enumerate(columns)}
    return [place[name] for name in names]


def references_of(
    reference: DisjointEvents | Mapping[str, Sequence[Event]], names: Sequence[str]
) -> tuple[dict[str, dict[int, np.ndarray]], np.ndarray, np.ndarray]:
    """Times by clip and class, events of each class, their seconds."""
    if isinstance(reference, DisjointEvents):
        return reference.by_clip, reference.num_events, reference.seconds
    column = {name: k for k, name in enumerate(names)}
    num_events = np.zeros(len(names), int)
    clips: dict[str, dict[int, np.ndarray]] = {}
    for clip_id, events in by_clip_id(reference).items():
        times: dict[int, list[tuple[float, float]]] = {}
        for onset, offset, label in events:
            if label not in column:
                raise DataError(f"{clip_id}: {label!r} is not among the classes")
            times.setdefault(column[label], []).append((onset, offset))
            num_events[column[label]] += 1
        clips[clip_id] = {k: np.array(spans, float) for k, spans in times.items()}
    return clips, num_events, np.zeros(len(names))


def floors_of(
    tables: Iterable[ScoreTable],
    wanted: Container[str],
    references: Mapping[str, Mapping[int, np.ndarray]],
    class_names: Sequence[str],
    most: int | None,
) -> Floors:
    """The highest scores of all clips, for what they will have of false positives.

    None: every threshold counts, and no table is read.
    """
    if most is None:
        return Floors(len(class_names))
    if iter(tables) is tables:
        must = "expected tables that can be read twice, such as a list"
        raise DataError(f"{must} or a ScoreFolder, got an iterator")
    clip_ids, highest = [], []
    for table in tables:
        if table.clip_id in wanted:
            scores = columns_of(table, class_names).max(0)
            scores[list(references.get(table.clip_id, ()))] = -np.inf
            clip_ids.append(table.clip_id)
            highest.append(scores)
    if not highest:
        return Floors(len(class_names))
    return Floors(len(class_names), most, clip_ids, np.stack(highest))
