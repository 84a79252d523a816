"""Where the thresholds of a row come from."""

from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.detection.calibration import Probabilities, calibrate
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics import probabilities
from gcrnn_jax.metrics.decisions import Decisions, clip_seconds, estimated_events
from gcrnn_jax.metrics.evaluator import CHOSEN_HERE, Evaluator, fit_thresholds
from gcrnn_jax.metrics.probabilities import fit_probabilities
from gcrnn_jax.report.systems import shortfall

NAMES = ("Car", "Bus")
RULES = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.0, 0.5)


class Labels:
    """Clips with a tag where `posteriors_of` is over 0.2."""

    class_names, events = NAMES, None

    def __init__(self, name, num_clips):
        self.name, self.content_hash = name, f"hash of {name}"
        self.clip_ids = tuple(f"{name} {n}" for n in range(num_clips))
        self.weak_label = np.arange(num_clips)[:, None] % 2 == np.arange(2)

    def __len__(self):
        return len(self.clip_ids)


def posteriors_of(split):
    clip = np.where(split.weak_label, 0.3, 0.1).astype(np.float32)
    frame = np.repeat(clip[:, None], 3, axis=1)
    return PosteriorSet(split.clip_ids, NAMES, 1.0, clip, frame, RULES)


def fit_of(split):
    rng = np.random.default_rng(1)
    posteriors = posteriors_of(split)
    noise = rng.random(posteriors.clip.shape, np.float32)
    return replace(posteriors, clip=(posteriors.clip + noise) / 2)


@pytest.fixture
def splits():
    return Labels("testing", 8), Labels("validation", 6)


def test_own_thresholds_are_called_what_they_are(splits):
    split, _ = splits
    posteriors = posteriors_of(split)
    evaluator = Evaluator(split, None)
    row = evaluator.with_own_thresholds("mine", posteriors)
    assert (row.thresholds, row.scores.tagging.micro.f1) == ("fixed", 0.0)
    assert row.postprocessing is row.fitted_postprocessing is RULES
    chosen = replace(
        posteriors, postprocessing=replace(RULES, chosen_on=split.content_hash)
    )
    assert evaluator.with_own_thresholds("mine", chosen).thresholds == CHOSEN_HERE


def test_own_thresholds_that_were_found_elsewhere_are_not_called_fixed(splits):
    split, other = splits
    rules = replace(RULES, chosen_on=other.content_hash)
    posteriors = replace(posteriors_of(split), postprocessing=rules)

    def name(*arguments, **options):
        evaluator = Evaluator(split, *arguments, **options)
        return evaluator.with_own_thresholds("mine", posteriors).thresholds

    assert name(other) == name(None, others=[split, other]) == "validation"
    assert name(None) == "other clips"


def test_thresholds_are_fitted_to_the_fit_split(splits):
    split, fit_split = splits
    fit = posteriors_of(fit_split)
    row = Evaluator(split, fit_split).with_fitted_thresholds(
        "mine", posteriors_of(split), fit
    )
    assert (row.thresholds, row.scores.tagging.micro.f1) == ("validation", 1.0)
    assert row.postprocessing is row.fitted_postprocessing
    assert row.fitted_postprocessing.chosen_on == fit_split.content_hash
    assert len(row.fitted_postprocessing.tag_threshold) == 2
    one = Evaluator(split, fit_split, per_class=False)
    row = one.with_fitted_thresholds("mine", posteriors_of(split), fit)
    assert isinstance(row.postprocessing.tag_threshold, float)


def test_without_a_fit_split_each_half_has_the_thresholds_of_the_other(splits):
    split, fit_split = splits
    for evaluator in (Evaluator(split, None), Evaluator(split, fit_split)):
        row = evaluator.with_fitted_thresholds("mine", posteriors_of(split), None)
        assert (row.thresholds, row.postprocessing) == ("other half", None)
        assert row.scores.tagging.micro.f1 == 1.0
        assert row.fitted_postprocessing.chosen_on == split.content_hash


def test_probabilities_are_fitted_to_the_clips_that_chose_the_thresholds(splits):
    split, fit_split = splits
    fit = posteriors_of(fit_split)
    row = Evaluator(split, fit_split).with_fitted_thresholds(
        "mine", posteriors_of(split), fit
    )
    assert row.probabilities == Probabilities(
        calibrate(fit.clip, fit_split.weak_label), None
    )
    row = Evaluator(split, None).with_fitted_thresholds("mine", fit_of(split), None)
    assert row.probabilities.clip == calibrate(fit_of(split).clip, split.weak_label)
    own = Evaluator(split, None).with_own_thresholds("mine", posteriors_of(split))
    assert own.probabilities is None


def test_probabilities_of_frames_are_those_of_all_real_frames(splits, monkeypatch):
    split, _ = splits
    split.events = {"testing 0": ((0.0, 1.0, "Car"), (1.0, 3.0, "Bus"))}
    noise = np.random.default_rng(0).random((8, 3, 2), np.float32)
    noise[:, 2] = 0  # padding
    posteriors = replace(posteriors_of(split), frame=noise)
    active = np.zeros((8, 3, 2), bool)
    active[0, 0, 0] = active[0, 1:, 1] = True
    found = fit_probabilities(posteriors, split)
    assert found.frame == calibrate(noise[:, :2], active[:, :2])
    assert found.clip == calibrate(posteriors.clip, split.weak_label)
    monkeypatch.setattr(probabilities, "_MOST_FRAMES", noise.size // 2)
    thinned = fit_probabilities(posteriors, split).frame
    assert thinned == calibrate(noise[:, :1], active[:, :1])


def test_halves_have_one_threshold_for_all_classes_if_asked(splits):
    split, _ = splits
    posteriors = posteriors_of(split)
    apart = replace(posteriors, clip=posteriors.clip + np.array([0, 0.5], np.float32))
    for per_class in (True, False):
        evaluator = Evaluator(split, None, per_class=per_class)
        row = evaluator.with_fitted_thresholds("mine", apart, None)
        assert (row.scores.tagging.micro.f1 == 1.0) == per_class
        threshold = row.fitted_postprocessing.tag_threshold
        assert isinstance(threshold, tuple) == per_class


def test_events_after_the_last_frame_count_when_thresholds_are_fitted():
    split = Labels("testing", 1)
    # over 0.3 one second of two is right, under it two of five are
    split.events = {"testing 0": ((0.0, 2.0, "Car"),)}
    posteriors = posteriors_of(split)
    frame = np.array([0.9, 0.3, 0.3, 0.3, 0.3], np.float32)[None, :, None]
    posteriors = replace(posteriors, frame=frame * np.array([1, 0], np.float32))
    high = fit_thresholds(posteriors, split).event_threshold[0]
    split.events = {"testing 0": ((0.0, 2.0, "Car"), (5.0, 13.0, "Car"))}
    low = fit_thresholds(posteriors, split).event_threshold[0]
    assert low < 0.3 < high


def test_one_clip_has_no_halves():
    split = Labels("testing", 1)
    row = Evaluator(split, None).with_fitted_thresholds(
        "mine", posteriors_of(split), None
    )
    assert row.thresholds == "fixed"


def test_the_best_constant_has_no_posteriors_and_no_thresholds(splits):
    row = Evaluator(splits[0], None).best_constant(posteriors_of(splits[0]))
    assert row.decisions.tags.all() and not row.posteriors.clip.any()
    assert (row.thresholds, row.postprocessing) == ("", None)


def test_a_system_no_better_than_a_constant_answer_is_said_to_be_so(splits):
    split, _ = splits
    posteriors = posteriors_of(split)
    evaluator = Evaluator(split, None)
    constant = evaluator.best_constant(posteriors)
    empty = evaluator.with_own_thresholds("empty", posteriors)  # tags nothing
    assert shortfall(empty, constant).startswith(
        "empty is no better than the best answer that is the same for all clips: "
        "tag F1 0.00 against "
    )
    sharp = replace(posteriors, postprocessing=replace(RULES, tag_threshold=0.2))
    good = evaluator.with_own_thresholds("good", sharp)
    assert shortfall(good, constant) == ""


def test_no_event_outlasts_its_clip(splits):
    posteriors = replace(posteriors_of(splits[0]), hop_s=0.4)
    always = Decisions(posteriors.clip > 0, posteriors.frame > 0)
    for clip_s, end in ((None, 1.2), (1.0, 1.0)):
        cut = replace(posteriors, clip_s=clip_s)
        events = estimated_events(always, cut)["testing 0"]
        assert [event.offset for event in events] == [end, end]
        assert clip_seconds(cut) == end
