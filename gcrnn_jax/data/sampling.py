"""Which clips make batch number n: pure functions of (seed, step), nothing to store.

So a checkpoint needs the step alone to resume exactly, and any number of devices,
processes and workers sees the same global batches.
"""

import abc
import functools

import numpy as np

# streams of random numbers: of a cycle's order, of a class's clips
_ORDER, _CLIPS = range(2)

# Draws computed at once: NumPy's calls cost more than what they do for one batch.
_STRETCH = 4096


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


def class_weights(class_sizes, size_steps=(1000, 2000, 3000, 4000)) -> np.ndarray:
    """Draws of each class in a cycle: one, and one more for each step it reaches.

    Args:
        class_sizes: [K] clips of each class.
        size_steps: Increasing class sizes; the most frequent class is drawn at most
            1 + len(size_steps) times as often as the rarest.

    Returns:
        int [K]; 0 for a class without clips.

    Example:
        >>> print(class_weights([180, 1000, 25077, 0]))
        [1 2 5 0]

    Source: Xu et al., ICASSP 2018, section 2.4; the steps are those of their code.
    """
    class_sizes = np.asarray(class_sizes)
    steps = np.searchsorted(np.asarray(size_steps), class_sizes, side="right")
    return np.where(class_sizes > 0, 1 + steps, 0)


class BalancedSampler(Sampler):
    """Draws classes by weight, and within a class its clips without replacement.

    Draws come in cycles: one cycle holds every class `weight` times in an order of
    its own, so the shares are exact over every whole cycle. The clips of a class are
    drawn in a new permutation each time all of them have been seen.

    Differs: the authors cut a batch short where a class begins anew; all of ours are
    full.
    """

    def __init__(self, weak_label: np.ndarray, weights, batch_size: int, seed: int):
        """Weak_label is bool [N, K], weights int [K], 0 where a class is not drawn."""
        super().__init__(batch_size, seed)
        self.weights = np.asarray(weights, np.int64)
        self.clips = [np.flatnonzero(column) for column in np.asarray(weak_label).T]
        self.weights[[not len(clips) for clips in self.clips]] = 0
        if not self.weights.any():
            raise ValueError("no class has both clips and a weight")
        # one cycle: its classes, and which draw of its class each slot is
        self.slot_class = np.repeat(np.arange(len(self.weights)), self.weights)
        first = np.cumsum(self.weights) - self.weights
        self.slot_draw = np.arange(len(self.slot_class)) - first[self.slot_class]
        # the orders in which a class is gone through, by the number of the pass
        self._orders = [
            functools.lru_cache(maxsize=2)(functools.partial(self._order, k))
            for k in range(len(self.clips))
        ]

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:
        """Returns int64 [n], the clips of draws number int64 [n] of the sequence."""
        cycle, position = np.divmod(draws, len(self.slot_class))
        slot = np.empty_like(draws)
        for one in np.unique(cycle):
            order = np.random.default_rng((self.seed, _ORDER, int(one)))
            here = cycle == one
            slot[here] = order.permutation(len(self.slot_class))[position[here]]
        drawn = self.slot_class[slot]
        count = cycle * self.weights[drawn] + self.slot_draw[slot]
        clips = np.empty_like(draws)
        for k in np.unique(drawn):
            here = np.flatnonzero(drawn == k)
            passes, places = np.divmod(count[here], len(self.clips[k]))
            for one in np.unique(passes):
                of_pass = here[passes == one]
                clips[of_pass] = self._orders[k](int(one))[places[passes == one]]
        return clips

    def _order(self, k: int, one_pass: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, _CLIPS, k, one_pass))
        return rng.permutation(self.clips[k])


class ShuffledSampler(Sampler):
    """Every clip once an epoch, in a new order each epoch: no balancing."""

    def __init__(self, num_clips: int, batch_size: int, seed: int):
        """Num_clips is the size of the training set."""
        if num_clips < 1:
            raise ValueError("no clips to draw from")
        super().__init__(batch_size, seed)
        self.num_clips = num_clips
        self._order = functools.lru_cache(maxsize=2)(
            lambda n: np.random.default_rng((seed, _CLIPS, n)).permutation(num_clips)
        )

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:
        """Returns int64 [n], the clips of draws number int64 [n] of the sequence."""
        epoch, position = np.divmod(draws, self.num_clips)
        clips = np.empty_like(draws)
        for one in np.unique(epoch):
            clips[epoch == one] = self._order(int(one))[position[epoch == one]]
        return clips


def make_sampler(
    weak_label: np.ndarray,
    *,
    seed: int,
    batch_size: int,
    balanced: bool,
    size_steps: tuple[int, ...],
) -> Sampler:
    """The sampler that the config section `sampling` describes."""
    if not balanced:
        return ShuffledSampler(len(weak_label), batch_size, seed)
    weights = class_weights(np.asarray(weak_label).sum(0), size_steps)
    return BalancedSampler(weak_label, weights, batch_size, seed)
