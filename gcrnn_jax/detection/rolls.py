"""Active frames, bool [..., T, K], as runs; runs joined, removed, smoothed."""

import numpy as np


def clean_runs(roll: np.ndarray, max_gap: int, min_frames: int) -> np.ndarray:
    """Fills gaps of at most `max_gap` frames, then removes runs under `min_frames`."""
    flat = flat_rows(roll)
    row_length = flat.shape[-1]
    first, end = runs_of(flat)
    gaps = first[1:] - end[:-1]
    joined = (gaps <= max_gap) & (first[1:] // row_length == end[:-1] // row_length)
    first = first[np.concatenate(([True], ~joined))] if first.size else first
    end = end[np.concatenate((~joined, [True]))] if end.size else end
    kept = end - first >= min_frames
    return _roll(first[kept], end[kept], flat.shape)


def runs_with_seed(seeds: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Keeps the runs of a roll in which there is a seed; both are [..., T, K]."""
    flat = flat_rows(roll)
    first, end = runs_of(flat)
    places = np.flatnonzero(flat_rows(seeds))
    kept = np.searchsorted(places, first) < np.searchsorted(places, end)
    return _roll(first[kept], end[kept], flat.shape)


def running_median(roll: np.ndarray, num_frames: int) -> np.ndarray:
    """The running median over an odd number of frames, silence beyond both ends."""
    reach = (num_frames - 1) // 2  # frames on either side
    if reach < 1:
        return roll
    length = roll.shape[-2]
    before = np.zeros((*roll.shape[:-2], length + 1, roll.shape[-1]), np.int32)
    np.cumsum(roll, axis=-2, out=before[..., 1:, :])  # active frames before frame t
    frames = np.arange(length)
    first, end = np.maximum(frames - reach, 0), np.minimum(frames + reach + 1, length)
    return before[..., end, :] - before[..., first, :] > reach


def flat_rows(roll: np.ndarray) -> np.ndarray:
    """[..., T, K] as int8 [..., K, T + 1]: a row is one class of one clip."""
    by_row = np.moveaxis(roll, -2, -1).view(np.int8)
    silence = [(0, 0)] * (roll.ndim - 1) + [(0, 1)]  # keeps runs of two rows apart
    return np.pad(by_row, silence)


def runs_of(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frame and end of every run, counted through all rows."""
    steps = np.diff(flat.ravel(), prepend=np.int8(0))
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)


def _roll(first: np.ndarray, end: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Runs back to bool [..., T, K]; `shape` is that of the flat rows."""
    steps = np.zeros(np.prod(shape, dtype=int), np.int8)
    steps[first], steps[end] = 1, -1
    rows = np.cumsum(steps, dtype=np.int8).astype(bool).reshape(shape)
    return np.moveaxis(rows[..., :-1], -1, -2)
