"""Stretches of recordings -> clips, each with what is known of its labels."""

import dataclasses
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gcrnn_jax.audio.durations import duration_s
from gcrnn_jax.data.clips.cutting import TOLERANCE_S, Borders, spans
from gcrnn_jax.data.clips.listing import Source
from gcrnn_jax.data.clips.stretches import Stretch, Stretches, TimedEvent
from gcrnn_jax.data.dataset import Span
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.lists.event_lists import EventRow


@dataclasses.dataclass(slots=True, eq=False)
class CutClip:
    """A clip, before it is put in its split.

    Attributes:
        clip_id: Unique in the data set.
        stretch: That it is, or is cut from.
        span: In the recording; None: all of it.
        is_cut: Whether it is only a part of its stretch.
        labels: Weak labels; None: they are not known.
        events: In seconds of the clip, in the order of their list; and their files.
    """

    clip_id: str
    stretch: Stretch
    span: Span | None
    is_cut: bool
    labels: set[int] | None
    events: list[tuple[EventRow, str]] = dataclasses.field(default_factory=list)


def cut_clips(
    root: Path, stretches: Stretches, options: LayoutOptions
) -> tuple[list[CutClip], list[Finding]]:
    """Cuts what is longer than a clip, and the events and labels along.

    Args:
        root: The folder.
        stretches: Of its listing, whose splits are known.
        options: How long clips are, and how far apart.

    Returns:
        The clips in the order of the stretches; and the rows that could not be used:
        stretches and events that begin after the end of the recording (BAD_TIME,
        AFTER_END), events in no clip (UNKNOWN_CLIP), clips with the id of another
        (BAD_ROW); and what ends after its recording (SHORT_RECORDING, BEYOND_END).
    """
    cutter = _Cutter(root, stretches.classes, options)
    by_recording: dict[str, list[CutClip]] = defaultdict(list)
    clips = []
    for stretch in stretches.clips:
        of_stretch = cutter.cut(stretch)
        clips += of_stretch
        if stretch.has_events:
            by_recording[stretch.recording] += of_stretch
    for recording, events in stretches.events.items():
        cutter.give_events(recording, events, by_recording[recording])
    _label_strong(by_recording.values(), stretches.classes)
    return clips, cutter.findings


class _Cutter:
    """Cuts stretches one by one; finds out how long recordings are where it must."""

    def __init__(self, root: Path, classes: ClassList, options: LayoutOptions):
        self._root, self._classes = root, classes
        self._clip_s = options.clip_s
        self._hop_s = options.clip_hop_s or options.clip_s
        self._durations: dict[str, float | None] = {}
        self._ids: dict[tuple[str, str | None], Stretch] = {}
        self.findings: list[Finding] = []

    def cut(self, stretch: Stretch) -> list[CutClip]:
        """The clips that a stretch becomes; none if it is not in its recording."""
        places = self._spans(stretch)
        is_cut = len(places) > 1
        clips = []
        for span in places:
            clip_id = _clip_id(stretch, span, is_cut=is_cut)
            first = self._ids.setdefault((clip_id, stretch.split), stretch)
            if first is stretch:
                labels = None if stretch.labels is None else set(stretch.labels)
                clips.append(CutClip(clip_id, stretch, span, is_cut, labels))
            else:
                where = f"{first.source.path}:{first.source.line}"
                detail = f"expected clips of different ids, {clip_id!r} is in {where}"
                self._note(stretch.source, Code.BAD_ROW, detail)
        return clips

    def _spans(self, stretch: Stretch) -> Sequence[Span | None]:
        start, end = stretch.start_s or 0.0, stretch.end_s
        is_whole = stretch.start_s is None and end is None
        limit = self._clip_s + TOLERANCE_S
        if end is not None and end - start <= limit:
            return self._checked(stretch, start, end, [(start, end)])
        duration = self._duration(stretch)
        if duration is None:  # it will be missed, or is found broken, when it is read
            return [None if is_whole else (start, start + self._clip_s)]
        if is_whole and duration <= limit:
            return [None]
        if end is not None and end > duration + TOLERANCE_S:
            detail = f"{stretch.recording} has {duration:.3f} s, listed to {end:g}"
            self._note(stretch.source, Code.SHORT_RECORDING, detail)
        end = duration if end is None else min(end, duration)
        places = spans(start, end, self._clip_s, self._hop_s) if start < end else []
        return self._checked(stretch, start, end, places)

    def _checked(
        self, stretch: Stretch, start: float, end: float, places: Sequence[Span | None]
    ) -> Sequence[Span | None]:
        if 0 <= start < end:
            return places
        detail = f"expected 0 <= start < end, got {start:g} and {end:g}"
        if stretch.end_s is None or start < stretch.end_s:
            detail = f"{stretch.recording} ends at {end:g} s, before {start:g} s"
        self._note(stretch.source, Code.BAD_TIME, detail)
        return []

    def give_events(
        self,
        recording: str,
        events: Iterable[TimedEvent],
        clips: Sequence[CutClip],
    ) -> None:
        """Gives clips of a recording their parts of its events."""
        ends = (0.0, math.inf)
        borders = Borders([clip.span or ends for clip in clips])
        for event in events:
            source, label = event.source, self._classes.names[event.label]
            parts = borders.parts(event.onset, event.offset)
            if event.offset == 0:  # it is somewhere
                parts = [(index, 0.0, 0.0) for index in range(len(clips))]
            for index, onset, offset in parts:
                clip = clips[index]
                row = EventRow(clip.clip_id, onset, offset, label, source.line)
                clip.events.append((row, source.path))
            if finding := self._misplaced(recording, event, is_lost=not parts):
                self._note(source, *finding)

    def _misplaced(
        self, recording: str, event: TimedEvent, *, is_lost: bool
    ) -> tuple[Code, str] | None:
        """What is wrong with the place of an event, if anything is."""
        duration = self._durations.get(recording)
        when = f"{event.onset:g} to {event.offset:g} s of {recording}"
        if is_lost and duration is not None and event.onset >= duration:
            return Code.AFTER_END, f"{when}, which has {duration:.3f} s"
        if is_lost:
            return Code.UNKNOWN_CLIP, f"{when}: no clip with strong labels is there"
        limit = self._clip_s + TOLERANCE_S
        if duration is not None and limit < duration < event.offset - TOLERANCE_S:
            return Code.BEYOND_END, f"{when}, which has {duration:.3f} s"
        return None

    def _duration(self, stretch: Stretch) -> float | None:
        recording = stretch.recording
        if stretch.is_there and recording not in self._durations:
            path = os.path.join(self._root, recording)
            self._durations[recording] = duration_s(path)
        return self._durations.get(recording)

    def _note(self, source: Source, code: Code, detail: str) -> None:
        self.findings.append(Finding(source.path, source.line, code, detail))


def _clip_id(stretch: Stretch, span: Span | None, *, is_cut: bool) -> str:
    name = stretch.clip_id or stretch.name
    if span is None or (stretch.clip_id and not is_cut):
        return name
    return f"{name}_{span[0]:.3f}_{span[1]:.3f}"


def _label_strong(
    of_recordings: Iterable[Sequence[CutClip]], classes: ClassList
) -> None:
    """Gives strong clips the weak labels that their events say, where none do.

    What a recording that is cut has without any event is somewhere in it: every clip
    has it.
    """
    index = classes.index_by_name
    for clips in of_recordings:
        active: dict[int, set[int]] = defaultdict(set)  # of stretches
        for clip in clips:
            active[id(clip.stretch)].update(_event_labels(clip, index))
        for clip in clips:
            labels = clip.stretch.labels
            if labels is None or clip.is_cut:
                everywhere = (labels or set()) - active[id(clip.stretch)]
                clip.labels = {*_event_labels(clip, index), *everywhere}


def _event_labels(clip: CutClip, index: dict[str, int]) -> Iterator[int]:
    return (index[row.event_label] for row, _ in clip.events if row.event_label)
