"""The detections that some threshold gives, of all thresholds at once.

As the threshold falls below a score, a detection appears there, grows over neighbours
that are as high, and ends where it becomes part of a longer one: for T frames there are
T detections at most, however many thresholds. What is counted of them changes at their
births and deaths alone, so exact curves over all thresholds cost no more than their
detections.

Source: Ebbers, Serizel, Haeb-Umbach, "Threshold-independent evaluation of sound event
detection scores", ICASSP 2022, has the counts of every threshold from their changes.
Differs: there each threshold's detections are compared with the reference anew, here
each detection once.
"""

from typing import NamedTuple

import numpy as np


class Detections(NamedTuple):
    """Maximal runs of frames above some threshold, of several classes; n of them."""

    column: np.ndarray  # int [n], of which class
    first: np.ndarray  # int [n], frames [first, end)
    end: np.ndarray
    birth: np.ndarray  # [n]: it is there once the threshold is below this score
    death: np.ndarray  # [n]: and until it is below this one; -inf: to the end

    def spans(self, times: np.ndarray) -> np.ndarray:
        """Onsets and offsets in seconds, [n, 2], from the times of frames [T + 1]."""
        return np.stack([times[self.first], times[self.end]], 1)

    def where(self, chosen: np.ndarray) -> "Detections":
        """Those of a mask [n]."""
        return Detections(*(values[chosen] for values in self))


def all_detections(scores: np.ndarray, floor: np.ndarray) -> Detections:
    """Every detection of thresholds at or above a floor.

    Args:
        scores: [T, K].
        floor: [K], of each class; detections born at or below it are not looked for.

    Example:
        >>> scores = np.array([[0.2], [0.9], [0.5], [0.7]])
        >>> for found in zip(*all_detections(scores, np.array([-np.inf]))):
        ...     print(*found)
        0 0 4 0.2 -inf
        0 1 2 0.9 0.5
        0 1 4 0.5 0.2
        0 3 4 0.7 0.5
    """
    num_frames, num_classes = scores.shape
    # Classes one after the other, each between two frames that no threshold is below.
    flat = np.full((num_classes, num_frames + 2), -np.inf)
    flat[:, 1:-1] = scores.T
    flat = flat.ravel()
    frame = np.flatnonzero(flat > np.repeat(floor, num_frames + 2))
    left = _nearest(flat, frame, -1)
    # Of frames as high in one run, the first alone stands for it.
    frame, left = frame[is_first := flat[left] < flat[frame]], left[is_first]
    right = _nearest(flat, frame, +1)
    column = frame // (num_frames + 2)
    offset = column * (num_frames + 2)
    death = np.maximum(flat[left], flat[right])
    return Detections(column, left - offset, right - offset - 1, flat[frame], death)


def _nearest(flat: np.ndarray, frame: np.ndarray, step: int) -> np.ndarray:
    """The nearest frame before (-1) that is not higher, or after (+1) that is lower.

    All frames move on at once, from each candidate to that one's own: what is between
    is higher than both.
    """
    nearest = np.arange(len(flat)) + step
    open_ = frame
    while len(open_):
        candidate = flat[nearest[open_]]
        is_higher = candidate > flat[open_] if step < 0 else candidate >= flat[open_]
        open_ = open_[is_higher]
        nearest[open_] = nearest[nearest[open_]]
    return nearest[frame]


def changes_in_number(
    scores: np.ndarray, floor: np.ndarray, is_counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the number of detections changes as the threshold falls below scores.

    One more at a local maximum, one less at a local minimum, where two become one.

    Args:
        scores: [T, K].
        floor: [K]; scores at or below it are left out.
        is_counted: bool [K], classes to look at.

    Returns:
        Of each change the class, the score and the difference, [n].

    Example:
        >>> scores = np.array([[0.2], [0.9], [0.5], [0.7]])
        >>> changes = changes_in_number(scores, np.array([0.0]), np.array([True]))
        >>> [values.tolist() for values in changes[1:]]
        [[0.9, 0.5, 0.7], [1, -1, 1]]
    """
    t, k = np.nonzero((scores > floor) & is_counted)
    own = scores[t, k]
    before = np.where(t > 0, scores[t - 1, k], -np.inf)
    after = np.where(t < len(scores) - 1, scores[(t + 1) % len(scores), k], -np.inf)
    change = (own > before).astype(np.int32) - (after > own)
    changed = change != 0
    return k[changed], own[changed], change[changed]
