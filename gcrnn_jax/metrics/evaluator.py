"""Systems scored on one split, with thresholds that its labels did not choose."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing, Threshold
from gcrnn_jax.detection.thresholds import (
    BestThresholds,
    best_event_thresholds,
    best_tag_thresholds,
    cross_fit,
)
from gcrnn_jax.metrics.decisions import (
    Decisions,
    check_same_clips,
    decide,
    reference_segments,
    select_clips,
)
from gcrnn_jax.metrics.scoring import Scores, score

CHOSEN_HERE = "these clips"  # thresholds that say nothing of other clips
CHOSEN_ELSEWHERE = "other clips"


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table of systems."""

    system: str
    thresholds: str  # where they come from
    posteriors: PosteriorSet
    decisions: Decisions
    scores: Scores
    postprocessing: Postprocessing | None  # None: it differs from clip to clip
    fitted_postprocessing: Postprocessing  # the system's best for other clips


class Evaluator:
    """Scores systems on one split."""

    def __init__(
        self,
        split: Split,
        fit_split: Split | None,
        *,
        per_class: bool = True,
        others: Iterable[Split] = (),
    ):
        """Thresholds come from fit_split, or by cross-fitting where there is none.

        Per_class: one for each class; or one for all. Others: splits that a system's
        own thresholds may have been found on, to call them by name.
        """
        self.split, self.fit_split, self.per_class = split, fit_split, per_class
        self.others = tuple(others)

    def with_own_thresholds(self, system: str, posteriors: PosteriorSet) -> Row:
        """With the thresholds that the system has: fixed, or found on some clips."""
        rules, names = posteriors.postprocessing, {None: "fixed"}
        known = [*self.others, *([self.fit_split] if self.fit_split else [])]
        names |= {split.content_hash: split.name for split in known}
        names |= {self.split.content_hash: CHOSEN_HERE}
        name = names.get(rules.chosen_on, CHOSEN_ELSEWHERE)
        decisions = decide(posteriors, rules)
        return self._row(system, name, posteriors, decisions, rules, rules)

    def with_fitted_thresholds(
        self, system: str, posteriors: PosteriorSet, fit: PosteriorSet | None
    ) -> Row:
        """With thresholds fitted to the system's posteriors of the fit split.

        Without any, those of each half of the clips are fitted to the other half.
        """
        if self.fit_split is not None and fit is not None:
            fitted = fit_thresholds(fit, self.fit_split, per_class=self.per_class)
            name, decisions = self.fit_split.name, decide(posteriors, fitted)
            return self._row(system, name, posteriors, decisions, fitted, fitted)
        if len(self.split) < 2:
            return self.with_own_thresholds(system, posteriors)
        options = {"per_class": self.per_class}
        decisions = decide_cross_fitted(posteriors, self.split, **options)
        fitted = fit_thresholds(posteriors, self.split, **options)
        return self._row(system, "other half", posteriors, decisions, None, fitted)

    def best_constant(self, posteriors: PosteriorSet) -> Row:
        """The best answer without listening: the same classes in all frames and clips.

        Takes the most frequent classes, as many as give the best tagging micro-F1; a
        score means something by how far it is above this one.
        """
        counts = self.split.weak_label.sum(0)
        order = np.argsort(-counts, kind="stable")
        estimated = np.arange(1, len(order) + 1) * len(self.split)
        f1 = 2 * np.cumsum(counts[order]) / (estimated + counts.sum())
        tags = np.zeros(posteriors.clip.shape, bool)
        tags[:, order[: f1.argmax() + 1]] = True
        num_frames = posteriors.frame.shape[1]
        decisions = Decisions(tags, np.repeat(tags[:, None], num_frames, axis=1))
        silent = dataclasses.replace(posteriors, clip=posteriors.clip * 0)
        name, rules = "the same for all clips", posteriors.postprocessing
        return self._row(name, "", silent, decisions, None, rules)

    def _row(self, system, thresholds, posteriors, decisions, *rules) -> Row:
        scores = score(decisions, posteriors, self.split)
        return Row(system, thresholds, posteriors, decisions, scores, *rules)


def fit_thresholds(
    posteriors: PosteriorSet, split: Split, *, per_class: bool = True
) -> Postprocessing:
    """The system's post-processing with the thresholds that fit a split best.

    Never to be scored on the same clips. Event thresholds stay as they are where the
    split has no strong labels. Not per_class: one threshold for all classes.

    Raises:
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    fitted = _fit(posteriors, split, np.arange(len(split)), per_class)
    return dataclasses.replace(fitted, chosen_on=split.content_hash)


def decide_cross_fitted(
    posteriors: PosteriorSet, split: Split, *, per_class: bool = True
) -> Decisions:
    """Decides each half of the clips with thresholds fitted to the other half.

    No label has a say in its own score. Arguments and errors as of `fit_thresholds`.
    """
    check_same_clips(posteriors, split)
    tags = np.zeros(posteriors.clip.shape, bool)
    roll = np.zeros(posteriors.frame.shape, bool)
    for fit, apply in cross_fit(len(split)):
        fitted = _fit(posteriors, split, fit, per_class)
        decisions = decide(select_clips(posteriors, apply), fitted)
        tags[apply], roll[apply] = decisions.tags, decisions.roll
    return Decisions(tags, roll)


def _fit(
    posteriors: PosteriorSet, split: Split, clips: np.ndarray, per_class: bool
) -> Postprocessing:
    """The thresholds that fit some clips best, whose numbers are int [n]."""

    def threshold(best: BestThresholds) -> Threshold:
        return tuple(best.per_class.tolist()) if per_class else best.overall

    part = select_clips(posteriors, clips)
    best = best_tag_thresholds(part.clip, split.weak_label[clips])
    base = dataclasses.replace(part.postprocessing, tag_threshold=threshold(best))
    if split.events is None:
        return base
    reference = reference_segments(posteriors, split, clips)
    arrays, clip_s = (part.frame, part.clip, reference), part.clip_s
    best = best_event_thresholds(*arrays, part.hop_s, base, clip_s=clip_s)
    return dataclasses.replace(base, event_threshold=threshold(best))
