"""Which clips make batch number n: pure functions of (seed, step), nothing to store.

So a checkpoint needs the step alone to resume exactly, and any number of devices,
processes and workers sees the same global batches.
"""

import abc
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.fields import check

# streams of random numbers: of a cycle's order, of a class's clips
_ORDER, _CLIPS = range(2)

# Draws computed at once: NumPy's calls cost more than what they do for one batch.
_STRETCH = 4096


def _cycled(
    draws: np.ndarray, size: int, order: Callable[[int], np.ndarray]
) -> np.ndarray:
    """Elements number int64 [n] of order(0), order(1), ..., each [size], in a row."""
    cycles, places = np.divmod(draws, size)
    drawn = np.empty_like(draws)
    for cycle in np.unique(cycles):
        in_cycle = cycles == cycle
        drawn[in_cycle] = order(int(cycle))[places[in_cycle]]
    return drawn


class Sampler(abc.ABC):
    """An endless sequence of draws, cut into global batches."""

    def __init__(self, batch_size: int, seed: int):
        """Stretches are kept, as batches are asked for in about their order."""
        self.batch_size, self.seed = batch_size, seed
        self._stretch = functools.lru_cache(maxsize=4)(
            lambda n: self.clips_drawn(np.arange(n * _STRETCH, (n + 1) * _STRETCH))
        )

    @abc.abstractmethod
    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:
        """Returns int64 [n], the clips of draws number int64 [n] of the sequence."""

    def batch(self, step: int) -> np.ndarray:
        """Returns int64 [batch_size], indices of the clips of batch number `step`."""
        first = step * self.batch_size
        last = first + self.batch_size - 1
        stretches = range(first // _STRETCH, last // _STRETCH + 1)
        clips = np.concatenate([self._stretch(n) for n in stretches])
        return clips[first - stretches[0] * _STRETCH :][: self.batch_size]


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


class BalancedSampler(Sampler):
    """Draws classes by weight, and within a class its clips without replacement.

    Draws come in cycles: one cycle holds every class `weight` times in an order of
    its own, so the shares are exact over every whole cycle. The clips of a class are
    drawn in a new permutation each time all of them have been seen.

    Differs: the authors cut a batch short where a class begins anew; all of ours are
    full.
    """

    def __init__(self, weak_label: np.ndarray, weights, batch_size: int, seed: int):
        """Takes bool [N, K] and int [K], 0 where a class is not drawn."""
        super().__init__(batch_size, seed)
        self.weights = np.asarray(weights, np.int64)
        self.clips = [np.flatnonzero(column) for column in np.asarray(weak_label).T]
        self.weights[[not len(clips) for clips in self.clips]] = 0
        if not self.weights.any():
            raise DataError("no training clip has a label: no class can be drawn")
        # slot of a cycle -> class, and -> index of that draw within its class
        self.slot_class = np.repeat(np.arange(len(self.weights)), self.weights)
        first = np.cumsum(self.weights) - self.weights
        self.slot_draw = np.arange(len(self.slot_class)) - first[self.slot_class]
        # class -> pass over its clips -> their order in it
        self._orders = [
            functools.lru_cache(maxsize=2)(functools.partial(self._order, k))
            for k in range(len(self.clips))
        ]

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:  # noqa: D102
        size = len(self.slot_class)
        slots = _cycled(
            draws,
            size,
            lambda n: np.random.default_rng((self.seed, _ORDER, n)).permutation(size),
        )
        classes = self.slot_class[slots]
        class_draws = draws // size * self.weights[classes] + self.slot_draw[slots]
        clips = np.empty_like(draws)
        for k in np.unique(classes):
            of_class = classes == k
            size = len(self.clips[k])
            clips[of_class] = _cycled(class_draws[of_class], size, self._orders[k])
        return clips

    def _order(self, k: int, number: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, _CLIPS, k, number))
        return rng.permutation(self.clips[k])


class ShuffledSampler(Sampler):
    """Every clip once an epoch, in a new order each epoch: no balancing."""

    def __init__(self, num_clips: int, batch_size: int, seed: int):
        if num_clips < 1:
            raise ValueError("no clips to draw from")
        super().__init__(batch_size, seed)
        self.num_clips = num_clips
        self._order = functools.lru_cache(maxsize=2)(
            lambda n: np.random.default_rng((seed, _CLIPS, n)).permutation(num_clips)
        )

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:  # noqa: D102
        return _cycled(draws, self.num_clips, self._order)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The config section `sampling`: which clips make a batch.

    A class of at least `class_size_thresholds[i]` clips is drawn 2 + i times a cycle.
    """

    batch_size: int  # clips of a global batch
    balanced: bool  # rare classes are drawn more often than they occur
    class_size_thresholds: tuple[int, ...]  # growing, over 0

    def __post_init__(self) -> None:
        check(self, "1 or more", "batch_size")
        check(self, "65536 or less", "batch_size")
        sizes = [0, *self.class_size_thresholds]
        if any(low >= high for low, high in itertools.pairwise(sizes)):
            expected = "class_size_thresholds: expected growing numbers over 0"
            raise ValueError(f"{expected}, got {self.class_size_thresholds}")

    def make_sampler(self, weak_label: np.ndarray, seed: int) -> Sampler:
        """The sampler of clips with these labels, bool [N, K]."""
        if not self.balanced:
            return ShuffledSampler(len(weak_label), self.batch_size, seed)
        sizes = np.asarray(weak_label).sum(0)
        weights = class_weights(sizes, self.class_size_thresholds)
        return BalancedSampler(weak_label, weights, self.batch_size, seed)
