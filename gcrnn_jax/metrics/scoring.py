"""Posteriors of a system and a labelled split -> decisions -> scores."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from gcrnn_jax.data.event_lists import Event
from gcrnn_jax.data.store import EventTuple, Split
from gcrnn_jax.detection.events import decode_events, segment_roll
from gcrnn_jax.detection.posteriors import PosteriorSet, first_difference
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import (
    FoundThresholds,
    cross_fit,
    event_thresholds,
    tag_thresholds,
)
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.segment import SegmentScores, segment_scores
from gcrnn_jax.metrics.tagging import TaggingScores, tagging_scores


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What a system decides: the tags of every clip and the frames of every event."""

    tags: np.ndarray  # bool [N, K]
    roll: np.ndarray  # bool [N, T, K]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one system on one split; detection is None without strong labels."""

    tagging: TaggingScores
    detection: SegmentScores | None


def decide(posteriors: PosteriorSet, postprocessing: Postprocessing) -> Decisions:
    """Applies thresholds and post-processing to all clips."""
    return Decisions(
        postprocessing.tags(posteriors.clip),
        postprocessing.detect(posteriors.frame, posteriors.clip, posteriors.hop_s),
    )


def find_thresholds(
    posteriors: PosteriorSet, split: Split, *, per_class: bool = True
) -> Postprocessing:
    """The system's post-processing with the thresholds that fit a split best.

    Never to be scored on the same clips. Event thresholds stay as they are where the
    split has no strong labels. `per_class=False` finds one for all classes.
    """
    check_same_clips(posteriors, split)
    found = _find(posteriors, split, np.arange(len(split)), per_class)
    return dataclasses.replace(found, chosen_on=split.content_hash)


def decide_cross_fitted(
    posteriors: PosteriorSet, split: Split, *, per_class: bool = True
) -> Decisions:
    """Decides each half of the clips with the thresholds that the other half chose.

    For when one labelled split is all there is: no label has a say in its own score.
    """
    check_same_clips(posteriors, split)
    plain = decide(posteriors, posteriors.postprocessing)
    tags, roll = plain.tags.copy(), plain.roll.copy()
    for fit, apply in cross_fit(len(split), seed=0):  # lists are sorted by class
        found = _find(posteriors, split, fit, per_class)
        decisions = decide(_select(posteriors, apply), found)
        tags[apply], roll[apply] = decisions.tags, decisions.roll
    return Decisions(tags, roll)


def score(decisions: Decisions, posteriors: PosteriorSet, split: Split) -> Scores:
    """Scores decisions against the labels of a split, clip by clip."""
    check_same_clips(posteriors, split)
    names = posteriors.class_names
    tagging = tagging_scores(split.weak_label, decisions.tags, posteriors.clip, names)
    detection = None
    if split.events is not None:
        detection = segment_scores(
            reference_events(split), estimated_events(decisions, posteriors), names
        )
    return Scores(tagging, detection)


def best_constant(split: Split, posteriors: PosteriorSet) -> Decisions:
    """The best answer that never listens: the same classes in every frame of all clips.

    Takes the most frequent classes, as many as give the best tagging micro-F1; a
    score means something by how far it is above this one.
    """
    counts = split.weak_label.sum(0)
    order = np.argsort(-counts, kind="stable")
    sizes = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(counts[order]) / (sizes * len(split) + counts.sum())
    tags = np.zeros((len(split), len(order)), bool)
    tags[:, order[: f1.argmax() + 1]] = True
    num_frames = posteriors.frame.shape[1]
    return Decisions(tags, np.repeat(tags[:, None], num_frames, axis=1))


def reference_events(split: Split) -> dict[str, list[Event]]:
    """The strong labels of a split, clips without any event included."""
    events: Mapping[str, Sequence[EventTuple]] = split.events or {}
    return {
        clip: [Event(on, off, label) for on, off, label in events.get(clip, ())]
        for clip in split.clip_ids
    }


def estimated_events(
    decisions: Decisions, posteriors: PosteriorSet
) -> dict[str, list[Event]]:
    """The events of every clip, those without any included."""
    return {
        clip: decode_events(roll, posteriors.hop_s, posteriors.class_names)
        for clip, roll in zip(posteriors.clip_ids, decisions.roll, strict=True)
    }


def _find(
    posteriors: PosteriorSet, split: Split, clips, per_class: bool
) -> Postprocessing:
    chosen = _select(posteriors, clips)

    def thresholds(found: FoundThresholds) -> float | tuple[float, ...]:
        return tuple(found.per_class.tolist()) if per_class else found.overall

    found = tag_thresholds(chosen.clip, split.weak_label[clips])
    base = dataclasses.replace(
        posteriors.postprocessing, tag_threshold=thresholds(found)
    )
    if split.events is None:
        return base
    seconds = chosen.frame.shape[1] * chosen.hop_s
    reference = reference_events(split)
    latest = [e.offset for clip in reference.values() for e in clip]
    num_segments = int(np.ceil(max([seconds, *latest])))
    rolls = [
        segment_roll(reference[clip], num_segments, chosen.class_names)
        for clip in chosen.clip_ids
    ]
    found = event_thresholds(
        chosen.frame, chosen.clip, np.stack(rolls), chosen.hop_s, base
    )
    return dataclasses.replace(base, event_threshold=thresholds(found))


def _select(posteriors: PosteriorSet, clips) -> PosteriorSet:
    return dataclasses.replace(
        posteriors,
        clip_ids=tuple(posteriors.clip_ids[i] for i in clips),
        clip=posteriors.clip[clips],
        frame=posteriors.frame[clips],
    )


def check_same_clips(posteriors: PosteriorSet, split: Split) -> None:
    """Raises DataError unless the posteriors are of a split's clips and classes."""
    if difference := first_difference(split.clip_ids, posteriors.clip_ids):
        raise DataError(f"the posteriors are not of split {split.name}: {difference}")
    if posteriors.class_names != split.class_names:
        raise DataError(
            f"the posteriors are of other classes than split {split.name}: "
            f"{posteriors.class_names}, expected {split.class_names}"
        )
