"""A recording of any length -> overlapping windows; their values -> the recording's.

Windows start at multiples of half a window on the recording's own grid of frames, so
they do not depend on how the file is read; one more ends where the recording ends.
Their values for a frame are averaged with weights that fall towards the ends of a
window, where a network has the least context. So windows leave no seams, and a
recording no longer than a window has the values of that one clip.
"""

from collections.abc import Iterable, Iterator

import numpy as np


def cut_windows(
    frames: Iterable[np.ndarray], length: int, multiple: int = 1
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields windows of a recording's frames, half a window apart.

    Args:
        frames: Blocks [n, M] of any number of frames, one after the other.
        length: Frames of a window, W.
        multiple: Windows start at multiples of so many frames: a network's time
            reduction.

    Yields:
        (number of the first frame, frames [W, M]). The last has fewer frames, if the
        recording has, or if its end is not reached from a multiple.
    """
    hop = max(length // 2 // multiple, 1) * multiple
    start = kept_from = 0  # of the next window; of the frames that are kept
    kept = None
    for block in frames:
        kept = block if kept is None else np.concatenate([kept, block])
        while start + length <= kept_from + len(kept):
            yield start, kept[start - kept_from :][:length]
            start += hop
        # The last window may start between the last two, so keep from the former.
        unneeded = max(0, start - hop - kept_from)
        kept, kept_from = kept[unneeded:], kept_from + unneeded
    end = 0 if kept is None else kept_from + len(kept)
    covered = start - hop + length if start else 0
    if kept is not None and covered < end:
        start = -(-max(0, end - length) // multiple) * multiple
        yield start, kept[start - kept_from :]


def cross_fade(windows: Iterable[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    """Averages the values of overlapping windows for each frame.

    Args:
        windows: (number of the first frame, values [L, C]) by their starts, which
            rise and leave no frame out.

    Yields:
        float32 [n, C], frames that no window to come covers, one after the other.

    Example:
        >>> windows = [(0, np.full((4, 1), 0.2)), (2, np.full((4, 1), 0.8))]
        >>> faded = np.concatenate(list(cross_fade(windows)))
        >>> [f"{value:.1f}" for value in faded[:, 0]]
        ['0.2', '0.2', '0.4', '0.6', '0.8', '0.8']
    """
    sums, first = np.zeros((0, 1)), 0  # of weighted values and weights; their frame
    for start, values in windows:
        done = start - first
        if done:
            yield _mean(sums[:done])
        rising = np.arange(1, len(values) + 1)[:, None]
        weight = np.minimum(rising, rising[::-1]).astype(float)
        window, rest = np.hstack([weight * values, weight]), sums[done:]
        sums = np.zeros((max(len(window), len(rest)), window.shape[1]))
        sums[: len(rest)] += rest
        sums[: len(window)] += window
        first = start
    if len(sums):
        yield _mean(sums)


def _mean(sums: np.ndarray) -> np.ndarray:
    return (sums[:, :-1] / sums[:, -1:]).astype(np.float32)
