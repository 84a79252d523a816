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

from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.scoring import ClipCounts

_BLOCK = 2_000_000  # clips drawn at once, which take some 50 MB


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


@dataclass(frozen=True)
class Bootstrap:
    """Scores of M systems on all clips and on R draws of them, the same for all.

    The scores are the columns of metrics that have an interval; they are nan for
    detection without strong labels. A draw on which a score is not defined is left out
    of its interval.
    """

    names: tuple[str, ...]  # S, the keys of the columns
    values: np.ndarray  # [M, S]
    drawn: np.ndarray  # [M, R, S]

    def estimates(self, system: int) -> dict[str, Estimate]:
        """The scores of one system, by name."""
        return {
            name: Estimate(value, _interval(drawn))
            for name, value, drawn in zip(
                self.names,
                self.values[system].tolist(),
                self.drawn[system].T,
                strict=True,
            )
        }

    def differences(self, system: int, other: int) -> dict[str, Difference]:
        """The scores of one system minus those of another, by name."""
        values = (self.values[system] - self.values[other]).tolist()
        drawn = (self.drawn[system] - self.drawn[other]).T
        return {
            name: Difference(value, _interval(row))
            for name, value, row in zip(self.names, values, drawn, strict=True)
        }


def bootstrap(
    systems: Sequence[ClipCounts], *, num_draws: int = 10_000, seed: int = 0
) -> Bootstrap:
    """Scores systems on all clips and on draws of as many, with replacement.

    Args:
        systems: `clip_counts` of each system, of the same clips in the same order.
        num_draws: R.
        seed: Of the draws.

    Returns:
        Scores, to be asked for intervals and differences.

    Raises:
        DataError: There is no system or no clip, or the systems were not scored
            against the same reference.

    Example:
        >>> half = {"tagging": np.array([[1, 1, 1], [0, 1, 1]] * 50)}
        >>> whole = {"tagging": np.array([[1, 1, 1], [1, 1, 1]] * 50)}
        >>> scores = bootstrap([half, whole])
        >>> scores.estimates(0)["f1"]
        Estimate(value=0.5, interval=Interval(low=0.4, high=0.6))
        >>> scores.differences(1, 0)["f1"].is_significant
        True
    """
    _check_same_reference(systems)
    rows = [np.concatenate(list(system.values()), axis=1) for system in systems]
    together = np.concatenate(rows, axis=1).astype(float)  # floats multiply faster
    draws = draw_weights(len(together), num_draws, seed)
    sums = [together.sum(0, keepdims=True), *(weights @ together for weights in draws)]
    ends = np.cumsum([row.shape[1] for row in rows])[:-1]
    by_system = np.split(np.concatenate(sums), ends, axis=1)
    names = tuple(column.key for column in scoring.columns() if column.has_interval)
    scores = np.stack(
        [_scores(*pair, names) for pair in zip(systems, by_system, strict=True)]
    )
    return Bootstrap(names, values=scores[:, 0], drawn=scores[:, 1:])


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


def _scores(system: ClipCounts, sums: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Scores [1 + R, S] from a system's sums, [1 + R, C] of all its counts."""
    by_name, first = {}, 0
    for metric in scoring.METRICS:
        if metric.name in system:
            end = first + system[metric.name].shape[1]
            by_name |= metric.scores(sums[:, first:end])
            first = end
    undefined = np.full(len(sums), np.nan)
    return np.stack([by_name.get(name, undefined) for name in names], axis=1)


def _interval(scores: np.ndarray) -> Interval:
    defined = scores[~np.isnan(scores)]
    if not defined.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high))


def _check_same_reference(systems: Sequence[ClipCounts]) -> None:
    if not systems or not len(next(iter(systems[0].values()))):
        raise DataError("a bootstrap needs a system and a clip at least")
    references = [_reference(system) for system in systems]
    for number, reference in enumerate(references):
        if not np.array_equal(reference, references[0]):
            raise DataError(
                f"system {number + 1} was scored against another reference than the "
                "first: other clips, or in another order"
            )


def _reference(system: ClipCounts) -> np.ndarray:
    """The counts that do not depend on the system, [N, C]."""
    parts = [
        system[metric.name][:, list(metric.reference_counts)]
        for metric in scoring.METRICS
        if metric.name in system
    ]
    return np.concatenate(parts, axis=1)
