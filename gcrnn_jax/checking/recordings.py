"""What is wrong with the recordings of a data set, after decoding each to its end."""

import difflib
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.measure import Measures
from gcrnn_jax.audio.recording_files import readable_endings, walk_files
from gcrnn_jax.checking.lists import source_and_length
from gcrnn_jax.checking.probe import Probe
from gcrnn_jax.data.dataset import AUDIO, ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.dcase2017 import index_recordings
from gcrnn_jax.data.list_text import nfc

SILENT_AMPLITUDE = 1e-3  # -60 dB of full scale
CLIPPED_SHARE = 1e-3  # of samples
LENGTH_TOLERANCE_S = 0.5  # cuts of videos fall where their frames do
FAR_S = 1.0  # of an event beyond the end: a whole segment of the scores
END_TOLERANCE_S = 0.04  # of events, one hop
_MOST_COMPARED = 20  # clips without a recording, of which the nearest name is found


def check_names(dataset: Dataset) -> list[Finding]:
    """Finds clips without a recording, and files without a clip."""
    files, _ = index_recordings(dataset.root)
    findings = list(_extra(dataset, files))
    elsewhere: dict[str, str] = {}
    for split in dataset.splits.values():
        lost = [row for row, path in split.clips() if path is None]
        if 0 < len(lost) < len(split.rows):  # or NO_RECORDINGS already
            elsewhere = elsewhere or _elsewhere(dataset.root, files)
            near = _nearest_names(lost, files)
            findings += [_missing(split, row, elsewhere, near) for row in lost]
    return findings


def _nearest_names(
    rows: Sequence[ClipRow], files: Mapping[str, list[Path]]
) -> dict[str, str]:
    """Clip -> the recording named most like it: but for case, or if few are missing."""
    folded = {stem.casefold().removeprefix("y"): stem for stem in files}
    nearest = {}
    for row in rows:
        name = row.clip_id.rpartition("/")[2].casefold().removeprefix("y")
        stem = folded.get(name)
        if stem is None and len(rows) <= _MOST_COMPARED:
            near = difflib.get_close_matches(name, folded, 1, cutoff=0.8)
            stem = folded[near[0]] if near else None
        if stem is not None:
            nearest[row.clip_id] = files[stem][0].name
    return nearest


def _extra(dataset: Dataset, files: dict[str, list[Path]]) -> Iterator[Finding]:
    """Files of recordings that no clip uses."""
    used = {path for split in dataset.splits.values() for path in split.recordings}
    in_audio = (dataset.root / AUDIO).is_dir()
    for paths in files.values():
        first = next((path for path in paths if path in used), None)
        for path in paths:
            if path in used:
                continue
            if first is not None:
                detail = f"{os.path.relpath(first, dataset.root)} is used"
                yield Finding(str(path), 0, Code.SEVERAL, detail)
            elif in_audio or path.suffix.lower() in readable_endings():
                yield Finding(str(path), 0, Code.EXTRA, "in no list")


def check_recordings(
    dataset: Dataset, probes: Mapping[Path, Probe], front_end: FrontEnd
) -> list[Finding]:
    """Finds what is wrong with recordings that are there.

    Args:
        dataset: Of `read_folder`.
        probes: Of every recording of the data set.
        front_end: What training makes of them.
    """
    findings: list[Finding] = []
    same: dict[str, list[tuple[FolderSplit, ClipRow, Path]]] = defaultdict(list)
    for split in dataset.splits.values():
        for row, path in split.clips():
            if path is None:
                continue
            probe = probes[path]
            if probe.content_hash:
                same[probe.content_hash].append((split, row, path))
            faults = [(Code[probe.code], probe.detail)] if probe.code else []
            if probe.measures is not None:
                faults = _levels(row, probe.measures, front_end)
            for code, detail in faults:
                place = f"{split.list_path.name}:{row.line}"
                findings.append(Finding(str(path), 0, code, f"{detail} ({place})"))
    for group in same.values():
        findings += _duplicates(group)
    return findings


def check_ends(
    dataset: Dataset,
    probes: Mapping[Path, Probe],
    clip_s: float,
) -> Iterator[Finding]:
    """Finds events beyond the end of their clip, as decoded or else as listed.

    And events that begin after the part of a recording that is read, clip_s seconds.
    """
    for split in dataset.splits.values():
        lengths: dict[str, float] = {}
        for row, path in split.clips():
            measures = probes[path].measures if path and path in probes else None
            listed = source_and_length(row.clip_id)[1]
            length = listed if measures is None else measures.duration_s
            if length is not None:
                lengths[row.clip_id] = length
        for event in split.event_rows or ():
            end_s = lengths.get(event.file, math.inf)
            if event.onset is None or not event.offset:
                continue
            if event.offset > end_s + END_TOLERANCE_S:
                is_after = event.onset >= end_s or event.offset > end_s + FAR_S
                code = Code.AFTER_END if is_after else Code.BEYOND_END
                detail = f"the clip has {end_s:.3f} s"
            elif event.onset >= clip_s:
                code, detail = Code.EVENT_CROPPED, f"{clip_s:g} s are read"
            else:
                continue
            times = f"{event.onset:g}-{event.offset:g} s"
            detail = f"{event.file}: {event.event_label} {times}, {detail}"
            yield Finding(str(split.strong_list), event.line, code, detail)


def _levels(
    row: ClipRow, measures: Measures, front_end: FrontEnd
) -> Iterator[tuple[Code, str]]:
    length, odd = measures.duration_s, dict(measures.remarks)
    yield from ((Code[code], detail) for code, detail in odd.items())
    is_silent = measures.peak_amplitude < SILENT_AMPLITUDE
    if row.labels and is_silent and Code.CANCELLED.name not in odd:
        detail = f"moves by {measures.peak_amplitude:.2g} of full scale"
        detail = f"the mean of its channels {detail}"
        yield Code.SILENT, f"{detail}, expected {SILENT_AMPLITUDE:g} or more"
    if measures.clipped > CLIPPED_SHARE and Code.LEVEL.name not in odd:
        detail = f"{measures.clipped:.2%} of samples are at full scale"
        yield Code.CLIPPED, f"{detail}, expected {CLIPPED_SHARE:.2%} or less"
    listed = source_and_length(row.clip_id)[1]
    if listed is not None and length < listed - LENGTH_TOLERANCE_S:
        yield Code.SHORT_RECORDING, f"{length:.3f} s of {listed:g} s"
    if listed is not None and length > listed + LENGTH_TOLERANCE_S:
        yield Code.LONG_RECORDING, f"{length:.3f} s, listed as {listed:g} s"
    elif row.labels and length > front_end.clip_s + LENGTH_TOLERANCE_S:
        yield Code.CROPPED, f"{length:.3f} s, {front_end.clip_s:g} s are read"


def _duplicates(
    group: Sequence[tuple[FolderSplit, ClipRow, Path]],
) -> Iterator[Finding]:
    """Compares recordings of the same bytes with the first of them."""
    (first, first_row, first_path), *others = group
    for split, row, path in others:
        if path == first_path and row.clip_id == first_row.clip_id:
            continue  # SHARED_CLIP already
        detail = (
            f"as {first_path.name} ({first.list_path.name}:{first_row.line}); "
            f"{split.list_path.name}:{row.line}"
        )
        code = Code.SAME_AUDIO
        if split is not first:
            code = Code.SHARED_AUDIO
        elif row.labels != first_row.labels:
            code = Code.SAME_AUDIO_OTHER_LABELS
        yield Finding(str(path), 0, code, detail)


def _missing(
    split: FolderSplit,
    row: ClipRow,
    elsewhere: dict[str, str],
    nearest: Mapping[str, str],
) -> Finding:
    detail = f"no file Y{row.clip_id}.* or {row.clip_id}.*"
    place = elsewhere.get("Y" + row.clip_id) or elsewhere.get(row.clip_id)
    if place:
        detail += f" in audio/ or a folder of it; there is {place}"
    elif row.clip_id in nearest:
        detail += f"; the nearest is {nearest[row.clip_id]}"
    return Finding(str(split.list_path), row.line, Code.MISSING, detail)


def _elsewhere(root: Path, files: dict[str, list[Path]]) -> dict[str, str]:
    """Returns stem -> path of files that are too deep in the folder, or beside it."""
    places = {}
    for path in walk_files(str(root), lambda _: None):
        stem = nfc(os.path.splitext(os.path.basename(path))[0])
        if stem not in files:
            places[stem] = os.path.relpath(path, root)
    return places
