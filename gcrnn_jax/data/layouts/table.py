"""One plain table of clips, in CSV or TSV, for labels of any other kind.

    ROOT/clips.csv     recording,start,end,split,labels
                       dog/a.wav,,,training,Dog
                       b.flac,0,30.5,training,Dog;Cat
                       b.flac,30.5,60,validation,
                       c.wav,,,training,?
         events.csv    recording,onset,offset,event_label
                       b.flac,1.25,2.5,Dog
         classes.csv   id,name           which classes there are, in this order

Or .tsv. The recordings lie below ROOT. All columns of clips.csv but the first may lack:

    recording    its path below ROOT, the end of it or its name, without ending or with
    start, end   in seconds; empty: the start and the end of the recording
    split        training, validation, testing or evaluation
    labels       all weak labels of the clip, separated by `;`; empty: it has none of
                 the classes, a negative; `?`: not known, it is unlabelled
    strong       1: events.csv has all events of the clip, 0: it has not; without this
                 column it has all of the recordings that it names, or, where there are
                 no labels, of all
    clip_id      what posteriors and events name the clip by

In the place of `labels` there may be a column for every class, with 1 where the clip
has it and 0 where not, or `?` in all. Times in events.csv are those of the recording; a
recording named alone, with nothing in the other columns, has no event. A label that
`data.negatives` names means none of the classes.
"""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
from gcrnn_jax.data.clips.recording_names import RecordingNames
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import read_class_list
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import (
    FILE_NAMES,
    EventRow,
    seconds,
    stream_event_rows,
)
from gcrnn_jax.data.lists.tables import (
    LABEL_NAMES,
    SPLIT_NAMES,
    UNKNOWN,
    Table,
    labels_of_cell,
)
from gcrnn_jax.data.lists.text import OFFSET_NAMES, ONSET_NAMES, BadRow, BadTime, nfc
from gcrnn_jax.errors import DataError

name = "table"
description = "one table of clips, clips.csv or clips.tsv"
CLIPS, EVENTS, CLASSES = "clips", "events", "classes"
LINK = "recordings"  # to those of a table that was written to another folder
_COLUMNS = {
    "recording": FILE_NAMES,
    "start": ONSET_NAMES,
    "end": OFFSET_NAMES,
    "split": SPLIT_NAMES,
    "labels": LABEL_NAMES,
    "strong": frozenset(("strong",)),
    "clip_id": frozenset(("clip_id",)),
}
_BITS = {"1": True, "1.0": True, "0": False, "0.0": False, "": False}


def finds(root: Path) -> str | None:
    """The table, if there is one."""
    return " and ".join(path.name for path in _files(root, CLIPS)) or None


def links_elsewhere(root: Path) -> bool:
    """Whether it is a table beside a link, which may lead to another layout's files."""
    return bool(_files(root, CLIPS)) and (root / LINK).is_symlink()


def files_of_table(root: Path) -> set[str]:
    """Names of the files that a table consists of; none where there is no table."""
    paths = [path for stem in (CLIPS, EVENTS, CLASSES) for path in _files(root, stem)]
    return {path.name for path in paths} if _files(root, CLIPS) else set()


def read(root: Path, options: LayoutOptions) -> Listing:
    """Reads the table, and those of events and classes where they are.

    Raises:
        DataError: One of them cannot be read, has no header, or is there twice; or
            `data.negatives` names a label that does not occur.
    """
    path = _file(root, CLIPS)
    if path is None:
        raise DataError(f"{root}: expected clips.csv or clips.tsv, found neither")
    findings: list[Finding] = []
    events_path, classes_path = _file(root, EVENTS), _file(root, CLASSES)
    events, is_bare = None, False
    if events_path is not None:
        events = list(stream_event_rows(events_path, findings))
        is_bare = not events and not findings
    classes = None if classes_path is None else read_class_list(classes_path)
    table = Table(path, FILE_NAMES)
    rows = list(table.rows(findings))
    places = _find_places(table, [columns for _, columns in rows], findings)
    clips = list(_clips(table, rows, places, findings))
    if events is not None and places.strong is None:
        if is_bare:
            expected = "expected rows `recording,onset,offset,event_label`, got none"
            raise DataError(f"{events_path}: {expected}: without events, leave it out")
        has_labels = places.labels is not None or bool(places.classes)
        clips = _with_strong(root, clips, events if has_labels else None)
    strong = next((clip for clip in clips if clip.has_events), None)
    if strong and events is None:
        what = "expected events.csv or events.tsv, as clips have 1 in `strong`"
        raise DataError(f"{path}:{strong.source.line}: {what}; found neither")
    if classes is None:
        clips, joined = _without_joined(clips)
        findings += joined
    timed = list(_timed(str(events_path), events or ()))
    listing = Listing("a table of clips", clips, timed, classes, findings)
    return without_negatives(str(path), listing, options.negatives)


def _timed(path: str, events: Iterable[EventRow]) -> Iterator[ListedEvent]:
    for file, onset, offset, label, line in events:
        if onset is not None and offset is not None and label:
            yield ListedEvent(file, onset, offset, label, Source(path, line))


def _files(root: Path, stem: str) -> list[Path]:
    paths = (root / f"{stem}{ending}" for ending in (".csv", ".tsv"))
    return [path for path in paths if path.is_file()]


def _file(root: Path, stem: str) -> Path | None:
    paths = _files(root, stem)
    if len(paths) > 1:
        raise DataError(
            f"{root}: expected one of {stem}.csv and {stem}.tsv, found both"
        )
    return paths[0] if paths else None


class _Places(NamedTuple):
    """Which column of a table is what."""

    recording: int
    start: int | None
    end: int | None
    split: int | None
    labels: int | None
    strong: int | None
    clip_id: int | None
    classes: dict[int, str]  # columns of one class each


def _clips(
    table: Table,
    rows: Iterable[tuple[int, list[str]]],
    places: _Places,
    findings: list[Finding],
) -> Iterator[ListedClip]:
    for line, columns in rows:
        source = Source(table.path, line)
        try:
            yield _clip(columns, places, source, table.separator)
        except BadRow as bad:
            findings.append(Finding(table.path, line, bad.code, str(bad)))


def _find_places(
    table: Table, rows: Sequence[Sequence[str]], findings: list[Finding]
) -> _Places:
    """Finds the columns; without labels, those with 0 or 1 in most rows are classes.

    Raises:
        DataError: A column that is of no use has nearly the name of one that is.
    """
    found = {what: table.place(names) for what, names in _COLUMNS.items()}
    classes = {}
    known = sorted(set().union(*_COLUMNS.values()))
    for place, column in enumerate(table.header):
        if place in found.values() or column in ("", *known):
            continue
        if found["labels"] is None and _has_bits([row[place] for row in rows]):
            classes[place] = table.names[place]
        elif near := difflib.get_close_matches(column, known, 1, cutoff=0.8):
            what = f"unknown column {table.names[place]!r}; the nearest is {near[0]!r}"
            raise DataError(f"{table.path}:{table.line}: {what}")
        else:
            detail = repr(table.names[place])
            found_here = Finding(table.path, table.line, Code.UNUSED_COLUMN, detail)
            findings.append(found_here)
    return _Places(**{**found, "recording": found["recording"] or 0}, classes=classes)


def _has_bits(cells: Sequence[str]) -> bool:
    """Whether most that is in a column says of clips whether they have a class."""
    filled = [*filter(None, cells)]
    return 2 * sum(cell in _BITS or cell == UNKNOWN for cell in filled) > len(filled)


def _clip(
    columns: Sequence[str], places: _Places, source: Source, separator: str
) -> ListedClip:
    def cell(place: int | None) -> str:
        return "" if place is None else columns[place]

    start, end = (
        seconds(text, separator) if (text := cell(place)) else None
        for place in (places.start, places.end)
    )
    if end is not None and (start or 0.0) >= end:
        raise BadTime(f"expected start < end, got {start or 0:g} and {end:g}")
    if not cell(places.recording):
        raise BadRow("expected the path or name of a recording, got none")
    return ListedClip(
        recording=cell(places.recording),
        labels=_labels(columns, places),
        source=source,
        split=cell(places.split) or None,
        start_s=start,
        end_s=end,
        has_events=_bit(cell(places.strong), "strong"),
        clip_id=cell(places.clip_id) or None,
    )


def _labels(columns: Sequence[str], places: _Places) -> tuple[str, ...] | None:
    if places.labels is not None:
        return labels_of_cell(columns[places.labels])
    of_classes = {name: columns[place] for place, name in places.classes.items()}
    if not of_classes:
        return None
    unknown = [name for name, cell in of_classes.items() if cell == UNKNOWN]
    if unknown and len(unknown) < len(of_classes):
        expected = f"expected {UNKNOWN} in the columns of all classes or in none"
        raise BadRow(f"{expected}, got it in {unknown[0]!r}")
    if unknown:
        return None
    return tuple(name for name, cell in of_classes.items() if _bit(cell, name))


def _bit(cell: str, column: str) -> bool:
    if (bit := _BITS.get(cell)) is None:
        raise BadRow(f"expected 0 or 1 in the column {column!r}, got {cell!r}")
    return bit


def _with_strong(
    root: Path, clips: Sequence[ListedClip], events: Iterable[EventRow] | None
) -> list[ListedClip]:
    """The clips, of which those are strong whose recordings events name; None: all."""
    if events is None:
        return [clip._replace(has_events=True) for clip in clips]
    names, _ = RecordingNames.of_folder(root)

    def meant(name: str) -> str:
        return names.find(name).path or clip_id_of_file(nfc(name))

    named = {meant(name) for name in dict.fromkeys(row.file for row in events)}
    return [
        clip._replace(has_events=True) if meant(clip.recording) in named else clip
        for clip in clips
    ]


def _without_joined(
    clips: Sequence[ListedClip],
) -> tuple[list[ListedClip], list[Finding]]:
    """Leaves out rows with labels that commas or bars join, as elsewhere alone."""
    labels = {label for clip in clips for label in clip.labels or ()}
    joined = set()
    for label, mark in itertools.product(labels, ",|"):
        parts = label.split(mark)
        if len(parts) > 1 and all(part.strip() in labels for part in parts):
            joined.add(label)
    if not joined:
        return [*clips], []
    used, findings = [], []
    for clip in clips:
        if wrong := joined.intersection(clip.labels or ()):
            detail = f"expected labels separated by `;`, got {min(wrong)!r}"
            path, line = clip.source
            findings.append(Finding(path, line, Code.BAD_ROW, detail))
        else:
            used.append(clip)
    return used, findings
