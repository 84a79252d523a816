"""The lists of AudioSet, weak and strong.

    ROOT/balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv
         audioset_train_strong.tsv, audioset_eval_strong.tsv
         class_labels_indices.csv       the classes; without it all that occur
         mid_to_display_name.tsv        more names of classes
         audio/bal_train/ID.wav         any folder, ending and kind of name below

The lists may also lie in ROOT/metadata, meta or csv. A recording is the segment alone,
named by the id of its video, perhaps with a Y before it and the start, or start and
end, of the segment behind it, in seconds or milliseconds: `YID_30.000_40.000.wav`,
`ID_30000.flac`.

A clip with strong labels has the classes of its events. Labels of classes that the
class list leaves out are not used: the strong lists have some beyond the 527, and who
trains on a few classes keeps only their rows in the class list. A clip left with no
label is known to hold none of the classes.

Source: research.google.com/audioset, download.html and download_strong.html.
"""

import array
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.audioset_classes import Labels, list_lines, list_paths
from gcrnn_jax.data.layouts.files import all_files
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.lists.event_lists import seconds
from gcrnn_jax.data.lists.text import BadRow, BadTime, split_columns
from gcrnn_jax.errors import DataError

name = "audioset"
description = "the lists of AudioSet (balanced_train_segments.csv and others)"

_SEGMENTS = {
    "balanced_train_segments.csv": "train",
    "unbalanced_train_segments.csv": "train",
    "eval_segments.csv": "eval",
}
_STRONG = {"audioset_train_strong.tsv": "train", "audioset_eval_strong.tsv": "eval"}
_ID_LENGTH = 11
_SEGMENT = re.compile(r'([^,"\s]+) *, *([\d.]+) *, *([\d.]+) *, *"?([^"]*)"?\s*')
_TIMES = re.compile(r"_(\d+(?:\.\d+)?)(?:_\d+(?:\.\d+)?)?")


def finds(root: Path) -> str | None:
    """The lists that are there."""
    lists = (*_SEGMENTS, *_STRONG)
    found = [str(path.relative_to(root)) for path in list_paths(root, lists)]
    return ", ".join(found) or None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Reads all lists.

    Raises:
        DataError: No list, or one or the class list that cannot be read.
    """
    weak, strong = [*list_paths(root, _SEGMENTS)], [*list_paths(root, _STRONG)]
    if not weak and not strong:
        raise DataError(f"{root}: expected lists such as {next(iter(_SEGMENTS))}")
    reader = _Reader(root)
    for path in strong:
        reader.read_strong(path)
    for path in weak:
        reader.read_weak(path)
    listing = Listing(
        description="the lists of AudioSet",
        clips=reader.clips,
        events=reader.events,
        classes=reader.labels.classes(),
        findings=reader.findings,
    )
    return without_negatives(str(root), listing, options.negatives)


class _Reader:
    """What the lists read so far say."""

    def __init__(self, root: Path):
        self.labels = Labels(root)
        self.findings: list[Finding] = []
        self._recordings = _Recordings(all_files(root).recordings)
        self.clips, self.events = _Clips(self._recordings.clip_id), []
        self._strong: set[str] = set()  # recordings

    def read_strong(self, path: Path) -> None:
        """Reads `segment_id start_time_seconds end_time_seconds label`."""
        number = self.clips.add_list(path, _STRONG[path.name], has_events=True)
        known: dict[str, str] = {}
        for line, text in list_lines(path, header="segment_id"):
            try:
                segment, onset, offset, names = self._event(text)
            except BadRow as bad:
                self.findings.append(Finding(str(path), line, bad.code, str(bad)))
                continue
            if (recording := known.get(segment)) is None:
                recording = known[segment] = self._recordings.of_segment(segment)
                self.clips.add(number, line, recording, None)
                self._strong.add(recording)
            source = Source(str(path), line)
            self.events += [
                ListedEvent(recording, onset, offset, one, source) for one in names
            ]
        self.findings += self.labels.left_out(path)

    def read_weak(self, path: Path) -> None:
        """Reads `YTID, start, end, "ids"`; not again what has strong labels."""
        number, num_strong = self.clips.add_list(path, _SEGMENTS[path.name]), 0
        for line, text in list_lines(path, header="YTID"):
            try:
                video, start_s, names = self._clip(text)
            except BadRow as bad:
                self.findings.append(Finding(str(path), line, bad.code, str(bad)))
                continue
            recording = self._recordings.find(video, start_s)
            if recording in self._strong:
                num_strong += 1
            else:
                self.clips.add(number, line, recording, names)
        self.findings += self.labels.left_out(path)
        if num_strong:
            detail = f"{num_strong} clips, whose labels here are not used"
            self.findings.append(Finding(str(path), 0, Code.STRONG_TOO, detail))

    def _event(self, text: str) -> tuple[str, float, float, tuple[str, ...]]:
        columns = text.split("\t")
        if len(columns) != 4:
            expected = "expected `segment_id start end label`, separated by tabs"
            raise BadRow(f"{expected}, got {text!r}")
        onset, offset = map(seconds, columns[1:3])
        if onset > offset:
            raise BadTime(f"expected start <= end, got {onset:g} > {offset:g}")
        return columns[0], onset, offset, self.labels.of(columns[3].strip())

    def _clip(self, text: str) -> tuple[str, float, tuple[str, ...]]:
        video, start, end, ids = _segment(text)
        start_s, end_s = seconds(start), seconds(end)
        if start_s >= end_s:
            raise BadTime(f"expected start < end, got {start} and {end}")
        return video, start_s, self.labels.of(ids)


def _segment(text: str) -> Sequence[str]:
    """The columns of a row, the ids as one, with or without quotes."""
    if match := _SEGMENT.fullmatch(text):
        return match.groups()
    columns = split_columns(text, ",")
    while columns and not columns[-1]:
        columns.pop()
    if len(columns) < 4:
        raise BadRow(f'expected `YTID, start, end, "ids"`, got {text!r}')
    return [*columns[:3], ",".join(columns[3:])]


class _Recordings:
    """Recordings by the ids of their videos and the starts of segments."""

    def __init__(self, paths: Iterable[str]):
        self._of_video: dict[str, list[tuple[float | None, str]]] = {}
        for path in paths:
            video, rest = _parts(path)
            match = _TIMES.fullmatch(rest)
            if match or not rest:
                start = float(match[1]) if match else None
                self._of_video.setdefault(video, []).append((start, path))

    def clip_id(self, recording: str) -> str | None:
        """The id of its video if it is the only recording of it; None: its path."""
        video, _ = _parts(recording)
        return video if len(self._of_video.get(video, ())) < 2 else None

    def of_segment(self, segment: str) -> str:
        """The recording of an id of the strong lists, as "ID_30000"."""
        video, _, start = segment.rpartition("_")
        if not start.isdigit() or not video:
            return segment
        return self.find(video, int(start) / 1000)

    def find(self, video: str, start_s: float) -> str:
        """The recording of a segment; the id if there is none, or several are."""
        paths = [
            path
            for start, path in self._of_video.get(video, ())
            if start is None
            or min(abs(start - start_s), abs(start - 1e3 * start_s)) < 0.01
        ]
        return paths[0] if len(paths) == 1 else video


def _parts(path: str) -> tuple[str, str]:
    """The id of the video in the name of a recording, and what is behind it."""
    stem = posixpath.splitext(posixpath.basename(path))[0]
    has_y = stem[:1] == "Y" and stem[_ID_LENGTH + 1 :][:1] in ("", "_")
    begin = 1 if has_y and len(stem) > _ID_LENGTH else 0
    end = begin + _ID_LENGTH
    return stem[begin:end], stem[end:]


class _Clips(Sequence[ListedClip]):
    """The clips of lists with millions of them, each made when it is asked for."""

    def __init__(self, clip_id: Callable[[str], str | None]):
        self._clip_id = clip_id  # of a recording
        self._lists: list[tuple[str, str, bool]] = []
        self._recordings: list[str] = []
        self._labels: list[tuple[str, ...] | None] = []
        self._of_list, self._lines = array.array("B"), array.array("I")

    def add_list(self, path: Path, split: str, *, has_events: bool = False) -> int:
        self._lists.append((str(path), split, has_events))
        return len(self._lists) - 1

    def add(
        self, number: int, line: int, recording: str, labels: tuple[str, ...] | None
    ) -> None:
        """Adds a clip of the list with a number."""
        self._of_list.append(number)
        self._lines.append(line)
        self._recordings.append(recording)
        self._labels.append(labels)

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        path, split, has_events = self._lists[self._of_list[index]]
        source = Source(path, self._lines[index])
        recording, labels = self._recordings[index], self._labels[index]
        return ListedClip(
            recording,
            labels,
            source,
            split=split,
            has_events=has_events,
            clip_id=self._clip_id(recording),
        )
