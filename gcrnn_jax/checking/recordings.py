"""What is wrong with the recordings of a data set, after hearing each to its end."""

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.measure import Measures
from gcrnn_jax.checking.hearing import Heard
from gcrnn_jax.checking.lists import source_and_length
from gcrnn_jax.data.clip_lists import ClipRow
from gcrnn_jax.data.event_lists import EventRow, Reject
from gcrnn_jax.data.folder import Dataset, FolderSplit, index_recordings

SILENT_SWING = 1e-3  # -60 dB of full scale
CLIPPED_SHARE = 1e-3  # of samples
LENGTH_TOLERANCE_S = 0.5  # cuts of videos fall where their frames do
END_TOLERANCE_S = 0.04  # of events, one hop
_AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aif", ".aiff", ".au")


def check_names(dataset: Dataset) -> list[Reject]:
    """Finds clips without a recording, and files without a clip."""
    found = index_recordings(dataset.root, [])
    findings = list(_extra(dataset, found))
    if not any(any(split.recordings) for split in dataset.splits.values()):
        return findings  # NO_RECORDINGS already
    elsewhere: dict[str, str] = {}
    for split in dataset.splits.values():
        pairs = zip(split.rows, split.recordings, strict=True)
        lost = [row for row, path in pairs if path is None]
        if lost and len(lost) == len(split.rows):
            detail = f"none of the {len(lost)} clips of {split.name}"
            findings.append((str(split.list_path), 0, "NO_RECORDINGS", detail))
        elif lost:
            elsewhere = elsewhere or _elsewhere(dataset.root, found)
            findings += [_missing(split, row, elsewhere) for row in lost]
    return findings


def _extra(dataset: Dataset, found: dict[str, list[Path]]) -> Iterator[Reject]:
    """Files of recordings that no clip uses."""
    used = {path for split in dataset.splits.values() for path in split.recordings}
    in_audio = (dataset.root / "audio").is_dir()
    for paths in found.values():
        of_clip = [path for path in paths if path in used]
        for path in paths:
            if path in used:
                continue
            if of_clip:
                name = os.path.relpath(of_clip[0], dataset.root)
                yield str(path), 0, "SEVERAL", f"{name} is used"
            elif in_audio or path.suffix.lower() in _AUDIO:
                yield str(path), 0, "EXTRA", "in no list"


def check_recordings(
    dataset: Dataset,
    heard: Mapping[Path, Heard],
    front_end: FrontEnd,
) -> list[Reject]:
    """Finds what is wrong with recordings that are there.

    Args:
        dataset: Of `find_splits`.
        heard: Of every recording of the data set.
        front_end: What training makes of them.
    """
    findings: list[Reject] = []
    same: dict[str, list[tuple[FolderSplit, ClipRow, Path]]] = defaultdict(list)
    for split in dataset.splits.values():
        for row, path in zip(split.rows, split.recordings, strict=True):
            if path is None:
                continue
            result = heard[path]
            if result.sha256:
                same[result.sha256].append((split, row, path))
            place = f"{split.list_path.name}:{row.line}"
            if result.measures is None:
                detail = f"{result.detail} ({place})"
                findings.append((str(path), 0, result.code, detail))
                continue
            for code, detail in _levels(row, result.measures, front_end):
                findings.append((str(path), 0, code, f"{detail} ({place})"))
    for group in same.values():
        findings += _duplicates(group)
    return findings


def check_ends(
    dataset: Dataset,
    events: Mapping[str, Sequence[EventRow]],
    heard: Mapping[Path, Heard],
) -> Iterator[Reject]:
    """Finds events beyond the end of their clip, heard or else as listed."""
    for name, rows in events.items():
        split = dataset.splits[name]
        lengths: dict[str, float] = {}
        for row, path in zip(split.rows, split.recordings, strict=True):
            measures = heard[path].measures if path and path in heard else None
            length = source_and_length(row.clip_id)[1]
            if measures is not None:
                length = measures.duration_s
            if length is not None:
                lengths[row.clip_id] = length
        for event in rows:
            end_s = lengths.get(event.file)
            if end_s is None or event.onset is None or not event.offset:
                continue
            if event.offset > end_s + END_TOLERANCE_S:
                code = "AFTER_END" if event.onset >= end_s else "BEYOND_END"
                detail = (
                    f"{event.file}: {event.event_label} {event.onset:g}-"
                    f"{event.offset:g} s, the clip has {end_s:.3f} s"
                )
                yield str(split.strong_list), event.line, code, detail


def _levels(
    row: ClipRow, measures: Measures, front_end: FrontEnd
) -> Iterator[tuple[str, str]]:
    length = measures.duration_s
    if math.ceil(length * front_end.sample_rate_hz - 1e-6) < front_end.min_length:
        yield "TOO_SHORT", f"{length:.4f} s, shorter than one frame"
        return
    amplitude = measures.peak_amplitude
    if row.labels and amplitude < SILENT_SWING:
        detail = (
            f"the mean of its channels moves by {amplitude:.2g} of full scale, "
            f"expected {SILENT_SWING:g} or more"
        )
        yield "SILENT", detail
    if measures.clipped > CLIPPED_SHARE:
        detail = f"{measures.clipped:.2%} of samples are at full scale"
        yield "CLIPPED", f"{detail}, expected {CLIPPED_SHARE:.2%} or less"
    listed = source_and_length(row.clip_id)[1]
    if listed is not None and length < listed - LENGTH_TOLERANCE_S:
        yield "SHORT_RECORDING", f"{length:.3f} s of {listed:g} s"
    if listed is not None and length > listed + LENGTH_TOLERANCE_S:
        yield "LONG_RECORDING", f"{length:.3f} s, listed as {listed:g} s"
    elif length > front_end.clip_s + LENGTH_TOLERANCE_S:
        yield "CROPPED", f"{length:.3f} s, {front_end.clip_s:g} s are read"


def _duplicates(
    group: Sequence[tuple[FolderSplit, ClipRow, Path]],
) -> Iterator[Reject]:
    """Compares recordings of the same bytes with the first of them."""
    (first, first_row, first_path), *others = group
    for split, row, path in others:
        if path == first_path and row.clip_id == first_row.clip_id:
            continue  # SHARED_CLIP already
        detail = (
            f"as {first_path.name} ({first.list_path.name}:{first_row.line}); "
            f"{split.list_path.name}:{row.line}"
        )
        if split is not first:
            yield str(path), 0, "SHARED_AUDIO", detail
        elif row.labels != first_row.labels:
            yield str(path), 0, "SAME_AUDIO_OTHER_LABELS", detail
        else:
            yield str(path), 0, "SAME_AUDIO", detail


def _missing(split: FolderSplit, row: ClipRow, elsewhere: dict[str, str]) -> Reject:
    detail = f"no file Y{row.clip_id}.* or {row.clip_id}.*"
    place = elsewhere.get("Y" + row.clip_id) or elsewhere.get(row.clip_id)
    if place:
        detail += f" in audio/ or a folder of it; there is {place}"
    return str(split.list_path), row.line, "MISSING", detail


def _elsewhere(root: Path, found: dict[str, list[Path]]) -> dict[str, str]:
    """Returns stem -> path of files that are too deep in the folder, or beside it."""
    places = {}
    for folder, _, names in os.walk(root):
        for name in names:
            stem = os.path.splitext(name)[0]
            if stem not in found:
                places[stem] = os.path.relpath(os.path.join(folder, name), root)
    return places
