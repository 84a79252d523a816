"""What is wrong with the recordings of a data set, after decoding each to its end."""

import difflib
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.measure import Measures
from gcrnn_jax.audio.recording_files import is_no_audio, readable_endings, walk_files
from gcrnn_jax.checking.lists import source_and_length
from gcrnn_jax.checking.probe import Probe
from gcrnn_jax.data.dataset import AUDIO, ClipRow, Dataset, FolderSplit, Span
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts import dcase2017
from gcrnn_jax.data.lists.text import nfc

SILENT_AMPLITUDE = 1e-3  # -60 dB of full scale
CLIPPED_SHARE = 1e-3  # of samples
LENGTH_TOLERANCE_S = 0.5  # cuts of videos fall where their frames do
FAR_S = 1.0  # of an event beyond the end: a whole segment of the scores
END_TOLERANCE_S = 0.04  # of events, one hop
_MOST_COMPARED = 20  # clips without a recording, of which the nearest name is found


def check_names(dataset: Dataset) -> list[Finding]:
    """Finds clips without a recording, and files without a clip."""
    is_dcase = dataset.layout == dcase2017.description
    root = dataset.root
    files = dcase2017.index_recordings(root)[0] if is_dcase else _all_recordings(root)
    findings = list(_extra(dataset, files, is_dcase=is_dcase))
    elsewhere: dict[str, str] = {}
    for split in dataset.splits.values():
        lost = [i for i, path in enumerate(split.recordings) if path is None]
        if 0 < len(lost) < len(split.rows):  # or NO_RECORDINGS already
            if is_dcase:
                elsewhere = elsewhere or _elsewhere(dataset.root, files)
            near = _nearest_names([split.rows[index] for index in lost], files)
            for index in lost:
                row, path = split.rows[index], split.row_path(index)
                detail = _missing(row, elsewhere, near, is_dcase=is_dcase)
                findings.append(Finding(path, row.line, Code.MISSING, detail))
    return findings


def _all_recordings(root: Path) -> dict[str, list[Path]]:
    """File name without extension -> its files, in all folders."""
    recordings: dict[str, list[Path]] = defaultdict(list)
    for path in walk_files(str(root), lambda _: None):  # FOLDER already
        if not is_no_audio(path):
            stem = nfc(os.path.splitext(os.path.basename(path))[0])
            recordings[stem].append(Path(path))
    return recordings


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


def _extra(
    dataset: Dataset, files: dict[str, list[Path]], *, is_dcase: bool
) -> Iterator[Finding]:
    """Files of recordings that no clip uses."""
    used = {path for split in dataset.splits.values() for path in split.recordings}
    in_audio = (dataset.root / AUDIO).is_dir()
    said = {one.path for one in dataset.findings if one.code is Code.SEVERAL}
    for paths in files.values():
        of_name = [path for path in paths if path in used]
        for path in paths:
            if path in used or str(path) in said:
                continue
            first = next((one for one in of_name if one.parent == path.parent), None)
            if is_dcase and first is None:
                first = next(iter(of_name), None)
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
    same: dict[str, list[_Use]] = defaultdict(list)
    for split in dataset.splits.values():
        for use in _uses(split):
            probe = probes[use.path]
            if probe.content_hash:
                same[probe.content_hash].append(use)
            faults = [(Code[probe.code], probe.detail)] if probe.code else []
            if probe.measures is not None:
                faults = _levels(use, probe.measures, front_end)
            clips = f"; {use.num_clips} clips" if use.num_clips > 1 else ""
            for code, detail in faults:
                where = f"{detail} ({use.place}{clips})"
                findings.append(Finding(str(use.path), 0, code, where))
    for group in same.values():
        findings += _duplicates(group)
    return findings


class _Use(NamedTuple):
    """A recording that is a clip of a split, or several."""

    split: FolderSplit
    index: int  # of the first clip
    num_clips: int
    is_whole: bool  # the clip is all of it, or its start
    has_labels: bool

    @property
    def row(self) -> ClipRow:
        """The first clip."""
        return self.split.rows[self.index]

    @property
    def path(self) -> Path:
        """Of the recording."""
        return cast(Path, self.split.recordings[self.index])

    @property
    def place(self) -> str:
        """Where the first clip is listed, as list:line, or the folder."""
        name, line = os.path.basename(self.split.row_path(self.index)), self.row.line
        return f"{name}:{line}" if line else name


def _uses(split: FolderSplit) -> Iterator[_Use]:
    """Recordings of which clips are stretches, once each; others clip by clip."""
    stretches: dict[Path, list[int]] = defaultdict(list)
    for index, path in enumerate(split.recordings):
        if path is not None and split.span(index) is None:
            has_labels = bool(split.rows[index].labels)
            yield _Use(split, index, 1, is_whole=True, has_labels=has_labels)
        elif path is not None:
            stretches[path].append(index)
    for indices in stretches.values():
        has_labels = any(split.rows[index].labels for index in indices)
        options = {"is_whole": False, "has_labels": has_labels}
        yield _Use(split, indices[0], len(indices), **options)


def check_ends(
    dataset: Dataset,
    probes: Mapping[Path, Probe],
    clip_s: float,
) -> Iterator[Finding]:
    """Finds clips and events beyond the end of their recording or clip.

    The end is that which was decoded, or else the listed one. And events that begin
    after the part of a recording that is read, clip_s seconds.
    """
    for split in dataset.splits.values():
        lengths: dict[str, float] = {}
        for index, (row, path) in enumerate(split.clips()):
            measures = probes[path].measures if path and path in probes else None
            length = measures and measures.duration_s
            if (span := split.span(index)) is not None:
                yield from _beyond_end(split, index, span, length)
                length = min(span[1], length or math.inf) - span[0]
            elif length is None:
                length = source_and_length(row.clip_id)[1]
            if length is not None:
                lengths[row.clip_id] = length
        for path, event in split.timed_rows():
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
            yield Finding(path, event.line, code, detail)


def _beyond_end(
    split: FolderSplit, index: int, span: Span, length: float | None
) -> Iterator[Finding]:
    """What a clip lacks of a recording of so many seconds; None: nobody knows."""
    (start, end), row = span, split.rows[index]
    if length is None:
        return
    if start >= length:
        code = Code.BAD_TIME
        detail = f"{row.clip_id}: its recording ends at {length:.3f} s, before it"
    elif end > length + LENGTH_TOLERANCE_S:
        code = Code.SHORT_RECORDING
        detail = f"{row.clip_id}: its recording has {length:.3f} s, listed to {end:g}"
    else:
        return
    yield Finding(split.row_path(index), row.line, code, detail)


def _levels(
    use: _Use, measures: Measures, front_end: FrontEnd
) -> Iterator[tuple[Code, str]]:
    length, odd = measures.duration_s, dict(measures.remarks)
    yield from ((Code[code], detail) for code, detail in odd.items())
    is_silent = measures.peak_amplitude < SILENT_AMPLITUDE
    if use.has_labels and is_silent and Code.CANCELLED.name not in odd:
        detail = f"moves by {measures.peak_amplitude:.2g} of full scale"
        detail = f"the mean of its channels {detail}"
        yield Code.SILENT, f"{detail}, expected {SILENT_AMPLITUDE:g} or more"
    if measures.clipped > CLIPPED_SHARE and Code.LEVEL.name not in odd:
        detail = f"{measures.clipped:.2%} of samples are at full scale"
        yield Code.CLIPPED, f"{detail}, expected {CLIPPED_SHARE:.2%} or less"
    if not use.is_whole:
        return
    listed = source_and_length(use.row.clip_id)[1]
    if listed is not None and length < listed - LENGTH_TOLERANCE_S:
        yield Code.SHORT_RECORDING, f"{length:.3f} s of {listed:g} s"
    if listed is not None and length > listed + LENGTH_TOLERANCE_S:
        yield Code.LONG_RECORDING, f"{length:.3f} s, listed as {listed:g} s"
    elif use.has_labels and length > front_end.clip_s + LENGTH_TOLERANCE_S:
        yield Code.CROPPED, f"{length:.3f} s, {front_end.clip_s:g} s are read"


def _duplicates(group: Sequence[_Use]) -> Iterator[Finding]:
    """Compares recordings of the same bytes with the first of them."""
    first, *others = group
    for use in others:
        are_whole = first.is_whole and use.is_whole
        if use.path == first.path and (
            use.row.clip_id == first.row.clip_id or not are_whole
        ):
            continue  # SHARED_CLIP or SHARED_SOURCE already, or different stretches
        detail = f"as {first.path.name} ({first.place}); {use.place}"
        code = Code.SAME_AUDIO
        if use.split is not first.split:
            code = Code.SHARED_AUDIO
        elif use.row.labels != first.row.labels and are_whole:
            code = Code.SAME_AUDIO_OTHER_LABELS
        yield Finding(str(use.path), 0, code, detail)


def _missing(
    row: ClipRow,
    elsewhere: Mapping[str, str],
    nearest: Mapping[str, str],
    *,
    is_dcase: bool,
) -> str:
    detail = f"no recording for {row.clip_id}"
    if is_dcase:
        detail = f"no file Y{row.clip_id}.* or {row.clip_id}.*"
    place = elsewhere.get("Y" + row.clip_id) or elsewhere.get(row.clip_id)
    if place:
        detail += f" in audio/ or a folder of it; there is {place}"
    elif row.clip_id in nearest:
        detail += f"; the nearest is {nearest[row.clip_id]}"
    return detail


def _elsewhere(root: Path, files: dict[str, list[Path]]) -> dict[str, str]:
    """Returns stem -> path of files that are too deep in the folder, or beside it."""
    places = {}
    for path in walk_files(str(root), lambda _: None):
        stem = nfc(os.path.splitext(os.path.basename(path))[0])
        if stem not in files:
            places[stem] = os.path.relpath(path, root)
    return places
