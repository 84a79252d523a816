"""Which systems to fuse, and how often each, chosen on clips that none trained on."""

from collections.abc import Sequence

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.tagging import average_precision, mean_defined


def choose_members(
    systems: Sequence[PosteriorSet], split: Split, num_rounds: int = 10
) -> list[int]:
    """Adds the system that helps most, again and again, and keeps the best of all.

    A system may be added more than once, which gives it more weight. What helps is
    what raises the mean average precision of the tags of a split. Of two that raise it
    alike the first is taken, of two ensembles that are as good the smaller.

    Args:
        systems: Posteriors of the split's clips, in its order.
        split: Never one whose score is to be reported.
        num_rounds: Members of the largest ensemble that is looked at.

    Returns:
        How often each system is a member.

    Raises:
        DataError: No clip of the split has a label.

    Source: Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries
    of models", ICML 2004.
    """
    if not split.weak_label.any():
        raise DataError(f"no clip of {split.name} has a label to choose members by")
    total = np.zeros(systems[0].clip.shape, np.float64)
    counts = [0] * len(systems)
    best, best_score = counts, -1.0
    for _ in range(num_rounds):
        trials = [_precision(total + system.clip, split) for system in systems]
        added = int(np.argmax(trials))
        total += systems[added].clip
        counts = [count + (n == added) for n, count in enumerate(counts)]
        if trials[added] > best_score + 1e-9:
            best, best_score = counts, trials[added]
    return best


def _precision(clip_posterior: np.ndarray, split: Split) -> float:
    labels = split.weak_label.T.astype(bool)
    classes = zip(labels, clip_posterior.T, strict=True)
    return mean_defined(average_precision(*pair) for pair in classes)
