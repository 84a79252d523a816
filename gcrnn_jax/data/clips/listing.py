"""What the files of a layout say of recordings, before anything is looked up.

A layout reads its own files into one `Listing` and knows nothing else: which file a
name means, which labels are classes, how long recordings are cut and which split they
belong to is decided once, for all layouts.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.labels import ClassList


class Source(NamedTuple):
    """Where something stands."""

    path: str  # of a file or folder
    line: int  # 1 is the first; 0: of no one line


class ListedClip(NamedTuple):
    """A recording, or a stretch of one, as a layout names it.

    Attributes:
        recording: Path below the folder, or a file name or id with or without ending.
        labels: Weak labels as they are written, complete; () for a clip without any;
            None if nothing is known of what is in it, or only its events are.
        source: Where it is listed.
        split: As "training"; None: not stated.
        start_s: In the recording; None: its start.
        end_s: In the recording; None: its end.
        has_events: Whether all its events are listed, however few: strong labels.
        clip_id: Where the files name one; None: it is made of the recording's name.
    """

    recording: str
    labels: tuple[str, ...] | None
    source: Source
    split: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    has_events: bool = False
    clip_id: str | None = None


class ListedEvent(NamedTuple):
    """One sound in [onset, offset) seconds of its recording (not of a clip of it)."""

    recording: str  # as of `ListedClip`
    onset: float
    offset: float
    label: str  # as it is written
    source: Source


@dataclasses.dataclass(frozen=True)
class Listing:
    """All that the files of one layout say.

    Attributes:
        description: For the user, as "one folder per class".
        clips: In the order of the files.
        events: In the order of the files; every one is of a recording in `clips`.
        classes: Of a class list; None: all labels that occur, sorted.
        findings: What could not be used or is odd, and where.
    """

    description: str
    clips: Sequence[ListedClip]
    events: Sequence[ListedEvent] = ()
    classes: ClassList | None = None
    findings: Sequence[Finding] = ()
