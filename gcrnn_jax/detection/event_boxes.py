"""Candidate events whose extent does not depend on a threshold.

A threshold on frames decides two things at once: whether there is an event and how
long it is. Here the extent comes first, from where posteriors rise and fall, and each
candidate has one confidence, the mean of its frames, which a threshold then decides on.

Source: the idea of sound event bounding boxes, Ebbers, Germain, Wichern, Le Roux,
Interspeech 2024.
Differs: written from the paper's description; two candidates are joined by one share of
the lower confidence, and a joined one has the mean over all of its frames.
"""

from typing import NamedTuple

import numpy as np


class Boxes(NamedTuple):
    """Candidate events in the order of rows and frames, [B] each."""

    row: np.ndarray  # int
    first: np.ndarray  # int, the first frame
    end: np.ndarray  # int, the frame after the last
    confidence: np.ndarray  # float64 in [0, 1]


def event_boxes(posterior: np.ndarray, filter_frames: int, merge: float) -> Boxes:
    """Finds candidate events in rows of posteriors.

    At each border of frames the mean of the `filter_frames` after it is compared with
    the mean of those before it; there is silence beyond both ends. A candidate begins
    where the difference is greatest and ends where it is least. Two neighbours become
    one where the frames between them have a mean that is less than `merge` of the lower
    confidence below it, those that differ least first.

    Args:
        posterior: [R, T] in [0, 1]; NaN counts as 0.
        filter_frames: At least 1.
        merge: In [0, 1]; 0 joins none.

    Example:
        >>> rows = np.array([[0.0, 0.8, 0.6, 0.0, 0.0, 0.2, 0.0]])
        >>> boxes = event_boxes(rows, filter_frames=2, merge=0.5)
        >>> boxes.first.tolist(), boxes.end.tolist(), boxes.confidence.round(3).tolist()
        ([1, 5], [3, 6], [0.7, 0.2])
    """
    rows = np.nan_to_num(np.asarray(posterior, np.float64))
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
    row, first, end = _extents(_differences(sums, filter_frames))
    while True:
        confidence = _means(sums, row, first, end)
        is_pair = row[1:] == row[:-1]
        between = _means(sums, row[1:], end[:-1], first[1:])
        lower = np.minimum(confidence[1:], confidence[:-1])
        drop = np.where(is_pair, (lower - between) / np.maximum(lower, 1e-12), np.inf)
        pairs = np.flatnonzero(drop < merge)
        if not pairs.size:
            return Boxes(row, first, end, confidence)
        # of every row the pair that differs least, the first of several
        order = pairs[np.lexsort((drop[pairs], row[pairs]))]
        joined = order[np.unique(row[order], return_index=True)[1]]
        end[joined] = end[joined + 1]
        row, first, end = (np.delete(each, joined + 1) for each in (row, first, end))


def confidences_of_frames(
    frame_posterior: np.ndarray, filter_frames: int, merge: float
) -> np.ndarray:
    """Gives each frame the confidence of the candidate that it is in, or 0.

    Args:
        frame_posterior: [..., T, K] in [0, 1].
        filter_frames: As of `event_boxes`.
        merge: As of `event_boxes`.

    Returns:
        float64 of the same shape.
    """
    by_row = np.moveaxis(frame_posterior, -1, -2)
    length = by_row.shape[-1]
    boxes = event_boxes(by_row.reshape(-1, length), filter_frames, merge)
    # no two candidates share a frame, so each is a step up and a step down
    places = boxes.row * length
    lengths = boxes.end - boxes.first
    offsets = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    frames = np.zeros(by_row.size)
    at = np.repeat(places + boxes.first, lengths) + offsets
    frames[at] = np.repeat(boxes.confidence, lengths)
    return np.moveaxis(frames.reshape(by_row.shape), -1, -2)


def _differences(sums: np.ndarray, count: int) -> np.ndarray:
    """Mean of the frames after a border less that of those before: [R, T + 1]."""
    borders = np.arange(sums.shape[1])
    after = sums[:, np.minimum(borders + count, borders[-1])] - sums
    before = sums - sums[:, np.maximum(borders - count, 0)]
    return (after - before).round(12) / count  # sums leave last bits behind


def _extents(difference: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first frame and end of every candidate."""
    rise = np.diff(difference, axis=1, prepend=-np.inf, append=np.inf)
    fall = np.diff(difference, axis=1, prepend=np.inf, append=-np.inf)
    rise[:, -1], fall[:, -1] = -np.inf, np.inf
    # of equal borders the innermost: the shorter candidate
    is_onset = (rise[:, :-1] >= 0) & (rise[:, 1:] < 0) & (difference > 0)
    is_offset = (fall[:, :-1] < 0) & (fall[:, 1:] >= 0) & (difference < 0)
    row, border = np.nonzero(is_onset | is_offset)
    sign = np.where(is_onset[row, border], 1, -1)
    # of several onsets, or offsets, in a row the strongest
    starts = np.flatnonzero(
        (np.diff(row, prepend=-1) != 0) | (np.diff(sign, prepend=0) != 0)
    )
    run = np.zeros(len(row), int)
    run[starts] = 1
    run = run.cumsum()
    order = np.lexsort((-np.abs(difference[row, border]), run))
    strongest = order[np.unique(run[order], return_index=True)[1]]
    row, border, sign = row[strongest], border[strongest], sign[strongest]
    is_box = (row[1:] == row[:-1]) & (sign[:-1] == 1)  # signs alternate in a row
    onset = np.flatnonzero(is_box)
    return row[onset], border[onset], border[onset + 1]


def _means(sums, row, first, end) -> np.ndarray:
    return (sums[row, end] - sums[row, first]) / np.maximum(end - first, 1)
