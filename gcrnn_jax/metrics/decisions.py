"""Posteriors of a system on a labelled split -> tags, active frames and events."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.data.store import EventTuple, Split
from gcrnn_jax.detection.events import decode_events, segment_roll
from gcrnn_jax.detection.posteriors import PosteriorSet, first_difference
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What a system decides: the tags of every clip and the frames of every event."""

    tags: np.ndarray  # bool [N, K]
    roll: np.ndarray  # bool [N, T, K]


def decide(posteriors: PosteriorSet, postprocessing: Postprocessing) -> Decisions:
    """Applies thresholds and post-processing to all clips."""
    return Decisions(
        postprocessing.tags(posteriors.clip),
        postprocessing.detect(posteriors.frame, posteriors.clip, posteriors.hop_s),
    )


def reference_events(split: Split) -> dict[str, list[Event]]:
    """The strong labels of a split, clips without any event included."""
    events: Mapping[str, Sequence[EventTuple]] = split.events or {}
    return {c: [Event(*event) for event in events.get(c, ())] for c in split.clip_ids}


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


def select_clips(posteriors: PosteriorSet, clips: np.ndarray) -> PosteriorSet:
    """Those of some clips, whose numbers are int [n]."""
    names = tuple(posteriors.clip_ids[n] for n in clips)
    clip, frame = posteriors.clip[clips], posteriors.frame[clips]
    return dataclasses.replace(posteriors, clip_ids=names, clip=clip, frame=frame)


def estimated_events(
    decisions: Decisions, posteriors: PosteriorSet
) -> dict[str, list[Event]]:
    """The events of every clip, those without any included."""
    rule = posteriors.hop_s, posteriors.class_names, posteriors.clip_s
    return {
        clip: decode_events(roll, *rule)
        for clip, roll in zip(posteriors.clip_ids, decisions.roll, strict=True)
    }


def clip_seconds(posteriors: PosteriorSet) -> float:
    """When the last frame of a whole clip ends."""
    seconds = round(posteriors.frame.shape[1] * posteriors.hop_s, 6)
    return min(seconds, posteriors.clip_s or seconds)


def check_same_clips(posteriors: PosteriorSet, split: Split) -> None:
    """Raises DataError unless the posteriors are of a split's clips and classes."""
    if difference := first_difference(split.clip_ids, posteriors.clip_ids):
        raise DataError(f"the posteriors are not of split {split.name}: {difference}")
    if posteriors.class_names != split.class_names:
        raise DataError(
            f"the posteriors are of other classes than split {split.name}: "
            f"{posteriors.class_names}, expected {split.class_names}"
        )
