"""Halves of clips: what is fitted to one is applied to the other.

Clips cut from one recording, or mixed from one sound, are alike. Were some of them in
either half, a half would tell more of the other than it tells of new recordings; so
clips of a group stay together.
"""

from collections.abc import Sequence

import numpy as np

from gcrnn_jax.errors import ConfigError


def cross_fit(
    num_clips: int, groups: Sequence[str] | None = None, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits clips into random halves, the same for a seed, to fit on one or the other.

    Lists are often sorted by class, so that halves by order would differ.

    Args:
        num_clips: N.
        groups: The group of each clip, [N]: those of one are in one half. The halves
            are as even as groups, the largest given away first, can make them. None:
            every clip by itself.
        seed: Of the order of clips or groups.

    Returns:
        (fit, apply) for each half: indices of the clips to fit on, and to apply to.

    Raises:
        ConfigError: There are fewer than two clips, or groups.

    Example:
        >>> [(fit, apply), _] = cross_fit(4, groups=["a", "b", "b", "c"])
        >>> fit.tolist(), apply.tolist()
        ([0, 3], [1, 2])
    """
    if num_clips < 2:
        raise ConfigError(f"cannot cross-fit {num_clips} clips: two are needed")
    random = np.random.default_rng(seed)
    if groups is None or len(set(groups)) == num_clips:
        half = random.permutation(np.arange(num_clips) % 2)
    else:
        half = _halves_of_groups(groups, random)
    first, second = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    return [(second, first), (first, second)]


def _halves_of_groups(groups: Sequence[str], random: np.random.Generator) -> np.ndarray:
    """The half of each clip, int [N], of which each next group takes the smaller."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ConfigError(
            f"cannot cross-fit {len(group)} clips of one recording or group: two are "
            "needed"
        )
    half, filled = np.zeros(len(sizes), int), [0, 0]
    order = random.permutation(len(sizes))
    for one in order[np.argsort(-sizes[order], kind="stable")].tolist():
        half[one] = int(filled[1] < filled[0])
        filled[half[one]] += int(sizes[one])
    return half[group]
