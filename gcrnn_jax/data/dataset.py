"""What a folder holds, whatever the layout of its files: classes, splits, clips.

A clip is a recording, or a stretch of one. What is known of its labels is one of
three: nothing; its weak labels, all of them; or its strong labels, all of its events.
A clip whose labels are known to be none is a negative.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.lists.event_lists import EventRow, events_by_file
from gcrnn_jax.data.split import EventTuple

SPLITS = ("training", "validation", "testing", "evaluation")
AUDIO = "audio"  # the folder of recordings, in most layouts

ClipEvents = Mapping[str, tuple[EventTuple, ...]]  # clip id -> its events
Span = tuple[float, float]  # seconds of a recording


class ClipRow(NamedTuple):
    """One clip of a list."""

    clip_id: str  # of DCASE `{ytid}_{start}_{end}`, as in the names of the recordings
    # indices into the class list, ascending; None: nothing is known of what is in it
    labels: tuple[int, ...] | None
    line: int  # where the clip first occurs; 1 is the first line


@dataclasses.dataclass(frozen=True)
class FolderSplit:
    """The clips of one split, as lists have them.

    Attributes:
        name: One of SPLITS.
        list_path: Where the rows come from, a file or a folder.
        rows: N clips.
        recordings: N paths, None where there is no recording.
        strong_list: Where the events come from, a file or a folder; None: nowhere.
        spans: N stretches of the recordings in seconds that the clips are; None for
            one that is all of its recording, and for all if all are.
        row_paths: N files, of each row; None: all are of `list_path`.
        event_rows: In seconds of the clip, which `file` names by its id; None: there
            are no strong labels.
        event_paths: The file of each event; None: all are of `strong_list`.
        strong_clips: Ids of the clips whose events are all in `event_rows`; None: of
            all, if there are strong labels.
    """

    name: str
    list_path: Path
    rows: tuple[ClipRow, ...]
    recordings: tuple[Path | None, ...]
    strong_list: Path | None = None
    spans: tuple[Span | None, ...] | None = None
    row_paths: Sequence[str] | None = None
    event_rows: tuple[EventRow, ...] | None = None
    event_paths: Sequence[str] | None = None
    strong_clips: frozenset[str] | None = None

    @property
    def clip_ids(self) -> list[str]:
        """Of its N clips."""
        return [row.clip_id for row in self.rows]

    def clips(self) -> Iterator[tuple[ClipRow, Path | None]]:
        """Yields every clip and its recording."""
        return zip(self.rows, self.recordings, strict=True)

    def row_path(self, index: int) -> str:
        """The file that lists a clip."""
        return str(self.list_path) if self.row_paths is None else self.row_paths[index]

    def timed_rows(self) -> Iterator[tuple[str, EventRow]]:
        """Yields every event and the file that lists it."""
        paths = self.event_paths or itertools.repeat(str(self.strong_list))
        return zip(paths, self.event_rows or (), strict=False)

    def span(self, index: int) -> Span | None:
        """The stretch of its recording that a clip is; None: it is all of it."""
        return None if self.spans is None else self.spans[index]

    def is_strong(self, clip_id: str) -> bool:
        """Whether all events of a clip are known."""
        if self.event_rows is None:
            return False
        return self.strong_clips is None or clip_id in self.strong_clips

    def clip_events(self) -> dict[str, tuple[EventTuple, ...]] | None:
        """Returns clip id -> its events, of the clips whose events are known.

        None if there are no strong labels.
        """
        if self.event_rows is None:
            return None
        events = events_by_file(self.event_rows)
        return {
            clip_id: tuple((on, off, name) for on, off, name in events.get(clip_id, ()))
            for clip_id in self.clip_ids
            if self.is_strong(clip_id)
        }


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a folder holds: classes, splits, and the rows that could not be used.

    Attributes:
        root: The folder.
        classes: Of all splits.
        splits: By name, in the order of SPLITS.
        findings: Rows of its lists that could not be used, or are odd.
        layout: Of its files, as "one folder per class".
        notes: Sentences for the user, as how splits were made.
    """

    root: Path
    classes: ClassList
    splits: dict[str, FolderSplit]
    findings: tuple[Finding, ...]
    layout: str = ""
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """What was found, in a line, and the notes, in one each.

        Example:
            >>> classes = ClassList(("a", "b"), ("dog", "cat"))
            >>> Dataset(Path("x"), classes, {}, (), "one folder per class").summary()
            'layout: one folder per class, 2 classes, 0 recordings'
        """
        found = {path for split in self.splits.values() for path in split.recordings}
        counts = f"{len(self.classes)} classes, {len(found - {None})} recordings"
        return "\n".join([f"layout: {self.layout}, {counts}", *self.notes])
