"""Figures of the scores of recordings before any threshold: rankings, calibration.

Those of `gcrnn_jax.metrics.ranking_scores` and `calibration`, for recordings that count
as often as they were drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
        """Each score has a place among those of its class, and among all scores."""
        return 4 * self.label.size

    @property
    def at_once(self) -> int:
        """Where labels are among all scores."""
        return 8 * self._all_ranks.size

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
        return [Ranks.of(*column, rows, len(rows)) for column in columns]

    @cached_property
    def _all_ranks(self) -> "Ranks":
        rows = np.repeat(np.arange(len(self.label)), self.label.shape[1])
        label, scores = self.label.ravel(), self.clip_scores.ravel()
        return Ranks.of(label, scores, rows, len(self.label))

    @cached_property
    def _precisions(self) -> np.ndarray:
        return label_precisions(self.label, self.clip_scores)

    def _lwlrap(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, number = weights @ self._precisions, weights @ self.label.astype(float)
        return ratio(total.sum(1), number.sum(1)), ratio(total, number)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Decisions for or against a label, counted where labels are.

    From the highest score to the lowest there are S scores that some label has. Between
    two of them only decisions against it change, in whichever order.

    Attributes:
        positives: Sparse [S, N], how many labels of each recording have that score.
        tied: Sparse [S, N], decisions against the label with the same score.
        above: Sparse [S, N], those of higher scores, up to the score before.
        negatives: float [N], all of each recording.
    """

    positives: Any
    tied: Any
    above: Any
    negatives: np.ndarray

    @classmethod
    def of(
        cls, label: np.ndarray, scores: np.ndarray, rows: np.ndarray, num_rows: int
    ) -> "Ranks":
        """From labels, scores and recordings [M] in any order, of N recordings."""
        from scipy.sparse import csr_array

        levels = np.unique(scores[label])  # rising
        shape = len(levels), num_rows
        others = ~label
        at = np.searchsorted(levels, scores[others], "right")
        is_tied = at > np.searchsorted(levels, scores[others], "left")
        parts = []  # a matrix each
        for place, of in (
            (np.searchsorted(levels, scores[label]), rows[label]),
            (at[is_tied] - 1, rows[others][is_tied]),
            (at[~is_tied] - 1, rows[others][~is_tied]),
        ):
            kept = place >= 0  # below all labels nothing is looked at
            places = len(levels) - 1 - place[kept], of[kept]
            ones = np.ones(len(places[0]), np.float32)
            parts.append(csr_array((ones, places), shape))
        negatives = np.bincount(rows[others], minlength=num_rows).astype(float)
        positives, tied, above = parts
        return cls(positives, tied, above, negatives)

    @property
    def size(self) -> int:
        """How many numbers there are for each draw."""
        return len(self.negatives) + self.positives.shape[0]

    def scores(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average precision and AUC where recordings count so often, [B] each."""
        drawn = np.ascontiguousarray(weights.T, np.float32)  # whole numbers
        hits, tied, above = (
            np.asarray(m @ drawn, float)
            for m in (self.positives, self.tied, self.above)
        )
        found = np.cumsum(hits, 0)
        false = np.cumsum(above + tied, 0)
        total, negatives = hits.sum(0), weights @ self.negatives
        precision = np.nan_to_num(ratio(found, found + false))
        pairs = (hits * (negatives - false + tied / 2)).sum(0)
        return ratio((hits * precision).sum(0), total), ratio(pairs, total * negatives)


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
