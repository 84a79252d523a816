"""Thresholds that maximise micro-F1 on labelled clips; events.

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

from gcrnn_jax.detection.calibration import fit_calibration, logit
from gcrnn_jax.detection.cross_fitting import (  # noqa: F401 - a name of this module
    cross_fit,
)
from gcrnn_jax.detection.events import frames_of_segments, segments_from_frames
from gcrnn_jax.detection.posterior_files import blocks_of
from gcrnn_jax.detection.posteriors import as_bool
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError

EVENT_STEPS = tuple(float(x) for x in np.round(np.linspace(0.02, 0.96, 48), 2))
# and below them 1, 2, 5 a decade, for posteriors of any scale
_SMALL = (float(f"{digit}e-{power}") for power in (5, 4, 3) for digit in (1, 2, 5))
EVENT_GRID = (*_SMALL, 0.01, *EVENT_STEPS)
PROBABILITIES = tuple(k / 100 for k in range(1, 100))  # that are tried as a threshold


class BestThresholds(NamedTuple):
    """Thresholds that fit some clips best, and their micro-F1 there."""

    per_class: np.ndarray  # [K]
    per_class_f1: float
    overall: float  # the best single threshold for all classes
    overall_f1: float
    calibrated: np.ndarray  # [K], where each class reaches the best probability
    calibrated_f1: float


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
    every = np.ones(len(clip_posterior), bool)
    [best] = best_event_thresholds_of_parts(
        *arrays, hop_s, [(every, postprocessing)], clip_s=clip_s, grid=grid
    )
    return best


def best_event_thresholds_of_parts(
    frame_posterior: np.ndarray,
    clip_posterior: np.ndarray,
    segment_reference: np.ndarray,
    hop_s: float,
    parts: Sequence[tuple[np.ndarray, Postprocessing]],
    *,
    clip_s: float | None = None,
    grid: Sequence[float] = EVENT_GRID,
) -> list[BestThresholds]:
    """As `best_event_thresholds` of each of several parts of the clips, bool [N]."""
    arrays = frame_posterior, clip_posterior, segment_reference
    found = count_events_of_parts(*arrays, hop_s, parts, clip_s=clip_s, grid=grid)
    return [best_on_grid(*each, grid) for each in zip(*found, strict=True)]


def count_events_of_parts(
    frame_posterior: np.ndarray,
    clip_posterior: np.ndarray,
    segment_reference: np.ndarray,
    hop_s: float,
    parts: Sequence[tuple[np.ndarray, Postprocessing]],
    *,
    clip_s: float | None = None,
    grid: Sequence[float] = EVENT_GRID,
) -> tuple[np.ndarray, list[int]]:
    """Counts segments of 1 s; arguments as of `best_event_thresholds_of_parts`.

    Frames are read once, some clips at a time.

    Returns:
        Hits and estimated segments of each part at each threshold, int [P, 2, K, G],
        and the reference's number of segments, one a part.
    """
    # Frames after the reference's last segment are false alarms, not to be dropped.
    num_seconds = int(np.ceil(round(frame_posterior.shape[1] * hop_s, 6)))
    reference = as_bool(segment_reference)
    if (beyond := num_seconds - reference.shape[1]) > 0:
        reference = np.pad(reference, ((0, 0), (0, beyond), (0, 0)))
    num_classes = reference.shape[2]
    counts = np.zeros((len(parts), 2, num_classes, len(grid)), int)
    for clips, frame in blocks_of(frame_posterior):
        greatest = np.fmax.reduce(frame, axis=1, initial=0)
        for part, (is_clip, rules) in enumerate(parts):
            is_wanted = (greatest > np.float64(grid[0])) & is_clip[clips, None]
            if rules.require_clip_tag:
                is_wanted &= rules.tags(clip_posterior[clips])
            rows, classes = np.nonzero(is_wanted)
            counts[part] += count_segments_above(
                frame[rows, :, classes],
                reference[clips][rows, :, classes],
                classes,
                hop_s,
                rules,
                clip_s=clip_s,
                grid=grid,
                num_classes=num_classes,
            )
    return counts, [int(reference[is_clip].sum()) for is_clip, _ in parts]


def count_segments_above(
    frame_posterior: np.ndarray,
    reference: np.ndarray,
    classes: np.ndarray,
    hop_s: float,
    postprocessing: Postprocessing,
    *,
    clip_s: float | None,
    grid: Sequence[float],
    num_classes: int,
) -> np.ndarray:
    """Counts the segments of 1 s of single classes of clips at each threshold.

    Args:
        frame_posterior: [R, T], of one class of one clip each; all have their tag.
        reference: bool [R, S].
        classes: int [R], the class of each.
        hop_s: Seconds a frame.
        postprocessing: Its thresholds are not read.
        clip_s: Where the last frames end; None: with themselves.
        grid: G ascending thresholds.
        num_classes: K.

    Returns:
        Hits and estimated segments, int [2, K, G].
    """
    length, candidates = reference.shape[1], np.asarray(grid, np.float64)
    if isinstance(postprocessing.median_s, tuple):
        counts = np.zeros((2, num_classes, len(candidates)), int)
        for rules, at in postprocessing.by_median(classes, num_classes):
            counts += count_segments_above(
                frame_posterior[at],
                reference[at],
                classes[at],
                hop_s,
                rules,
                clip_s=clip_s,
                grid=grid,
                num_classes=num_classes,
            )
        return counts
    if postprocessing.is_plain(hop_s):  # a segment is found by its greatest frame
        touching = frames_of_segments(frame_posterior.shape[1], hop_s, length, clip_s)
        greatest = np.stack(
            [np.fmax.reduce(frame_posterior[:, f], 1, initial=0) for f in touching], 1
        )
        arrays = greatest, reference, classes[:, None]
        return count_above(*arrays, candidates, num_classes)
    frame_posterior = postprocessing.with_extents(frame_posterior[..., None], hop_s)
    frame_posterior = frame_posterior[..., 0]
    postprocessing = replace(postprocessing, box_filter_s=0.0)
    # rows by their greatest frame: those over a threshold come first
    greatest = np.fmax.reduce(frame_posterior, axis=1, initial=0)
    order = np.argsort(-greatest, kind="stable")
    frame_posterior, reference = frame_posterior[order], reference[order]
    classes, ascending = classes[order], greatest[order][::-1]
    counts = np.zeros((2, num_classes, len(candidates)), int)
    for n, threshold in enumerate(candidates):
        count = len(order) - np.searchsorted(ascending, threshold, side="right")
        if not count:
            break
        trial = replace(postprocessing, event_threshold=float(threshold))
        frames = frame_posterior[:count, :, None]
        roll = trial.detect_tagged(frames, np.True_, hop_s)
        found = segments_from_frames(roll, hop_s, length, max_s=clip_s)[..., 0]
        for kind, active in enumerate((found & reference[:count], found)):
            weights = active.sum(1)
            counts[kind, :, n] = np.bincount(classes[:count], weights, num_classes)
    return counts


def count_above(
    values: np.ndarray,
    is_hit: np.ndarray,
    classes: np.ndarray,
    candidates: np.ndarray,
    num_classes: int,
) -> np.ndarray:
    """Counts values that are above each of G ascending thresholds.

    Values, hits and classes have any shape, the same when broadcast.

    Returns:
        int [2, K, G]: those that are hits, and all.
    """
    size = len(candidates) + 1
    ranks = np.searchsorted(candidates, values)  # thresholds that a value is above
    ranks[np.isnan(values)] = 0
    places = classes * size + ranks
    counts = [
        np.bincount(some, minlength=num_classes * size).reshape(num_classes, size)
        for some in (places[is_hit], places.ravel())
    ]
    return np.stack(counts)[..., ::-1].cumsum(-1)[..., -2::-1]


def best_on_grid(
    counts: np.ndarray, num_reference: int, grid: Sequence[float]
) -> BestThresholds:
    """The optimum, of hits and estimated, [2, K, G], at the grid's G candidates."""
    hits, estimated = counts
    overall_f1 = micro_f1(hits.sum(0), estimated.sum(0), num_reference)  # [G]
    overall = middle_of_best(overall_f1, grid)

    f1, classes = float(overall_f1[overall]), np.arange(len(hits))
    while True:
        gain = 2 * hits - f1 * estimated
        best = classes, gain.argmax(1)
        better = micro_f1(hits[best].sum(), estimated[best].sum(), num_reference)
        if better <= f1:  # the guess cannot fall, and there are finitely many choices
            break
        f1 = float(better)
    per_class = np.array([grid[middle_of_best(row, grid)] for row in gain])
    reached = probable_thresholds(counts, grid)
    of_probability = counts[:, np.arange(len(hits)), reached].sum(-1)  # [2, P]
    calibrated_f1 = micro_f1(of_probability[0], of_probability[1], num_reference)
    chosen = middle_of_best(calibrated_f1, PROBABILITIES)
    return BestThresholds(
        per_class,
        f1,
        grid[overall],
        float(overall_f1[overall]),
        np.asarray(grid)[reached[chosen]],
        float(calibrated_f1[chosen]),
    )


def probable_thresholds(counts: np.ndarray, grid: Sequence[float]) -> np.ndarray:
    """Where on the grid each class reaches each of P probabilities, int [P, K].

    What passes a threshold and not the next has the posterior between them. Posteriors
    of each class are calibrated by how many of those are right (`fit_calibration`).

    Args:
        counts: Hits and estimated at the G thresholds, [2, K, G].
        grid: The thresholds.
    """
    edges = np.append(grid, 1.0)
    logits = logit((edges[:-1] + edges[1:]) / 2)
    right, total = -np.diff(counts, axis=-1, append=0)  # no rule makes one negative
    calibration = fit_calibration(logits, right, total)
    wanted = logit(calibration.posteriors(np.array(PROBABILITIES)))
    of_grid = logit(np.array(grid))
    places = np.searchsorted((of_grid[1:] + of_grid[:-1]) / 2, wanted)
    return np.maximum.accumulate(places, axis=0)


def micro_f1(hits: np.ndarray, estimated: np.ndarray, num_reference: int) -> np.ndarray:
    """Of counts, arrays of one shape."""
    return 2 * hits / np.maximum(estimated + num_reference, 1)


def middle_of_best(values: np.ndarray, grid: Sequence[float]) -> int:
    """Where the greatest values are: the middle of their longest stretch of the grid.

    Of stretches as long, the one nearest to 0.5.
    """
    candidates = np.asarray(grid)
    is_best = values >= values.max() - 1e-9
    steps = np.diff(is_best.astype(int), prepend=0, append=0)
    first, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    # each candidate stands for what is between it and the next
    ends = np.append(candidates, 1.0)
    length = np.round(ends[last + 1] - candidates[first], 9)
    center = np.round((candidates[first] + candidates[last]) / 2, 9)
    middle = np.searchsorted(candidates, center, side="right") - 1
    distance = np.abs(candidates[middle] - 0.5)
    return int(middle[np.lexsort((distance, -length))[0]])
