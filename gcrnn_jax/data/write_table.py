"""A data set of any layout -> the plain table of `gcrnn_jax.data.layouts.table`.

    FOLDER/clips.csv, classes.csv, and events.csv if there are strong labels
           recordings      a link to the folder of the data set, if that is another one

A table written to the folder of the data set itself names recordings from there.
"""

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.atomic_files import storage_errors, write_text
from gcrnn_jax.data.dataset import Dataset, FolderSplit
from gcrnn_jax.data.layouts.table import CLASSES, CLIPS, EVENTS, LINK
from gcrnn_jax.data.lists.tables import cell_of_labels
from gcrnn_jax.errors import WorkdirError

_HEADER = "clip_id recording start end split labels strong".split()


def write_table(dataset: Dataset, folder: str | os.PathLike) -> Path:
    """Writes a data set as a table, which reads back as the same one.

    What a split does not use, as rows of lists that are wrong, is not written.

    Args:
        dataset: Of any layout.
        folder: Made if it is not there. In the folder of the data set the layout it had
            remains: `data.layout` says which is read.

    Returns:
        The table of clips.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there, or there is another table, or a file
            `recordings`, already: what somebody wrote is not replaced.
    """
    folder, root = Path(folder), dataset.root.resolve()
    prefix = "" if folder.resolve() == root else f"{LINK}/"
    clips, events = [], []
    for split in dataset.splits.values():
        names = [
            clip_id if path is None else prefix + _below(path, dataset.root)
            for clip_id, path in zip(split.clip_ids, split.recordings, strict=True)
        ]
        clips += _clip_rows(split, names, dataset.classes.names)
        events += _event_rows(split, names)
    classes = zip(dataset.classes.ids, dataset.classes.names, strict=True)
    tables = {
        "clips.csv": _text([_HEADER, *clips]),
        "classes.csv": _text([("id", "name"), *classes]),
    }
    if any(split.event_rows is not None for split in dataset.splits.values()):
        header = ("recording", "onset", "offset", "event_label")
        tables["events.csv"] = _text([header, *events])
    _refuse_others(folder, tables)
    for name, text in tables.items():
        write_text(folder / name, text)
    if prefix:
        _link(folder / LINK, root)
    return folder / "clips.csv"


def _below(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _clip_rows(
    split: FolderSplit, names: Sequence[str], classes: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    spans = split.spans or (None,) * len(names)
    for row, name, span in zip(split.rows, names, spans, strict=True):
        labels = None if row.labels is None else [classes[k] for k in row.labels]
        yield (
            row.clip_id,
            name,
            *(("", "") if span is None else map(_seconds, span)),
            split.name,
            cell_of_labels(labels),
            str(int(split.is_strong(row.clip_id))),
        )


class _Sound(NamedTuple):
    """An event, in seconds of its recording, as one clip has it."""

    onset: float
    offset: float
    begins_cut: bool  # its clip begins amid it, perhaps
    ends_cut: bool  # its clip ends amid it
    clip_id: str


def _event_rows(
    split: FolderSplit, names: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """The events of a split, each once however many clips it is in."""
    spans = split.spans or (None,) * len(names)
    places = dict(zip(split.clip_ids, zip(names, spans, strict=True), strict=True))
    sounds: dict[tuple[str, str], list[_Sound]] = defaultdict(list)
    for row in split.event_rows or ():
        if row.event_label is None or row.onset is None or row.offset is None:
            continue
        name, span = places[row.file]
        sound = _Sound(row.onset, row.offset, False, False, row.file)
        if span is not None and row.offset > 0:  # else it is there, but not where
            sound = _in_recording(sound, *span)
        sounds[name, row.event_label].append(sound)
    for (name, label), of_label in sounds.items():
        for sound in _united(of_label):
            yield name, _seconds(sound.onset), _seconds(sound.offset), label


def _in_recording(sound: _Sound, start: float, end: float) -> _Sound:
    onset, offset = round(start + sound.onset, 6), round(start + sound.offset, 6)
    return _Sound(onset, offset, sound.onset == 0, offset >= end, sound.clip_id)


def _united(sounds: Iterable[_Sound]) -> list[_Sound]:
    """Sounds of one label, joined where the borders of overlapping clips cut them."""
    united: list[_Sound] = []
    for sound in sorted(sounds):
        last = united[-1] if united else sound
        if last.clip_id == sound.clip_id or sound.onset >= last.offset > 0:
            united.append(sound)
        elif sound[:2] == last[:2] or sound.begins_cut and sound.offset <= last.offset:
            continue  # another clip has all of it
        elif last.ends_cut:
            later = max(last, sound, key=lambda one: one.offset)
            united[-1] = later._replace(onset=last.onset, begins_cut=last.begins_cut)
        else:
            united.append(sound)
    return united


def _seconds(value: float) -> str:
    return repr(round(value, 6))


def _text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _refuse_others(folder: Path, tables: Mapping[str, str]) -> None:
    """Raises WorkdirError for files of a table that are not those to be written."""
    stems = CLIPS, EVENTS, CLASSES
    for name in (f"{stem}{ending}" for stem in stems for ending in (".csv", ".tsv")):
        path, text = folder / name, tables.get(name)
        is_this = (
            text is not None
            and path.is_file()
            and path.read_bytes() == (text.encode("utf-8", "surrogateescape"))
        )
        if os.path.lexists(path) and not is_this:
            raise WorkdirError(
                f"{path}: expected a folder without a table, or with this one, found "
                "another: name another folder, or remove it first"
            )


def _link(link: Path, root: Path) -> None:
    if link.is_symlink() and link.resolve() == root:
        return
    if link.exists() or link.is_symlink():
        raise WorkdirError(f"{link}: expected a link to {root} or nothing, found this")
    with storage_errors(link):
        link.symlink_to(root, target_is_directory=True)
