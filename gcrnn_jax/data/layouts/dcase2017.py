"""A folder in the layout of DCASE 2017 Task 4 -> its splits, clips and recordings.

    ROOT/sound_event_list_17_classes.txt
         training_set.csv, testing_set.csv ...      or, where there is none:
         groundtruth_weak_label_evaluation_set.csv
         groundtruth_strong_label_testing_set.csv   if the split has strong labels
         audio/PART/Y<clip_id>.wav                  any PART, extension, with or
                                                    without Y; audio/ or PART/ may lack

A weak list may name a recording by its part too, as PART/a.wav: it must where several
parts have one of that name.

Source: the lists and file names of DCASE 2017 Task 4.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gcrnn_jax.audio.recording_files import (
    is_no_audio,
    readable_endings,
    walk_files,
)
from gcrnn_jax.data.clips.recording_names import have_same_bytes
from gcrnn_jax.data.clips.shared_clips import shared_clips
from gcrnn_jax.data.dataset import AUDIO, SPLITS, ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList, read_class_list
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.lists.clip_lists import (
    clip_id_of_file,
    read_clip_list,
    read_id_rows,
    read_weak_list,
)
from gcrnn_jax.data.lists.event_lists import EventRow, read_event_rows
from gcrnn_jax.data.lists.text import nfc
from gcrnn_jax.errors import DataError

CLASS_LIST = "sound_event_list_*_classes.txt"
CLIP_LIST = "{}_set.csv"
WEAK_LIST = "groundtruth_weak_label_{}_set.csv"
STRONG_LIST = "groundtruth_strong_label_{}_set.csv"

name = "dcase2017"
description = "the lists of DCASE 2017 task 4"


def finds(root: Path) -> str | None:
    """The lists that are there."""
    found = [path.name for path in sorted(root.glob(CLASS_LIST))]
    for split in SPLITS:
        for file in (CLIP_LIST, WEAK_LIST, STRONG_LIST):
            path = root / file.format(split)
            found += [path.name] if path.is_file() else []
    return ", ".join(found[:3]) or None


def read(root: Path, options: LayoutOptions) -> tuple[Dataset, list[Finding]]:
    """Reads the lists and finds the recording of every clip.

    Args:
        root: The folder; see the head of this file.
        options: Of which nothing counts here; what is not among the classes of the
            class list is none of them.

    Returns:
        As `gcrnn_jax.data.folder.read_folder`.

    Raises:
        DataError: `data.negatives` names a label.
    """
    if names := [name for name in options.negatives or () if name]:
        raise DataError(
            f"{root}: negatives: expected none, as the class list of {description} "
            f"says which labels are classes; got {', '.join(names)}"
        )
    classes, findings = _find_classes(root)
    recordings, unreadable = index_recordings(root)
    findings += unreadable
    row_findings: list[Finding] = []
    splits = {}
    for name in SPLITS:
        if (list_path := _find_list(root, name)) is None:
            continue
        read = read_clip_list if list_path.name == CLIP_LIST.format(name) else None
        try:
            rows, bad = (read or read_weak_list)(list_path, classes)
        except DataError as error:
            findings.append(Finding(str(list_path), 0, Code.UNREADABLE, str(error)))
            continue
        row_findings += bad
        if not rows:
            first = f"line {bad[0].line}: {bad[0].detail}" if bad else "it is empty"
            detail = f"no usable row: {first}"
            findings.append(Finding(str(list_path), 0, Code.NO_ROW, detail))
        elif not any(row.labels for row in rows):
            detail = f"none of its {len(rows)} clips has a label"
            findings.append(Finding(str(list_path), 0, Code.NO_LABEL, detail))
        found = [_candidates(root, recordings, row, name) for row in rows]
        findings += _ambiguous(root, list_path, rows, found)
        splits[name] = FolderSplit(
            name=name,
            list_path=list_path,
            rows=tuple(rows),
            recordings=tuple(next(iter(paths), None) for paths in found),
        )
    for name, split in splits.items():
        splits[name], bad, unreadable = _with_events(root, split, classes)
        row_findings += bad
        findings += unreadable
    dataset = Dataset(root, classes, splits, tuple(row_findings), description)
    return dataset, [*findings, *_whole_folder(dataset, len(recordings))]


def _with_events(
    root: Path, split: FolderSplit, classes: ClassList
) -> tuple[FolderSplit, list[Finding], list[Finding]]:
    """A split with what its strong list says, bad rows of that, and if it is none."""
    strong_list = root / STRONG_LIST.format(split.name)
    if not strong_list.is_file():
        return split, [], []
    split = dataclasses.replace(split, strong_list=strong_list)
    if not split.rows:
        return split, [], []  # NO_ROW already
    try:
        rows, bad = read_strong_list(strong_list, split.clip_ids, classes)
    except DataError as error:
        return split, [], [Finding(str(strong_list), 0, Code.UNREADABLE, str(error))]
    return dataclasses.replace(split, event_rows=tuple(rows)), bad, []


def read_strong_list(
    path: Path, clip_ids: Iterable[str], classes: ClassList
) -> tuple[list[EventRow], list[Finding]]:
    """Reads the rows of a split's strong list, `file` of each being the clip's id.

    A file is matched to the clips of the split with or without a leading Y.

    Returns:
        The rows; and those that could not be used: as `read_event_rows` says,
        UNKNOWN_LABEL, and UNKNOWN_CLIP for a file that is not in the split.

    Raises:
        DataError: The list cannot be read.
    """
    rows, findings = read_event_rows(path)
    known, usable = set(clip_ids), []
    for row in rows:
        clip_id, label = clip_id_of_file(row.file), row.event_label
        if clip_id not in known:
            clip_id = clip_id.removeprefix("Y")
        if clip_id not in known:
            detail = f"{row.file!r} is not a clip of this split"
            findings.append(Finding(str(path), row.line, Code.UNKNOWN_CLIP, detail))
        elif label is not None and label not in classes.index_by_name:
            detail = classes.unknown_name(label)
            findings.append(Finding(str(path), row.line, Code.UNKNOWN_LABEL, detail))
        else:
            usable.append(row._replace(file=clip_id))
    return usable, sorted(findings, key=lambda finding: finding.line)


def _whole_folder(dataset: Dataset, num_recordings: int) -> Iterator[Finding]:
    root, splits = dataset.root, dataset.splits
    if not splits:
        first, *others = map(CLIP_LIST.format, SPLITS)
        expected = f"expected {first} or another of {', '.join(others)}"
        detail = f"{expected}; found {_listing(root)}"
        yield Finding(str(root), 0, Code.NO_SPLIT, detail)
    yield from shared_clips(splits)
    listed = [split for split in splits.values() if split.rows]
    lost = [split for split in listed if not any(split.recordings)]
    for split in lost if len(lost) < len(listed) else lost[:1]:
        where, what = str(split.list_path), f"none of its {len(split.rows)} clips"
        if len(lost) == len(listed):
            where, what = str(root), "none of the listed clips"
        detail = f"{what} has a recording: {_expected(split, num_recordings)}"
        yield Finding(where, 0, Code.NO_RECORDINGS, detail)


def _expected(split: FolderSplit, num_recordings: int) -> str:
    example = f"{AUDIO}/{split.name}/Y{split.rows[0].clip_id}.wav"
    found = f"found {num_recordings} files of other names"
    return f"expected files such as {example}, {found}"


def _find_classes(root: Path) -> tuple[ClassList, list[Finding]]:
    candidates = sorted(root.glob(CLASS_LIST))
    path, detail = root, ""
    if len(candidates) == 1:
        try:
            return read_class_list(path := candidates[0]), []
        except DataError as error:
            detail = str(error)
    else:
        names = ", ".join(path.name for path in candidates) or _listing(root)
        detail = f"expected one class list {CLASS_LIST}, found {names}"
    finding = Finding(str(path), 0, Code.CLASS_LIST, detail)
    return _labels_as_classes(root), [finding]


def _labels_as_classes(root: Path) -> ClassList:
    """Makes a class of every label that the lists hold.

    An id is called what stands beside it where it stands alone.
    """
    names: dict[str, str] = {}
    events: list[EventRow] = []
    for split in SPLITS:
        with contextlib.suppress(DataError):
            rows, _ = read_id_rows(root / CLIP_LIST.format(split))
            for row in sorted(rows, key=lambda row: len(row.ids)):
                for class_id in filter(None, row.ids):
                    alone = row.names if len(row.ids) == 1 else ""
                    names.setdefault(class_id, alone or class_id)
        for file in (WEAK_LIST, STRONG_LIST):
            with contextlib.suppress(DataError):
                events += read_event_rows(root / file.format(split))[0]
    if len(set(names.values())) < len(names):  # names that tell nothing apart
        names = {class_id: class_id for class_id in names}
    labels = {row.event_label for row in events if row.event_label}
    names |= {label: label for label in sorted(labels - {*names, *names.values()})}
    return ClassList(tuple(names), tuple(names.values()))


def _find_list(root: Path, split: str) -> Path | None:
    paths = (root / file.format(split) for file in (CLIP_LIST, WEAK_LIST))
    return next((path for path in paths if path.is_file()), None)


def index_recordings(root: Path) -> tuple[dict[str, list[Path]], list[Finding]]:
    """Returns file name without extension -> its files, most preferred first.

    Files that are no recordings by their ending, and the system's, are left out.

    The second result is a FOLDER for every folder that cannot be read.
    """
    top = root / AUDIO if (root / AUDIO).is_dir() else root
    recordings: dict[str, list[Path]] = {}
    findings = []

    def note(error: OSError) -> None:
        detail = str(error.strerror)
        findings.append(Finding(str(error.filename), 0, Code.FOLDER, detail))

    for path in walk_files(str(top), note, max_depth=1):  # parts have no parts
        if not is_no_audio(path):
            stem = nfc(os.path.splitext(os.path.basename(path))[0])
            recordings.setdefault(stem, []).append(Path(path))
    endings = readable_endings()
    for paths in recordings.values():
        paths.sort(key=lambda path: _preference(path, endings))
    return recordings, findings


def _preference(path: Path, endings: tuple[str, ...]) -> tuple[int, str]:
    extension = path.suffix.lower()
    order = [*endings, extension]
    return order.index(extension), str(path)


def _candidates(
    root: Path, recordings: dict[str, list[Path]], row: ClipRow, split: str
) -> list[Path]:
    """The recordings that a row may mean, the most preferred first."""
    part, _, name = row.clip_id.rpartition("/")
    paths = recordings.get(name) or recordings.get("Y" + name) or []
    if part:
        wanted = (root / part, root / AUDIO / part)
        paths = [path for path in paths if Path(nfc(str(path.parent))) in wanted]
    # "train" and "eval" are folders of "training" and "evaluation".
    of_split = [path for path in paths if split.startswith(path.parent.name.lower())]
    return of_split or paths


def _ambiguous(
    root: Path, list_path: Path, rows: list[ClipRow], found: list[list[Path]]
) -> Iterator[Finding]:
    """Clips of which several folders have a recording, and not the same one."""
    for row, paths in zip(rows, found, strict=True):
        of_folders = list({path.parent: path for path in reversed(paths)}.values())
        if not all(have_same_bytes(of_folders[0], one) for one in of_folders[1:]):
            names = ", ".join(os.path.relpath(path, root) for path in of_folders)
            detail = f"{row.clip_id} may be any of {names}: name it with its folder"
            yield Finding(str(list_path), row.line, Code.AMBIGUOUS, detail)


def _listing(folder: Path, limit: int = 5) -> str:
    names = sorted(entry.name for entry in os.scandir(folder))
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more
