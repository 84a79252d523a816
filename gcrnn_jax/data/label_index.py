"""Labels of any number of clips, [N, K], read once from end to end in blocks of rows.

The labels of two million clips and 527 classes are a gigabyte, mapped from a file; of
them a clip has two or three. So no pass over them makes a copy of their size, goes
along a column, or keeps the pages of the file that it has read.
"""

import mmap
from collections.abc import Iterator

import numpy as np

_BLOCK_BYTES = 8 << 20


def count_clips(weak_label: np.ndarray) -> np.ndarray:
    """Returns int64 [K], how many clips of bool [N, K] have each class."""
    counts = np.zeros(weak_label.shape[1], np.int64)
    for _, block in row_blocks(weak_label):
        counts += np.count_nonzero(block, axis=0)
    return counts


def clips_of_classes(weak_label: np.ndarray) -> list[np.ndarray]:
    """Returns K arrays int32, ascending: the clips of bool [N, K] that have each class.

    Example:
        >>> clips = clips_of_classes(np.array([[1, 0], [1, 1], [0, 0], [1, 0]], bool))
        >>> [of_class.tolist() for of_class in clips]
        [[0, 1, 3], [1]]
    """
    num_classes = weak_label.shape[1]
    kind = np.min_scalar_type(num_classes)  # 16 bits are sorted by radix
    clips, classes = [np.zeros(0, np.int32)], [np.zeros(0, kind)]
    for first, block in row_blocks(weak_label):
        rows, columns = np.divmod(np.flatnonzero(block), num_classes)
        clips.append((first + rows).astype(np.int32))
        classes.append(columns.astype(kind))
    of_label = np.concatenate(classes)
    by_class = np.concatenate(clips)[np.argsort(of_label, kind="stable")]
    ends = np.cumsum(np.bincount(of_label, minlength=num_classes))
    return np.split(by_class, ends[:-1])


def row_blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number of the first row, and rows, of an array [N, ...] in order.

    Of an array that lies in a file, the pages that were read go again.
    """
    row_bytes = max(1, array[:1].nbytes)
    step, mapping = max(1, _BLOCK_BYTES // row_bytes), _mapping(array)
    for first in range(0, len(array), step):
        yield first, array[first : first + step]
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    """The file that an array is mapped from; None: it lies in memory."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
