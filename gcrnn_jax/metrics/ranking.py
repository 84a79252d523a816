"""Scores of tags before any threshold: how well posteriors rank clips, and labels.

Source: scikit-learn 1.9, `average_precision_score`, `roc_auc_score`,
`label_ranking_average_precision_score`; lwlrap: DCASE 2019 task 2; d': Hershey et al.,
"CNN architectures for large-scale audio classification", ICASSP 2017.
Differs: what scikit-learn refuses, a class without a label or with nothing else, is nan
here, and left out of means.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.tagging import auc, average_precision, mean_defined


@dataclass(frozen=True)
class ClassRanking:
    """How clips are ranked by their posteriors of one class; each nan if undefined."""

    average_precision: float
    auc: float
    d_prime: float
    lwlrap: float  # mean precision at its labels, of the labels of their clips


@dataclass(frozen=True)
class RankingScores:
    """Scores of posteriors; means are over the classes where a score is defined."""

    mean_average_precision: float
    mean_auc: float
    mean_d_prime: float
    d_prime_of_mean_auc: float  # what AudioSet papers print as d'
    micro_average_precision: float  # over all pairs of clip and class
    lwlrap: float
    per_class: dict[str, ClassRanking]


def ranking_scores(
    weak_label: np.ndarray, clip_posterior: np.ndarray, class_names: Sequence[str]
) -> RankingScores:
    """Scores the posteriors of clips; for frames, see `clip_scores`.

    Args:
        weak_label: bool [N, K], or 0 and 1.
        clip_posterior: [N, K], any scale.
        class_names: K.

    Raises:
        DataError: The arrays are not both [N, K], or a label is not 0 or 1.

    Example:
        >>> label = np.array([[1, 0], [0, 1], [1, 1]])
        >>> posterior = np.array([[0.9, 0.2], [0.6, 0.5], [0.4, 0.8]])
        >>> scores = ranking_scores(label, posterior, ["Car", "Bus"])
        >>> scores.mean_auc, round(scores.lwlrap, 3), scores.per_class["Car"].d_prime
        (0.75, 0.875, 0.0)
    """
    shapes, wanted = [weak_label.shape, clip_posterior.shape], len(class_names)
    if set(shapes) != {(len(weak_label), wanted)}:
        raise DataError(f"labels and posteriors must be [N, {wanted}], got {shapes}")
    label = as_bool(weak_label)
    precisions = label_precisions(label, clip_posterior)
    per_class = {}
    for k, name in enumerate(class_names):
        area = auc(label[:, k], clip_posterior[:, k])
        per_class[name] = ClassRanking(
            average_precision(label[:, k], clip_posterior[:, k]),
            area,
            d_prime(area),
            ratio(float(precisions[:, k].sum()), int(label[:, k].sum())),
        )
    classes = per_class.values()
    mean_auc = mean_defined(c.auc for c in classes)
    return RankingScores(
        mean_average_precision=mean_defined(c.average_precision for c in classes),
        mean_auc=mean_auc,
        mean_d_prime=mean_defined(c.d_prime for c in classes),
        d_prime_of_mean_auc=d_prime(mean_auc),
        micro_average_precision=average_precision(
            label.ravel(), clip_posterior.ravel()
        ),
        lwlrap=ratio(float(precisions.sum()), int(label.sum())),
        per_class=per_class,
    )


def d_prime(area: float) -> float:
    """How many standard deviations apart two normal distributions have this AUC.

    Example:
        >>> d_prime(0.5), round(d_prime(0.97), 2), d_prime(1.0)
        (0.0, 2.66, inf)
    """
    if not 0 < area < 1:
        return {0.0: -math.inf, 1.0: math.inf}.get(area, math.nan)
    return math.sqrt(2) * NormalDist().inv_cdf(area)


def label_precisions(label: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """Of every label, the share of labels among the classes ranked as high in its clip.

    From [N, K] each. Classes that tie with a label are ranked above it.

    Returns:
        [N, K], 0 where there is no label. The sum over the number of labels is lwlrap,
        label-weighted label-ranking average precision.

    Example:
        >>> label_precisions(np.array([[1, 0, 1]]), np.array([[0.9, 0.5, 0.5]]))
        array([[1.        , 0.        , 0.66666667]])
    """
    label = as_bool(label)
    precisions = np.zeros(label.shape)
    for row, is_label, scores in zip(precisions, label, -posterior, strict=True):
        own = scores[is_label]
        rank, rank_of_labels = (
            np.searchsorted(np.sort(among), own, "right") for among in (scores, own)
        )
        row[is_label] = rank_of_labels / rank
    return precisions
