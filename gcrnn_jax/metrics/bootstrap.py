"""How sure a score is: clips drawn again, with replacement, and scored again.

Scores of N clips would be others for N other clips of the same kind. The bootstrap
imitates that: it draws N of the clips with replacement, scores them, does so many
times, and takes the range of the middle 95 % of the scores, moved so that their mean
is the score of all clips. Two systems are compared on the same draws, so that what
makes a clip hard for both cancels. Draws that all have the same score say nothing of
other clips: there is no interval then. Of fewer than `FEW` clips it is too narrow.

Decisions stay as they are: neither training nor thresholds are repeated, so what they
add to the uncertainty is not seen here.

Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13, the
percentile interval; Koehn, "Statistical significance tests for machine translation
evaluation", 2004, of pairs of systems.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.scoring import ClipCounts
from gcrnn_jax.metrics.uncertainty import Estimate, Interval, estimate_of, interval_of

__all__ = [
    "Bootstrap",
    "Estimate",
    "Interval",
    "bootstrap",
    "draw_weights",
    "estimate_of",
    "interval_of",
]

_BLOCK = 2_000_000  # clips drawn at once, which take some 50 MB


@dataclass(frozen=True)
class Bootstrap:
    """Scores of M systems on all clips and on R draws of them, the same for all.

    The scores are the columns of metrics that have an interval; they are nan for
    detection without strong labels. A draw on which one is not defined is left out.
    """

    names: tuple[str, ...]  # S, the keys of the columns
    values: np.ndarray  # [M, S]
    drawn: np.ndarray  # [M, R, S]

    def estimates(self, system: int) -> dict[str, Estimate]:
        """The scores of one system, by name."""
        return self._estimates(self.values[system], self.drawn[system])

    def differences(self, system: int, other: int) -> dict[str, Estimate]:
        """The scores of one system minus those of another, by name."""
        pairs = (each[system] - each[other] for each in (self.values, self.drawn))
        return self._estimates(*pairs)

    def _estimates(self, values: np.ndarray, drawn: np.ndarray) -> dict[str, Estimate]:
        scores = zip(self.names, values.tolist(), drawn.T, strict=True)
        return {name: estimate_of(value, row) for name, value, row in scores}


def bootstrap(
    systems: Sequence[ClipCounts],
    *,
    num_draws: int = 10_000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Bootstrap:
    """Scores systems on all clips and on draws of as many, with replacement.

    Args:
        systems: The `clip_counts` of each, of the same clips in the same order.
        num_draws: R.
        seed: Of the draws.
        groups: int [N], 0 to G - 1, of clips that share a source: G of these are drawn
            then, with all their clips. None: clips by themselves.

    Raises:
        DataError: There is no system or no clip, or the systems were not scored
            against the same reference.

    Example:
        >>> half = {"tagging": np.array([[1, 1, 1], [0, 1, 1]] * 50)}
        >>> whole = {"tagging": np.array([[1, 1, 1], [1, 1, 1]] * 50)}
        >>> scores = bootstrap([half, whole])
        >>> value, (low, high) = scores.estimates(0)["f1"]
        >>> value, round(low, 2), round(high, 2)
        (0.5, 0.4, 0.6)
        >>> scores.differences(1, 0)["f1"].is_significant
        True
    """
    _check_same_reference(systems)
    metrics = [metric for metric in scoring.METRICS if metric.name in systems[0]]
    parts = [np.hstack([system[m.name] for system in systems]) for m in metrics]
    counts = np.hstack(parts).astype(float)  # floats multiply faster
    if groups is None:
        groups = np.arange(len(counts))
    weights = draw_weights(int(groups.max()) + 1, num_draws, seed)
    drawn = [w[:, groups] @ counts for w in weights]
    sums = np.concatenate([counts.sum(0, keepdims=True), *drawn])
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    shape = len(sums), len(systems)
    by_name: dict[str, np.ndarray] = {}
    for metric, of_metric in zip(metrics, np.split(sums, ends, axis=1), strict=True):
        by_name |= metric.scores(of_metric.reshape(*shape, -1))
    names = tuple(column.key for column in scoring.columns() if column.has_interval)
    undefined = np.full(shape, np.nan)
    scores = np.stack([by_name.get(name, undefined) for name in names], axis=-1)
    return Bootstrap(names, values=scores[0], drawn=scores[1:].swapaxes(0, 1))


def draw_weights(num_clips: int, num_draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each clip of N was drawn in each of R draws, float [B, N] at a time."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // num_clips)
    for start in range(0, num_draws, block):
        size = min(block, num_draws - start)
        clips = rng.integers(num_clips, size=(size, num_clips))
        clips += num_clips * np.arange(size)[:, None]  # each draw counts for itself
        weights = np.bincount(clips.ravel(), minlength=clips.size)
        yield weights.reshape(clips.shape).astype(float)


def _check_same_reference(systems: Sequence[ClipCounts]) -> None:
    if not systems or not len(next(iter(systems[0].values()))):
        raise DataError("a bootstrap needs a system and a clip at least")
    columns = {metric.name: metric.reference_counts for metric in scoring.METRICS}
    for number, system in enumerate(systems):
        if system.keys() != systems[0].keys() or not all(
            np.array_equal(counts[:, columns[name]], systems[0][name][:, columns[name]])
            for name, counts in system.items()
        ):
            raise DataError(
                f"system {number + 1} was scored against another reference than the "
                "first: other clips, or in another order"
            )
