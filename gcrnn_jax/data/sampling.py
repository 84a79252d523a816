"""Which clips make a batch: the shares of classes, and of clips without any."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from gcrnn_jax.data import samplers
from gcrnn_jax.data.label_index import clips_of_classes
from gcrnn_jax.data.samplers import (
    BalancedSampler,
    MixedSampler,
    Sampler,
    ShuffledSampler,
)
from gcrnn_jax.data.split import UNLABELLED
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.fields import check

# Draws of a class in a cycle, on average, where shares are no longer whole numbers.
_DRAWS_A_CLASS = 1000


def class_weights(
    class_sizes: Sequence[int] | np.ndarray, class_size_thresholds: Sequence[int]
) -> np.ndarray:
    """Draws of each class in a cycle: one, and one more for each threshold it reaches.

    Args:
        class_sizes: [K] clips of each class.
        class_size_thresholds: Increasing; the most frequent class is drawn at most
            1 + len(class_size_thresholds) times as often as the rarest.

    Returns:
        int [K]; 0 for a class without clips.

    Example:
        >>> print(class_weights([180, 1000, 25077, 0], [1000, 2000, 3000, 4000]))
        [1 2 5 0]

    Source: Xu et al., ICASSP 2018, section 2.4; the example is that of their code.
    """
    sizes = np.asarray(class_sizes)
    steps = np.searchsorted(np.asarray(class_size_thresholds), sizes, side="right")
    return np.where(sizes > 0, 1 + steps, 0)


def limited_weights(
    weights: np.ndarray,
    class_sizes: np.ndarray,
    num_clips: int,
    max_repeats: float,
) -> np.ndarray:
    """Weights by which no class shows its clips more often than so many times the mean.

    What a class gives up goes to those below the limit, in proportion to their weights.

    Args:
        weights: int [K] of `class_weights`.
        class_sizes: int [K] clips of each class.
        num_clips: That have a class.
        max_repeats: 1 or more; 0: any.

    Returns:
        int [K]: the same where no class is over the limit.

    Example:
        >>> weights = limited_weights(np.array([1, 1]), np.array([2, 98]), 100, 5)
        >>> [round(float(share), 3) for share in weights / weights.sum()]
        [0.1, 0.9]
    """
    most = max_repeats * class_sizes / max(num_clips, 1)  # share of all draws
    shares = weights / weights.sum()
    if not max_repeats or (shares <= most).all():
        return weights
    limited = np.zeros(len(weights), bool)
    while (over := ~limited & (shares > most)).any():
        limited |= over
        rest = 1 - most[limited].sum()
        free = np.where(limited, 0, weights)
        shares = np.where(limited, most, rest * free / max(free.sum(), 1))
    draws = np.floor(shares * _DRAWS_A_CLASS * len(weights)).astype(np.int64)
    return np.where(weights > 0, np.maximum(draws, 1), 0)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The config section `sampling`: which clips make a batch.

    A class of at least `class_size_thresholds[i]` clips is drawn 2 + i times a cycle.
    Fractions are of every batch, at least one clip, where there are such clips.
    """

    batch_size: int  # clips of a global batch
    balanced: bool  # rare classes are drawn more often than they occur
    class_size_thresholds: tuple[int, ...]  # growing, over 0
    # the most that balancing shows a clip of one class, by the mean clip; 0: any
    max_repeats: float
    negative_fraction: float  # balanced: clips that are known to have no class
    unlabelled_fraction: float  # where a loss learns from them

    def __post_init__(self) -> None:
        check(self, "1 or more", "batch_size")
        check(self, "65536 or less", "batch_size")
        check(self, "in [0, 1)", "negative_fraction", "unlabelled_fraction")
        check(self, "0 or more", "max_repeats")
        if 0 < self.max_repeats < 1:
            raise ValueError(
                f"max_repeats must be 0 or 1 or more, got {self.max_repeats}"
            )
        if self.negative_fraction + self.unlabelled_fraction >= 1:
            raise ValueError(
                "negative_fraction and unlabelled_fraction leave nothing of a batch "
                f"for labelled clips: {self.negative_fraction} and "
                f"{self.unlabelled_fraction}, expected less than 1 together"
            )
        sizes = [0, *self.class_size_thresholds]
        if any(low >= high for low, high in itertools.pairwise(sizes)):
            expected = "class_size_thresholds: expected growing numbers over 0"
            raise ValueError(f"{expected}, got {self.class_size_thresholds}")

    def weights(self, class_sizes: np.ndarray, num_clips: int) -> np.ndarray:
        """Draws of each class, int [K], in a cycle of balanced sampling.

        Args:
            class_sizes: int [K] clips of each.
            num_clips: That have a class.
        """
        weights = class_weights(class_sizes, self.class_size_thresholds)
        if not self.max_repeats or not weights.any():
            return weights
        return limited_weights(
            weights, np.asarray(class_sizes), num_clips, self.max_repeats
        )

    def make_sampler(
        self,
        weak_label: np.ndarray,
        seed: int,
        known: np.ndarray | None = None,
        *,
        draws_unlabelled: bool = False,
        copies: int = 1,
    ) -> Sampler:
        """The sampler of clips with these labels.

        Args:
            weak_label: bool [N, K].
            seed: Of all batches.
            known: int [N], what is known of each clip, as `Split.known`; None: the
                labels of all.
            draws_unlabelled: Whether unlabelled clips are drawn.
            copies: Rows of each clip: classes are as large as they have clips.

        Raises:
            ConfigError: A batch is too small for a clip of each kind.
            DataError: No clip has a label.
        """
        is_unlabelled = np.zeros(0, bool) if known is None else known == UNLABELLED
        unlabelled = np.flatnonzero(is_unlabelled if draws_unlabelled else ())
        num_unlabelled = self._share(self.unlabelled_fraction, len(unlabelled))
        if self.balanced:
            labelled = self._balanced(
                weak_label, seed, is_unlabelled, num_unlabelled, copies
            )
        else:
            size = self._rest(num_unlabelled)
            clips = np.flatnonzero(~is_unlabelled) if is_unlabelled.any() else None
            count = len(weak_label) if clips is None else len(clips)
            if not count:
                raise DataError("no training clip has labels: nothing can be learnt")
            labelled = [ShuffledSampler(count, size, seed, clips)]
        if num_unlabelled:
            labelled.append(
                _shuffled(unlabelled, num_unlabelled, seed, samplers.UNLABELLED)
            )
        return labelled[0] if len(labelled) == 1 else MixedSampler(labelled)

    def _balanced(
        self, weak_label, seed, is_unlabelled, taken: int, copies: int
    ) -> list[Sampler]:
        """The samplers of clips with a class, and of those without, if there are."""
        weak_label = np.asarray(weak_label)
        clips = clips_of_classes(weak_label)
        is_negative = np.ones(len(weak_label), bool)
        is_negative[np.concatenate(clips)] = False
        num_clips = len(weak_label) - int(np.count_nonzero(is_negative))
        if len(is_unlabelled):
            is_negative &= ~is_unlabelled
        negatives = np.flatnonzero(is_negative)
        num_negatives = self._share(self.negative_fraction, len(negatives))
        sizes = np.array([-(-len(of_class) // copies) for of_class in clips])
        weights = self.weights(sizes, -(-num_clips // copies))
        size = self._rest(taken + num_negatives)
        drawn: list[Sampler] = [BalancedSampler(clips, weights, size, seed)]
        if num_negatives:
            drawn.append(_shuffled(negatives, num_negatives, seed, samplers.NEGATIVES))
        return drawn

    def _share(self, fraction: float, num_clips: int) -> int:
        """Rows of a batch, at least one where there are clips."""
        if not fraction or not num_clips:
            return 0
        return max(1, round(fraction * self.batch_size))

    def _rest(self, taken: int) -> int:
        if taken < self.batch_size:
            return self.batch_size - taken
        raise ConfigError(
            f"sampling.batch_size: a batch of {self.batch_size} has no room for clips "
            "with and without a class and unlabelled ones, one of each at least"
        )


def _shuffled(clips: np.ndarray, size: int, seed: int, stream: int) -> ShuffledSampler:
    return ShuffledSampler(len(clips), size, seed, clips, stream)
