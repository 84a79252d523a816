"""The length of the running median of each class, found as thresholds are.

For each class that length is taken which, at its own best threshold, does most for the
micro-F1 of all classes in segments of 1 s; see `thresholds`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import (
    EVENT_GRID,
    count_events_of_parts,
    micro_f1,
)


def best_medians_of_parts(
    frame_posterior: np.ndarray,
    clip_posterior: np.ndarray,
    segment_reference: np.ndarray,
    hop_s: float,
    parts: Sequence[tuple[np.ndarray, Postprocessing]],
    *,
    medians_s: Sequence[float],
    clip_s: float | None = None,
    grid: Sequence[float] = EVENT_GRID,
) -> list[Postprocessing]:
    """The rules of each part with the best of some median lengths for each class.

    Args:
        frame_posterior: As of `best_event_thresholds`, like what is not named here.
        clip_posterior: The same.
        segment_reference: The same.
        hop_s: Seconds a frame.
        parts: Some of the clips, bool [N], and their rules with tag thresholds.
        medians_s: Lengths to try; of equally good ones the first is taken.
        clip_s: Where the last frames end; None: with themselves.
        grid: Ascending thresholds.
    """
    trials = [
        (is_clip, replace(rules, median_s=median_s))
        for is_clip, rules in parts
        for median_s in medians_s
    ]
    arrays = frame_posterior, clip_posterior, segment_reference
    counts, totals = count_events_of_parts(
        *arrays, hop_s, trials, clip_s=clip_s, grid=grid
    )
    counts = counts.reshape(len(parts), len(medians_s), *counts.shape[1:])
    found = []
    for (_, rules), of_part, total in zip(
        parts, counts, totals[:: len(medians_s)], strict=True
    ):
        chosen = _best_of_each_class(of_part.transpose(1, 2, 0, 3), total)
        lengths = tuple(float(medians_s[n]) for n in chosen)
        found.append(replace(rules, median_s=lengths))
    return found


def _best_of_each_class(counts: np.ndarray, num_reference: int) -> np.ndarray:
    """Which of M lengths is best beside those of other classes, int [K].

    Counts: hits and estimated, [2, K, M, G].
    """
    hits, estimated = counts.reshape(*counts.shape[:2], -1)
    classes, f1 = np.arange(len(hits)), 0.0
    while True:  # Dinkelbach's method, as for thresholds
        best = classes, (2 * hits - f1 * estimated).argmax(1)
        better = float(micro_f1(hits[best].sum(), estimated[best].sum(), num_reference))
        if better <= f1:
            return best[1] // counts.shape[3]
        f1 = better
