"""What the files of a layout say, and the recordings of a folder -> splits of clips.

Names find their files, labels their classes; recordings longer than a clip are cut,
their events with them, and weak labels go to every clip of theirs; where the
folder states no splits, recordings are divided.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gcrnn_jax.data.clips.cut_clips import CutClip, cut_clips
from gcrnn_jax.data.clips.division import divide, source_of
from gcrnn_jax.data.clips.listing import Listing
from gcrnn_jax.data.clips.recording_names import RecordingNames
from gcrnn_jax.data.clips.shared_clips import shared_clips
from gcrnn_jax.data.clips.stretches import Stretches, look_up
from gcrnn_jax.data.dataset import SPLITS, ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file

_FATAL = (Code.CLASS_LIST, Code.UNREADABLE, Code.NO_ROW, Code.NO_LABEL, Code.NO_SPLIT)


def assemble(
    root: str | os.PathLike, listing: Listing, options: LayoutOptions
) -> tuple[Dataset, list[Finding]]:
    """Makes a data set of what a layout has read.

    How long recordings are is looked up, in their headers, where the listing does not
    say that clips are at most `clip_s` long. A strong clip of a recording that is cut
    has the classes of its events as weak labels. Unlabelled clips only train. A split
    other than training in which not all clips have strong labels has weak ones alone,
    so that it is scored by its tags, on all clips; see `gcrnn_jax.data.split`, too.

    Args:
        root: The folder.
        listing: Of a layout, of this folder.
        options: How long clips are, and how recordings are divided.

    Returns:
        The data set, with the rows that could not be used as its findings; and what
        keeps the folder from being used, as `gcrnn_jax.data.folder.read_folder` says.
    """
    root = Path(root)
    names, fatal = RecordingNames.of_folder(root)
    fatal += [finding for finding in listing.findings if finding.code in _FATAL]
    findings = [finding for finding in listing.findings if finding.code not in _FATAL]
    stretches, ambiguous = look_up(listing, names)
    notes = _divide(stretches, options)
    clips, bad = cut_clips(root, stretches, options)
    findings += [*stretches.findings, *bad]
    splits: dict[str, FolderSplit] = {}
    for name in SPLITS:
        of_split = [clip for clip in clips if clip.stretch.split == name]
        known = [clip for clip in of_split if clip.labels is not None]
        if name != SPLITS[0]:
            findings += map(_not_scored, [c for c in of_split if c.labels is None])
            of_split = known
        if of_split:
            splits[name], note = _split(root, name, of_split)
            notes += note
    notes += [*_notes_on_cutting(clips, options), *_notes_on_labels(splits)]
    dataset = Dataset(
        root,
        stretches.classes,
        splits,
        tuple(findings),
        layout=listing.description,
        notes=tuple(notes),
    )
    fatal += ambiguous
    return dataset, [*fatal, *_whole_folder(dataset, len(names), fatal)]


def _divide(stretches: Stretches, options: LayoutOptions) -> list[str]:
    """Puts recordings in splits where it is not stated; says so."""
    stated = {clip.split for clip in stretches.clips if clip.split is not None}
    if stated - {SPLITS[0]}:
        missing = "" if SPLITS[0] in stated else "no clip is in training"
        return [f"{missing}: only {', '.join(sorted(stated))}"] if missing else []
    if stated and not any(options.split_fractions[1:]):
        return []
    labels: dict[str, set[int]] = {}
    sources = [source_of(clip_id_of_file(clip.recording)) for clip in stretches.clips]
    for source, clip in zip(sources, stretches.clips, strict=True):
        if clip.labels is None and not clip.has_events:
            continue  # it trains, whatever else
        events = stretches.events.get(clip.recording, ()) if clip.has_events else ()
        known = labels.setdefault(source, set())
        known.update(clip.labels or (), (event.label for event in events))
    parts = divide(labels, options.split_fractions, options.split_seed)
    for source, clip in zip(sources, stretches.clips, strict=True):
        clip.split = SPLITS[parts.get(source, 0)]
    if not stretches.clips:
        return []
    recordings = {clip.recording: clip.split for clip in stretches.clips}
    counts = Counter(recordings.values())
    said = "only training is stated" if stated else "no splits are stated"
    result = ", ".join(f"{counts[name]} {name}" for name in SPLITS if counts[name])
    whose = "its name" if len(recordings) == 1 else "their names"
    how = f"divided by a hash of {whose} (split_seed {options.split_seed})"
    return [f"{said}: {_are(len(recordings), 'recording')} {how}: {result}"]


def _are(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"


def _split(
    root: Path, name: str, clips: Sequence[CutClip]
) -> tuple[FolderSplit, list[str]]:
    """The clips of a split, and what is to be said of it."""
    paths = [clip.stretch.source.path for clip in clips]
    has_events = [clip for clip in clips if clip.stretch.has_events]
    strong, notes = has_events, []
    if name == SPLITS[0]:  # else frames would learn that no class is active
        strong = [clip for clip in has_events if not _has_point(clip)]
    if points := len(has_events) - len(strong):
        what = f"{_are(points, 'clip')} trained on by weak labels alone"
        notes = [f"{name}: {what}, as some events have no length"]
    is_mixed = 0 < len(strong) < len(clips)
    if is_mixed and name != SPLITS[0]:
        what = f"{len(strong)} of its {len(clips)} clips have strong labels"
        notes = [f"{name}: only {what}, so it is scored for tagging only"]
        strong = []
    rows = [row for clip in strong for row, _ in clip.events]
    event_paths = [path for clip in strong for _, path in clip.events]
    spans = tuple(clip.span for clip in clips)
    split = FolderSplit(
        name=name,
        list_path=Path(_common(paths)),
        rows=tuple(map(_row, clips)),
        recordings=tuple(_recording(root, clip) for clip in clips),
        strong_list=Path(_common(event_paths or paths)) if strong else None,
        spans=spans if any(spans) else None,
        row_paths=paths if len(set(paths)) > 1 else None,
        event_rows=tuple(rows) if strong else None,
        event_paths=event_paths if len(set(event_paths)) > 1 else None,
        strong_clips=frozenset(c.clip_id for c in strong)
        if strong and is_mixed
        else None,
    )
    return split, notes


def _has_point(clip: CutClip) -> bool:
    return any(row.onset == row.offset for row, _ in clip.events)


def _row(clip: CutClip) -> ClipRow:
    labels = None if clip.labels is None else tuple(sorted(clip.labels))
    return ClipRow(clip.clip_id, labels, clip.stretch.source.line)


def _recording(root: Path, clip: CutClip) -> Path | None:
    return root / clip.stretch.recording if clip.stretch.is_there else None


def _common(paths: Sequence[str]) -> str:
    """The file that all are, or the folder that has them."""
    first, *others = dict.fromkeys(paths)
    return os.path.commonpath([first, *others]) if others else first


def _not_scored(clip: CutClip) -> Finding:
    path, line = clip.stretch.source
    detail = f"{clip.clip_id} ({clip.stretch.split})"
    return Finding(path, line, Code.NOT_SCORED, detail)


def _notes_on_cutting(
    clips: Sequence[CutClip], options: LayoutOptions
) -> Iterator[str]:
    cut = [clip for clip in clips if clip.is_cut]
    if not cut:
        return
    recordings = len({clip.stretch.recording for clip in cut})
    hop_s = options.clip_hop_s or options.clip_s
    apart = f"of {options.clip_s:g} s, {hop_s:g} s apart"
    longer = _are(recordings, "longer recording")
    yield f"{longer} cut into {len(cut)} clips {apart}"
    weak = [clip for clip in cut if clip.labels and not clip.stretch.has_events]
    if weak:
        what = "have the weak labels of all of their recording"
        yield f"{len(weak)} of these clips {what}, which may be active elsewhere in it"


def _notes_on_labels(splits: dict[str, FolderSplit]) -> Iterator[str]:
    for name, split in splits.items():
        negatives = sum(row.labels == () for row in split.rows)
        unlabelled = sum(row.labels is None for row in split.rows)
        of = f"of {len(split.rows)} clips"
        if negatives:
            yield f"{name}: {negatives} {of} have none of the classes"
        if unlabelled:
            yield f"{name}: {unlabelled} {of} are unlabelled"


def _whole_folder(
    dataset: Dataset, num_recordings: int, known: Sequence[Finding]
) -> Iterator[Finding]:
    root, splits = str(dataset.root), dataset.splits
    if not splits:
        if not any(finding.code in _FATAL for finding in known):
            first = next(iter(dataset.findings), None)
            path, line = (first.path, first.line) if first else (root, 0)
            what = first.detail if first else "no clip is listed"
            yield Finding(path, line, Code.NO_ROW, f"no usable row: {what}")
        return
    for split in splits.values():
        if not any(row.labels for row in split.rows):
            detail = f"none of the {len(split.rows)} clips of {split.name} has a label"
            yield Finding(str(split.list_path), 0, Code.NO_LABEL, detail)
    yield from shared_clips(splits)
    lost = [split for split in splits.values() if not any(split.recordings)]
    for split in lost[: 1 if len(lost) == len(splits) else None]:
        is_all = len(lost) == len(splits)
        where = "" if is_all else f" of {split.name}"
        detail = f"none of the clips{where} has a recording: expected files such as "
        detail += f"{split.rows[0].clip_id}.wav, found {num_recordings} of other names"
        path = root if is_all else str(split.list_path)
        yield Finding(path, 0, Code.NO_RECORDINGS, detail)
