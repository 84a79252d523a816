"""A listing, looked up: stretches of recordings, each once, with classes and splits."""

import dataclasses
import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
from gcrnn_jax.data.clips.recording_names import RecordingNames
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.text import nfc
from gcrnn_jax.errors import DataError

_SPLIT_NAMES = {
    **dict.fromkeys(("training", "train"), SPLITS[0]),
    **dict.fromkeys(("validation", "valid", "val", "dev"), SPLITS[1]),
    **dict.fromkeys(("testing", "test"), SPLITS[2]),
    **dict.fromkeys(("evaluation", "eval"), SPLITS[3]),
}


def split_of_name(name: str) -> str | None:
    """The split that a list or folder means, if it is one.

    Example:
        >>> split_of_name("Train"), split_of_name("dev"), split_of_name("dog")
        ('training', 'validation', None)
    """
    return _SPLIT_NAMES.get(name.strip().lower())


@dataclasses.dataclass(slots=True)
class Stretch:
    """A recording, or a stretch of one, of which something is known.

    Attributes:
        recording: Path below the folder; where there is no file, what lists call it.
        is_there: Whether there is a file.
        name: Of its clips, before their times; unique to the recording.
        start_s: In the recording; None: its start.
        end_s: In the recording; None: its end.
        split: One of SPLITS; None: not stated.
        labels: Its weak labels; None: they are not known.
        has_events: Whether all its events are.
        source: Where it is listed first.
        clip_id: As a list gives it, or None.
    """

    recording: str
    is_there: bool
    name: str
    start_s: float | None
    end_s: float | None
    split: str | None
    labels: set[int] | None
    has_events: bool
    source: Source
    clip_id: str | None


@dataclasses.dataclass(slots=True)
class TimedEvent:
    """An event of a recording, in its seconds."""

    onset: float
    offset: float
    label: int
    source: Source
    is_used: bool = False


@dataclasses.dataclass
class Stretches:
    """All that a listing says.

    Attributes:
        classes: Of the labels.
        clips: In the order of the listing.
        events: Recording, as in `Stretch` -> its events.
        findings: Rows that could not be used, or are odd.
    """

    classes: ClassList
    clips: list[Stretch]
    events: dict[str, list[TimedEvent]]
    findings: list[Finding]


def look_up(listing: Listing, names: RecordingNames) -> tuple[Stretches, list[Finding]]:
    """Finds the recording, the classes and the split of everything that is listed.

    Args:
        listing: Of a layout.
        names: The recordings of the folder.

    Returns:
        Every stretch once, with the labels of all its rows. Rows are left out and noted
        that are of an unknown class (UNKNOWN_LABEL) or of a split of an unknown name
        (BAD_ROW), events whose times are none (BAD_TIME), and events of recordings that
        are not listed (UNKNOWN_CLIP). DUPLICATE notes labels that come again,
        CLASSES_ALIKE labels that are hardly others, where no class list is. And what
        keeps the folder from being used: AMBIGUOUS.
    """
    found = _Lookup(listing.classes or _labels_as_classes(listing), names)
    if listing.classes is None:
        found.findings += _alike(listing, found.classes)
    states_splits = any(clip.split is not None for clip in listing.clips)
    for clip in listing.clips:
        found.add_clip(clip, states_splits=states_splits)
    for event in listing.events:
        found.add_event(event)
    called = _unique(found.called)
    for clip in found.clips.values():
        clip.name = called[clip.recording]
    clips, events = [*found.clips.values()], dict(found.events)
    return Stretches(found.classes, clips, events, found.findings), found.ambiguous


class _Lookup:
    """Goes through a listing."""

    def __init__(self, classes: ClassList, names: RecordingNames):
        self._names = names
        self.classes = classes
        self._index = {**classes.index_by_id, **classes.index_by_name}
        # name in lists -> recording; "": several, of different splits
        self._meant: dict[str, str] = {}
        self._lost: set[str] = set()  # names in rows that are not used
        self._is_ambiguous: set[tuple[str, str]] = set()  # names and splits
        self.called: dict[str, str] = {}  # recording -> what lists call it
        self.clips: dict[tuple, Stretch] = {}
        self.events: dict[str, list[TimedEvent]] = defaultdict(list)
        self.findings: list[Finding] = []
        self.ambiguous: list[Finding] = []

    def add_clip(self, clip: ListedClip, *, states_splits: bool) -> None:
        """Takes a row in, or says why not."""
        split = split_of_name(clip.split or "")
        labels, unknown = self._label_set(clip)
        if states_splits and split is None:
            self._note(clip.source, Code.BAD_ROW, _unknown_split(clip.split))
        if unknown:
            detail = self.classes.unknown_name(unknown)
            self._note(clip.source, Code.UNKNOWN_LABEL, detail)
        if unknown or (states_splits and split is None):
            self._lost.add(clip.recording)
            return
        recording, is_there = self._recording(clip, split or "")
        stretch = Stretch(
            recording=recording,
            is_there=is_there,
            name="",
            start_s=clip.start_s,
            end_s=clip.end_s,
            split=split,
            labels=labels,
            has_events=clip.has_events,
            source=clip.source,
            clip_id=clip.clip_id,
        )
        key = recording, clip.start_s, clip.end_s, split
        first = self.clips.setdefault(key, stretch)
        if first is not stretch:
            self._unite(first, stretch, clip.recording)

    def add_event(self, event: ListedEvent) -> None:
        """Takes an event in, or says why not."""
        name, onset, offset, label, source = event
        recording = self._meant.get(name)
        if recording is None:
            recording = self._found(name, source)
        elif not recording:
            places = "recordings of several splits"
            detail = f"{name} may be any of {places}: name it with its folder"
            finding = Finding(source.path, source.line, Code.AMBIGUOUS, detail)
            self.ambiguous.append(finding)
            return
        if recording not in self.called:
            if name not in self._lost:
                detail = f"{name!r} is not a recording of the listed clips"
                self._note(source, Code.UNKNOWN_CLIP, detail)
        elif not 0 <= onset <= offset:
            detail = f"expected 0 <= onset <= offset, got {onset:g} and {offset:g}"
            self._note(source, Code.BAD_TIME, detail)
        elif (k := self._index.get(nfc(label))) is None:
            detail = self.classes.unknown_name(nfc(label))
            self._note(source, Code.UNKNOWN_LABEL, detail)
        else:
            self.events[recording].append(TimedEvent(onset, offset, k, source))

    def _recording(self, clip: ListedClip, split: str) -> tuple[str, bool]:
        """The recording of a row, and whether it is there."""
        name, source = clip.recording, clip.source
        path = self._found(name, source, split)
        inside = path if path == name else self._names.inside(name) or nfc(name)
        inside = clip_id_of_file(inside)
        recording = path or inside
        if self._meant.setdefault(name, recording) != recording:
            self._meant[name] = ""
        self.called.setdefault(recording, inside)
        return recording, bool(path)

    def _found(self, name: str, source: Source, split: str = "") -> str:
        """The recording that has a name, or ""."""
        found = self._names.find(name, split)
        if found.others and (name, split) not in self._is_ambiguous:
            self._is_ambiguous.add((name, split))
            places = ", ".join((found.path or "", *found.others))
            detail = f"{name} may be any of {places}: name it with its folder"
            finding = Finding(source.path, source.line, Code.AMBIGUOUS, detail)
            self.ambiguous.append(finding)
        return found.path or ""

    def _label_set(self, clip: ListedClip) -> tuple[set[int] | None, str]:
        """The classes of a row, and a label that is none."""
        if clip.labels is None:
            return None, ""
        index, names = self._index, [nfc(label) for label in clip.labels]
        unknown = next((name for name in names if name not in index), "")
        return {index[name] for name in names if name in index}, unknown

    def _unite(self, first: Stretch, again: Stretch, name: str) -> None:
        if first.labels is None or again.labels is None:
            if first.labels != again.labels and not (
                first.has_events or again.has_events
            ):
                where = _where(first.source, again.source)
                detail = f"{name} is in {where} too, with labels in one of them"
                self._note(again.source, Code.DUPLICATE, detail)
            first.labels = again.labels if first.labels is None else first.labels
        elif first.labels >= again.labels or not first.labels:
            where = _where(first.source, again.source)
            detail = f"{name} is in {where} too; labels united"
            self._note(again.source, Code.DUPLICATE, detail)
        if first.labels is not None:
            first.labels = first.labels | (again.labels or set())
        first.has_events |= again.has_events

    def _note(self, source: Source, code: Code, detail: str) -> None:
        self.findings.append(Finding(source.path, source.line, code, detail))


def _where(place: Source, other: Source) -> str:
    """A place, to be named beside another."""
    is_same = place.path == other.path
    return f"line {place.line}" if is_same else f"{place.path}:{place.line}"


def _alike(listing: Listing, classes: ClassList) -> Iterator[Finding]:
    """Labels that are classes of their own, yet hardly differ from others."""
    first: dict[str, str] = {}
    alike = {}
    for name in classes.names:
        folded = re.sub(r"[\W_]+", " ", name.casefold()).strip()
        if (other := first.setdefault(folded or name, name)) != name:
            alike[name] = other
    for label, source in _labels(listing) if alike else ():
        if (other := alike.pop(label, None)) is not None:
            detail = f"{label!r} is a class beside {other!r}"
            yield Finding(source.path, source.line, Code.CLASSES_ALIKE, detail)


def _labels(listing: Listing) -> Iterator[tuple[str, Source]]:
    for clip in listing.clips:
        yield from ((nfc(label), clip.source) for label in clip.labels or ())
    yield from ((nfc(event.label), event.source) for event in listing.events)


def _labels_as_classes(listing: Listing) -> ClassList:
    """Makes a class of every label that may be one, in the order of their names."""
    names = {nfc(event.label) for event in listing.events}
    names.update(nfc(label) for clip in listing.clips for label in clip.labels or ())
    names = sorted(filter(_is_class, names))
    return ClassList(tuple(names), tuple(names))


def _is_class(name: str) -> bool:
    try:
        return bool(ClassList((name,), (name,)))
    except DataError:
        return False


def _unknown_split(name: str | None) -> str:
    expected = f"expected a split, {', '.join(SPLITS)}"
    if name is None or not name.strip():
        return f"{expected}, as other rows have, got none"
    [nearest] = difflib.get_close_matches(name.lower(), _SPLIT_NAMES, 1, cutoff=0.0)
    return f"{expected}, got {name!r}; the nearest is {nearest!r}"


def _unique(called: Mapping[str, str]) -> dict[str, str]:
    """Names recordings by their whole paths where lists call several alike."""
    for name_of in (clip_id_of_file, str):
        counts = Counter(called.values())
        called = {
            recording: name if counts[name] == 1 else name_of(recording)
            for recording, name in called.items()
        }
    return dict(called)
