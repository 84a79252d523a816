"""A roll that is held as its runs, against the roll itself."""

import numpy as np
import pytest

from gcrnn_jax.detection.runs import Runs


def random_roll(seed, shape=(5, 30, 4)):
    rng = np.random.default_rng(seed)
    roll = rng.random(shape) < rng.choice([0.05, 0.5, 0.9], (shape[0], 1, shape[2]))
    roll[2] = False
    return roll


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_the_roll(seed):
    roll = random_roll(seed)
    runs = Runs.from_roll(roll)
    np.testing.assert_array_equal(np.asarray(runs), roll)
    assert (len(runs), runs.shape) == (5, roll.shape)
    for n, of_clip in enumerate(runs):
        np.testing.assert_array_equal(of_clip, roll[n])
    np.testing.assert_array_equal(runs[-1], roll[-1])
    np.testing.assert_array_equal(runs[1:3, ::2], roll[1:3, ::2])
    assert (runs.first < runs.end).all()
    order = np.lexsort((runs.first, runs.classes, runs.clips))
    assert order.tolist() == list(range(len(order)))
    with pytest.raises(IndexError, match="clip 5 of 5"):
        runs[5]


def test_runs_in_another_order_are_ordered():
    runs = Runs.from_roll(random_roll(0))
    order = np.random.default_rng(0).permutation(len(runs.clips))
    columns = (runs.clips, runs.classes, runs.first, runs.end)
    mixed = Runs.joined(runs.shape, [tuple(column[order] for column in columns)])
    for name in ("clips", "classes", "first", "end"):
        found = getattr(mixed.in_order(), name)
        np.testing.assert_array_equal(found, getattr(runs, name))


def test_a_tag_is_a_run_of_all_frames():
    tags = np.array([[True, False], [False, False], [True, True]])
    roll = np.asarray(Runs.of_tags(tags, 4))
    np.testing.assert_array_equal(roll, np.repeat(tags[:, None], 4, axis=1))


def test_no_clips_have_no_runs():
    assert np.asarray(Runs.from_roll(np.zeros((0, 3, 2), bool))).shape == (0, 3, 2)
