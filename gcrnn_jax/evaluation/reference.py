"""What is there: the recordings that are scored, their events and lengths."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gcrnn_jax.data.lists.event_lists import Event, EventRow
from gcrnn_jax.data.lists.text import (
    read_utf8_lines,
)
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.event_files import read_events
from gcrnn_jax.evaluation.names import Names, first_of, unknown_labels
from gcrnn_jax.evaluation.recordings import (
    check_all,
    measure_durations,
    read_durations,
    read_names,
)

_ROUNDING_S = 0.01  # of lengths in lists
_FAR = 100  # times the end of the last event, where no durations say what is too late


@dataclass(frozen=True, eq=False)
class Reference:
    """What is there.

    Attributes:
        path: Of its list.
        rows: As read, of the recordings that are scored, named as in `events`.
        events: Of every recording that is scored, without those of no length.
        labels: Of every recording, also those without times.
        durations: In seconds; None: they are not known.
        class_names: Sorted.
        class_list: Whether the classes were listed: other labels do not count.
        notes: Sentences for the user on what was merged, dropped or is missing.
    """

    path: Path
    rows: Sequence[EventRow]
    events: Mapping[str, list[Event]]
    labels: Mapping[str, frozenset[str]]
    durations: Mapping[str, float] | None
    class_names: tuple[str, ...]
    class_list: bool
    names: Names
    notes: Sequence[str] = field(default_factory=tuple)


def read_reference(
    path: Path,
    *,
    recordings: Path | None = None,
    durations: Path | None = None,
    classes: Path | None = None,
) -> Reference:
    """Reads what is there.

    Args:
        path: A list or folder; see `read_events`.
        recordings: A list of those that are scored, the first column counts; None:
            those of `durations` if it is a list, or else of the reference.
        durations: A list of names and seconds, or a folder of the recordings.
        classes: A list, a name a line; None: the labels of the reference.

    Raises:
        DataError: A file cannot be read, or they do not belong together.
    """
    rows, notes = read_events(path)
    if not rows:
        raise DataError(f"{path}: expected rows `file onset offset label`, got 0")
    seconds = read_durations(durations) if durations and durations.is_file() else None
    if recordings is not None:
        names = Names(read_names(recordings), recordings)
    else:
        names = Names(seconds, durations) if seconds else None
    names, rows, left_out = _scored(path, rows, names)
    notes += left_out
    known = {row.file for row in rows}
    bare = [EventRow(n, None, None, None, 0) for n in names.names if n not in known]
    class_names, rows, remarks = _with_classes([*rows, *bare], path, classes)
    events, cleaning = events_of(rows, names.names, path)
    without = sum(not own for own in events.values())
    if without:
        notes.append(f"{without} of {len(events)} recordings have no event")
    if durations is not None and seconds is None:
        seconds = measure_durations(durations, names)
    elif seconds is not None:
        seconds = _renamed(seconds, names, durations)
    cleaning += _beyond(events, seconds or {}, durations)
    return Reference(
        path,
        rows,
        events,
        labels_of_rows(rows, names.names),
        seconds,
        class_names,
        classes is not None,
        names,
        [*notes, *remarks, *cleaning],
    )


def _scored(
    path: Path, rows: list[EventRow], names: Names | None
) -> tuple[Names, list[EventRow], list[str]]:
    """The recordings that are scored, their rows, and a remark on others.

    Without names those of the rows, each of which must be a recording of its own.
    """
    files = list(dict.fromkeys(row.file for row in rows))
    if names is None:
        names = Names(files, path)
        names.find_all(files, path)
        return names, rows, []
    own, remarks = names.find_all(files, path), []
    if left := [file for file in files if file not in own]:
        remarks.append(
            f"{path}: {len(left)} of {len(files)} recordings are not in "
            f"{names.where} and are not scored: {first_of(left)}"
        )
    return names, [r._replace(file=own[r.file]) for r in rows if r.file in own], remarks


def subset(reference: Reference, names: Sequence[str]) -> Reference:
    """The same of some recordings alone."""
    durations = reference.durations
    return dataclasses.replace(
        reference,
        rows=[row for row in reference.rows if row.file in set(names)],
        events={name: reference.events[name] for name in names},
        labels={name: reference.labels[name] for name in names},
        durations=durations and {name: durations[name] for name in names},
        names=Names(names, reference.path),
    )


def events_of(
    rows: Iterable[EventRow], names: Sequence[str], where: object
) -> tuple[dict[str, list[Event]], list[str]]:
    """The events of each recording, and how many have no length or share time.

    Those of no length are left out, their recordings stay. Events of one class that
    overlap stay as they are: to some figures they are one, to others several.
    """
    events: dict[str, list[Event]] = {name: [] for name in names}
    counts = Counter()
    for row in rows:
        if row.onset is None or row.offset is None or not row.event_label:
            continue
        if row.onset < row.offset:
            event = Event(row.onset, row.offset, row.event_label)
            events[row.file].append(event)
        else:
            counts["0 0" if row.offset == 0 else "empty"] += 1
    for own in events.values():
        counts["again"] += len(own) - len(set(own))
        ends: dict[str, float] = {}
        for onset, offset, label in sorted(set(own)):
            counts["overlap"] += onset < ends.get(label, -math.inf)
            ends[label] = max(offset, ends.get(label, -math.inf))
    texts = {
        "0 0": "rows without times (`0 0 label`) are labels and no events",
        "empty": "events of no length are left out, their recordings are not",
        "again": "rows are there again, and count as one event where figures merge "
        "events (segments, intersections, PSDS), each for itself in event_f1",
        "overlap": "events overlap another of their class: one event where figures "
        "merge events, each for itself in event_f1, as in sed_eval",
    }
    return events, [f"{where}: {counts[k]} {texts[k]}" for k in texts if counts[k]]


def labels_of_rows(
    rows: Iterable[EventRow], names: Sequence[str]
) -> dict[str, frozenset[str]]:
    """The labels of each recording, also those of rows without times."""
    labels: dict[str, set[str]] = {name: set() for name in names}
    for row in rows:
        if row.event_label:
            labels[row.file].add(row.event_label)
    return {name: frozenset(own) for name, own in labels.items()}


def _with_classes(
    rows: list[EventRow], path: Path, classes: Path | None
) -> tuple[tuple[str, ...], list[EventRow], list[str]]:
    """The classes, the rows of them, and a remark on others."""
    labels = Counter(row.event_label for row in rows if row.event_label)
    if classes is None:
        return tuple(sorted(labels)), rows, []
    lines = read_utf8_lines(classes)
    names = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise DataError(f"{classes}: expected a class a line, got none")
    others = [label for label in labels if label not in names]
    if labels and len(others) == len(labels):
        came = first_of(others)
        raise DataError(f"{classes}: none of the labels of {path} is in it: {came}")
    rows = [without_label(row) if row.event_label in others else row for row in rows]
    return names, rows, unknown_labels(labels, names, path)


def without_label(row: EventRow) -> EventRow:
    """A row of the recording alone."""
    return EventRow(row.file, None, None, None, row.line)


def _beyond(
    events: Mapping[str, list[Event]], seconds: Mapping[str, float], where: object
) -> list[str]:
    """A remark on events that end after their recording, which may mean other ones."""
    late = [
        (name, event.offset)
        for name, length in seconds.items()
        for event in events[name]
        if event.offset > length + _ROUNDING_S
    ]
    if not late:
        return []
    name, offset = late[0]
    return [
        f"{len(late)} events end after their recording, first one of {name} at "
        f"{offset:g} s: it is {seconds[name]:g} s long by {where}"
    ]


def check_times(
    events: Mapping[str, list[Event]], reference: Reference, where: object
) -> list[str]:
    """A remark on a system's events that begin after the end of their recording.

    Without durations those are meant that begin a hundred times later than the last
    event of the reference ends.

    Raises:
        DataError: Most events do, and most of the reference's do not: their times are
            no seconds of the recording. In weak lists times are those of a video.
    """
    late, total = _late(events, reference), sum(map(len, events.values()))
    if not late:
        return []
    name, onset, limit = late[0]
    what = "begin after the end of their recording"
    if reference.durations is None:
        what = f"begin {_FAR} times later than the last event of {reference.path} ends"
    text = (
        f"{where}: {len(late)} of {total} events {what}, first one of {name} at "
        f"{onset:g} s"
    )
    if reference.durations is not None:
        text += f": it is {limit:g} s long"
    there = sum(map(len, reference.events.values()))
    is_video = 2 * len(_late(reference.events, reference)) > there
    if 2 * len(late) <= total or is_video:
        return [text]
    hint = "expected seconds from a recording's start, not milliseconds or frames"
    if reference.durations is None:
        hint += "; --durations says how long recordings are, should they be right"
    raise DataError(f"{text}; {hint}")


def _late(
    events: Mapping[str, list[Event]], reference: Reference
) -> list[tuple[str, float, float]]:
    """Recording, onset and latest possible time of events that begin after it."""
    own = reference.events.values()
    last = max((event.offset for some in own for event in some), default=math.inf)
    limits = reference.durations or dict.fromkeys(events, _FAR * last)
    return [
        (name, event.onset, limits[name])
        for name, some in events.items()
        for event in some
        if event.onset > limits[name] + _ROUNDING_S
    ]


def _renamed(
    durations: Mapping[str, float], names: Names, where: object
) -> dict[str, float]:
    own = names.find_all(durations, where)
    found = {own[file]: durations[file] for file in durations if file in own}
    check_all(found, names, where)
    return {name: found[name] for name in names.names}
