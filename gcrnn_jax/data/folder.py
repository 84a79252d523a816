"""A folder in the layout of DCASE 2017 Task 4 -> its splits, clips and recordings.

    ROOT/sound_event_list_17_classes.txt
         training_set.csv, testing_set.csv ...      or, where there is none:
         groundtruth_weak_label_evaluation_set.csv
         groundtruth_strong_label_testing_set.csv   if the split has strong labels
         audio/PART/Y<clip_id>.wav                  any PART, extension, with or
                                                    without Y; audio/ or PART/ may lack

Source: the lists and file names of DCASE 2017 Task 4.
"""

import contextlib
import dataclasses
import os
from pathlib import Path

from gcrnn_jax.data.clip_lists import (
    ClipRow,
    read_clip_list,
    read_id_rows,
    read_weak_list,
)
from gcrnn_jax.data.event_lists import EventRow, Reject, read_event_rows
from gcrnn_jax.data.labels import ClassList, read_class_list
from gcrnn_jax.errors import DataError

SPLITS = ("training", "validation", "testing", "evaluation")

# Where one clip lies in several formats, the first of these is read.
_PREFERRED = (".wav", ".flac", ".ogg", ".mp3")


@dataclasses.dataclass(frozen=True)
class FolderSplit:
    """The clips of one split, as its list has them.

    Attributes:
        name: One of SPLITS.
        list_path: Where `rows` come from.
        rows: N clips.
        recordings: N paths, None where the folder holds no recording of the clip.
        strong_list: The list of its events; None if there is none.
    """

    name: str
    list_path: Path
    rows: tuple[ClipRow, ...]
    recordings: tuple[Path | None, ...]
    strong_list: Path | None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a folder holds: classes, splits, and the rows that could not be used."""

    root: Path
    classes: ClassList
    splits: dict[str, FolderSplit]
    rejects: tuple[Reject, ...]


class _Strict(list[Reject]):
    """Problems of which the first is an error."""

    def append(self, reject: Reject) -> None:
        path, _, _, detail = reject
        raise DataError(detail if path in detail else f"{path}: {detail}")


def find_splits(
    root: str | os.PathLike, problems: list[Reject] | None = None
) -> Dataset:
    """Reads the lists of a folder and finds the recording of every clip.

    Recordings are looked up by name among the files that are there, so no list can
    make a path leave the folder. A symbolic link inside it is followed: it is how a
    data set on another disk is put in place.

    Args:
        root: The folder; see the head of this file.
        problems: None: the first problem is an error. A list: what can be read is
            read, and problems are appended as (path, line or 0, code, detail); the
            codes are CLASS_LIST (the classes are then all labels of the lists),
            UNREADABLE, NO_ROW, NO_SPLIT, SHARED_CLIP, NO_RECORDINGS and FOLDER.

    Returns:
        Every split that has a list.

    Raises:
        DataError: No folder; or, without `problems`, no class list or several, no
            split, a list without a usable row, no recordings at all, or a clip that
            is in two splits.
    """
    problems = _Strict() if problems is None else problems
    root = Path(root)
    if not root.is_dir():
        what = "a file" if root.exists() else "none"
        raise DataError(f"{root}: expected a folder with a data set, found {what}")
    classes = _find_classes(root, problems)
    recordings = index_recordings(root, problems)
    rejects: list[Reject] = []
    splits = {}
    for name in SPLITS:
        found = _find_list(root, name)
        if found is None:
            continue
        list_path, read = found
        try:
            rows, bad = read(list_path, classes)
        except DataError as error:
            problems.append((str(list_path), 0, "UNREADABLE", str(error)))
            continue
        rejects += bad
        if not rows:
            detail = f"no usable row{_first(bad)}"
            problems.append((str(list_path), 0, "NO_ROW", detail))
        strong_list = root / f"groundtruth_strong_label_{name}_set.csv"
        splits[name] = FolderSplit(
            name=name,
            list_path=list_path,
            rows=tuple(rows),
            recordings=tuple(_recording(recordings, row, name) for row in rows),
            strong_list=strong_list if strong_list.is_file() else None,
        )
    if not splits:
        detail = (
            "expected training_set.csv or another of "
            f"{', '.join(f'{name}_set.csv' for name in SPLITS[1:])}; "
            f"found {_listing(root)}"
        )
        problems.append((str(root), 0, "NO_SPLIT", detail))
    _find_shared(root, splits, problems)
    wanted = [row.clip_id for split in splits.values() for row in split.rows]
    if wanted and not any(any(split.recordings) for split in splits.values()):
        detail = (
            "none of the listed clips has a recording: expected files such as "
            f"audio/training/Y{wanted[0]}.wav, found {len(recordings)} files of other "
            "names"
        )
        problems.append((str(root), 0, "NO_RECORDINGS", detail))
    return Dataset(root, classes, splits, tuple(rejects))


def _find_classes(root: Path, problems: list[Reject]) -> ClassList:
    candidates = sorted(root.glob("sound_event_list_*_classes.txt"))
    if len(candidates) != 1:
        detail = (
            "expected one class list sound_event_list_*_classes.txt, "
            f"found {', '.join(path.name for path in candidates) or _listing(root)}"
        )
        problems.append((str(root), 0, "CLASS_LIST", detail))
        return _labels_as_classes(root)
    try:
        return read_class_list(candidates[0])
    except DataError as error:
        problems.append((str(candidates[0]), 0, "CLASS_LIST", str(error)))
        return _labels_as_classes(root)


def _labels_as_classes(root: Path) -> ClassList:
    """Makes a class of every label that the lists hold.

    An id is called what stands beside it where it stands alone.
    """
    names: dict[str, str] = {}
    events: list[EventRow] = []
    for split in SPLITS:
        with contextlib.suppress(DataError):
            rows = read_id_rows(root / f"{split}_set.csv", [])
            for row in sorted(rows, key=lambda row: len(row.ids)):
                for class_id in filter(None, row.ids):
                    alone = row.names if len(row.ids) == 1 else ""
                    names.setdefault(class_id, alone or class_id)
        for kind in ("weak", "strong"):
            with contextlib.suppress(DataError):
                path = root / f"groundtruth_{kind}_label_{split}_set.csv"
                events += read_event_rows(path, [])
    if len(set(names.values())) < len(names):  # names that tell nothing apart
        names = {class_id: class_id for class_id in names}
    labels = {row.event_label for row in events if row.event_label}
    names |= {label: label for label in sorted(labels - {*names, *names.values()})}
    return ClassList(tuple(names), tuple(names.values()))


def _find_list(root: Path, name: str):
    readers = (
        (root / f"{name}_set.csv", read_clip_list),
        (root / f"groundtruth_weak_label_{name}_set.csv", read_weak_list),
    )
    for path, read in readers:
        if path.is_file():
            return path, read
    return None


def index_recordings(root: Path, problems: list[Reject]) -> dict[str, list[Path]]:
    """Returns file name without extension -> its files, most preferred first.

    Problems, FOLDER for one that cannot be read, are appended as in `find_splits`.
    """
    top = root / "audio" if (root / "audio").is_dir() else root
    found: dict[str, list[Path]] = {}
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if folder == top:  # parts have no parts
                            folders.append(top / entry.name)
                    else:
                        stem = os.path.splitext(entry.name)[0]
                        found.setdefault(stem, []).append(folder / entry.name)
        except OSError as error:
            problems.append((str(folder), 0, "FOLDER", str(error.strerror)))
    for paths in found.values():
        paths.sort(key=_preference)
    return found


def _preference(path: Path) -> tuple[int, str]:
    extension = path.suffix.lower()
    known = _PREFERRED.index(extension) if extension in _PREFERRED else len(_PREFERRED)
    return known, str(path)


def _recording(
    recordings: dict[str, list[Path]], row: ClipRow, split: str
) -> Path | None:
    candidates = recordings.get("Y" + row.clip_id) or recordings.get(row.clip_id)
    if not candidates:
        return None
    # "train" and "eval" are folders of "training" and "evaluation".
    own = [path for path in candidates if split.startswith(path.parent.name.lower())]
    return (own or candidates)[0]


def _find_shared(
    root: Path, splits: dict[str, FolderSplit], problems: list[Reject]
) -> None:
    first: dict[str, tuple[FolderSplit, ClipRow]] = {}
    shared: list[Reject] = []
    for split in splits.values():
        for row in split.rows:
            other, other_row = first.setdefault(row.clip_id, (split, row))
            if other is not split:
                place = f"{other.list_path.name}:{other_row.line}"
                clip = f"{row.clip_id} ({other.name}, {split.name}; {place})"
                shared.append((str(split.list_path), row.line, "SHARED_CLIP", clip))
    if shared and isinstance(problems, _Strict):
        raise DataError(
            f"{root}: {len(shared)} clips are in two splits, so that scores would be "
            f"of clips trained on: {', '.join(detail for *_, detail in shared[:3])}"
        )
    problems += shared


def _first(rejects: list[Reject]) -> str:
    return f": line {rejects[0][1]}: {rejects[0][3]}" if rejects else ": it is empty"


def _listing(folder: Path, limit: int = 5) -> str:
    names = sorted(entry.name for entry in os.scandir(folder))
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more
