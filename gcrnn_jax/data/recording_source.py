"""The clips of a folder, as build_store reads them."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.data_hash import (
    clip_content_hash,
    file_content_hash,
    stretch_content_hash,
)
from gcrnn_jax.data.dataset import (
    AUDIO,
    ClipEvents,
    ClipRow,
    Dataset,
    FolderSplit,
    Span,
)
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts import dcase2017
from gcrnn_jax.data.split import EventTuple
from gcrnn_jax.data.store_shards import NO_RECORDING, Loaded

_Stamp = tuple[int, int, int]  # bytes, ns when it changed, inode


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
        events: Clip id -> its events, of clips whose events are known; None without
            strong labels.
        spans: Seconds of its recording that a clip is, by the same index, of clips
            that are not all of one.
        lists: The file that lists a clip, by the same index, of clips without a
            recording, where the layout does not say how that would be named.
    """

    root: str
    num_classes: int
    sample_rate_hz: int
    clip_s: float
    rows: Sequence[ClipRow] | Mapping[int, ClipRow]
    paths: Sequence[str | None] | Mapping[int, str | None]
    events: ClipEvents | None
    spans: Mapping[int, Span] = dataclasses.field(default_factory=dict)
    lists: Mapping[int, str] = dataclasses.field(default_factory=dict)
    clip_ids: Sequence[str] = dataclasses.field(init=False)  # in the order of `rows`
    num_copies = 0  # of no type: it is no field

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
        root = str(dataset.root)

        @functools.lru_cache(1)  # of the many clips of a long recording
        def name_of(path: Path) -> str:
            return os.path.relpath(path, root)

        spans, lists = enumerate(split.spans or ()), {}
        if dataset.layout != dcase2017.description:
            lost = (i for i, path in enumerate(split.recordings) if path is None)
            lists = {i: os.path.relpath(split.row_path(i), root) for i in lost}
        return cls(
            root=root,
            num_classes=len(dataset.classes),
            sample_rate_hz=front_end.sample_rate_hz,
            clip_s=front_end.clip_s,
            rows=split.rows,
            paths=[path and name_of(path) for path in split.recordings],
            events=events,
            spans={index: span for index, span in spans if span is not None},
            lists=lists,
        )

    @classmethod
    def from_share(
        cls, root: str, front_end: FrontEnd, share: Mapping[str, Any]
    ) -> "RecordingSource":
        """The clips that `share` has described."""
        rows, paths, events, spans = {}, {}, {}, {}
        for index, clip_id, labels, line, path, timed, *span in share["clips"]:
            known = None if labels is None else tuple(labels)
            rows[index] = ClipRow(clip_id, known, line)
            paths[index] = path
            if timed is not None:
                events[clip_id] = tuple(map(tuple, timed))
            if span:
                spans[index] = tuple(span)
        return cls(
            root=root,
            num_classes=share["num_classes"],
            sample_rate_hz=front_end.sample_rate_hz,
            clip_s=front_end.clip_s,
            rows=rows,
            paths=paths,
            events=events if share["has_events"] else None,
            spans=spans,
            lists=dict(share["lists"]),
        )

    def share(self, clips: Iterable[int]) -> dict[str, Any]:
        """Returns some clips as JSON, which another process loads without the lists."""
        clips = [*clips]
        return {
            "num_classes": self.num_classes,
            "has_events": self.has_events,
            "lists": [(i, self.lists[i]) for i in clips if i in self.lists],
            "clips": [
                (index, *self.rows[index], self.paths[index], self._events(index))
                + self.spans.get(index, ())
                for index in clips
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
        inputs += self.spans.get(index, ())
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
        """Returns the recording's path in the folder, and the line of its list.

        Where there is none, the clip and its list.
        """
        row, path = self.rows[index], self.paths[index]
        if path is None and index in self.lists:
            return f"{row.clip_id} of {self.lists[index]}", row.line
        path = path or os.path.join(AUDIO, f"Y{row.clip_id}.wav")
        if span := self.spans.get(index):
            path += " {:.3f}-{:.3f} s".format(*span)
        return path, row.line

    def content_hash(self, index: int) -> str:
        """Returns the clip's hash, after reading its recording."""
        row, path = self.rows[index], self.paths[index]
        recording, span = None, self.spans.get(index)
        if path is not None:
            path = os.path.join(self.root, path)
            recording = _hash_once(path) if span else file_content_hash(path)
            recording = stretch_content_hash(recording, span)
        events = self._events(index)
        return clip_content_hash(row.clip_id, row.labels, events, recording)

    def load(self, index: int) -> Loaded:
        """Decodes a recording; raises Rejected where that cannot be done."""
        if (path := self.paths[index]) is None:
            raise Rejected(Code.MISSING.name, NO_RECORDING)
        path, levels = os.path.join(self.root, path), Levels()
        start_s, end_s = self.spans.get(index, (0.0, self.clip_s))
        length_s = min(end_s - start_s, self.clip_s)
        blocks = stream_waveform(path, self.sample_rate_hz, length_s, levels, start_s)
        waveform = np.concatenate(list(blocks))
        remarks = levels.remarks()
        if levels.is_cropped and index not in self.spans:
            detail = f"longer than {self.clip_s:g} s, whose rest is not used"
            remarks.append((Code.CROPPED.name, detail))
        return Loaded(waveform, self._weak_label(index), self._events(index), remarks)

    def _weak_label(self, index: int) -> np.ndarray | None:
        if (labels := self.rows[index].labels) is None:
            return None
        weak_label = np.zeros(self.num_classes, bool)
        weak_label[list(labels)] = True
        return weak_label

    def _events(self, index: int) -> tuple[EventTuple, ...] | None:
        events = self.events
        return None if events is None else events.get(self.rows[index].clip_id)


def _hash_once(path: str) -> str | None:
    """The hash of a recording that is many clips, without reading it for each."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    stamp = status.st_size, status.st_mtime_ns, status.st_ino
    return _hash_of(path, stamp)


@functools.lru_cache(64)
def _hash_of(path: str, stamp: _Stamp) -> str | None:
    return file_content_hash(path)


def recording_sources(
    dataset: Dataset, front_end: FrontEnd
) -> tuple[dict[str, RecordingSource], list[Finding]]:
    """Returns the clips of every split of a folder, with events where it has them.

    The second result is what is wrong with rows of its lists, paths relative to it.
    """
    sources = {}
    for name, split in dataset.splits.items():
        events = split.clip_events()
        sources[name] = RecordingSource.of_split(dataset, split, front_end, events)
    return sources, [
        dataclasses.replace(finding, path=os.path.relpath(finding.path, dataset.root))
        for finding in dataset.findings
    ]
