"""PSDS, over all thresholds, of drawn recordings.

What a recording changes in the counts of all thresholds is found once and kept; in a
draw each change counts as often as its recording. So the figure of a draw is exactly
`psds` of the recordings drawn, each as often as it was.

Only thresholds that may matter are looked at: at all below its highest score, each
recording without the class has a false detection, and where a draw has too many of
those no figure is computed. Of very large sets draws are looked at down to where the
recordings have too many by six standard deviations of what draws have: that false
positives become fewer again below is not looked for, as they do in none of the
recordings as they are.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.evaluation.measure import Scored
from gcrnn_jax.evaluation.steps import Steps, running_sums
from gcrnn_jax.evaluation.sweep import Counted, Sought, Sweep
from gcrnn_jax.metrics.intersection import DisjointEvents
from gcrnn_jax.metrics.ledger import ThresholdCounts
from gcrnn_jax.metrics.polyphonic import (
    PsdsParameters,
    Roc,
    mean_roc,
    roc_of_counts,
)

_HOUR_S = 3600.0
_SPARE = 6.0  # standard deviations of false positives that a draw may have less
_LEAST_VARIANCE = 1e-12  # what sums of float64 may leave of none


def sought_for_psds(
    there: DisjointEvents, durations: Mapping[str, float], parameters: PsdsParameters
) -> Sought:
    """What is to be counted for a PSDS of recordings and of most draws of them."""
    most = parameters.max_efpr * sum(durations.values()) / _HOUR_S
    return Sought(parameters.criteria, there.by_clip, math.ceil(most), _SPARE)


class PsdsMeasure:
    """PSDS, and the area below the ROC of every class."""

    def __init__(
        self,
        name: str,
        sweep: Sweep,
        sought: Sought,
        counted: Counted,
        durations: Mapping[str, float],
        *,
        parameters: PsdsParameters,
    ):
        """Recordings are those of durations and of the sweep, in their order.

        Args:
            name: As "psds1".
            sweep: Of the tables.
            sought: See `sought_for_psds`.
            counted: Found for it.
            durations: Seconds.
            parameters: See `metrics.psds`.
        """
        self.class_names, self.parameters = sweep.class_names, parameters
        self.quantity = f"{name}[{psds_text(parameters)}]"
        self._seconds = np.array(list(durations.values()), float)
        self._sweep, self._sought, self._counted = sweep, sought, counted
        rows = {clip_id_of_file(file): n for n, file in enumerate(durations)}
        shape = len(durations), len(self.class_names)
        self._num_events, self._event_s = np.zeros(shape), np.zeros(shape)
        for clip_id, of_class in sought.by_clip.items():
            for k, times in of_class.items():
                self._num_events[rows[clip_id], k] = len(times)
                self._event_s[rows[clip_id], k] = (times[:, 1] - times[:, 0]).sum()

    @property
    def cost(self) -> int:
        """Changes of the counts, each of which is looked at for each draw."""
        return sum(
            one.true.nnz + one.false.nnz + one.crosses.nnz + len(one.score)
            for one in self._counted.steps
        )

    @property
    def at_once(self) -> int:
        """Those of one class; a draw keeps rises of the ROC of all classes, too."""
        steps = self._counted.steps
        most = max((one.false.nnz + len(one.score) for one in steps), default=0)
        return max(most, 4 * len(self._counted.pairs))

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`; classes without a reference event in a draw have none."""
        if len(weights) == 1 and (weights == 1).all():
            values, classes = np.array([self.psd_roc_area()]), self._areas()[None]
        else:
            values, classes = self._of_draws(weights)
        return Scored({(self.quantity, "classes"): values}, {self.quantity: classes})

    def psd_roc_area(self) -> float:
        """The score of the recordings as they are; nan without any event."""
        rocs = list(self.rocs.values())
        if not rocs:
            return math.nan
        return mean_roc(rocs, self.parameters.alpha_st).area(self.parameters.max_efpr)

    @cached_property
    def rocs(self) -> dict[int, Roc]:
        """The ROC of every class with an event."""
        counts = dict(enumerate(self._counts(np.ones((1, len(self._seconds))))))
        there = {k: c for k, c in counts.items() if c.num_reference}
        options = len(there), float(self._seconds.sum()) / _HOUR_S, self.parameters
        return {k: roc_of_counts(c, *options) for k, c in there.items()}

    def _areas(self) -> np.ndarray:
        areas = np.full(len(self.class_names), np.nan)
        for k, roc in self.rocs.items():
            areas[k] = roc.area(self.parameters.max_efpr)
        return areas

    def _counts(self, weights: np.ndarray) -> Iterator[ThresholdCounts]:
        """The counts of every class where recordings count so often, [1, N]."""
        drawn, crossing = self._drawn(weights)
        numbers = (weights @ self._num_events)[0].tolist()
        for k, steps in enumerate(self._counted.steps):
            sums = (one[:, 0] for one in _wrong(steps, drawn, crossing))
            hits = steps.hits(drawn[:, 0])
            hits, wrong, crossed = (np.append(0, one) for one in (hits, *sums))
            scores = np.append(np.inf, steps.score)
            counts = scores, hits, wrong, crossed, int(numbers[k])
            yield ThresholdCounts(*counts, float(self._counted.floor[k]))

    def _drawn(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How often recordings count, [N, B], and events that are crossed, [Q, B].

        Those of a class count for each second of its events.
        """
        self._look_further(weights)
        row, other = self._counted.pairs.T
        seconds = (weights @ self._event_s).T
        per_second = np.where(seconds > 0, 1 / np.fmax(seconds, 1e-9), 0)
        drawn = np.ascontiguousarray(weights.T)
        return drawn.astype(np.float32), drawn[row] * per_second[other]

    def _of_draws(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """PSDS [B] and areas of classes [B, K]."""
        by, (drawn, crossing) = self.parameters, self._drawn(weights)
        hours = weights @ self._seconds / _HOUR_S
        num_events = (weights @ self._num_events).T
        num_classes = (num_events > 0).sum(0)
        areas = np.full(num_events.shape, np.nan)
        rises = []
        for k, steps in enumerate(self._counted.steps):
            false, crosses = _wrong(steps, drawn, crossing)
            efpr = false / hours
            if by.alpha_ct:
                number = np.maximum(num_classes - 1, 1)
                efpr += by.alpha_ct * _HOUR_S * np.maximum(crosses, 0) / number
            is_there = num_events[k] > 0
            true = running_sums(steps.true @ drawn)
            tpr = true / np.where(is_there, num_events[k], 1)
            # As long as as many events are found, the fewest false positives count.
            least = np.minimum.reduceat(efpr, steps.found) if len(true) else efpr
            own, more = _staircases(least, tpr, is_there, by.max_efpr)
            areas[k] = np.where(is_there, own, np.nan)
            rises.append(more)
        return _areas_of_means(rises, num_classes, by), areas.T

    def _look_further(self, weights: np.ndarray) -> None:
        """Keeps changes down to where every draw has too many false positives."""
        most = self.parameters.max_efpr * (weights @ self._seconds) / _HOUR_S
        while np.isfinite(self._counted.floor).any():
            number = weights.astype(np.float32) @ self._counted.false
            is_enough = (number > most[:, None]) | np.isinf(self._counted.floor)
            if is_enough.all():
                return
            self._sought = replace(self._sought, most=2 * self._sought.most)
            [self._counted] = self._sweep.count([self._sought])


def _wrong(
    steps: Steps, drawn: np.ndarray, crossing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """False positives and crosses at each step of each draw, [P, B]."""
    false = running_sums(steps.false @ drawn)
    if not steps.crosses.nnz:
        return false, np.zeros((len(false), 1))
    return false, running_sums(steps.crosses @ crossing)


Rises = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _staircases(
    efpr: np.ndarray, tpr: np.ndarray, is_there: np.ndarray, max_efpr: float
) -> tuple[np.ndarray, Rises]:
    """The areas below the ROC of a class in B draws, and where each rises.

    Args:
        efpr: [S, B], at falling thresholds.
        tpr: [S, B].
        is_there: bool [B], whether the class has an event.
        max_efpr: Where the curves end.

    Returns:
        [B]; of all rises the draw, the place, and by how much the share found and its
        square rise.
    """
    order = np.argsort(efpr, 0, kind="stable")
    efpr = np.minimum(np.take_along_axis(efpr, order, 0), max_efpr)
    height = np.maximum.accumulate(np.take_along_axis(tpr, order, 0), 0)
    last = np.full((1, efpr.shape[1]), max_efpr)
    area = (height * np.diff(efpr, axis=0, append=last)).sum(0) / max_efpr
    before = np.vstack([np.zeros((1, efpr.shape[1])), height])[:-1]
    place, draw = np.nonzero((height > before) & (efpr < max_efpr) & is_there)
    high, low = height[place, draw], before[place, draw]
    return area, (draw, efpr[place, draw], high - low, high**2 - low**2)


def _areas_of_means(
    rises: list[Rises], num_classes: np.ndarray, by: PsdsParameters
) -> np.ndarray:
    """PSDS of B draws from the rises of all classes; nan where there is no class."""
    values = np.where(num_classes > 0, 0.0, np.nan)
    if not rises:
        return values
    draw, efpr, rise, square = map(np.concatenate, zip(*rises, strict=True))
    order = np.lexsort((efpr, draw))
    draw, efpr, rise, square = (one[order] for one in (draw, efpr, rise, square))
    ends = np.searchsorted(draw, np.arange(len(num_classes) + 1))
    for b, (first, end) in enumerate(zip(ends, ends[1:], strict=False)):
        if first < end:
            one = slice(first, end)
            mean = np.cumsum(rise[one]) / num_classes[b]
            variance = np.cumsum(square[one]) / num_classes[b] - mean**2
            variance[variance < _LEAST_VARIANCE] = 0
            height = np.maximum(mean - by.alpha_st * np.sqrt(variance), 0)
            widths = np.diff(efpr[one], append=by.max_efpr)
            values[b] = round(float(height @ widths) / by.max_efpr, 14)
    return values


def psds_text(by: PsdsParameters) -> str:
    """What a PSDS is made of.

    Example:
        >>> from gcrnn_jax.metrics.intersection import Intersection
        >>> psds_text(PsdsParameters(Intersection(0.7, 0.7), alpha_st=1.0))
        'dtc 0.7, gtc 0.7, alpha_st 1, 100 per hour'
    """
    shares = by.criteria
    parts = [f"dtc {shares.dtc:g}", f"gtc {shares.gtc:g}"]
    if shares.cttc is not None:
        parts += [f"cttc {shares.cttc:g}", f"alpha_ct {by.alpha_ct:g}"]
    parts += [f"alpha_st {by.alpha_st:g}", f"{by.max_efpr:g} per hour"]
    return ", ".join(parts)
