"""Scores of tags of clips.

Tags of a clip are compared with its weak labels. Ratios are in [0, 1]; a ratio that is
not defined, such as the precision of a class that is never tagged, is nan.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.tables import percent


class Rates(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float

    def percents(self, *names: str) -> list[str]:
        """As text, in percent: those named, or all three in their order."""
        return [percent(getattr(self, name)) for name in names or self._fields]


@dataclass(frozen=True)
class ClassTags:
    """The score of one class: over all clips, how often tagged, labelled and both."""

    rates: Rates
    true_positives: int
    num_estimated: int
    num_reference: int
    average_precision: float = float("nan")
    auc: float = float("nan")  # area under the receiver operating characteristic


@dataclass(frozen=True)
class TaggingScores:
    """Scores of tags over clips that are all counted."""

    micro: Rates
    macro_f1: float  # mean of class F1, 0 for a class never tagged
    macro_official: Rates  # mean precision, mean recall, and F1 of the two means
    mean_average_precision: float  # over classes with a positive; nan without posterior
    per_class: dict[str, ClassTags]
    num_clips: int


def tagging_scores(
    weak_label: np.ndarray,
    tags: np.ndarray,
    clip_posterior: np.ndarray | None,
    class_names: Sequence[str],
) -> TaggingScores:
    """Scores tags, and the posteriors they came from if given.

    Args:
        weak_label: bool [N, K], or 0 and 1.
        tags: The same.
        clip_posterior: [N, K] in [0, 1]; None: average precision and AUC are nan.
        class_names: K.

    Returns:
        A class with no label and no tag has F1 nan and is no part of `macro_f1`.

    Raises:
        DataError: The arrays are not all [N, K], or a label is not 0 or 1.

    Example:
        >>> label = np.array([[True, False], [True, True]])
        >>> tags = np.array([[True, False], [True, False]])
        >>> scores = tagging_scores(label, tags, None, ["Car", "Bus"])
        >>> round(scores.micro.f1, 3), scores.macro_f1
        (0.8, 0.5)
    """
    arrays = [weak_label, tags] + ([] if clip_posterior is None else [clip_posterior])
    shapes, num_classes = [array.shape for array in arrays], len(class_names)
    if set(shapes) != {(len(weak_label), num_classes)}:
        must = f"labels, tags and posteriors must be [N, {num_classes}]"
        raise DataError(f"{must}, got {shapes}")
    weak_label, tags = as_bool(weak_label), as_bool(tags)
    per_class = {}
    for k, name in enumerate(class_names):
        label, tag = weak_label[:, k], tags[:, k]
        counts = int((label & tag).sum()), int(tag.sum()), int(label.sum())
        ranks = ()
        if clip_posterior is not None:
            ranks = [f(label, clip_posterior[:, k]) for f in (average_precision, auc)]
        per_class[name] = ClassTags(rates(*counts), *counts, *ranks)
    classes = per_class.values()
    return TaggingScores(
        micro=rates(*tagging_counts(weak_label, tags).sum(0).tolist()),
        macro_f1=mean_defined(c.rates.f1 for c in classes),
        macro_official=rates_of_means(
            zero_rates(c.true_positives, c.num_estimated, c.num_reference)
            for c in classes
            if c.num_estimated or c.num_reference
        ),
        mean_average_precision=mean_defined(c.average_precision for c in classes),
        per_class=per_class,
        num_clips=len(weak_label),
    )


def tagging_counts(weak_label: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Counts the tags of each clip, of all classes, from [N, K] each, 0 or 1.

    Returns:
        int [N, 3]: true positives, estimated, reference; their sums are for `rates`.
    """
    weak_label, tags = as_bool(weak_label), as_bool(tags)
    return np.stack([(weak_label & tags).sum(1), tags.sum(1), weak_label.sum(1)], 1)


def average_precision(label: np.ndarray, posterior: np.ndarray) -> float:
    """Sums precision over the steps of recall as the threshold falls; nan if no label.

    Both are [N], labels 0 or 1. Source: scikit-learn, `average_precision_score`.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
        0.8333333333333333
    """
    label = as_bool(label)
    if not label.any():
        return float("nan")
    hits, estimated = threshold_steps(label, posterior)
    return float((np.diff(hits, prepend=0) * (hits / estimated)).sum() / hits[-1])


def threshold_steps(
    label: np.ndarray, posterior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clips above a falling threshold: how many are labelled, and how many in all.

    From [N] each, int [S] each for the S different posteriors.
    """
    order, label = np.argsort(-posterior, kind="stable"), as_bool(label)
    last_of_step = np.append(np.diff(posterior[order]) != 0, True)
    return np.cumsum(label[order])[last_of_step], np.flatnonzero(last_of_step) + 1


def auc(label: np.ndarray, posterior: np.ndarray) -> float:
    """How often a labelled clip of N is above an unlabelled one, ties half; or nan."""
    label = as_bool(label)
    negatives = np.sort(posterior[~label])
    pairs = label.sum() * len(negatives)
    if not pairs:
        return float("nan")
    below = np.searchsorted(negatives, posterior[label], "left").sum()
    not_above = np.searchsorted(negatives, posterior[label], "right").sum()
    return float((below + not_above) / 2 / pairs)


def rates(true_positives: Any, num_estimated: Any, num_reference: Any) -> Rates:
    """Precision and recall, nan where undefined; F1 is 0 as soon as either side counts.

    Each is a number, or an array of them for scores of as many draws.

    Example:
        >>> rates(0, 0, 5)
        Rates(precision=nan, recall=0.0, f1=0.0)
    """
    return Rates(
        ratio(true_positives, num_estimated),
        ratio(true_positives, num_reference),
        ratio(2 * true_positives, num_estimated + num_reference),
    )


def mean_defined(values: Iterable[float]) -> float:
    """The mean of the values that are not nan; nan if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


def zero_rates(true_positives: int, num_estimated: int, num_reference: int) -> Rates:
    """As `rates`, with 0 for what is undefined, as the official tool has it."""
    plain = rates(true_positives, num_estimated, num_reference)
    return Rates(*(0.0 if math.isnan(value) else value for value in plain))


def rates_of_means(classes: Iterable[Rates]) -> Rates:
    """Mean precision, mean recall, and the F1 of the two means."""
    classes = list(classes)
    precision = mean_defined(c.precision for c in classes)
    recall = mean_defined(c.recall for c in classes)
    total = precision + recall
    return Rates(precision, recall, 2 * precision * recall / total if total else 0.0)


def precision_recall(
    label: np.ndarray, posterior: np.ndarray, max_points: int = 150
) -> list[list[float]]:
    """Precision at every recall that some threshold gives, from [N] each.

    Returns:
        [recall, precision] with falling thresholds, both ends kept; [] without a label.

    Example:
        >>> precision_recall(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
        [[0.5, 1.0], [0.5, 0.5], [1.0, 0.6666666666666666]]
    """
    label = as_bool(label)
    if not label.any():
        return []
    hits, estimated = threshold_steps(label, posterior)
    points = np.stack([hits / hits[-1], hits / estimated], axis=1)
    places = np.linspace(0, len(points) - 1, min(len(points), max_points))
    return points[np.round(places).astype(int)].tolist()
