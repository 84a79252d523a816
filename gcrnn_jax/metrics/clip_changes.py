"""What one recording changes in the counts of all thresholds: classes with events.

Other classes of the recording have false detections alone, see `changes_in_number`.
"""

from collections.abc import Mapping

import numpy as np

from gcrnn_jax.metrics.detections import Detections, all_detections
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.intersection import Intersection, shared_seconds
from gcrnn_jax.metrics.ledger import Ledger
from gcrnn_jax.metrics.matching import num_pairs


def add_collars(
    ledger: Ledger,
    scores: np.ndarray,
    times: np.ndarray,
    references: Mapping[int, np.ndarray],
    collars: Collars,
) -> None:
    """Adds the classes of a clip that have events in it: the matching's size changes."""
    columns = sorted(references)
    found = all_detections(scores[:, columns], ledger.floor[columns])
    for i, k in enumerate(columns):
        mine = found.where(found.column == i)
        hits = collars.hits(references[k], mine.spans(times))  # [R, n]
        is_near = hits.any(0)
        near, hits = mine.where(is_near), hits[:, is_near]

        score, change = _matched(near, hits)
        ledger.add_clip(
            k,
            np.concatenate([score, mine.birth, mine.death]),
            np.concatenate([change, np.zeros(2 * len(mine.birth), int)]),
            np.concatenate([-change, *_lives(np.ones(len(mine.birth), int))]),
        )


def _matched(near: Detections, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores, falling, at which the size of the matching may change, and how it does.

    From detections that hit something, [n], and what they hit, bool [R, n].
    """
    score = np.unique(np.concatenate([near.birth, near.death]))[::-1]
    score = score[score > -np.inf]
    there = [(near.birth >= at) & (near.death < at) for at in score]
    counts = np.array([num_pairs(hits[:, detected]) for detected in there], int)
    return score, np.diff(counts, prepend=0)


def add_shares(
    ledger: Ledger,
    scores: np.ndarray,
    times: np.ndarray,
    references: Mapping[int, np.ndarray],
    by: Intersection,
    seconds: np.ndarray,
) -> None:
    """Adds a clip with events: those found, detections that are not relevant, crosses.

    Cross-triggers may be of any class, the rest is of those with events in the clip.
    """
    own = sorted(references)
    columns = own if by.cttc is None else list(range(scores.shape[1]))
    found = all_detections(scores[:, columns], ledger.floor[columns])
    spans = found.spans(times)
    length_s = spans[:, 1] - spans[:, 0]
    relevant = np.zeros(len(spans), bool)
    for k in own:
        mine = np.flatnonzero(found.column == columns.index(k))
        shares = shared_seconds(spans[mine], references[k])  # [n, R]
        relevant[mine] = by.reaches(shares, length_s[mine], by.dtc)
        counted = relevant[mine]
        relevant_ones = found.where(mine[counted])
        false_ones = found.where(mine[~counted])
        true = [
            _found_at(relevant_ones, shares[counted, r], event, by)
            for r, event in enumerate(references[k])
        ]
        hit_scores, hits = map(np.concatenate, zip(*true, strict=True))
        births = len(false_ones.birth)
        ledger.add_clip(
            k,
            np.concatenate([hit_scores, false_ones.birth, false_ones.death]),
            np.concatenate([hits, np.zeros(2 * births, int)]),
            np.concatenate([np.zeros(len(hits), int), *_lives(np.ones(births, int))]),
        )
    if by.cttc is None:
        return
    weight = np.zeros(len(spans))
    for c in own:
        is_other = np.flatnonzero(~relevant & (found.column != c))
        shares = shared_seconds(spans[is_other], references[c])
        is_met = shares.any(1)  # by far not all of them
        is_other, shares = is_other[is_met], shares[is_met]
        crosses = by.reaches(shares, length_s[is_other], by.cttc)
        weight[is_other[crosses]] += 1 / seconds[c]
    crosses = found.where(weight > 0)
    for score, sign in ((crosses.birth, 1), (crosses.death, -1)):
        ledger.add(crosses.column, score, 0, 0, sign * weight[weight > 0])


def _lives(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What detections add at their births, and take away at their deaths."""
    return number, -number


def _found_at(
    relevant: Detections, shares: np.ndarray, event: np.ndarray, by: Intersection
) -> tuple[np.ndarray, np.ndarray]:
    """Scores where one reference event becomes found, +1, or is no longer, -1."""
    is_met = shares > 0
    near, shares = relevant.where(is_met), shares[is_met]
    score, where = np.unique(
        np.concatenate([near.birth, near.death]), return_inverse=True
    )
    change_s = np.bincount(where, np.concatenate(_lives(shares)), len(score))
    # Sums of float64: rounded, so that what has come and gone is nothing again.
    total_s = np.round(np.cumsum(change_s[::-1])[::-1], 9)
    is_found = by.reaches(total_s, np.full(len(score), event[1] - event[0]), by.gtc)
    is_found &= score > -np.inf
    change = is_found.astype(int) - np.append(is_found[1:], False)
    return score[change != 0], change[change != 0]
