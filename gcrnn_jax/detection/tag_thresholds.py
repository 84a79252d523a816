"""Tag thresholds that maximise micro-F1 on labelled clips; see `thresholds`.

Where every clip gets a tag, the classes are tied to each other: a clip that no class
passes counts too. There the search goes on from the optimum without that rule: each
class in turn takes the threshold that is best beside those of the others, until none
gains. A single threshold for all classes is tried at every candidate.
"""

from collections.abc import Sequence

import numpy as np

from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.detection.thresholds import (
    PROBABILITIES,
    BestThresholds,
    best_on_grid,
    count_above,
    micro_f1,
    middle_of_best,
    probable_thresholds,
)
from gcrnn_jax.errors import DataError

TAG_STEPS = tuple(float(x) for x in np.round(np.linspace(0.01, 0.99, 99), 2))
# and below 0.1 steps of 5 %, for posteriors of any scale
_SMALL = (float(f"{x:.2e}") for x in np.geomspace(1e-6, 0.1, 237))
TAG_GRID = tuple(sorted({*_SMALL, *TAG_STEPS}))
_ROWS = 4096  # clips whose tags are counted at once


def best_tag_thresholds(
    clip_posterior: np.ndarray,
    weak_label: np.ndarray,
    *,
    grid: Sequence[float] = TAG_GRID,
    at_least_one: bool = False,
) -> BestThresholds:
    """Finds the tag thresholds with the greatest micro-F1; not on reported clips.

    Thresholds that do equally well are common on few clips. Of these, the middle of
    the longest stretch is taken, the stretch nearest to 0.5 if two are as long.

    Args:
        clip_posterior: [N, K] in [0, 1].
        weak_label: bool [N, K], or 0 and 1.
        grid: Ascending candidates, of which the answer is one.
        at_least_one: As of `Postprocessing.at_least_one_tag`. The thresholds of
            classes are then as good as one class alone can make them, which is not
            always the best of all combinations.

    Returns:
        Thresholds of classes, one for all, and those where the classes reach one
        calibrated probability; a tag is a posterior greater than its threshold.

    Raises:
        DataError: The two are not the same [N, K], or a label is not 0 or 1.

    Example:
        >>> posterior = np.array([[0.9], [0.5], [0.1]])
        >>> label = np.array([[True], [True], [False]])
        >>> float(best_tag_thresholds(posterior, label).per_class[0])
        0.29
    """
    if clip_posterior.shape != weak_label.shape or weak_label.ndim != 2:
        raise DataError(
            "posteriors and labels must be the same [N, K], "
            f"got {clip_posterior.shape} and {weak_label.shape}"
        )
    weak_label = as_bool(weak_label)
    # as `clip_posterior > threshold` has it: in the precision of the posteriors
    candidates = np.asarray(grid, np.result_type(clip_posterior, grid[0]))
    num_classes, counts = weak_label.shape[1], 0
    for first in range(0, len(weak_label), _ROWS):
        rows = slice(first, first + _ROWS)
        classes = np.arange(num_classes)
        arrays = clip_posterior[rows], weak_label[rows], classes
        counts += count_above(*arrays, candidates, num_classes)
    counts, num_reference = np.asarray(counts), int(weak_label.sum())
    best = best_on_grid(counts, num_reference, grid)
    if not (at_least_one and len(weak_label)):
        return best
    search = _Search(clip_posterior, weak_label, counts, candidates)
    return search.best(best, num_reference, grid)


class _Search:
    """Clips of which those that no class passes get their greatest class."""

    def __init__(
        self,
        clip_posterior: np.ndarray,
        weak_label: np.ndarray,
        counts: np.ndarray,
        candidates: np.ndarray,
    ):
        self.counts = counts  # hits and estimated without such clips, [2, K, G]
        # above how many candidates each posterior is
        ranks = np.asarray(np.searchsorted(candidates, clip_posterior), np.int32)
        ranks[np.isnan(clip_posterior)] = 0
        self.ranks = ranks  # [N, K]
        rows, greatest = np.arange(len(ranks)), clip_posterior.argmax(-1)
        is_number = ~np.isnan(clip_posterior[rows, greatest])
        # what a clip adds to hits and estimated where no class passes, [2, N]
        self.fallback = np.stack([weak_label[rows, greatest] & is_number, is_number])

    def best(self, start: BestThresholds, num_reference, grid) -> BestThresholds:
        """The best thresholds found, from those without the rule on."""
        size = len(grid)
        fallback = self._fallback_by_threshold(self.ranks.max(1), size)
        totals = self.counts.sum(1) + fallback
        overall_f1 = micro_f1(totals[0], totals[1], num_reference)
        overall = middle_of_best(overall_f1, grid)
        indices = np.searchsorted(np.asarray(grid), start.per_class)
        starts = [indices, np.full_like(indices, overall)]
        found = [self._climb(one, num_reference, grid) for one in starts]
        per_class, f1 = max(found, key=lambda one: one[1])
        thresholds = np.asarray(grid)[per_class]
        calibrated, calibrated_f1 = self._calibrated(num_reference, grid)
        return BestThresholds(
            thresholds,
            f1,
            float(grid[overall]),
            float(overall_f1[overall]),
            np.asarray(grid)[calibrated],
            calibrated_f1,
        )

    def _calibrated(self, num_reference, grid) -> tuple[np.ndarray, float]:
        """The best of thresholds at one probability; indices of the grid, micro-F1."""
        reached = probable_thresholds(self.counts, grid)
        classes = np.arange(reached.shape[1])
        passed = np.zeros(len(self.ranks), int)  # probabilities, by the best class
        for k in classes:
            of_class = np.searchsorted(reached[:, k], self.ranks[:, k])
            np.maximum(passed, of_class, out=passed)
        totals = self.counts[:, classes, reached].sum(-1)
        totals = totals + self._fallback_by_threshold(passed, len(reached))
        f1 = micro_f1(totals[0], totals[1], num_reference)
        best = middle_of_best(f1, PROBABILITIES)
        return reached[best], float(f1[best])

    def _climb(self, indices, num_reference, grid) -> tuple[np.ndarray, float]:
        """Class after class, until none gains; indices of the grid, and micro-F1."""
        indices, f1 = indices.copy(), -1.0
        is_above = self.ranks > indices
        num_above = is_above.sum(1)
        while True:
            before = f1
            for k in range(len(indices)):
                others = num_above - is_above[:, k]
                chosen = self.counts[:, np.arange(len(indices)), indices].sum(1)
                fixed = chosen - self.counts[:, k, indices[k]]
                free = others == 0
                ranks = self.ranks[free, k]
                added = self._fallback_by_threshold(ranks, len(grid), free)
                totals = fixed[:, None] + self.counts[:, k] + added
                by_threshold = micro_f1(totals[0], totals[1], num_reference)
                if by_threshold.max() > max(by_threshold[indices[k]], f1) + 1e-12:
                    indices[k] = middle_of_best(by_threshold, grid)
                    is_above[:, k] = self.ranks[:, k] > indices[k]
                    num_above = others + is_above[:, k]
                f1 = float(by_threshold[indices[k]])
            if f1 <= before:
                return indices, f1

    def _fallback_by_threshold(self, ranks, size, clips=slice(None)) -> np.ndarray:
        """Hits and estimated of clips that no class passes, at `size` thresholds.

        Ranks: int [n], above how many of them the greatest posterior is.
        """
        return np.stack(
            [
                np.bincount(ranks, weights, size + 1)[:-1].cumsum().astype(int)
                for weights in self.fallback[:, clips]
            ]
        )
