"""Batches of features and labels by grain, resumable at any step.

The element of the grain source is a whole batch: gathering its rows from the memory
map at once is ten times as fast as batching elements of one clip.
"""

from collections.abc import Iterator

import grain
import numpy as np

from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.data.sampling import Sampler
from gcrnn_jax.data.store import Split

Batch = dict[str, np.ndarray]

# One source for all steps: a run that is longer than this would outlive its users.
_ENDLESS = 1 << 40


class BatchSource(grain.sources.RandomAccessDataSource):
    """A random-access source: element n is this process's part of global batch n."""

    def __init__(self, split: Split | None, sampler: Sampler, rows: np.ndarray):
        """Rows are this process's rows of every global batch, int [b]."""
        self.split, self.sampler = split, sampler
        self.rows = tuple(rows.tolist())

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, record_key) -> Batch:
        clips = self.sampler.batch(int(record_key), self.rows)
        if self.split is None:
            return {"clips": clips.astype(np.int32)}
        return gather(self.split, clips)


def gather(split: Split, indices: np.ndarray) -> Batch:
    """Reads clips of a split as one batch.

    Returns:
        features float16 [B, T, F] (0 on padding), num_frames int32 [B], and
        weak_label float32 [B, K]; strong_label float32 [B, T, K], if it was made;
        known int8 [B], what is known of each clip, if they are not alike.
    """
    batch = {
        "features": split.rows(indices),
        "num_frames": split.num_frames[indices].astype(np.int32),
        "weak_label": split.weak_label[indices].astype(np.float32),
    }
    if split.strong_label is not None:
        batch["strong_label"] = split.strong_label[indices].astype(np.float32)
    if split.known is not None:
        batch["known"] = np.asarray(split.known[indices])
    return batch


def training_batches(
    split: Split | None,
    sampler: Sampler,
    *,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_shares: int | None = None,
) -> Iterator[Batch]:
    """Yields this process's rows of global batches start_step, start_step + 1, ...

    Without a split they are {"clips": int32 [b]}, for devices that hold the clips.

    Args:
        split: Of the clips.
        sampler: Of the global batches.
        start_step: Number of the first.
        process_index: Of this process.
        process_count: Of the run.
        num_shares: Of all processes together, as of `BatchShares`, each of which has
            equally many; None: one each.
    """
    shares = BatchShares(sampler.batch_size, num_shares or process_count)
    rows = shares.rows.reshape(process_count, -1)[process_index]
    source = grain.MapDataset.source(BatchSource(split, sampler, rows))
    # one thread: copying rows holds the interpreter, which more would only fight for
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    iterator = iter(source.to_iter_dataset(options))
    iterator.set_state({"next_index": start_step})
    return iterator


def evaluation_batches(split: Split, batch_size: int) -> Iterator[tuple[Batch, int]]:
    """Yields all clips in order; the last batch is filled up with its last clip.

    Yields:
        (batch, number of its rows that count).
    """
    for first in range(0, len(split), batch_size):
        indices = np.arange(first, min(first + batch_size, len(split)))
        filled = np.pad(indices, (0, batch_size - len(indices)), mode="edge")
        yield gather(split, filled), len(indices)
