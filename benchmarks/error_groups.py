"""What errors have in common: labelled classes of clips, grouped by what is in them.

Of mixtures whose parts a recipe names: a background, the events with the recording and
the signal-to-noise ratio of each, and distractors, which are sounds without a label.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import Evaluator
from gcrnn_jax.metrics.decisions import estimated_times, reference_segments
from gcrnn_jax.metrics.tagging import mean_defined


@dataclass(frozen=True)
class Recipe:
    """What a clip was mixed from."""

    background: str
    distractors: tuple[str, ...]  # recordings
    events: tuple[tuple[str, str, float], ...]  # class, recording, dB


@dataclass(frozen=True)
class FoldErrors:
    """A system on the validation clips of a fold, with thresholds of the other half."""

    split: Split
    posteriors: PosteriorSet
    recipes: tuple[Recipe, ...]  # of the clips in order
    tags: np.ndarray  # bool [N, K]
    segments: np.ndarray  # bool [2, N, S, K], of the labels and of the system

    @classmethod
    def of(
        cls, split: Split, posteriors: PosteriorSet, recipes: Sequence[Recipe]
    ) -> "FoldErrors":
        """Decides with a threshold for each class, from the other half of the clips."""
        row = Evaluator(split, None).with_fitted_thresholds("", posteriors, None)
        label = reference_segments(posteriors, split, np.arange(len(split)))
        found = estimated_times(row.decisions, posteriors).segments(0, label.shape)
        segments = np.stack([label, found])
        return cls(split, posteriors, tuple(recipes), row.decisions.tags, segments)

    @property
    def label(self) -> np.ndarray:
        """Bool [N, K]."""
        return np.asarray(self.split.weak_label)

    @property
    def num_distractors(self) -> np.ndarray:
        """Int [N]."""
        return np.array([len(recipe.distractors) for recipe in self.recipes])

    @property
    def snr_db(self) -> np.ndarray:
        """The highest of each class's events in each clip, [N, K]; nan for no event."""
        snr = np.full(self.label.shape, np.nan)
        for row, recipe in zip(snr, self.recipes, strict=True):
            for label, _, value in recipe.events:
                k = self.split.class_names.index(label)
                row[k] = np.fmax(row[k], value)
        return snr

    @property
    def active_s(self) -> np.ndarray:
        """Seconds of each class's events in each clip, [N, K]."""
        seconds, events = np.zeros(self.label.shape), self.split.events or {}
        for row, clip in zip(seconds, self.split.clip_ids, strict=True):
            for onset, offset, label in events.get(clip, ()):
                row[self.split.class_names.index(label)] += offset - onset
        return seconds


@dataclass(frozen=True)
class Pair:
    """A class that a clip has, and what the system made of it."""

    fold: int
    label: str
    snr_db: float  # highest of the class's events in the clip
    active_s: float  # of the class in the clip
    num_distractors: int
    num_others: int  # other classes of the clip
    recordings: tuple[str, ...]  # of the class's events
    is_found: bool  # the tag
    posterior: float
    segments: tuple[int, int]  # seconds of the class that were found, and all


def read_recipes(path: Path, clip_ids: Sequence[str]) -> list[Recipe]:
    """Reads what the clips of a split were mixed from, in their order.

    The file has an entry a clip under its name, which begins with Y.

    Raises:
        DataError: It is missing, no such file, or lacks a clip.
    """
    try:
        content = json.loads(path.read_text())
        by_clip = {
            name.removeprefix("Y"): Recipe(
                entry["background"],
                tuple(recording for recording, _ in entry["distractors"]),
                tuple((str(c), str(r), float(snr)) for c, r, snr in entry["events"]),
            )
            for name, entry in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "expected background, distractors and events of each clip"
        raise DataError(f"{path}: {what}: {error!r}") from error
    if missing := [clip for clip in clip_ids if clip not in by_clip]:
        raise DataError(f"{path}: no entry for clip {missing[0]}")
    return [by_clip[clip] for clip in clip_ids]


def pairs_of(folds: Sequence[FoldErrors]) -> list[Pair]:
    """The labelled classes of all clips of all folds."""
    pairs = []
    for number, fold in enumerate(folds):
        reference, found = fold.segments
        hits, total = (reference & found).sum(1), reference.sum(1)
        snr_db, active_s = fold.snr_db, fold.active_s
        for n, k in np.argwhere(fold.label).tolist():
            name, recipe = fold.split.class_names[k], fold.recipes[n]
            pair = Pair(
                fold=number,
                label=name,
                snr_db=float(snr_db[n, k]),
                active_s=float(active_s[n, k]),
                num_distractors=len(recipe.distractors),
                num_others=int(fold.label[n].sum()) - 1,
                recordings=tuple(r for label, r, _ in recipe.events if label == name),
                is_found=bool(fold.tags[n, k]),
                posterior=float(fold.posteriors.clip[n, k]),
                segments=(int(hits[n, k]), int(total[n, k])),
            )
            pairs.append(pair)
    return pairs


def recalls(
    pairs: Sequence[Pair], group: Callable[[Pair], Any]
) -> dict[Any, dict[str, float]]:
    """Of the pairs of each group, sorted: number, recall, 1-s recall, mean posterior.

    `group` says which group a pair is in; None: in none.
    """
    groups = sorted({g for g in map(group, pairs) if g is not None})
    table = {}
    for name in groups:
        own = [pair for pair in pairs if group(pair) == name]
        hits, total = np.sum([pair.segments for pair in own], axis=0).tolist()
        table[name] = {
            "pairs": len(own),
            "recall": float(np.mean([pair.is_found for pair in own])),
            "segment_recall": hits / max(total, 1),
            "posterior": float(np.mean([pair.posterior for pair in own])),
        }
    return table


def intraclass_correlation(values: np.ndarray, groups: Iterable[Any]) -> float:
    """The share of the variance of values, [N], that lies between groups.

    0 where two values of a group are no more alike than of two groups (chance may bring
    it below), 1 where they are equal; nan without two groups of which one has two.

    Source: Shrout, Fleiss, "Intraclass correlations", 1979, case 1, with the mean size
        for groups of several sizes of Donner, Koval, 1980.

    Example:
        >>> intraclass_correlation(np.array([1, 1, 5, 5]), "aabb")
        1.0
    """
    groups = list(groups)
    names = sorted(set(groups))
    own = [values[[g == name for g in groups]] for name in names]
    sizes = np.array([len(x) for x in own])
    num, between = len(values), len(names) - 1
    if between < 1 or num == len(names):
        return float("nan")
    grand = values.mean()
    means = np.array([x.mean() for x in own])
    square_between = (sizes * (means - grand) ** 2).sum() / between
    square_within = sum(((x - x.mean()) ** 2).sum() for x in own) / (num - len(names))
    size = (num - (sizes**2).sum() / num) / between
    total = square_between + (size - 1) * square_within
    return float((square_between - square_within) / total) if total else float("nan")


def recording_shares(pairs: Sequence[Pair]) -> dict[str, float]:
    """Of the log odds of each class's posteriors: the share that is its recordings'.

    Of clips in which the class is heard from one recording alone, less what a line
    through their signal-to-noise ratios explains; nan where these do not differ.
    """
    shares = {}
    for label in dict.fromkeys(pair.label for pair in pairs):
        own = [p for p in pairs if p.label == label and len(p.recordings) == 1]
        if len({pair.snr_db for pair in own}) < 2:
            shares[label] = float("nan")
            continue
        posterior = np.clip([pair.posterior for pair in own], 1e-4, 1 - 1e-4)
        odds, snr = np.log(posterior / (1 - posterior)), [pair.snr_db for pair in own]
        slope, start = np.polyfit(snr, odds, 1)
        rest = odds - (start + slope * np.array(snr))
        groups = [(pair.fold, pair.recordings[0]) for pair in own]
        shares[label] = intraclass_correlation(rest, groups)
    return shares


def false_tags(
    folds: Sequence[FoldErrors], heard: Callable[[Recipe], set[str]]
) -> list[tuple[str, str, int, int, float]]:
    """Which classes are tagged without being there where something is heard.

    Args:
        folds: Of a system.
        heard: Names of what a clip has: its distractors, its classes.

    Returns:
        (tagged class, what is heard, clips with it and without the class, false tags in
        them, expected), the most above what is expected first: the false tags that as
        many clips without either have on the same fold.
    """
    counts: dict[tuple[str, str], np.ndarray] = {}
    for fold in folds:
        sets = [heard(recipe) for recipe in fold.recipes]
        for name in sorted(set().union(*sets)):
            has = np.array([name in one for one in sets])
            for k, tagged in enumerate(fold.split.class_names):
                absent, tags = ~fold.label[:, k], fold.tags[:, k]
                here, elsewhere = has & absent, ~has & absent
                if here.any() and elsewhere.any():
                    expected = here.sum() * tags[elsewhere].mean()
                    one = np.array([here.sum(), tags[here].sum(), expected])
                    counts[tagged, name] = counts.get((tagged, name), 0) + one
    found = [
        (*names, int(clips), int(tags), float(expected))
        for names, (clips, tags, expected) in counts.items()
    ]
    return sorted(found, key=lambda one: one[4] - one[3])


def as_if(
    fold: FoldErrors, *, positives: np.ndarray | None, negatives: np.ndarray | None
) -> PosteriorSet:
    """The posteriors if pairs of clip and class in a mask were as those outside.

    Each takes the posterior that has the same rank among those outside, of the same
    class, labelled or not as it is. So their number stays, and what is special to them
    goes.

    Args:
        fold: Of a system.
        positives: bool [N, K], of which those with the label are changed; None: none.
        negatives: The same for those without the label.
    """
    before, clip = fold.posteriors.clip, fold.posteriors.clip.copy()
    for inside, is_side in ((positives, fold.label), (negatives, ~fold.label)):
        if inside is None:
            continue
        for k in range(clip.shape[1]):
            own, other = inside[:, k] & is_side[:, k], ~inside[:, k] & is_side[:, k]
            if own.any() and other.any():
                clip[own, k] = same_ranks(before[own, k], before[other, k])
    return replace(fold.posteriors, clip=clip)


def as_heard(fold: FoldErrors, heard: Split, posteriors: PosteriorSet) -> PosteriorSet:
    """The posteriors if a system knew its clips as well as others, rank by rank.

    Args:
        fold: Of the system.
        heard: Clips that it knows, such as those that it was trained on.
        posteriors: Its, of them.
    """
    clip, known = fold.posteriors.clip.copy(), np.asarray(heard.weak_label)
    for k in range(clip.shape[1]):
        for is_labelled in (True, False):
            own, other = fold.label[:, k] == is_labelled, known[:, k] == is_labelled
            clip[own, k] = same_ranks(clip[own, k], posteriors.clip[other, k])
    return replace(fold.posteriors, clip=clip)


def same_ranks(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of values, [N], that of others, [M], which stands at the same rank.

    Example:
        >>> same_ranks(np.array([5, 1, 3]), np.array([0.9, 0.1, 0.2])).tolist()
        [0.9, 0.1, 0.2]
    """
    ranks = (np.argsort(np.argsort(values, kind="stable")) + 0.5) / len(values)
    return np.sort(others)[(ranks * len(others)).astype(int)]


def tag_scores(
    folds: Sequence[tuple[Split, PosteriorSet]], classes: Sequence[int] | None = None
) -> Mapping[str, float]:
    """Mean over folds of the tag F1, with thresholds of the other half, and of mAP.

    Also "best": of tags with thresholds that the same clips have chosen. Classes: those
    that are scored; None: all.
    """
    scores = []
    for split, posteriors in folds:
        row = Evaluator(split, None).with_fitted_thresholds("", posteriors, None)
        tags = {"f1": row.decisions.tags}
        tags["best"] = row.fitted_postprocessing.tags(posteriors.clip)
        kept = slice(None) if classes is None else list(classes)
        label = np.asarray(split.weak_label)[:, kept]
        one = {
            name: 2 * (label & own[:, kept]).sum() / (label.sum() + own[:, kept].sum())
            for name, own in tags.items()
        }
        precisions = row.scores.tagging.per_class.values()
        of_classes = np.array([c.average_precision for c in precisions])
        scores.append({**one, "mAP": mean_defined(of_classes[kept])})
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
