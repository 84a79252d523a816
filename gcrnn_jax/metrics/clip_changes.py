"""What one recording changes in the counts of all thresholds: classes with events.

Other classes of the recording have false detections alone, see `changes_in_number`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from gcrnn_jax.metrics.detections import Detections, all_detections
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.floors import Floors
from gcrnn_jax.metrics.intersection import Intersection, shared_seconds
from gcrnn_jax.metrics.matching import num_pairs


class ClipChanges(Protocol):
    """What takes the changes of clips, one clip after the other, as `Ledger` does."""

    floors: Floors

    def add(
        self, k: Any, score: np.ndarray, true: Any, false: Any, cross: Any = 0.0
    ) -> None:
        """See `Ledger.add`."""

    def add_clip(
        self, k: int, score: np.ndarray, true: np.ndarray, false: np.ndarray
    ) -> None:
        """See `Ledger.add_clip`."""

    def add_crosses(
        self, other: int, k: np.ndarray, score: np.ndarray, number: np.ndarray
    ) -> None:
        """See `Ledger.add_crosses`."""

    def end_clip(self, clip_id: str) -> None:
        """See `Ledger.end_clip`."""


def add_collars(
    ledger: ClipChanges,
    scores: np.ndarray,
    times: np.ndarray,
    references: Mapping[int, np.ndarray],
    collars: Collars,
) -> None:
    """Adds the classes with events in a clip: how the size of the matching changes."""
    columns = sorted(references)
    found = all_detections(scores[:, columns], ledger.floors.floor[columns])
    for i, k in enumerate(columns):
        mine = found.where(found.column == i)
        hits = collars.pairs(references[k], mine.spans(times))
        score, change = _matched(mine, hits)
        ledger.add_clip(
            k,
            np.concatenate([score, mine.birth, mine.death]),
            np.concatenate([change, np.zeros(2 * len(mine.birth), int)]),
            np.concatenate([-change, *_lives(np.ones(len(mine.birth), int))]),
        )


def _matched(found: Detections, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores, falling, at which the size of the matching may change, and how it does.

    From detections and the pairs that they could be in, [P, 2].
    """
    birth, death = found.birth[hits[:, 1]], found.death[hits[:, 1]]
    score = np.unique(np.concatenate([birth, death]))[::-1]
    score = score[score > -np.inf]
    counts = [num_pairs(hits[(birth >= at) & (death < at)]) for at in score]
    return score, np.diff(np.array(counts, int), prepend=0)


def add_shares(
    ledger: ClipChanges,
    scores: np.ndarray,
    times: np.ndarray,
    references: Mapping[int, np.ndarray],
    *,
    by: Intersection,
) -> None:
    """Adds a clip with events: those found, detections that are not relevant, crosses.

    Cross-triggers may be of any class, the rest is of those with events in the clip.
    """
    own = sorted(references)
    columns = own if by.cttc is None else list(range(scores.shape[1]))
    found = all_detections(scores[:, columns], ledger.floors.floor[columns])
    spans = found.spans(times)
    length_s = spans[:, 1] - spans[:, 0]
    relevant = np.zeros(len(spans), bool)
    for k in own:
        mine = np.flatnonzero(found.column == columns.index(k))
        total_s, met = _shared(spans[mine], references[k])
        relevant[mine] = by.reaches(total_s, length_s[mine], by.dtc)
        true = [
            _found_at(found.where(mine[i]), shared_s * relevant[mine[i]], event, by)
            for (i, shared_s), event in zip(met, references[k], strict=True)
        ]
        score, change = map(np.concatenate, zip(*true, strict=True))
        false = found.where(mine[~relevant[mine]])
        ledger.add_clip(
            k,
            np.concatenate([score, false.birth, false.death]),
            np.concatenate([change, np.zeros(2 * len(false.birth), int)]),
            np.concatenate([0 * change, *_lives(np.ones(len(false.birth), int))]),
        )
    if by.cttc is None:
        return
    for c in own:
        total_s, _ = _shared(spans, references[c])
        other = np.flatnonzero((total_s > 0) & ~relevant & (found.column != c))
        reached = by.reaches(total_s[other], length_s[other], by.cttc)
        _add_crosses(ledger, c, found.where(other[reached]))


def _add_crosses(ledger: ClipChanges, other: int, crosses: Detections) -> None:
    """Adds detections that lie in events of another class than their own."""
    k = np.tile(crosses.column, 2)
    score = np.concatenate([crosses.birth, crosses.death])
    order = np.lexsort((score, k))
    k, score = k[order], score[order]
    first = np.flatnonzero(
        (np.diff(k, prepend=-1) != 0) | (np.diff(score, prepend=np.nan) != 0)
    )
    if len(first):
        # Most grow into one that crosses too, at the score where they end.
        lives = np.concatenate(_lives(np.ones(len(crosses.column), int)))
        change = np.add.reduceat(lives[order], first)
        first, change = first[change != 0], change[change != 0]
        ledger.add_crosses(other, k[first], score[first], change)


def _shared(
    spans: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Seconds of spans [n, 2] within events [R, 2]: [n], and those of each event.

    For each event, which spans meet it, and for how long.
    """
    total_s, met = np.zeros(len(spans)), []
    for event in events:
        shared_s = shared_seconds(spans, event[None])[:, 0]
        i = np.flatnonzero(shared_s)
        total_s[i] += shared_s[i]
        met.append((i, shared_s[i]))
    return total_s, met


def _lives(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What detections add at their births, and take away at their deaths."""
    return number, -number


def _found_at(
    met: Detections, shared_s: np.ndarray, event: np.ndarray, by: Intersection
) -> tuple[np.ndarray, np.ndarray]:
    """Scores where one reference event becomes found, +1, or is no longer, -1.

    From detections that meet it, [n], and what each shares if it is relevant, else 0.
    """
    score, where = np.unique(
        np.concatenate([met.birth, met.death]), return_inverse=True
    )
    change_s = np.bincount(where, np.concatenate(_lives(shared_s)), len(score))
    # Sums of float64: rounded, so that what has come and gone is nothing again.
    total_s = np.round(np.cumsum(change_s[::-1])[::-1], 9)
    is_found = by.reaches(total_s, np.full(len(score), event[1] - event[0]), by.gtc)
    is_found &= score > -np.inf
    change = is_found.astype(int) - np.append(is_found[1:], False)
    return score[change != 0], change[change != 0]
