"""Figures of the scores of recordings before any threshold: rankings, calibration.

Those of `gcrnn_jax.metrics.ranking_scores` and `calibration`, for recordings that count
as often as they were drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gcrnn_jax.evaluation.measure import Scored, mean_of_defined
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.ranking import label_precisions

_LEAST = 1e-7  # that a mistake is given for the logarithm, as in `calibration`


@dataclass(frozen=True, eq=False)
class Ranked:
    """Average precision, AUC and d' of every class, and lwlrap.

    Attributes:
        class_names: K names.
        label: bool [N, K].
        clip_scores: [N, K], any scale.
    """

    class_names: tuple[str, ...]
    label: np.ndarray
    clip_scores: np.ndarray

    @property
    def cost(self) -> int:
        """Each score of a class is sorted among all scores, and in its class."""
        return 4 * self.label.size

    @property
    def at_once(self) -> int:
        """All of them."""
        return self.cost

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`; "micro" is over all pairs of recording and class."""
        of_classes = [ranks.scores(weights) for ranks in self._ranks]
        precision, area = (np.stack(v, 1) for v in zip(*of_classes, strict=True))
        d_prime = d_primes(area)
        mean_area = mean_of_defined(area)
        lwlrap, lwlrap_of_classes = self._lwlrap(weights)
        averages = {
            ("average_precision", "macro"): mean_of_defined(precision),
            ("average_precision", "micro"): self._all_ranks.scores(weights)[0],
            ("auc", "macro"): mean_area,
            ("d_prime", "macro"): mean_of_defined(d_prime),
            ("d_prime", "of the macro auc"): d_primes(mean_area),
            ("lwlrap", "micro"): lwlrap,
        }
        classes = {
            "average_precision": precision,
            "auc": area,
            "d_prime": d_prime,
            "lwlrap": lwlrap_of_classes,
        }
        return Scored(averages, classes)

    @cached_property
    def _ranks(self) -> list["Ranks"]:
        rows = np.arange(len(self.label))
        columns = zip(self.label.T, self.clip_scores.T, strict=True)
        return [Ranks.of(label, scores, rows) for label, scores in columns]

    @cached_property
    def _all_ranks(self) -> "Ranks":
        rows = np.repeat(np.arange(len(self.label)), self.label.shape[1])
        return Ranks.of(self.label.ravel(), self.clip_scores.ravel(), rows)

    @cached_property
    def _precisions(self) -> np.ndarray:
        return label_precisions(self.label, self.clip_scores)

    def _lwlrap(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, number = weights @ self._precisions, weights @ self.label.astype(float)
        return ratio(total.sum(1), number.sum(1)), ratio(total, number)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Decisions for or against a label, from the highest score to the lowest.

    Attributes:
        rows: int [M], of which recording.
        label: bool [M].
        last: int [S], the last of those that have one score.
    """

    rows: np.ndarray
    label: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, label: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> "Ranks":
        """From labels, scores and recordings [M] in any order."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        return cls(rows[order], label[order], last[: len(order)])

    def scores(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average precision and AUC where recordings count so often, [B] each."""
        if not len(self.rows):
            nothing = np.full(len(weights), np.nan)
            return nothing, nothing
        drawn = weights[:, self.rows]
        above = np.cumsum(drawn, 1)[:, self.last]
        hits = np.cumsum(drawn * self.label, 1)[:, self.last]
        of_step = np.diff(hits, axis=1, prepend=0)
        positives, negatives = hits[:, -1], (above - hits)[:, -1]
        precision = ratio(hits, above)
        total = (of_step * np.nan_to_num(precision)).sum(1)
        false = above - hits
        tied = np.diff(false, axis=1, prepend=0)
        pairs = (of_step * (negatives[:, None] - false + tied / 2)).sum(1)
        return ratio(total, positives), ratio(pairs, positives * negatives)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Expected calibration error, Brier score and logarithmic loss.

    Attributes:
        class_names: K names; the figures are over all pairs of recording and class.
        label: bool [N, K].
        posterior: [N, K] in [0, 1].
        num_bins: Of the reliability curve.
    """

    class_names: tuple[str, ...]
    label: np.ndarray
    posterior: np.ndarray
    num_bins: int = 15

    @property
    def cost(self) -> int:
        """Sums of every bin."""
        return 3 * self.num_bins * len(self.label)

    @property
    def at_once(self) -> int:
        """All of them."""
        return self.cost

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`."""
        sums = weights @ self._sums
        bins = sums[:, 2:].reshape(len(sums), 3, self.num_bins)
        number = bins[:, 2].sum(1)
        error = np.abs(bins[:, 0] - bins[:, 1]).sum(1)
        quantities = {
            f"calibration_error[{self.num_bins} bins]": ratio(error, number),
            "brier": ratio(sums[:, 0], number),
            "log_loss": ratio(sums[:, 1], number),
        }
        return Scored({(name, "micro"): v for name, v in quantities.items()}, {})

    @cached_property
    def _sums(self) -> np.ndarray:
        """Of every recording: squares, logarithms; posteriors, labels, pairs by bin."""
        p, label = self.posterior.astype(float), self.label
        edges = np.linspace(0, 1, self.num_bins + 1)
        place = np.clip(np.searchsorted(edges, p, "right") - 1, 0, self.num_bins - 1)
        place += self.num_bins * np.arange(len(p))[:, None]
        size = self.num_bins * len(p)
        in_bins = [
            np.bincount(place.ravel(), values, size).reshape(len(p), self.num_bins)
            for values in (p.ravel(), label.ravel(), None)
        ]
        given = np.clip(np.where(label, p, 1 - p), _LEAST, 1 - _LEAST)
        errors = [((p - label) ** 2).sum(1), -np.log(given).sum(1)]
        return np.hstack([np.stack(errors, 1), *in_bins])


def d_primes(area: np.ndarray) -> np.ndarray:
    """`metrics.d_prime` of each AUC; infinite where it is 0 or 1."""
    from scipy.special import ndtri

    return math.sqrt(2) * ndtri(area)


def labels_of(
    labels: Sequence[frozenset[str]], class_names: Sequence[str]
) -> np.ndarray:
    """Which recording has which label, bool [N, K].

    Example:
        >>> labels_of([frozenset(["Car"]), frozenset()], ["Bus", "Car"]).tolist()
        [[False, True], [False, False]]
    """
    column = {name: k for k, name in enumerate(class_names)}
    found = np.zeros((len(labels), len(column)), bool)
    for row, names in zip(found, labels, strict=True):
        row[[column[name] for name in names if name in column]] = True
    return found
