"""The best F1 over all thresholds, each class at its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.evaluation.decided import (
    Decided,
    best_event_figures,
    collars_text,
)
from gcrnn_jax.evaluation.sweep import Counted, Sought, Steps
from gcrnn_jax.metrics.event_based import Collars
from gcrnn_jax.metrics.f1_by_threshold import F1Curve
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.threshold_counts import references_of

_MANY = 100_000  # classes of recordings whose changes at all scores need much memory
_MOST = 20  # false positives for each event: exact where F1 is above 0.1


def sought_for_best_f1(
    events: Mapping[str, Sequence[Event]], class_names: Sequence[str], collars: Collars
) -> Sought:
    """What is to be counted for the best F1."""
    by_clip, numbers, _ = references_of(events, class_names)
    is_large = len(events) * len(class_names) > _MANY
    most = float(_MOST * max(numbers.max(initial=0), 1)) if is_large else np.inf
    return Sought(replace(collars, time_decimals=6), by_clip, most)  # sed_scores_eval


def best_f1(
    counted: Counted,
    class_names: Sequence[str],
    events: Mapping[str, Sequence[Event]],
    collars: Collars,
) -> Decided:
    """F1 where each class has the threshold that is best for these very recordings.

    In draws thresholds stay as they are, as in all figures of decisions.

    Args:
        counted: Of `sought_for_best_f1`.
        class_names: K names.
        events: Of all recordings, in the order of weights.
        collars: For the name of the figure.
    """
    from scipy.sparse import csr_array

    num = len(class_names)
    place = {name: k for k, name in enumerate(class_names)}
    numbers = np.zeros((len(events), num), np.int32)
    for n, own in enumerate(events.values()):
        for name, number in Counter(event.event_label for event in own).items():
            numbers[n, place[name]] = number
    row, k = numbers.nonzero()
    parts = [(numbers[row, k], row, 2 * num + k)]
    for k, (steps, floor) in enumerate(zip(counted.steps, counted.floor, strict=True)):
        best = _best_index(steps, int(numbers[:, k].sum()), float(floor))
        right = np.searchsorted(steps.found, best)
        for matrix, last, columns in (
            (steps.true, right, (k, num + k)),
            (steps.false, best, (num + k,)),
        ):
            end = matrix.indptr[last]
            for column in columns:
                at = np.full(end, column)
                parts.append((matrix.data[:end], matrix.indices[:end], at))
    values, rows, columns = (np.concatenate(one) for one in zip(*parts, strict=True))
    shape = len(events), 3 * num
    counts = csr_array((values.astype(float), (rows, columns)), shape)
    figures = partial(best_event_figures, collars_text(collars), num)
    return Decided(tuple(class_names), counts, figures)


def _best_index(steps: Steps, number: int, floor: float) -> int:
    """How many steps the threshold of the best F1 is below."""
    ones = np.ones(steps.false.shape[1])
    hits = np.append(0, steps.hits(ones))
    wrong = np.append(0, np.cumsum(steps.false @ ones))
    scores = np.append(np.inf, steps.score)
    counts = ThresholdCounts(scores, hits, wrong, 0 * hits, number, floor)
    return F1Curve(counts).best_index
