"""Posteriors of a system on a labelled split -> tags, active frames and events."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.data.lists.event_tables import ScoredEvent
from gcrnn_jax.data.store import EventTuple, Split
from gcrnn_jax.detection.events import (
    class_numbers,
    run_times,
    segment_roll,
    segments_of_times,
)
from gcrnn_jax.detection.posteriors import PosteriorSet, first_difference
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.runs import Runs
from gcrnn_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What a system decides: the tags of every clip and the frames of every event."""

    tags: np.ndarray  # bool [N, K]
    roll: np.ndarray | Runs  # bool [N, T, K]

    @functools.cached_property
    def runs(self) -> Runs:
        """The roll as runs."""
        return self.roll if isinstance(self.roll, Runs) else Runs.from_roll(self.roll)


class EventTimes(NamedTuple):
    """Events of several clips; [E] each, clips ascending."""

    clips: np.ndarray  # int
    classes: np.ndarray  # int
    onsets: np.ndarray  # float, in seconds
    offsets: np.ndarray

    def select(self, events: np.ndarray) -> "EventTimes":
        """Some of them: int [e], or bool [E]."""
        return EventTimes(*(column[events] for column in self))

    def segments(self, first: int, shape: tuple[int, int, int]) -> np.ndarray:
        """The segments of 1 s that they touch, bool [n, S, K]; row 0 is clip first."""
        ends = np.searchsorted(self.clips, [first, first + shape[0]])
        some = self.select(np.arange(*ends))
        rows = some.clips - first, some.classes
        return segments_of_times(rows, some.onsets, some.offsets, shape)


def decide(posteriors: PosteriorSet, postprocessing: Postprocessing) -> Decisions:
    """Applies thresholds and post-processing to all clips."""
    is_clip = np.ones(len(posteriors.clip), bool)
    return decide_parts(posteriors, [(is_clip, postprocessing)])


def decide_parts(
    posteriors: PosteriorSet, parts: Sequence[tuple[np.ndarray, Postprocessing]]
) -> Decisions:
    """Applies to each part of the clips, bool [N], rules of its own."""
    tags = np.zeros(posteriors.clip.shape, bool)
    for is_clip, rules in parts:
        tags[is_clip] = rules.tags(posteriors.clip[is_clip])
    found = []
    for clips, frame in posteriors.blocks():
        for is_clip, rules in parts:
            is_wanted = np.broadcast_to(is_clip[clips, None], tags[clips].shape)
            if rules.require_clip_tag:
                is_wanted = is_wanted & tags[clips]
            rows, *runs = rules.detect_runs(frame, is_wanted, posteriors.hop_s)
            found.append((rows + clips.start, *runs))
    runs = Runs.joined(posteriors.frame.shape, found)
    return Decisions(tags, runs if len(parts) == 1 else runs.in_order())


def reference_events(split: Split) -> dict[str, list[Event]]:
    """The strong labels of a split, clips without any event included.

    Events of no length are none, as in lists that `evaluate` scores.
    """
    events = _strong_labels(split)
    return {
        clip: [Event(*event) for event in events.get(clip, ()) if event[0] < event[1]]
        for clip in split.clip_ids
    }


def _strong_labels(split: Split) -> Mapping[str, Sequence[EventTuple]]:
    # what is scored may be anything that has labels, and need not know of kinds
    if getattr(split, "known", None) is not None:
        raise DataError(
            f"the labels of split {split.name} are of several kinds, expected of one: "
            "score split.scored()"
        )
    return split.events or {}


def reference_segments(
    posteriors: PosteriorSet, split: Split, clips: np.ndarray
) -> np.ndarray:
    """Which seconds each class is active in, in the clips int [n]: bool [n, S, K]."""
    every = reference_events(split)
    events = [every[split.clip_ids[n]] for n in clips]
    seconds = clip_seconds(posteriors)
    latest = max([seconds, *(e.offset for of_clip in events for e in of_clip)])
    shape = math.ceil(latest), split.class_names
    return np.stack([segment_roll(of_clip, *shape) for of_clip in events])


def estimated_times(decisions: Decisions, posteriors: PosteriorSet) -> EventTimes:
    """The events of every clip, in the order of `Runs`."""
    runs = decisions.runs
    return times_of_runs(runs.clips, runs.classes, runs.first, runs.end, posteriors)


def times_of_runs(
    clips: np.ndarray,
    classes: np.ndarray,
    first: np.ndarray,
    end: np.ndarray,
    posteriors: PosteriorSet,
) -> EventTimes:
    """The events of runs of active frames, int [R] each, as `decode_events`."""
    times = run_times(first, end, posteriors.hop_s, posteriors.clip_s)
    events = EventTimes(clips, classes, *times)
    return events.select(events.onsets < events.offsets)


def reference_times(split: Split) -> EventTimes:
    """The events of `reference_events`."""
    events = list(reference_events(split).values())
    clips = np.repeat(np.arange(len(events)), [len(of_clip) for of_clip in events])
    flat = [event for of_clip in events for event in of_clip]
    classes = class_numbers((label for *_, label in flat), split.class_names)
    onsets, offsets = (np.array([e[n] for e in flat], float) for n in (0, 1))
    return EventTimes(clips, classes, onsets, offsets)


def estimated_events(
    decisions: Decisions, posteriors: PosteriorSet
) -> dict[str, list[Event]]:
    """The events of every clip, by onset and then by class; also clips without any."""
    found, names = estimated_times(decisions, posteriors), posteriors.class_names
    found = found.select(_by_onset(found))
    events: list[list[Event]] = [[] for _ in posteriors.clip_ids]
    columns = found.clips, found.onsets, found.offsets, found.classes
    for clip, onset, offset, k in zip(*(c.tolist() for c in columns), strict=True):
        events[clip].append(Event(onset, offset, names[k]))
    return dict(zip(posteriors.clip_ids, events, strict=True))


def scored_events(
    decisions: Decisions, posteriors: PosteriorSet
) -> dict[str, list[ScoredEvent]]:
    """The events of `estimated_events` with their scores."""
    found = estimated_times(decisions, posteriors)
    firsts, ends = (
        np.rint(times / posteriors.hop_s).astype(int)  # but at the end of the clip
        for times in (found.onsets, found.offsets)
    )
    scores = np.zeros(len(firsts))
    for clips, frame in posteriors.blocks():
        some = slice(*np.searchsorted(found.clips, [clips.start, clips.stop]).tolist())
        columns = found.clips - clips.start, firsts, ends, found.classes
        rows = zip(*(column[some].tolist() for column in columns), strict=True)
        scores[some] = [frame[n, a : max(a + 1, b), k].max() for n, a, b, k in rows]
    ranked = iter(scores[_by_onset(found)].tolist())
    return {
        clip: [ScoredEvent(*event, next(ranked)) for event in of_clip]
        for clip, of_clip in estimated_events(decisions, posteriors).items()
    }


def _by_onset(events: EventTimes) -> np.ndarray:
    """The order of events by clip, onset and class, int [E]."""
    return np.lexsort((events.classes, events.onsets, events.clips))


def scored_tags(
    decisions: Decisions, posteriors: PosteriorSet
) -> dict[str, list[ScoredEvent]]:
    """The tags of every clip, by falling posterior; each lasts as long as a clip."""
    seconds, names = clip_seconds(posteriors), posteriors.class_names
    tags: dict[str, list[ScoredEvent]] = {}
    clips = zip(posteriors.clip_ids, decisions.tags, posteriors.clip, strict=True)
    for clip_id, is_tag, posterior in clips:
        order = np.argsort(-posterior, kind="stable")
        found = ((names[k], float(posterior[k])) for k in order if is_tag[k])
        tags[clip_id] = [ScoredEvent(0.0, seconds, *one) for one in found]
    return tags


def clip_seconds(posteriors: PosteriorSet) -> float:
    """When the last frame of a whole clip ends."""
    seconds = round(posteriors.frame.shape[1] * posteriors.hop_s, 6)
    return min(seconds, posteriors.clip_s or seconds)


def check_same_clips(posteriors: PosteriorSet, split: Split) -> None:
    """Raises DataError unless the posteriors are of a split's clips and classes.

    And where its labels are not all of a kind.
    """
    _strong_labels(split)
    if difference := first_difference(split.clip_ids, posteriors.clip_ids):
        raise DataError(f"the posteriors are not of split {split.name}: {difference}")
    if posteriors.class_names != split.class_names:
        raise DataError(
            f"the posteriors are of other classes than split {split.name}: "
            f"{posteriors.class_names}, expected {split.class_names}"
        )
