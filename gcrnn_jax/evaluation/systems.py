"""What any system found, in any form, for the recordings of a reference.

An event list or a folder of them (see `read_events`), a folder of score tables (see
`ScoreFolder`), or posteriors that `fuse` or a run wrote.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event, EventRow
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.evaluation.event_files import read_events
from gcrnn_jax.evaluation.names import first_of, nearest, unknown_labels
from gcrnn_jax.evaluation.placed_tables import Placed, over_tables
from gcrnn_jax.evaluation.reference import (
    Reference,
    check_times,
    events_of,
    labels_of_rows,
    without_label,
)
from gcrnn_jax.metrics.decisions import decide, estimated_events
from gcrnn_jax.metrics.score_tables import (
    ScoreFolder,
    ScoreTable,
    is_score_folder,
    read_score_table,
)


@dataclass(frozen=True, eq=False)
class System:
    """What a system found.

    Attributes:
        path: Of its files.
        rows: Its events, named as in the reference; also of recordings that it lacks.
        events: Of every recording of the reference, without those of no length.
        labels: Of every recording.
        tables: Scores of every recording, named by its place in the reference, as
            "0"; None: there are only events. They may be gone through several times.
        clip_scores: [N, K]; None without tables.
        highest: [N, K], the highest score of each recording in its table, if any.
        score_names: K names, the columns of the tables.
        ends: [N] seconds, where the tables end; nan for one without.
        missing: Recordings of which there is nothing.
        notes: Sentences for the user.
    """

    path: Path
    rows: Sequence[EventRow]
    events: Mapping[str, list[Event]]
    labels: Mapping[str, frozenset[str]]
    tables: Iterable[ScoreTable] | None
    clip_scores: np.ndarray | None
    highest: np.ndarray | None
    score_names: tuple[str, ...]
    ends: np.ndarray
    missing: Sequence[str]
    notes: Sequence[str]


def read_system(
    path: Path, reference: Reference, threshold: float | None = None
) -> System:
    """Reads what a system found in the recordings of a reference.

    Args:
        path: Of a list, a folder or posteriors; see the head of this file.
        reference: What is there.
        threshold: Of its scores, above which events and tags are; None: 0.5, or what
            posteriors have with them. Not for lists.

    Raises:
        DataError: It cannot be read, or belongs to other recordings or classes.
        ConfigError: A threshold for a list.
    """
    if path.suffix == ".npz":
        return _of_posteriors(path, reference, threshold)
    if path.is_dir() and is_score_folder(path):
        return _of_tables(path, ScoreFolder(path), reference, threshold)
    if threshold is not None:
        raise ConfigError(f"--threshold is of scores, and {path} has decisions")
    rows, notes = read_events(path)
    return _of_rows(path, rows, notes, reference)


def with_scores(system: System, path: Path, reference: Reference) -> System:
    """A system of lists, and its scores from somewhere else.

    Raises:
        DataError: They cannot be read, or are no scores, or of other recordings.
    """
    other = read_system(path, reference)
    if other.tables is None:
        raise DataError(f"{path}: expected score tables or posteriors, got event lists")
    names = ("tables", "clip_scores", "highest", "score_names", "ends")
    changes = {name: getattr(other, name) for name in names}
    notes = [*system.notes, *other.notes]
    return dataclasses.replace(system, notes=notes, **changes)


def _of_rows(
    path: Path, rows: Sequence[EventRow], notes: list[str], reference: Reference
) -> System:
    names = reference.names
    own = names.find_all((row.file for row in rows), path)
    if not rows:
        notes = [*notes, f"{path}: no row: nothing was found anywhere"]
    rows = [row._replace(file=own.get(row.file, row.file)) for row in rows]
    there = set(own.values())
    scored = [row for row in rows if row.file in there]
    counts = Counter(row.event_label for row in scored if row.event_label)
    if counts and reference.class_names and not {*counts} & {*reference.class_names}:
        first = next(iter(counts))
        raise DataError(
            f"{path}: none of {len(counts)} labels is a class of the reference: "
            f"{first_of(counts)}{nearest(first, reference.class_names)}"
        )
    if reference.class_list:
        remarks = unknown_labels(counts, reference.class_names, path)
        notes = [*notes, *(f"{remark}: they do not count" for remark in remarks)]
        known = {*reference.class_names, None}
        rows, scored = (
            [r if r.event_label in known else without_label(r) for r in some]
            for some in (rows, scored)
        )
    events, cleaning = events_of(scored, names.names, path)
    cleaning += check_times(events, reference, path)
    return System(
        path,
        rows,
        events,
        labels_of_rows(scored, names.names),
        None,
        None,
        None,
        (),
        np.full(len(names.names), np.nan),
        [name for name in names.names if name not in there],
        [*notes, *cleaning],
    )


def _of_tables(
    path: Path,
    tables: Iterable[ScoreTable],
    reference: Reference,
    threshold: float | None,
    clip_ids: Sequence[str] | None = None,
) -> System:
    at = 0.5 if threshold is None else threshold
    if clip_ids is None:
        clip_ids = [one.stem for one in tables.paths]  # type: ignore[attr-defined]
    names = reference.names
    own = names.find_all(clip_ids, path)
    place = {name: n for n, name in enumerate(names.names)}
    places = {clip_id: place[name] for clip_id, name in own.items()}
    missing = sorted({*place.values()} - {*places.values()})
    placed = Placed(tables, places)
    class_names = ()
    if (first := placed.first()) is not None:
        class_names = first.class_names
        _check_classes(path, class_names, reference)
    tables = placed.tables
    if placed.files() and not placed.is_large():  # read once, then
        tables = [read_score_table(one, class_names) for one, _ in placed.files()]
    placed = Placed(tables, places, class_names=class_names)
    scores = _scores(placed, reference, at)
    system = _of_rows(path, scores.rows, [], reference)
    notes = [f"{path}: events and tags are scores above {at:g}"]
    if ignored := len(clip_ids) - len(own):
        notes.append(f"{path}: {ignored} score tables are of no recording here")
    longest = float(np.nanmax(scores.ends)) if len(own) else 1.0
    options = {"missing": missing, "silence_s": longest}
    return dataclasses.replace(
        system,
        tables=dataclasses.replace(placed, **options),
        clip_scores=scores.highest,
        highest=scores.highest,
        score_names=placed.class_names,
        ends=scores.ends,
        notes=[*notes, *system.notes],
    )


class _Scores(NamedTuple):
    """What score tables say of the N recordings of a reference."""

    highest: np.ndarray  # [N, K]; -inf without a table
    ends: np.ndarray  # [N], in seconds
    rows: list[EventRow]


def _scores(placed: Placed, reference: Reference, threshold: float) -> _Scores:
    """Goes through the tables once; events are of scores above the threshold."""
    names = reference.names.names
    counted = frozenset(reference.class_names) if reference.class_list else None
    ends = np.full(len(names), np.nan)
    highest = np.full((len(names), len(placed.class_names)), -np.inf)
    rows: list[EventRow] = []
    for n, scores, end, events in over_tables(_summary, (threshold, counted), placed):
        highest[n], ends[n] = scores, end
        rows += _rows_of(names[n], events)
    return _Scores(highest, ends, rows)


def _summary(
    context: tuple[float, frozenset[str] | None], table: ScoreTable
) -> tuple[int, np.ndarray, float, list[Event]]:
    """Of a table its place, highest scores, end and events."""
    threshold, counted = context
    events = table.events(threshold)
    if counted is not None:
        events = [event for event in events if event.event_label in counted]
    end_s = float(table.times[-1])
    return int(table.clip_id), table.scores.max(0), end_s, events


def _rows_of(file: str, events: Sequence[Event]) -> list[EventRow]:
    """The events of a recording as rows; without any, a row of its name alone."""
    rows = [EventRow(file, *event, 0) for event in events]
    return rows or [EventRow(file, None, None, None, 0)]


@dataclass(frozen=True, eq=False)
class PosteriorTables(Iterable[ScoreTable]):
    """The frames of posteriors as score tables, read each time that they are needed."""

    posteriors: PosteriorSet

    def __iter__(self) -> Iterator[ScoreTable]:
        for clips, frames in self.posteriors.blocks():
            for n, frame in zip(range(clips.start, clips.stop), frames, strict=True):
                yield self._table(n, frame)

    def table(self, n: int) -> ScoreTable:
        """That of one clip."""
        return self._table(n, self.posteriors.frame[n])

    def _table(self, n: int, frame: np.ndarray) -> ScoreTable:
        posteriors = self.posteriors
        times = np.round(np.arange(len(frame) + 1) * posteriors.hop_s, 6)
        if posteriors.clip_s and times[-2] < posteriors.clip_s < times[-1]:
            times[-1] = posteriors.clip_s
        names = posteriors.class_names
        return ScoreTable(posteriors.clip_ids[n], names, times, frame)


def _of_posteriors(path: Path, reference: Reference, threshold: float | None) -> System:
    """Of posteriors; their own thresholds and post-processing make the events."""
    posteriors = PosteriorSet.load(path)
    options = reference, threshold, posteriors.clip_ids
    system = _of_tables(path, PosteriorTables(posteriors), *options)
    own = reference.names.find_all(posteriors.clip_ids, path)
    place = {name: n for n, name in enumerate(reference.names.names)}
    clip_scores = np.array(system.clip_scores)
    for clip_id, scores in zip(posteriors.clip_ids, posteriors.clip, strict=True):
        if clip_id in own:
            clip_scores[place[own[clip_id]]] = scores
    system = dataclasses.replace(system, clip_scores=clip_scores)
    if threshold is not None:
        tags = posteriors.clip > np.float64(threshold)
    else:
        decisions = decide(posteriors, posteriors.postprocessing)
        tags, rows = decisions.tags, []
        for clip_id, events in estimated_events(decisions, posteriors).items():
            rows += _rows_of(clip_id, events)
        decided = _of_rows(path, rows, [], reference)
        notes = [f"{path}: events and tags are by its own thresholds", *decided.notes]
        changes = {"rows": decided.rows, "events": decided.events, "notes": notes}
        system = dataclasses.replace(system, **changes)
    labels = dict.fromkeys(reference.names.names, frozenset[str]())
    for clip_id, row in zip(posteriors.clip_ids, tags, strict=True):
        if clip_id in own:
            names = (posteriors.class_names[k] for k in row.nonzero()[0])
            labels[own[clip_id]] = frozenset(names)
    return dataclasses.replace(system, labels=labels)


def _check_classes(path: Path, columns: Sequence[str], reference: Reference) -> None:
    there = {label for labels in reference.labels.values() for label in labels}
    lacking = [name for name in reference.class_names if name in there - {*columns}]
    if lacking:
        raise DataError(
            f"{path}: {len(lacking)} of {len(there)} classes of the reference have no "
            f"column, first {lacking[0]!r}{nearest(lacking[0], columns)}"
        )
