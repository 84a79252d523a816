"""The clips of a folder, as build_store reads them."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.clip_lists import ClipRow, clip_id_of_file
from gcrnn_jax.data.data_hash import clip_content_hash, file_content_hash
from gcrnn_jax.data.event_lists import EventRow, events_by_file, read_event_rows
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.folder import AUDIO, Dataset, FolderSplit
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import EventTuple
from gcrnn_jax.data.store_shards import NO_RECORDING, Loaded

ClipEvents = Mapping[str, tuple[EventTuple, ...]]  # clip id -> its events


@dataclasses.dataclass(kw_only=True)
class RecordingSource:
    """One split of a folder; see `gcrnn_jax.data.store_shards.Source`.

    Attributes:
        root: The folder.
        num_classes: Of the weak labels.
        sample_rate_hz: Of the waveforms.
        clip_s: Of a recording so much is used.
        rows: Of the list, by the index of the clip; all of them or some.
        paths: Of the recordings in the folder, by the same index. They are relative: a
            data set that has moved is still the same one.
        events: Clip id -> its events; None without a strong list.
    """

    root: str
    num_classes: int
    sample_rate_hz: int
    clip_s: float
    rows: Sequence[ClipRow] | Mapping[int, ClipRow]
    paths: Sequence[str | None] | Mapping[int, str | None]
    events: ClipEvents | None
    clip_ids: Sequence[str] = dataclasses.field(init=False)  # in the order of `rows`

    def __post_init__(self) -> None:
        rows = self.rows.values() if isinstance(self.rows, Mapping) else self.rows
        self.clip_ids = [row.clip_id for row in rows]

    @classmethod
    def of_split(
        cls,
        dataset: Dataset,
        split: FolderSplit,
        front_end: FrontEnd,
        events: ClipEvents | None,
    ) -> "RecordingSource":
        """The clips of a split."""
        paths = [
            None if path is None else os.path.relpath(path, dataset.root)
            for path in split.recordings
        ]
        return cls(
            root=str(dataset.root),
            num_classes=len(dataset.classes),
            sample_rate_hz=front_end.sample_rate_hz,
            clip_s=front_end.clip_s,
            rows=split.rows,
            paths=paths,
            events=events,
        )

    @classmethod
    def from_share(
        cls, root: str, front_end: FrontEnd, share: Mapping[str, Any]
    ) -> "RecordingSource":
        """The clips that `share` has described."""
        rows, paths, events = {}, {}, {}
        for index, clip_id, labels, line, path, timed in share["clips"]:
            rows[index] = ClipRow(clip_id, tuple(labels), line)
            paths[index] = path
            events[clip_id] = tuple(map(tuple, timed))
        return cls(
            root=root,
            num_classes=share["num_classes"],
            sample_rate_hz=front_end.sample_rate_hz,
            clip_s=front_end.clip_s,
            rows=rows,
            paths=paths,
            events=events if share["has_events"] else None,
        )

    def share(self, clips: Iterable[int]) -> dict[str, Any]:
        """Returns some clips as JSON, which another process loads without the lists."""
        rows = ((index, self.rows[index], self.paths[index]) for index in clips)
        return {
            "num_classes": self.num_classes,
            "has_events": self.has_events,
            "clips": [
                (i, row.clip_id, row.labels, row.line, path, self._events(i) or ())
                for i, row, path in rows
            ],
        }

    @property
    def has_events(self) -> bool:
        """Whether it is known when the sounds of its clips are."""
        return self.events is not None

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
            for index in range(len(self.rows))
            if (path := self.paths[index]) is None
            or not os.path.exists(os.path.join(self.root, path))
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
        return None if events is None else events.get(self.rows[index].clip_id, ())


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
        sources[name] = RecordingSource.of_split(dataset, split, front_end, events)
    return sources, [
        dataclasses.replace(finding, path=os.path.relpath(finding.path, dataset.root))
        for finding in findings
    ]
