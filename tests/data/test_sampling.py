import hashlib
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gcrnn_jax.data import label_index, samplers
from gcrnn_jax.data.label_index import clips_of_classes, count_clips
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.lists.clip_lists import read_clip_list
from gcrnn_jax.data.sampling import (
    BalancedSampler,
    Sampling,
    ShuffledSampler,
    class_weights,
)
from gcrnn_jax.errors import ConfigError, DataError

SIZES = (7, 20, 45)
THRESHOLDS = (1000, 2000, 3000, 4000)


def make_sampling(batch_size, balanced, thresholds, **changes):
    fields = {"max_repeats": 0, "negative_fraction": 0.1, "unlabelled_fraction": 0.5}
    return Sampling(batch_size, balanced, thresholds, **fields | changes)


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
        make_sampling(8, True, thresholds)


def test_without_balancing_every_clip_is_drawn_once_an_epoch():
    sampler = make_sampling(sum(SIZES), False, ()).make_sampler(labels(), seed=1)
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
    sampler = make_sampling(43, True, THRESHOLDS).make_sampler(weak_label, seed=0)
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


# SHA-256 of batches 0 to 299, 5000 and 123456 of the sampler of version 0.2, as int64
BEFORE = {
    (72, 3, 10, True): "78839531408ecd13",
    (72, 3, 10, False): "2ebe713c382a3815",
    (3000, 40, 44, True): "c74b882403821b4a",
    (3000, 40, 44, False): "6990d7d434020ec2",
    (20000, 17, 256, True): "4ff1169c2ea0c50c",
    (20000, 17, 256, False): "3d4a7aa5ec94bd40",
}


def of_version_0_2(key):
    random = np.random.default_rng(5)
    sizes = dict.fromkeys(size[:3] for size in BEFORE)
    for num_clips, num_classes, batch_size in sizes:
        share = 0.5 / np.arange(1, num_classes + 1)
        weak_label = random.random((num_clips, num_classes)) < share
        if (num_clips, num_classes, batch_size) == key[:3]:
            sampling = make_sampling(
                batch_size, key[3], (20, 200, 1000), negative_fraction=0
            )
            return sampling.make_sampler(weak_label, seed=7)
    raise AssertionError(key)


@pytest.mark.parametrize("many", [1, 10**9])
@pytest.mark.parametrize("key", BEFORE)
def test_a_seed_draws_what_it_always_drew(key, many, monkeypatch):
    monkeypatch.setattr(samplers, "_MANY", many)  # orders made ahead, or never
    sampler, content = of_version_0_2(key), hashlib.sha256()
    for number in (*range(300), 5000, 123456):
        batch = sampler.batch(number)
        assert batch.dtype == np.int64
        content.update(batch.tobytes())
    assert content.hexdigest()[:16] == BEFORE[key]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("size", [1, 5, 44])
def test_rows_are_those_of_the_whole_batch(balanced, size):
    whole, part = (
        make_sampling(44, balanced, (10, 30)).make_sampler(labels(), seed=3)
        for _ in "ab"
    )
    for number in (0, 1, 2, 93, 94, 1000, 7, 5001):
        batch = whole.batch(number)
        for start in range(0, 44, max(size, 4)):  # each is drawn from many batches
            rows = slice(start, start + size)
            np.testing.assert_array_equal(part.batch(number, rows), batch[rows])
    assert part.batch(3, slice(5, 5)).shape == (0,)


def test_a_process_draws_no_others_than_its_rows():
    class Noting(ShuffledSampler):
        drawn = np.zeros(0, np.int64)

        def clips_drawn(self, draws):
            self.drawn = np.concatenate([self.drawn, draws])
            return super().clips_drawn(draws)

    sampler = Noting(10**6, batch_size=6400, seed=0)
    for number in range(30):
        sampler.batch(number, slice(640, 700))
    assert set(sampler.drawn % 6400) == {*range(640, 700)}
    assert len(sampler.drawn) <= 4096


def test_the_next_order_of_many_clips_is_made_by_another_thread(monkeypatch):
    monkeypatch.setattr(samplers, "_MANY", 1000)
    makers = {}

    class Noting(ShuffledSampler):
        def _order(self, number):
            makers.setdefault(number, []).append(threading.get_ident())
            return super()._order(number)

    sampler = Noting(8192, batch_size=2048, seed=0)
    for number in range(40):
        sampler.batch(number)
    here = threading.get_ident()
    assert makers.pop(0) == [here]  # nothing was there to be ahead of
    assert len(makers) >= 9
    assert all(len(made) == 1 and made[0] != here for made in makers.values())


def test_labels_are_read_in_blocks_and_kept_as_short_lists(tmp_path):
    weak_label = np.random.default_rng(0).random((200_000, 100)) < 0.01
    np.save(tmp_path / "weak_label.npy", weak_label)
    mapped = np.load(tmp_path / "weak_label.npy", mmap_mode="r").view(np.ndarray)
    tracemalloc.start()
    try:
        by_class = clips_of_classes(mapped)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    num_labels = weak_label.sum()
    assert kept < 5 * num_labels  # int32; int64 would be 8
    assert peak < 30 * num_labels  # 6 MB; the labels are 20 MB
    for clips, column in zip(by_class, weak_label.T, strict=True):
        np.testing.assert_array_equal(clips, np.flatnonzero(column))


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 3), (5, 300)])
def test_counts_and_clips_of_classes_are_those_of_the_columns(shape, monkeypatch):
    monkeypatch.setattr(label_index, "_BLOCK_BYTES", 6)
    weak_label = np.random.default_rng(0).random(shape) < 0.4
    np.testing.assert_array_equal(count_clips(weak_label), weak_label.sum(0))
    clips = clips_of_classes(np.asfortranarray(weak_label))
    assert len(clips) == shape[1]
    for of_class, column in zip(clips, weak_label.T, strict=True):
        np.testing.assert_array_equal(of_class, np.flatnonzero(column))


def kinds_of_clips():
    """20 clips of class 0, 4 of class 1, 7 negatives, 9 unlabelled; in mixed order."""
    order = np.random.default_rng(3).permutation(40)
    weak_label = np.zeros((40, 2), bool)
    weak_label[order[:20], 0] = True
    weak_label[order[20:24], 1] = True
    known = np.ones(40, np.int8)
    known[order[31:]] = 0
    kind = np.empty(40, object)
    kind[order] = ["a"] * 20 + ["b"] * 4 + ["negative"] * 7 + ["unlabelled"] * 9
    return weak_label, known, kind


@pytest.mark.parametrize(
    ("draws_unlabelled", "expected"),
    [
        (True, {"a": 3, "b": 3, "negative": 2, "unlabelled": 4}),
        (False, {"a": 5, "b": 5, "negative": 2}),
    ],
)
def test_every_balanced_batch_has_its_shares_of_each_kind(draws_unlabelled, expected):
    weak_label, known, kind = kinds_of_clips()
    sampling = make_sampling(
        12, True, (), negative_fraction=0.15, unlabelled_fraction=0.3
    )
    sampler = sampling.make_sampler(
        weak_label, 5, known, draws_unlabelled=draws_unlabelled
    )
    shown = []
    for number in range(63):
        batch = sampler.batch(number)
        shown += batch.tolist()
        names, counts = np.unique(kind[batch].astype(str), return_counts=True)
        assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == expected
        halves = [set(kind[batch[:6]]), set(kind[batch[6:]])]
        assert all("negative" in half for half in halves)  # devices get of all kinds
    times = np.bincount(shown, minlength=40)
    assert (times[kind == "negative"] == 63 * 2 // 7).all()
    if draws_unlabelled:
        assert (times[kind == "unlabelled"] == 63 * 4 // 9).all()
    np.testing.assert_array_equal(sampler.batch(5, (7, 2)), sampler.batch(5)[[7, 2]])


def test_a_few_negatives_are_in_every_batch_at_least_once():
    weak_label = np.pad(labels((30, 30)), ((0, 1), (0, 0)))
    sampler = make_sampling(6, True, (), negative_fraction=0.01).make_sampler(
        weak_label, seed=0
    )
    for number in range(20):
        assert np.count_nonzero(sampler.batch(number) == 60) == 1


def test_without_balancing_unlabelled_clips_are_left_out_or_have_their_share():
    weak_label, known, kind = kinds_of_clips()
    sampling = make_sampling(31, False, (), unlabelled_fraction=0.0)
    drawn = sampling.make_sampler(weak_label, 1, known).batch(0)
    np.testing.assert_array_equal(np.sort(drawn), np.flatnonzero(known))
    sampling = make_sampling(8, False, (), unlabelled_fraction=0.5)
    sampler = sampling.make_sampler(weak_label, 1, known, draws_unlabelled=True)
    for number in range(9):
        assert np.count_nonzero(known[sampler.batch(number)]) == 4
    with pytest.raises(DataError, match="no training clip has labels"):
        sampling.make_sampler(weak_label, 1, np.zeros(40, np.int8))


def test_a_batch_too_small_for_all_kinds_and_shares_that_leave_nothing_are_refused():
    weak_label, known, _ = kinds_of_clips()
    sampling = make_sampling(2, True, ())
    with pytest.raises(ConfigError, match="batch of 2 has no room for clips with"):
        sampling.make_sampler(weak_label, 0, known, draws_unlabelled=True)
    with pytest.raises(ValueError, match="leave nothing of a batch"):
        make_sampling(8, True, (), negative_fraction=0.5)
    with pytest.raises(ValueError, match="max_repeats must be 0 or 1 or more, got 0.5"):
        make_sampling(8, True, (), max_repeats=0.5)


@pytest.mark.parametrize(("max_repeats", "limited"), [(1.0, 3), (2.0, 3), (8.0, 1)])
def test_balancing_repeats_no_clip_more_often_than_it_may(max_repeats, limited):
    sizes = (2, 8, 30, 160)  # drawn alike, each clip of the first 25 times the mean
    weak_label = labels(sizes)
    sampling = make_sampling(10, True, (), max_repeats=max_repeats)
    sampler = sampling.make_sampler(weak_label, seed=2)
    assert isinstance(sampler, BalancedSampler)
    repeats = sampler.weights / sampler.weights.sum() / sizes * sum(sizes)
    assert repeats.max() <= max_repeats * 1.002
    np.testing.assert_allclose(repeats[:limited], max_repeats, rtol=0.005)
    free = sampler.weights[limited:]  # share what is left as before: alike
    assert np.ptp(free) <= 1
    drawn = np.concatenate([sampler.batch(number) for number in range(400)])
    assert set(drawn) == {*range(200)}


def test_a_limit_that_no_class_reaches_changes_no_batch():
    weak_label = labels()
    one, other = (
        make_sampling(9, True, (10, 30), max_repeats=limit).make_sampler(weak_label, 3)
        for limit in (0, 3.5)
    )
    for number in range(40):
        np.testing.assert_array_equal(one.batch(number), other.batch(number))
