"""The clips of a folder, as build_store reads them."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gcrnn_jax.audio.decode import Rejected, read_waveform
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.clip_lists import clip_id_of_file
from gcrnn_jax.data.data_hash import clip_sha256, recording_sha256
from gcrnn_jax.data.event_lists import (
    EventRow,
    Reject,
    events_by_file,
    read_event_rows,
)
from gcrnn_jax.data.folder import Dataset, FolderSplit
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import EventTuple
from gcrnn_jax.data.store_shards import Loaded


class RecordingSource:
    """One split of a folder; see `gcrnn_jax.data.store_shards.Source`."""

    def __init__(
        self,
        dataset: Dataset,
        split: FolderSplit,
        front_end: FrontEnd,
        events: dict[str, tuple[EventTuple, ...]] | None,
    ):
        self.root = str(dataset.root)
        self.num_classes = len(dataset.classes)
        self.sample_rate_hz = front_end.sample_rate_hz
        self.clip_s = front_end.clip_s
        self.clip_ids = [row.clip_id for row in split.rows]
        self.labels = [row.labels for row in split.rows]
        self.lines = [row.line for row in split.rows]
        # Relative: a data set that has moved is still the same one.
        self.paths = [
            None if path is None else os.path.relpath(path, dataset.root)
            for path in split.recordings
        ]
        self.events = events
        self.has_events = events is not None

    def __len__(self) -> int:
        return len(self.clip_ids)

    def fingerprint(self, index: int) -> str:
        """Returns what the clip's rows in the store depend on, the file by its date."""
        clip_id, path = self.clip_ids[index], self.paths[index]
        events = self.events.get(clip_id, ()) if self.events is not None else None
        known = (clip_id, self.labels[index], events, path)
        if path is None:
            return repr(known)
        try:
            status = os.stat(os.path.join(self.root, path))
        except OSError as error:
            return repr((*known, error.errno))
        return repr((*known, status.st_size, status.st_mtime_ns))

    def location(self, index: int) -> tuple[str, int]:
        """Returns the recording's path in the folder, and the line of its list."""
        path = self.paths[index]
        expected = os.path.join("audio", f"Y{self.clip_ids[index]}.wav")
        return (expected if path is None else path), self.lines[index]

    def sha256(self, index: int) -> str:
        """Returns the clip's hash, after reading its recording."""
        clip_id, path = self.clip_ids[index], self.paths[index]
        return clip_sha256(
            clip_id,
            self.labels[index],
            None if self.events is None else self.events.get(clip_id, ()),
            path and recording_sha256(os.path.join(self.root, path)),
        )

    def load(self, index: int) -> Loaded:
        """Decodes a recording; raises Rejected where that cannot be done."""
        path = self.paths[index]
        if path is None:
            raise Rejected("MISSING", "no recording of this name")
        waveform = read_waveform(
            os.path.join(self.root, path), self.sample_rate_hz, max_s=self.clip_s
        )
        weak_label = np.zeros(self.num_classes, bool)
        weak_label[list(self.labels[index])] = True
        if self.events is None:
            return Loaded(waveform, weak_label, None)
        return Loaded(waveform, weak_label, self.events.get(self.clip_ids[index], ()))


def read_strong_list(
    path: Path, clip_ids: Sequence[str], classes: ClassList
) -> tuple[dict[str, tuple[EventTuple, ...]], list[Reject]]:
    """Reads the events of a split's clips.

    Args:
        path: `file onset offset label`, tab-separated.
        clip_ids: Those of the split; a file of the list is matched to them with or
            without a leading Y.
        classes: Whose names the labels are.

    Returns:
        Clip id -> events, an empty tuple for a clip without; and the rows that could
        not be used: as `read_event_rows` says, UNKNOWN_LABEL, and UNKNOWN_CLIP for a
        file that is not in the split.

    Raises:
        DataError: The list cannot be read.
    """
    rows, rejects = strong_rows(path, clip_ids, classes)
    return clip_events(rows, clip_ids), rejects


def clip_events(
    rows: Iterable[EventRow], clip_ids: Iterable[str]
) -> dict[str, tuple[EventTuple, ...]]:
    """Returns clip id -> events of `strong_rows`, an empty tuple for a clip without."""
    found = events_by_file(rows)
    return {
        clip_id: tuple((on, off, name) for on, off, name in found.get(clip_id, ()))
        for clip_id in clip_ids
    }


def strong_rows(
    path: Path, clip_ids: Sequence[str], classes: ClassList
) -> tuple[list[EventRow], list[Reject]]:
    """Reads the rows of a split's clips, `file` of each being the clip's id.

    Args and errors are those of `read_strong_list`, so is the second result.
    """
    rejects: list[Reject] = []
    rows, usable = read_event_rows(path, rejects), []
    known = set(clip_ids)
    for row in rows:
        clip_id = clip_id_of_file(row.file)
        if clip_id not in known and clip_id.removeprefix("Y") in known:
            clip_id = clip_id.removeprefix("Y")
        label = row.event_label
        if clip_id not in known:
            detail = f"{row.file!r} is not a clip of this split"
            rejects.append((str(path), row.line, "UNKNOWN_CLIP", detail))
        elif label is not None and label not in classes.index_by_name:
            detail = classes.unknown_name(label)
            rejects.append((str(path), row.line, "UNKNOWN_LABEL", detail))
        else:
            usable.append(row._replace(file=clip_id))
    return usable, sorted(rejects, key=lambda reject: reject[1])
