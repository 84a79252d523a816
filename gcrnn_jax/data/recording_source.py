"""The clips of a folder, as build_store reads them."""

import dataclasses
import os
from collections.abc import Iterable, Mapping

import numpy as np

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.clip_lists import clip_id_of_file
from gcrnn_jax.data.data_hash import clip_content_hash, file_content_hash
from gcrnn_jax.data.event_lists import EventRow, events_by_file, read_event_rows
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.folder import AUDIO, Dataset, FolderSplit
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import EventTuple
from gcrnn_jax.data.store_shards import NO_RECORDING, Loaded

ClipEvents = Mapping[str, tuple[EventTuple, ...]]  # clip id -> its events


class RecordingSource:
    """One split of a folder; see `gcrnn_jax.data.store_shards.Source`."""

    def __init__(
        self,
        dataset: Dataset,
        split: FolderSplit,
        front_end: FrontEnd,
        events: ClipEvents | None,
    ):
        self.root = str(dataset.root)
        self.num_classes = len(dataset.classes)
        self.sample_rate_hz = front_end.sample_rate_hz
        self.clip_s = front_end.clip_s
        self.rows = split.rows
        self.clip_ids = split.clip_ids
        # Relative: a data set that has moved is still the same one.
        self.paths = [
            None if path is None else os.path.relpath(path, dataset.root)
            for path in split.recordings
        ]
        self.events = events
        self.has_events = events is not None

    def __len__(self) -> int:
        return len(self.rows)

    def cache_key(self, index: int) -> str:
        """Returns what the clip's rows in the store depend on, the file by its date."""
        row, path = self.rows[index], self.paths[index]
        inputs = (row.clip_id, row.labels, self._events(index), path)
        if path is None:
            return repr(inputs)
        try:
            status = os.stat(os.path.join(self.root, path))
        except OSError as error:
            return repr((*inputs, error.errno))
        return repr((*inputs, status.st_size, status.st_mtime_ns))

    def missing(self) -> list[int]:
        """Returns the clips without a recording."""
        return [
            index
            for index, path in enumerate(self.paths)
            if path is None or not os.path.exists(os.path.join(self.root, path))
        ]

    def location(self, index: int) -> tuple[str, int]:
        """Returns the recording's path in the folder, and the line of its list."""
        row, path = self.rows[index], self.paths[index]
        return path or os.path.join(AUDIO, f"Y{row.clip_id}.wav"), row.line

    def content_hash(self, index: int) -> str:
        """Returns the clip's hash, after reading its recording."""
        row, path = self.rows[index], self.paths[index]
        recording = path and file_content_hash(os.path.join(self.root, path))
        events = self._events(index)
        return clip_content_hash(row.clip_id, row.labels, events, recording)

    def load(self, index: int) -> Loaded:
        """Decodes a recording; raises Rejected where that cannot be done."""
        if (path := self.paths[index]) is None:
            raise Rejected(Code.MISSING.name, NO_RECORDING)
        path = os.path.join(self.root, path)
        levels, rate_hz = Levels(), self.sample_rate_hz
        blocks = stream_waveform(path, rate_hz, self.clip_s, levels)
        waveform = np.concatenate(list(blocks))
        remarks = levels.remarks()
        if levels.is_cropped:
            detail = f"longer than {self.clip_s:g} s, whose rest is not used"
            remarks.append((Code.CROPPED.name, detail))
        weak_label = np.zeros(self.num_classes, bool)
        weak_label[list(self.rows[index].labels)] = True
        return Loaded(waveform, weak_label, self._events(index), remarks)

    def _events(self, index: int) -> tuple[EventTuple, ...] | None:
        events = self.events
        return None if events is None else events.get(self.clip_ids[index], ())


def read_strong_list(
    split: FolderSplit, classes: ClassList
) -> tuple[list[EventRow], list[Finding]]:
    """Reads the rows of a split's strong list, `file` of each being the clip's id.

    A file is matched to the clips of the split with or without a leading Y.

    Returns:
        The rows, none if there is no such list; and those that could not be used: as
        `read_event_rows` says, UNKNOWN_LABEL, and UNKNOWN_CLIP for a file that is not
        in the split.

    Raises:
        DataError: The list cannot be read.
    """
    if split.strong_list is None:
        return [], []
    path, usable = str(split.strong_list), []
    rows, findings = read_event_rows(path)
    clip_ids = set(split.clip_ids)
    for row in rows:
        clip_id, label = clip_id_of_file(row.file), row.event_label
        if clip_id not in clip_ids:
            clip_id = clip_id.removeprefix("Y")
        if clip_id not in clip_ids:
            detail = f"{row.file!r} is not a clip of this split"
            findings.append(Finding(path, row.line, Code.UNKNOWN_CLIP, detail))
        elif label is not None and label not in classes.index_by_name:
            detail = classes.unknown_name(label)
            findings.append(Finding(path, row.line, Code.UNKNOWN_LABEL, detail))
        else:
            usable.append(row._replace(file=clip_id))
    return usable, sorted(findings, key=lambda finding: finding.line)


def clip_events(
    split: FolderSplit, rows: Iterable[EventRow]
) -> dict[str, tuple[EventTuple, ...]] | None:
    """Returns clip id -> its events of `read_strong_list`, an empty tuple for none.

    None if the split has no strong list.
    """
    if split.strong_list is None:
        return None
    events = events_by_file(rows)
    return {
        clip_id: tuple((on, off, name) for on, off, name in events.get(clip_id, ()))
        for clip_id in split.clip_ids
    }


def recording_sources(
    dataset: Dataset, front_end: FrontEnd
) -> tuple[dict[str, RecordingSource], list[Finding]]:
    """Returns the clips of every split of a folder, with events where it has them.

    The second result is what is wrong with rows of its lists, paths relative to it.

    Raises:
        DataError: A strong list cannot be read.
    """
    sources, findings = {}, list(dataset.findings)
    for name, split in dataset.splits.items():
        rows, bad = read_strong_list(split, dataset.classes)
        findings += bad
        events = clip_events(split, rows)
        sources[name] = RecordingSource(dataset, split, front_end, events)
    return sources, [
        dataclasses.replace(finding, path=os.path.relpath(finding.path, dataset.root))
        for finding in findings
    ]
