from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.tag_thresholds import best_tag_thresholds
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import (
    Evaluator,
    decide_cross_fitted,
    fit_thresholds,
)
from gcrnn_jax.metrics.scoring import score

BASE = Postprocessing(0.3, 0.3, 0.4, 0.4, True, False, 1.0, 0.0, 0.0, 0.5)

NAMES = ("Car", "Bus", "Train")
PLAIN = replace(BASE, tag_threshold=0.5, event_threshold=0.5, gap_s=0, min_event_s=0)


class Labels:
    """Six clips of 4 s; class k is active in second k of every clip that has it."""

    name, content_hash, class_names = "testing", "6 clips", NAMES
    clip_ids = tuple(f"clip {n}" for n in range(6))
    weak_label = np.array(
        [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]], bool
    )

    def __init__(self, strong=True):
        self.events = None
        if strong:
            self.events = {
                clip: tuple((float(k), k + 1.0, NAMES[k]) for k in row.nonzero()[0])
                for clip, row in zip(self.clip_ids, self.weak_label, strict=True)
            }

    def __len__(self):
        return 6


def oracle(high=0.9, low=0.1):
    """Posteriors that are high exactly where the labels are."""
    label = Labels.weak_label
    frame = np.full((6, 8, 3), low, np.float32)
    for clip, k in zip(*label.nonzero(), strict=True):
        frame[clip, 2 * k : 2 * k + 2, k] = high
    clip = np.where(label, high, low).astype(np.float32)
    return PosteriorSet(Labels.clip_ids, NAMES, 0.5, clip, frame, PLAIN)


def test_an_oracle_scores_one():
    posteriors = oracle()
    scores = score(decide(posteriors, PLAIN), posteriors, Labels())
    assert scores.tagging.micro.f1 == 1.0
    assert scores.detection.micro.f1 == 1.0 and scores.detection.error_rate == 0.0


def test_without_strong_labels_there_is_no_detection_score():
    posteriors = oracle()
    scores = score(decide(posteriors, PLAIN), posteriors, Labels(strong=False))
    assert scores.detection is None and scores.tagging.micro.f1 == 1.0


def test_thresholds_are_found_where_fixed_ones_fail():
    posteriors = oracle(high=0.3, low=0.1)
    assert not decide(posteriors, PLAIN).tags.any()
    found = fit_thresholds(posteriors, Labels())
    assert (found.chosen_on, PLAIN.chosen_on) == (Labels.content_hash, None)
    scores = score(decide(posteriors, found), posteriors, Labels())
    assert scores.tagging.micro.f1 == 1.0 and scores.detection.micro.f1 == 1.0


def test_one_threshold_for_all_classes_is_one_and_worse_where_classes_differ():
    posteriors, shift = oracle(high=0.3, low=0.1), np.array([0.0, 0.3, 0.6])
    moved = replace(
        posteriors,
        clip=(posteriors.clip + shift).astype(np.float32),
        frame=(posteriors.frame + shift).astype(np.float32),
    )
    crossed = []
    for per_class in (True, False):
        found = fit_thresholds(moved, Labels(), per_class=per_class)
        crossed.append(decide_cross_fitted(moved, Labels(), per_class=per_class).tags)
        scores = score(decide(moved, found), moved, Labels())
        assert isinstance(found.tag_threshold, tuple) == per_class
        assert isinstance(found.event_threshold, tuple) == per_class
        assert (scores.tagging.micro.f1 == 1.0) == per_class
        assert (scores.detection.micro.f1 == 1.0) == per_class
    assert (crossed[0] != crossed[1]).any()


def test_thresholds_of_rare_classes_are_near_that_of_all():
    posteriors, shift = oracle(high=0.3, low=0.1), np.array([0.0, 0.3, 0.6])
    moved = replace(posteriors, clip=(posteriors.clip + shift).astype(np.float32))
    own, overall, some = (
        np.asarray(fit_thresholds(moved, Labels(), **options).tag_threshold)
        for options in ({}, {"per_class": False}, {"shrinkage": 2.0})
    )
    counts = Labels.weak_label.sum(0)
    np.testing.assert_allclose(some, (counts * own + 2 * overall) / (counts + 2))
    assert (np.abs(some - overall) <= np.abs(own - overall)).all()
    options = {"shrinkage": 2.0, "calibrated": True}
    towards = np.asarray(fit_thresholds(moved, Labels(), **options).tag_threshold)
    best = best_tag_thresholds(moved.clip, Labels.weak_label, at_least_one=False)
    mean = (counts * own + 2 * best.calibrated) / (counts + 2)
    np.testing.assert_allclose(towards, mean)
    assert (towards != some).all()
    halves = decide_cross_fitted(moved, Labels(), shrinkage=1e9).tags
    alike = decide_cross_fitted(moved, Labels(), per_class=False).tags
    np.testing.assert_array_equal(halves, alike)


def test_each_class_gets_the_best_of_the_median_lengths_that_are_tried():
    posteriors = oracle()
    frame = posteriors.frame.copy()
    frame[:, 7, 1] = 0.9  # a click of one frame in every clip, of one class
    posteriors = replace(posteriors, frame=frame)
    found = fit_thresholds(posteriors, Labels(), medians_s=(0.5, 1.5))
    assert found.median_s == (0.5, 1.5, 0.5)
    scores = score(decide(posteriors, found), posteriors, Labels())
    assert scores.detection.micro.f1 == 1.0
    assert fit_thresholds(posteriors, Labels()).median_s == 0.0
    weak = fit_thresholds(posteriors, Labels(strong=False), medians_s=(0.5, 1.5))
    assert weak.median_s == 0.0


def test_no_label_has_a_say_in_the_decision_on_its_own_clip():
    rng = np.random.default_rng(0)
    posteriors = replace(
        oracle(),
        clip=rng.random((6, 3), np.float32),
        frame=rng.random((6, 8, 3), np.float32),
    )
    before = decide_cross_fitted(posteriors, Labels())
    for clip in range(6):
        other = Labels()
        other.weak_label = Labels.weak_label.copy()
        other.weak_label[clip] = ~other.weak_label[clip]
        other.events = {**other.events, other.clip_ids[clip]: ()}
        after = decide_cross_fitted(posteriors, other)
        np.testing.assert_array_equal(after.tags[clip], before.tags[clip])
        np.testing.assert_array_equal(after.roll[clip], before.roll[clip])


def test_clips_of_one_recording_have_no_say_in_the_decision_on_each_other():
    rng = np.random.default_rng(0)
    labels, ids = (
        Labels(strong=False),
        [f"site{n // 2}_0.000_{n}.000" for n in range(6)],
    )
    labels.clip_ids = tuple(ids)
    noise = rng.random((6, 3), np.float32)
    posteriors = replace(oracle(), clip_ids=labels.clip_ids, clip=noise)
    for groups, twins in ((None, (0, 1)), ([*"abcabc"], (0, 3))):
        before = decide_cross_fitted(posteriors, labels, groups=groups).tags
        other = Labels(strong=False)
        other.clip_ids, other.weak_label = labels.clip_ids, Labels.weak_label.copy()
        other.weak_label[list(twins)] = ~other.weak_label[list(twins)]
        after = decide_cross_fitted(posteriors, other, groups=groups).tags
        np.testing.assert_array_equal(after[list(twins)], before[list(twins)])
        assert (after != before).any()  # of the other half
        row = Evaluator(other, None, groups=groups).with_fitted_thresholds(
            "mine", posteriors, None
        )
        np.testing.assert_array_equal(row.decisions.tags, after)


def test_clips_of_a_single_recording_keep_the_thresholds_that_they_have():
    labels = Labels()
    labels.clip_ids = tuple(f"site_{n}.000_{n + 4}.000" for n in range(6))
    labels.events = None
    posteriors = replace(oracle(), clip_ids=labels.clip_ids)
    row = Evaluator(labels, None).with_fitted_thresholds("mine", posteriors, None)
    assert row.thresholds == "fixed"


def test_the_best_constant_answer_is_the_best_of_all_constant_answers():
    posteriors, label = oracle(), Labels.weak_label
    best = Evaluator(Labels(), None).best_constant(posteriors).scores
    f1 = []
    for mask in range(1, 8):
        tags = np.tile([bool(mask >> k & 1) for k in range(3)], (6, 1))
        f1.append(2 * (tags & label).sum() / (tags.sum() + label.sum()))
    assert best.tagging.micro.f1 == pytest.approx(max(f1))


def test_other_clips_are_refused():
    posteriors = replace(oracle(), clip_ids=tuple("abcdef"))
    with pytest.raises(DataError, match="testing: clip 1 is 'a', expected 'clip 0'"):
        score(decide(posteriors, PLAIN), posteriors, Labels())


def test_other_classes_are_refused():
    posteriors = replace(oracle(), class_names=("Car", "Bus", "Tram"))
    with pytest.raises(DataError, match="other classes.*Tram"):
        score(decide(posteriors, PLAIN), posteriors, Labels())
