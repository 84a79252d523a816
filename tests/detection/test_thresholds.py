"""Thresholds against trying every one of them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from gcrnn_jax.detection.events import segments_from_frames
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import (
    EVENT_GRID,
    TAG_GRID,
    best_event_thresholds,
    best_tag_thresholds,
    cross_fit,
)
from gcrnn_jax.errors import ConfigError, DataError

BASE = Postprocessing(0.3, 0.3, 0.4, 0.4, True, False, 1.0, 0.0)

GRID = (0.1, 0.3, 0.5, 0.7, 0.9)


def micro_f1(estimated, reference):
    return 2 * (estimated & reference).sum() / (estimated.sum() + reference.sum())


def labelled_posteriors(seed, shape):
    """Posteriors that say something of the labels, each class on its own scale."""
    rng = np.random.default_rng(seed)
    label = rng.random(shape) < 0.3
    posterior = np.clip(rng.normal(0.3 + 0.3 * label, 0.2), 0, 1)
    return posterior ** np.array([0.5, 1.0, 3.0]), label


@pytest.mark.parametrize("seed", range(20))
def test_tag_thresholds_are_the_best_of_all_combinations(seed):
    posterior, label = labelled_posteriors(seed, (12, 3))
    found = best_tag_thresholds(posterior, label, grid=GRID)
    f1 = {
        thresholds: micro_f1(posterior > np.array(thresholds), label)
        for thresholds in product(GRID, repeat=3)
    }
    assert found.per_class_f1 == pytest.approx(max(f1.values()), abs=1e-12)
    assert f1[tuple(found.per_class)] == pytest.approx(found.per_class_f1, abs=1e-12)
    assert found.overall_f1 == max(f1[g, g, g] for g in GRID)
    assert f1[(found.overall,) * 3] == found.overall_f1


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_event_thresholds_are_the_best_of_all_combinations(seed, gated):
    hop_s, num_segments = 0.25, 5
    frames, active = labelled_posteriors(seed, (6, 20, 3))
    clips = np.random.default_rng(seed).random((6, 3))
    reference = segments_from_frames(active, hop_s, num_segments)
    base = replace(BASE, gap_s=0.3, min_event_s=0.5, require_clip_tag=gated)

    def f1(thresholds):
        trial = replace(base, event_threshold=thresholds)
        roll = trial.detect(frames, clips, hop_s)
        return micro_f1(segments_from_frames(roll, hop_s, num_segments), reference)

    found = best_event_thresholds(frames, clips, reference, hop_s, base, grid=GRID)
    best = max(f1(thresholds) for thresholds in product(GRID, repeat=3))
    assert found.per_class_f1 == pytest.approx(best, abs=1e-12)
    assert f1(tuple(found.per_class)) == pytest.approx(best, abs=1e-12)
    assert found.overall_f1 == max(f1(g) for g in GRID)
    assert f1(found.overall) == found.overall_f1


def test_false_alarms_after_the_last_reference_segment_count():
    frames = np.array([[[0.9], [0.9], [0.8], [0.8]]])
    reference = np.array([[[True], [True]]])
    plain = replace(BASE, gap_s=0, min_event_s=0, require_clip_tag=False)
    found = best_event_thresholds(frames, np.ones((1, 1)), reference, 1.0, plain)
    assert 0.8 <= found.per_class[0] < 0.9
    assert found.per_class_f1 == 1.0


def test_the_part_of_a_frame_after_the_end_of_the_clip_is_no_false_alarm():
    posteriors = np.full((1, 3, 1), 0.9), np.ones((1, 1))
    reference, hop_s = np.ones((1, 1, 1), bool), 0.4  # the last frame ends at 1.2 s
    base = replace(BASE, min_event_s=0.0)
    for clip_s, f1 in ((None, 2 / 3), (1.0, 1.0)):
        best = best_event_thresholds(*posteriors, reference, hop_s, base, clip_s=clip_s)
        assert best.per_class_f1 == pytest.approx(f1)


def test_of_equally_good_thresholds_the_middle_of_the_longest_stretch_is_taken():
    # Best from 0.20 to 0.29, where only the clip at 0.3 is above, and is right.
    posterior, label = np.array([[0.3], [0.2], [0.1]]), np.array([[1], [0], [0]])
    assert best_tag_thresholds(posterior, label).per_class.tolist() == [0.24]
    # Two thirds below 0.1 (2 hits, 2 false) and from 0.2 to 0.89 (1 hit, none false).
    posterior = np.array([[0.9], [0.2], [0.2], [0.1]])
    label = np.array([[1], [0], [0], [1]])
    assert best_tag_thresholds(posterior, label).per_class.tolist() == [0.54]
    # Perfect from 0.1 to 0.79, as 0.1 is not greater than 0.1.
    posterior, label = np.array([[0.8], [0.1]]), np.array([[1], [0]])
    assert best_tag_thresholds(posterior, label).per_class.tolist() == [0.44]


def test_of_stretches_as_long_the_one_nearest_to_a_half_is_taken():
    # 2 of 4 tags right under 0.1, 1 of 1 from 0.2 on: F1 is 2/3 at both ends
    posterior = np.array([[0.9], [0.2], [0.2], [0.1]])
    label = np.array([[1], [0], [0], [1]])
    for grid, nearest in (((0.05, 0.15, 0.6), 0.6), ((0.07, 0.15, 0.89), 0.89)):
        best = best_tag_thresholds(posterior, label, grid=grid)
        assert (best.per_class.tolist(), best.overall) == ([nearest], nearest)


def test_a_class_that_is_never_labelled_gets_a_threshold_over_its_posteriors():
    posterior = np.array([[0.9, 0.7], [0.2, 0.6]])
    label = np.array([[True, False], [False, False]])
    found = best_tag_thresholds(posterior, label)
    assert found.per_class[1] > 0.7
    assert found.per_class_f1 == 1.0


def test_clips_without_any_label_give_thresholds_all_the_same():
    found = best_tag_thresholds(np.full((3, 2), 0.4), np.zeros((3, 2), bool))
    assert found.per_class.tolist() == [0.5, 0.5]
    assert found.per_class_f1 == found.overall_f1 == 0.0


def test_arrays_that_do_not_fit_are_an_error_with_their_shapes():
    with pytest.raises(DataError, match=r"\(3, 2\) and \(3, 1\)"):
        best_tag_thresholds(np.zeros((3, 2)), np.zeros((3, 1), bool))
    arrays = np.zeros((3, 5, 2)), np.zeros((3, 2)), np.zeros((3, 5, 1), bool)
    with pytest.raises(DataError, match=r"\(3, 5, 1\)"):
        best_event_thresholds(*arrays, 1.0, BASE)


@pytest.mark.parametrize("num_clips", [2, 7, 20])
def test_every_clip_is_scored_once_with_thresholds_it_had_no_part_in(num_clips):
    halves = cross_fit(num_clips)
    applied = np.concatenate([apply for _, apply in halves])
    assert sorted(applied.tolist()) == list(range(num_clips))
    for fit, apply in halves:
        assert sorted([*fit, *apply]) == list(range(num_clips))
        assert abs(len(fit) - len(apply)) <= 1
    for (fit, apply), (same_fit, same_apply) in zip(
        halves, cross_fit(num_clips), strict=True
    ):
        np.testing.assert_array_equal(fit, same_fit)
        np.testing.assert_array_equal(apply, same_apply)


def test_halves_are_not_of_the_order_of_the_clips():
    [(fit, apply), _] = cross_fit(20)
    assert apply.tolist() not in (list(range(10)), list(range(0, 20, 2)))
    assert fit.tolist() not in (list(range(10, 20)), list(range(1, 20, 2)))


@pytest.mark.parametrize("num_clips", [0, 1])
def test_too_few_clips_cannot_be_cross_fitted(num_clips):
    with pytest.raises(ConfigError, match=f"cross-fit {num_clips} clips"):
        cross_fit(num_clips)


def test_thresholds_are_sought_every_hundredth_and_of_events_every_other():
    assert TAG_GRID == tuple(k / 100 for k in range(1, 100))
    assert EVENT_GRID == tuple(k / 100 for k in range(2, 98, 2))
