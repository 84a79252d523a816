"""Clips of a group stay in one half."""

import numpy as np
import pytest

from gcrnn_jax.detection.cross_fitting import cross_fit
from gcrnn_jax.errors import ConfigError


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_both_halves_and_halves_are_as_even_as_can_be(seed):
    rng = np.random.default_rng(seed)
    groups = [f"site {n}" for n in rng.integers(12, size=60)]
    halves = cross_fit(len(groups), groups, seed)
    (fit, apply), (other_fit, other_apply) = halves
    assert sorted([*fit, *apply]) == list(range(60))
    assert (fit.tolist(), apply.tolist()) == (other_apply.tolist(), other_fit.tolist())
    of_fit, of_apply = ({groups[n] for n in half} for half in (fit, apply))
    assert not of_fit & of_apply
    smallest = min(groups.count(group) for group in groups)
    assert abs(len(fit) - len(apply)) <= smallest


def test_groups_of_one_clip_are_halved_as_clips():
    names = [str(n) for n in range(9)]
    for (fit, apply), (same_fit, same_apply) in zip(
        cross_fit(9, names), cross_fit(9), strict=True
    ):
        np.testing.assert_array_equal(fit, same_fit)
        np.testing.assert_array_equal(apply, same_apply)


def test_another_seed_gives_other_halves():
    groups = ["ab"[n] if n < 2 else str(n // 2) for n in range(40)]
    halves = {tuple(cross_fit(40, g, s)[0][0]) for g in (None, groups) for s in (0, 1)}
    assert len(halves) == 4


def test_a_large_group_is_a_half_by_itself():
    (fit, apply), _ = cross_fit(9, [*"aaaaa", *"bcde"])
    assert {len(fit), len(apply)} == {4, 5}
    assert [0, 1, 2, 3, 4] in (fit.tolist(), apply.tolist())


def test_one_group_cannot_be_halved():
    with pytest.raises(ConfigError, match="4 clips of one recording or group"):
        cross_fit(4, ["a"] * 4)
