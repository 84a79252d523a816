"""How sure a score is: clips drawn again, with replacement, and scored again.

Scores of N clips would be others for N other clips of the same kind. The bootstrap
imitates that: it draws N of the clips with replacement, scores them, does so many
times, and takes the range of the middle 95 % of the scores. Two systems are compared
on the same draws, so that what makes a clip hard for both cancels.

Decisions stay as they are: neither training nor thresholds are repeated, so what they
add to the uncertainty is not seen here.

Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13, the
percentile interval; Koehn, "Statistical significance tests for machine translation
evaluation", 2004, of pairs of systems.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.scoring import (
    Decisions,
    check_same_clips,
    estimated_events,
    reference_events,
)
from gcrnn_jax.metrics.segment import COUNTS, error_rate, segment_counts
from gcrnn_jax.metrics.tagging import rates, tagging_counts

_BLOCK = 2_000_000  # clips drawn at once, which take some 50 MB


@dataclass(frozen=True)
class ClipCounts:
    """What the scores of a system are sums of, clip by clip."""

    tagging: np.ndarray  # int [N, 3]: true positives, estimated, reference
    segments: np.ndarray | None  # int [N, 9], named by COUNTS; None: no strong labels


class Interval(NamedTuple):
    """A range of scores, both ends included; nan where no draw has a score."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A score of a system on all clips, and how it varies."""

    value: float
    interval: Interval


class Difference(NamedTuple):
    """A score of one system minus that of another, and how it varies."""

    value: float
    interval: Interval

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


SCORES = ("precision", "recall", "f1", "segment_f1", "error_rate")  # all micro


@dataclass(frozen=True)
class Bootstrap:
    """Scores of M systems on all clips and on R draws of them, the same for all.

    The scores are those named by SCORES: of tags, then of segments, which are nan
    without strong labels. A draw on which a score is not defined is left out of its
    interval.
    """

    values: np.ndarray  # [M, 5]
    drawn: np.ndarray  # [M, R, 5]

    def estimates(self, system: int) -> dict[str, Estimate]:
        """The scores of one system, by name."""
        return {
            name: Estimate(
                float(self.values[system, k]), _interval(self.drawn[system, :, k])
            )
            for k, name in enumerate(SCORES)
        }

    def differences(self, system: int, other: int) -> dict[str, Difference]:
        """The scores of one system minus those of another, by name."""
        values = self.values[system] - self.values[other]
        drawn = self.drawn[system] - self.drawn[other]
        return {
            name: Difference(float(values[k]), _interval(drawn[:, k]))
            for k, name in enumerate(SCORES)
        }


def clip_counts(
    decisions: Decisions, posteriors: PosteriorSet, split: Split
) -> ClipCounts:
    """Counts clip by clip what `score` sums over all of them; takes what it takes.

    Raises:
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    segments = None
    if split.events is not None:
        segments = segment_counts(
            reference_events(split),
            estimated_events(decisions, posteriors),
            split.class_names,
        )
    return ClipCounts(tagging_counts(split.weak_label, decisions.tags), segments)


def bootstrap(
    systems: Sequence[ClipCounts], *, num_draws: int = 10_000, seed: int = 0
) -> Bootstrap:
    """Scores systems on all clips and on draws of as many, with replacement.

    Args:
        systems: Counts of each system, all of the same clips in the same order.
        num_draws: R.
        seed: Of the draws.

    Returns:
        Scores, to be asked for intervals and differences.

    Raises:
        DataError: There is no system or no clip, or the systems were not scored
            against the same reference.

    Example:
        >>> half = ClipCounts(np.array([[1, 1, 1], [0, 1, 1]] * 50), None)
        >>> whole = ClipCounts(np.array([[1, 1, 1], [1, 1, 1]] * 50), None)
        >>> found = bootstrap([half, whole])
        >>> found.estimates(0)["f1"]
        Estimate(value=0.5, interval=Interval(low=0.4, high=0.6))
        >>> found.differences(1, 0)["f1"].is_significant
        True
    """
    _check_same_reference(systems)
    counts = [_columns(system) for system in systems]
    num_clips = len(counts[0])
    together = np.concatenate(counts, axis=1).astype(float)  # floats multiply faster
    sums = [together.sum(0, keepdims=True)]
    sums += [weights @ together for weights in draw_weights(num_clips, num_draws, seed)]
    by_system = np.split(np.concatenate(sums).astype(int), len(systems), axis=1)
    scores = np.array([[_scores(row) for row in s.tolist()] for s in by_system])
    return Bootstrap(values=scores[:, 0], drawn=scores[:, 1:])


def draw_weights(num_clips: int, num_draws: int, seed: int) -> Iterator[np.ndarray]:
    """Draws N of N clips with replacement, R times.

    Yields:
        float [B, N], how often each clip was drawn, for B draws at a time.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // num_clips)
    for start in range(0, num_draws, block):
        size = min(block, num_draws - start)
        clips = rng.integers(num_clips, size=(size, num_clips))
        clips += num_clips * np.arange(size)[:, None]  # each draw counts for itself
        weights = np.bincount(clips.ravel(), minlength=clips.size)
        yield weights.reshape(clips.shape).astype(float)


def _columns(system: ClipCounts) -> np.ndarray:
    """[N, 3 + 9]; no strong labels are segments of nothing, whose scores are nan."""
    segments = system.segments
    if segments is None:
        segments = np.zeros((len(system.tagging), len(COUNTS)), int)
    return np.concatenate([system.tagging, segments], axis=1)


def _scores(sums: Sequence[int]) -> tuple[float, ...]:
    segments = dict(zip(COUNTS, sums[3:], strict=True))
    of_segments = rates(segments["Ntp"], segments["Nsys"], segments["Nref"])
    return (*rates(*sums[:3]), of_segments.f1, error_rate(segments))


def _interval(scores: np.ndarray) -> Interval:
    defined = scores[~np.isnan(scores)]
    if not defined.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high))


def _check_same_reference(systems: Sequence[ClipCounts]) -> None:
    if not systems or not len(systems[0].tagging):
        raise DataError("a bootstrap needs a system and a clip at least")
    references = [_columns(s)[:, [2, 3 + COUNTS.index("Nref")]] for s in systems]
    for number, reference in enumerate(references):
        if not np.array_equal(reference, references[0]):
            raise DataError(
                f"system {number + 1} was scored against another reference than the "
                "first: other clips, or in another order"
            )
