import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gcrnn_jax.data.clip_lists import read_clip_list
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.sampling import (
    BalancedSampler,
    Sampling,
    ShuffledSampler,
    class_weights,
)
from gcrnn_jax.errors import DataError

SIZES = (7, 20, 45)
THRESHOLDS = (1000, 2000, 3000, 4000)


def labels(sizes=SIZES, seed=0):
    """Clips with one label each, in a mixed order."""
    classes = np.repeat(np.arange(len(sizes)), sizes)
    classes = np.random.default_rng(seed).permutation(classes)
    return np.eye(len(sizes), dtype=bool)[classes]


def draws_by_a_plain_loop(weak_label, weights, count, seed):
    """The sampler's definition, one draw after the other."""
    clips = [np.flatnonzero(column) for column in weak_label.T]
    cycle_classes = [k for k, w in enumerate(weights) for _ in range(w)]
    drawn, counts, queue, cycle = [], [0] * len(weights), [], 0
    while len(drawn) < count:
        if not queue:
            order = np.random.default_rng((seed, 0, cycle))
            # slots of one class keep their places in the cycle, not their order
            slots = order.permutation(len(cycle_classes))
            firsts = [
                cycle_classes.index(k) if k in cycle_classes else 0
                for k in range(len(weights))
            ]
            base = {k: cycle * weights[k] for k in range(len(weights))}
            queue = [
                (
                    cycle_classes[s],
                    base[cycle_classes[s]] + s - firsts[cycle_classes[s]],
                )
                for s in slots
            ]
            cycle += 1
        k, n = queue.pop(0)
        one_pass, place = divmod(n, len(clips[k]))
        permutation = np.random.default_rng((seed, 1, k, one_pass)).permutation(
            clips[k]
        )
        drawn.append(permutation[place])
        counts[k] += 1
    return np.array(drawn)


def test_a_class_is_drawn_once_more_for_each_threshold_that_it_reaches():
    sizes = [0, 1, 999, 1000, 1001, 3999, 4000, 99999]
    np.testing.assert_array_equal(
        class_weights(sizes, THRESHOLDS), [0, 1, 1, 2, 2, 4, 5, 5]
    )


@pytest.mark.parametrize("thresholds", [(0, 2), (5, 5), (3, 2), (-1,)])
def test_thresholds_that_do_not_grow_over_0_are_refused(thresholds):
    with pytest.raises(ValueError, match="expected growing numbers over 0"):
        Sampling(8, True, thresholds)


def test_without_balancing_every_clip_is_drawn_once_an_epoch():
    sampler = Sampling(sum(SIZES), False, ()).make_sampler(labels(), seed=1)
    np.testing.assert_array_equal(np.sort(sampler.batch(3)), np.arange(sum(SIZES)))


def test_batches_are_those_of_a_plain_loop():
    weak_label, weights = labels(), [1, 2, 4]
    sampler = BalancedSampler(weak_label, weights, batch_size=300, seed=3)
    drawn = np.concatenate([sampler.batch(step) for step in range(30)])
    expected = draws_by_a_plain_loop(weak_label, weights, 9000, seed=3)
    np.testing.assert_array_equal(drawn, expected)


def test_any_step_can_be_asked_for_in_any_order():
    one, other = (BalancedSampler(labels(), [1, 2, 4], 300, seed=3) for _ in range(2))
    forwards = [one.batch(step) for step in range(40)]
    for step in (39, 0, 17, 5, 38):
        np.testing.assert_array_equal(other.batch(step), forwards[step])


def test_threads_may_ask_for_batches_at_once():
    weak_label = np.random.default_rng(0).random((72, 30)) < 0.1
    alone, shared = (BalancedSampler(weak_label, [1] * 30, 60, seed=3) for _ in "ab")
    steps = np.random.default_rng(0).permutation(300).tolist()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they do get into each other's way
    try:
        with ThreadPoolExecutor(16) as pool:
            batches = list(pool.map(shared.batch, steps))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(batches, [alone.batch(step) for step in steps])


def test_shares_are_exact_over_whole_cycles_and_each_clip_is_seen_once_a_pass():
    weak_label, weights = labels(), np.array([1, 2, 4])
    sampler = BalancedSampler(weak_label, weights, batch_size=7 * 45, seed=0)
    drawn = sampler.batch(0)
    counts = weak_label[drawn].sum(0)
    np.testing.assert_array_equal(counts, 45 * weights)
    of_last = drawn[weak_label[drawn, 2]]
    assert (np.bincount(of_last)[np.flatnonzero(weak_label[:, 2])] == 4).all()


def test_a_class_without_clips_is_never_drawn():
    weak_label = np.pad(labels(), ((0, 0), (0, 1)))
    sampler = BalancedSampler(weak_label, [1, 2, 4, 1], 14, seed=0)
    assert weak_label[sampler.batch(0)].any(1).all()


def test_shuffling_shows_every_clip_once_an_epoch():
    sampler = ShuffledSampler(10, batch_size=4, seed=0)
    drawn = np.concatenate([sampler.batch(step) for step in range(5)])
    for epoch in drawn.reshape(2, 10):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
    assert (drawn[:10] != drawn[10:]).any()


def test_the_official_list_is_drawn_five_to_one(shared):
    rows, _ = read_clip_list(
        shared / "dcase2017" / "training_set.csv", DCASE2017_CLASSES
    )
    weak_label = np.zeros((len(rows), 17), bool)
    for i, row in enumerate(rows):
        weak_label[i, list(row.labels)] = True
    # a batch is one cycle of draws
    sampler = Sampling(43, True, THRESHOLDS).make_sampler(weak_label, seed=0)
    assert isinstance(sampler, BalancedSampler)
    weights = class_weights(weak_label.sum(0), THRESHOLDS)
    assert weights.sum() == 43
    assert weights.max() / weights.min() == 5.0
    # the draws of a class are uniform over its clips, so positives follow
    draws_of_clip = (weak_label / weak_label.sum(0) * weights).sum(1)
    expected = draws_of_clip @ weak_label
    assert expected.max() / expected.min() == pytest.approx(8.80, abs=0.005)
    drawn = np.concatenate([sampler.batch(step) for step in range(2000)])
    np.testing.assert_allclose(weak_label[drawn].sum(0), 2000 * expected, rtol=0.03)


def test_classes_of_the_official_sizes_are_drawn_five_to_one_in_every_cycle():
    sizes = [345, 313, 180, 245, 1897, 1516, 524, 2288, 1409, 2364, 636]
    sizes += [25077, 3598, 3617, 6885, 3162, 2075]
    weak_label = labels(sizes)
    sampler = BalancedSampler(weak_label, class_weights(sizes, THRESHOLDS), 43, seed=0)
    for step in (0, 1, 700):
        counts = weak_label[sampler.batch(step)].sum(0)
        np.testing.assert_array_equal(counts, class_weights(sizes, THRESHOLDS))
        assert counts.max() / counts.min() == 5.0


def test_training_clips_without_a_label_are_an_error():
    with pytest.raises(DataError, match="no training clip has a label"):
        BalancedSampler(np.zeros((5, 2), bool), [1, 1], 4, seed=0)
