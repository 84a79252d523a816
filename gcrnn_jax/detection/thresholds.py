"""Thresholds that maximise micro-F1 on labelled clips.

Never fit them on the clips whose score is reported: that score would be too good. Use
other clips, or `cross_fit`.

Micro-F1 = 2 TP / (estimated + reference), each summed over the classes. The best
threshold of each class depends on those of the others through these sums only, and
Dinkelbach's method finds the exact optimum on the grid in a few steps: for a guess f
of the best F1, every class on its own maximises 2 TP - f * estimated, the F1 of that
choice is the next guess, and when the guess stands still it is the maximum.

Source: W. Dinkelbach, "On nonlinear fractional programming", 1967.
Differs: the authors' `auto` thresholds maximise each class's own F1, on the test set.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gcrnn_jax.detection.events import segments_from_frames
from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError

TAG_GRID = tuple(float(x) for x in np.round(np.linspace(0.01, 0.99, 99), 2))
EVENT_GRID = tuple(float(x) for x in np.round(np.linspace(0.02, 0.96, 48), 2))


class BestThresholds(NamedTuple):
    """Thresholds that fit some clips best, and their micro-F1 there."""

    per_class: np.ndarray  # [K]
    per_class_f1: float
    overall: float  # the best single threshold for all classes
    overall_f1: float


def best_tag_thresholds(
    clip_posterior: np.ndarray,
    weak_label: np.ndarray,
    *,
    grid: Sequence[float] = TAG_GRID,
) -> BestThresholds:
    """Finds the tag thresholds with the greatest micro-F1; not on reported clips.

    Thresholds that do equally well are common on few clips. Of these, the middle of
    the longest stretch is taken, the stretch nearest to 0.5 if two are as long.

    Args:
        clip_posterior: [N, K] in [0, 1].
        weak_label: bool [N, K], or 0 and 1.
        grid: Ascending candidates, of which the answer is one.

    Returns:
        One threshold a class and one for all; a tag is a posterior greater than it.

    Raises:
        DataError: The two are not the same [N, K], or a label is not 0 or 1.

    Example:
        >>> posterior = np.array([[0.9], [0.5], [0.1]])
        >>> label = np.array([[True], [True], [False]])
        >>> float(best_tag_thresholds(posterior, label).per_class[0])
        0.29
    """
    if clip_posterior.shape != weak_label.shape or weak_label.ndim != 2:
        raise DataError(
            "posteriors and labels must be the same [N, K], "
            f"got {clip_posterior.shape} and {weak_label.shape}"
        )
    weak_label = as_bool(weak_label)
    counts = [_counts(clip_posterior > threshold, weak_label) for threshold in grid]
    return _best(counts, int(weak_label.sum()), grid)


def best_event_thresholds(
    frame_posterior: np.ndarray,
    clip_posterior: np.ndarray,
    segment_reference: np.ndarray,
    hop_s: float,
    postprocessing: Postprocessing,
    *,
    clip_s: float | None = None,
    grid: Sequence[float] = EVENT_GRID,
) -> BestThresholds:
    """Finds the event thresholds with the greatest micro segment-based F1.

    As `best_tag_thresholds`, whose thresholds are to be in `postprocessing` before.

    Args:
        frame_posterior: [N, T, K] in [0, 1]; 0 where a clip is padded.
        clip_posterior: [N, K] in [0, 1].
        segment_reference: bool [N, S, K], which seconds each class is active in.
        hop_s: Seconds a frame.
        postprocessing: Its `event_threshold` is not read.
        clip_s: Where the last frames end; None: with themselves.
        grid: Ascending candidates, of which the answer is one.

    Raises:
        DataError: The clips or classes of the three are not the same.
    """
    arrays = frame_posterior, clip_posterior, segment_reference
    of_frames, of_clips, of_segments = (array.shape for array in arrays)
    if not of_frames[::2] == of_clips == of_segments[::2]:
        raise DataError(
            "expected posteriors [N, T, K], [N, K] and a reference [N, S, K], got "
            f"{of_frames}, {of_clips}, {of_segments}"
        )
    # Frames after the reference's last segment are false alarms, not to be dropped.
    beyond = int(np.ceil(round(of_frames[1] * hop_s, 6))) - of_segments[1]
    padding = ((0, 0), (0, max(0, beyond)), (0, 0))
    reference = np.pad(as_bool(segment_reference), padding)
    counts = []
    for threshold in grid:
        trial = replace(postprocessing, event_threshold=threshold)
        roll = trial.detect(frame_posterior, clip_posterior, hop_s)
        segments = segments_from_frames(roll, hop_s, reference.shape[1], max_s=clip_s)
        counts.append(_counts(segments, reference))
    return _best(counts, int(reference.sum()), grid)


def cross_fit(num_clips: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits clips into random halves, always the same, to fit on one or the other.

    Lists are often sorted by class, so that halves by order would differ.

    Returns:
        (fit, apply) for each half: indices of the clips to fit on, and to apply to.

    Raises:
        ConfigError: There are fewer than two clips.
    """
    if num_clips < 2:
        raise ConfigError(f"cannot cross-fit {num_clips} clips: two are needed")
    half = np.random.default_rng(0).permutation(np.arange(num_clips) % 2)
    first, second = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    return [(second, first), (first, second)]


def _counts(estimated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    both = np.stack([estimated & reference, estimated])
    return both.sum(tuple(range(1, both.ndim - 1)))  # [2, K]


def _best(counts, num_reference: int, grid: Sequence[float]) -> BestThresholds:
    """The optimum, of counts [2, K] at each of the grid's G candidates."""
    hits, estimated = np.stack(counts, axis=-1)  # [K, G] each
    overall_f1 = _f1(hits.sum(0), estimated.sum(0), num_reference)  # [G]
    overall = _middle_of_best(overall_f1, grid)

    f1, classes = float(overall_f1[overall]), np.arange(len(hits))
    while True:
        gain = 2 * hits - f1 * estimated
        best = classes, gain.argmax(1)
        better = _f1(hits[best].sum(), estimated[best].sum(), num_reference)
        if better <= f1:  # the guess cannot fall, and there are finitely many choices
            break
        f1 = float(better)
    per_class = np.array([grid[_middle_of_best(row, grid)] for row in gain])
    return BestThresholds(per_class, f1, grid[overall], float(overall_f1[overall]))


def _f1(hits, estimated, num_reference):
    return 2 * hits / np.maximum(estimated + num_reference, 1)


def _middle_of_best(values: np.ndarray, grid: Sequence[float]) -> int:
    """The middle of the longest stretch of greatest values, or the one nearest 0.5."""
    is_best = values >= values.max() - 1e-9
    steps = np.diff(is_best.astype(int), prepend=0, append=0)
    first, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    middle = (first + end - 1) // 2
    distance = np.abs(np.asarray(grid)[middle] - 0.5)
    return int(middle[np.lexsort((distance, first - end))[0]])
