"""Systems scored on one split, with thresholds that its labels did not choose."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.data.clips.division import source_of
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.calibration import Probabilities
from gcrnn_jax.detection.cross_fitting import cross_fit
from gcrnn_jax.detection.medians import best_medians_of_parts
from gcrnn_jax.detection.posterior_files import is_map
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing, Threshold
from gcrnn_jax.detection.runs import Runs
from gcrnn_jax.detection.tag_thresholds import best_tag_thresholds
from gcrnn_jax.detection.thresholds import (
    BestThresholds,
    best_event_thresholds_of_parts,
)
from gcrnn_jax.metrics.decisions import (
    Decisions,
    check_same_clips,
    decide,
    decide_parts,
    reference_segments,
)
from gcrnn_jax.metrics.probabilities import fit_probabilities
from gcrnn_jax.metrics.scoring import Scores, score
from gcrnn_jax.metrics.uncertainty import Estimate, Figure

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
    figures: Sequence[Figure] = ()  # with their intervals; see `evaluation.labelled`
    notes: Sequence[str] = ()  # on the figures, and on how sure they are
    # of the columns of the table, by their keys
    estimates: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    # of its posteriors, where thresholds were fitted: by the labels of the same clips
    probabilities: Probabilities | None = None

    @property
    def probabilities_elsewhere(self) -> Probabilities | None:
        """Those that labels of other clips fitted; None: there are none."""
        return self.probabilities if self.postprocessing else None

    def without_large_frames(self) -> "Row":
        """The same; frames that lie in a file are silent, and the file is let go."""
        if not is_map(self.posteriors.frame):
            return self
        return dataclasses.replace(self, posteriors=self.posteriors.without_frames())


class Evaluator:
    """Scores systems on one split."""

    def __init__(
        self,
        split: Split,
        fit_split: Split | None,
        *,
        per_class: bool = True,
        shrinkage: float = 0.0,
        calibrated: bool = False,
        medians_s: tuple[float, ...] = (),
        groups: Sequence[str] | None = None,
        others: Iterable[Split] = (),
    ):
        """Thresholds come from fit_split, or by cross-fitting where there is none.

        Per_class, shrinkage, calibrated and medians_s: as of `fit_thresholds`. Groups:
        as of `decide_cross_fitted`. Others: splits that a system's own thresholds may
        have been found on, to call them by name.
        """
        self.split, self.fit_split = split, fit_split
        self.options = _Options(per_class, shrinkage, calibrated, medians_s)
        self.groups = sources_of(split) if groups is None else groups
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

        Without any, those of each half of the clips are fitted to the other half. Clips
        of a single recording have no halves: thresholds stay as they are.
        """
        if self.fit_split is not None and fit is not None:
            fitted = fit_thresholds(fit, self.fit_split, **self.options._asdict())
            name, decisions = self.fit_split.name, decide(posteriors, fitted)
            row = self._row(system, name, posteriors, decisions, fitted, fitted)
            probabilities = fit_probabilities(fit, self.fit_split)
            return dataclasses.replace(row, probabilities=probabilities)
        if len(set(self.groups)) < 2:
            return self.with_own_thresholds(system, posteriors)
        halves = cross_fit(len(self.split), self.groups)
        halves, fitted = _cross_fit(posteriors, self.split, halves, self.options)
        decisions = decide_parts(posteriors, halves)
        row = self._row(system, "other half", posteriors, decisions, None, fitted)
        probabilities = fit_probabilities(posteriors, self.split)
        return dataclasses.replace(row, probabilities=probabilities)

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
        decisions = Decisions(tags, Runs.of_tags(tags, posteriors.frame.shape[1]))
        without = posteriors.without_frames()
        silent = dataclasses.replace(without, clip=posteriors.clip * 0)
        name, rules = "the same for all clips", posteriors.postprocessing
        return self._row(name, "", silent, decisions, None, rules)

    def _row(self, system, thresholds, posteriors, decisions, *rules) -> Row:
        scores = score(decisions, posteriors, self.split)
        return Row(system, thresholds, posteriors, decisions, scores, *rules)


class _Options(NamedTuple):
    per_class: bool = True
    shrinkage: float = 0.0
    calibrated: bool = False
    medians_s: tuple[float, ...] = ()


def fit_thresholds(
    posteriors: PosteriorSet,
    split: Split,
    *,
    per_class: bool = True,
    shrinkage: float = 0.0,
    calibrated: bool = False,
    medians_s: tuple[float, ...] = (),
) -> Postprocessing:
    """The system's post-processing with the thresholds that fit a split best.

    Never to be scored on the same clips. Event thresholds stay as they are where the
    split has no strong labels. Not per_class: one threshold for all classes.
    Shrinkage: the threshold of a class that n clips have is the mean of its own best,
    counted n times, and of the best for all classes, counted so many times. Calibrated:
    in place of the latter, the one at which the class is as probable as all others are
    at theirs; see `calibration`. Medians_s: lengths of which each class gets the best
    one as its `median_s`; none: it stays as it is.

    Raises:
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    options = _Options(per_class, shrinkage, calibrated, medians_s)
    [fitted] = _fit(posteriors, split, [np.ones(len(split), bool)], options)
    return dataclasses.replace(fitted, chosen_on=split.content_hash)


def sources_of(split: Split) -> list[str]:
    """The recording that each clip was cut from, by its id; most by themselves."""
    return [source_of(clip_id) for clip_id in split.clip_ids]


def decide_cross_fitted(
    posteriors: PosteriorSet,
    split: Split,
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    **options: Any,
) -> Decisions:
    """Decides each half of the clips with thresholds fitted to the other half.

    No label has a say in its own score.

    Args:
        posteriors: Of the clips of the split.
        split: With their labels.
        groups: Of the clips, [N], as of `cross_fit`; None: clips of one recording.
        seed: Of the halves.
        options: Those of `fit_thresholds`.

    Raises:
        ConfigError: There are fewer than two groups.
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    groups = sources_of(split) if groups is None else groups
    halves = cross_fit(len(split), groups, seed)
    parts, _ = _cross_fit(posteriors, split, halves, _Options(**options))
    return decide_parts(posteriors, parts)


def _cross_fit(
    posteriors: PosteriorSet,
    split: Split,
    halves: Sequence[tuple[np.ndarray, np.ndarray]],
    options: _Options,
) -> tuple[list[tuple[np.ndarray, Postprocessing]], Postprocessing]:
    """Each half, bool [N], and the rules that the other gives it; those of all clips.

    All three are fitted while posteriors are read once.
    """
    check_same_clips(posteriors, split)
    is_fit = [np.isin(np.arange(len(split)), fit) for fit, _ in halves]
    every = np.ones(len(split), bool)
    *rules, of_all = _fit(posteriors, split, [*is_fit, every], options)
    fitted = dataclasses.replace(of_all, chosen_on=split.content_hash)
    return [(~fit, of_fit) for fit, of_fit in zip(is_fit, rules, strict=True)], fitted


def _fit(
    posteriors: PosteriorSet,
    split: Split,
    parts: Sequence[np.ndarray],
    options: _Options,
) -> list[Postprocessing]:
    """The thresholds that fit each of some parts of the clips, bool [N], best."""

    def threshold(best: BestThresholds, part: np.ndarray) -> Threshold:
        if not options.per_class:
            return best.overall
        count, shrinkage = split.weak_label[part].sum(0), options.shrinkage
        own = count / np.maximum(count + shrinkage, 1) if shrinkage else 1
        other = best.calibrated if options.calibrated else best.overall
        return tuple((own * best.per_class + (1 - own) * other).tolist())

    bases, rules = [], posteriors.postprocessing
    for part in parts:
        best = best_tag_thresholds(
            posteriors.clip[part],
            split.weak_label[part],
            at_least_one=rules.at_least_one_tag,
        )
        bases.append(dataclasses.replace(rules, tag_threshold=threshold(best, part)))
    if split.events is None:
        return bases
    arrays = (
        posteriors.frame,
        posteriors.clip,
        reference_segments(posteriors, split, np.arange(len(split))),
        posteriors.hop_s,
    )
    pairs, clip_s = list(zip(parts, bases, strict=True)), posteriors.clip_s
    if options.medians_s:
        medians_s = options.medians_s
        bases = best_medians_of_parts(
            *arrays, pairs, medians_s=medians_s, clip_s=clip_s
        )
        pairs = list(zip(parts, bases, strict=True))
    every = best_event_thresholds_of_parts(*arrays, pairs, clip_s=clip_s)
    return [
        dataclasses.replace(base, event_threshold=threshold(best, part))
        for base, best, part in zip(bases, every, parts, strict=True)
    ]
