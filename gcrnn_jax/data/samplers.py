"""The clips of batch number n: pure functions of (seed, step), nothing to store.

So a checkpoint needs the step alone to resume exactly, and any number of devices,
processes and workers sees the same global batches.
"""

import abc
import functools
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gcrnn_jax.data.label_index import clips_of_classes
from gcrnn_jax.errors import DataError

# streams of random numbers: of a cycle's order, of a class's clips, of others'
_ORDER, _CLIPS, NEGATIVES, UNLABELLED = range(4)

# Draws computed at once: NumPy's calls cost more than what they do for one batch.
_STRETCH = 4096

_MANY = 100_000  # elements; fewer are put in order in 2 ms


class _Passes:
    """Passes over a number of elements, each in an order of its own.

    Two million are put in order in 50 ms. So long before a pass over many ends, a
    thread makes the order of the next, for which no batch has to wait then.
    """

    def __init__(self, size: int, order: Callable[[int], np.ndarray]):
        """Of so many elements; `order` gives them, [size], for pass number 0, 1, ..."""
        self._size = size
        # of a pass, the next, and one that other threads are still at
        self._order = functools.lru_cache(maxsize=3)(order)
        # the pass that was made ahead last, and by which thread
        self._ahead: tuple[int, threading.Thread | None] = (-1, None)

    def take(self, draws: np.ndarray) -> np.ndarray:
        """Elements number int64 [n] of all passes in a row."""
        passes, places = np.divmod(draws, self._size)
        first, last = int(passes.min()), int(passes.max())
        if first == last:
            drawn = self._order_of(last)[places]
        else:
            drawn = np.empty_like(draws)
            for number, where in _groups(passes):
                drawn[where] = self._order_of(number)[places[where]]
        if self._size >= _MANY and 2 * int(places[passes == last].max()) > self._size:
            self._make_ahead(last + 1)
        return drawn

    def _order_of(self, number: int) -> np.ndarray:
        ahead, thread = self._ahead
        if thread is not None and number == ahead:
            thread.join()
        return self._order(number)

    def _make_ahead(self, number: int) -> None:
        ahead, _ = self._ahead
        if ahead < number:
            thread = threading.Thread(target=self._order, args=(number,), daemon=True)
            thread.start()
            self._ahead = number, thread


def _groups(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each value of int64 [n] with its places, in one sort instead of a search each."""
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order])) + 1
    for where in np.split(order, ends):
        yield int(values[where[0]]), where


class Sampler(abc.ABC):
    """An endless sequence of draws, cut into global batches."""

    def __init__(self, batch_size: int, seed: int):
        """Stretches are kept, as batches are asked for in about their order."""
        self.batch_size, self.seed = batch_size, seed
        self._stretch = functools.lru_cache(maxsize=4)(self._draw_stretch)

    @abc.abstractmethod
    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:
        """Returns int64 [n], the clips of draws number int64 [n >= 1] of the sequence.

        They may be in any order.
        """

    def batch(
        self, number: int, rows: slice | tuple[int, ...] = slice(None)
    ) -> np.ndarray:
        """Returns the indices of clips of global batch `number`, int64 [batch_size].

        Args:
            number: From 0 on.
            rows: Those that are wanted, as a process of several wants its own: the
                others are not drawn. All of them: `batch(number)`.
        """
        if isinstance(rows, slice):
            rows = tuple(range(*rows.indices(self.batch_size)))
        if not rows:
            return np.zeros(0, np.int64)
        num_batches = max(1, _STRETCH // len(rows))
        stretch, place = divmod(number, num_batches)
        return self._stretch(rows, num_batches, stretch)[place]

    def _draw_stretch(
        self, rows: tuple[int, ...], num_batches: int, number: int
    ) -> np.ndarray:
        """The clips of some rows of several batches, [num_batches, rows]."""
        first = np.arange(number * num_batches, (number + 1) * num_batches)
        draws = first[:, None] * self.batch_size + np.asarray(rows)
        return self.clips_drawn(draws.ravel()).reshape(draws.shape)


class BalancedSampler(Sampler):
    """Draws classes by weight, and within a class its clips without replacement.

    Draws come in cycles: one cycle holds every class `weight` times in an order of
    its own, so the shares are exact over every whole cycle. The clips of a class are
    drawn in a new permutation each time all of them have been seen.

    Differs: the authors cut a batch short where a class begins anew; all of ours are
    full.
    """

    def __init__(
        self,
        weak_label: np.ndarray | list[np.ndarray],
        weights,
        batch_size: int,
        seed: int,
    ):
        """Takes bool [N, K], or its `clips_of_classes`; int [K], 0: is not drawn."""
        super().__init__(batch_size, seed)
        self.weights = np.asarray(weights, np.int64)
        is_listed = isinstance(weak_label, list)
        self.clips = weak_label if is_listed else clips_of_classes(weak_label)
        self.weights[[not len(clips) for clips in self.clips]] = 0
        if not self.weights.any():
            raise DataError("no training clip has a label: no class can be drawn")
        # slot of a cycle -> class, and -> index of that draw within its class
        self.slot_class = np.repeat(np.arange(len(self.weights)), self.weights)
        first = np.cumsum(self.weights) - self.weights
        self.slot_draw = np.arange(len(self.slot_class)) - first[self.slot_class]
        self._cycles = _Passes(len(self.slot_class), self._cycle_order)
        self._passes = [
            _Passes(len(clips), functools.partial(self._order, k))
            for k, clips in enumerate(self.clips)
        ]

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:  # noqa: D102
        slots = self._cycles.take(draws)
        classes, cycles = self.slot_class[slots], draws // len(self.slot_class)
        class_draws = cycles * self.weights[classes] + self.slot_draw[slots]
        clips = np.empty_like(draws)
        for k, where in _groups(classes):
            clips[where] = self._passes[k].take(class_draws[where])
        return clips

    def _cycle_order(self, number: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, _ORDER, number))
        return rng.permutation(len(self.slot_class))

    def _order(self, k: int, number: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, _CLIPS, k, number))
        return rng.permutation(self.clips[k])


class ShuffledSampler(Sampler):
    """Every clip once an epoch, in a new order each epoch: no balancing."""

    def __init__(
        self,
        num_clips: int,
        batch_size: int,
        seed: int,
        clips: np.ndarray | None = None,
        stream: int = _CLIPS,
    ):
        """Of all clips, or of `clips`, int [num_clips]; streams differ in order."""
        if num_clips < 1:
            raise ValueError("no clips to draw from")
        super().__init__(batch_size, seed)
        self.num_clips, self.clips, self._stream_number = num_clips, clips, stream
        self._passes = _Passes(num_clips, self._order)

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:  # noqa: D102
        drawn = self._passes.take(draws)
        return drawn if self.clips is None else self.clips[drawn]

    def _order(self, number: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, self._stream_number, number))
        return rng.permutation(self.num_clips)


class MixedSampler(Sampler):
    """Batches of which each has the same rows of every one of several samplers.

    The rows of each are spread over the batch, so that devices get of all.
    """

    def __init__(self, samplers: Sequence[Sampler]):
        """Of samplers whose batches are joined: the sizes add up."""
        sizes = [sampler.batch_size for sampler in samplers]
        super().__init__(sum(sizes), samplers[0].seed)
        self._samplers = samplers
        # row -> sampler, and -> row of its own batch
        places = [(np.arange(size) + 0.5) / size for size in sizes]
        order = np.argsort(np.concatenate(places), kind="stable")
        self._of_row = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._own_row = np.concatenate([np.arange(size) for size in sizes])[order]

    def clips_drawn(self, draws: np.ndarray) -> np.ndarray:  # noqa: D102
        batches, rows = np.divmod(draws, self.batch_size)
        clips = np.empty_like(draws)
        for number, where in _groups(self._of_row[rows]):
            one = self._samplers[number]
            own = batches[where] * one.batch_size + self._own_row[rows[where]]
            clips[where] = one.clips_drawn(own)
        return clips
