"""The bootstrap against clips drawn, copied and scored one list after the other."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.bootstrap import (
    Estimate,
    Interval,
    bootstrap,
    draw_weights,
)
from gcrnn_jax.metrics.decisions import (
    Decisions,
    decide,
    estimated_events,
    reference_events,
)
from gcrnn_jax.metrics.scoring import clip_counts, score
from gcrnn_jax.metrics.segment import COUNTS, segment_scores
from gcrnn_jax.metrics.tagging import tagging_scores

NAMES = ("Bus", "Car", "Tram")
NAMES_OF_SCORES = ("f1", "precision", "recall", "segment_f1", "error_rate")
PLAIN = Postprocessing(0.5, 0.5, 0, 0, True, False, 1.0, 0.0, 0.0, 0.5)


class Labels:
    """Clips of 6 s with random labels; an event may end after its clip."""

    name, class_names = "testing", NAMES

    def __init__(self, rng, num_clips, strong=True):
        self.clip_ids = tuple(f"clip {n}" for n in range(num_clips))
        self.weak_label = rng.random((num_clips, 3)) < 0.4
        self.events = None
        if strong:
            onset = rng.integers(0, 6, (num_clips, 3))
            self.events = {
                clip: tuple(
                    (float(t[k]), t[k] + 1.5, NAMES[k]) for k in row.nonzero()[0]
                )
                for clip, row, t in zip(
                    self.clip_ids, self.weak_label, onset, strict=True
                )
            }

    def __len__(self):
        return len(self.clip_ids)


def guess(rng, split):
    """Posteriors that know a little of the tags and nothing of the times."""
    clip = 0.3 * split.weak_label + 0.7 * rng.random(split.weak_label.shape)
    frame = rng.random((len(split), 12, 3))
    return PosteriorSet(split.clip_ids, NAMES, 0.5, clip, frame, PLAIN)


def system(rng, split):
    posteriors = guess(rng, split)
    return decide(posteriors, PLAIN), posteriors


def values_of(scores):
    """Of `score`, in the order of NAMES_OF_SCORES."""
    detection = scores.detection
    precision, recall, f1 = scores.tagging.micro
    return [f1, precision, recall, detection.micro.f1, detection.error_rate]


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_clips_sum_to_the_scores_of_all(seed):
    rng = np.random.default_rng(seed)
    split = Labels(rng, 20)
    decisions, posteriors = system(rng, split)
    counts = clip_counts(decisions, posteriors, split)
    scores = score(decisions, posteriors, split)
    assert counts["tagging"].shape == (20, 3) and counts["detection"].shape == (20, 9)
    totals = dict(zip(COUNTS, counts["detection"].sum(0).tolist(), strict=True))
    assert totals == scores.detection.counts
    found = bootstrap([counts], num_draws=2)
    assert found.values[0].tolist() == values_of(scores)
    one = {"clip 7": reference_events(split)["clip 7"]}
    of_one = segment_scores(one, estimated_events(decisions, posteriors), NAMES)
    assert counts["detection"][7].tolist() == list(of_one.counts.values())


def scores_of_drawn(clips, decisions, posteriors, split):
    """Copies each drawn clip under a name of its own, and scores the lists."""
    reference = reference_events(split)
    estimated = estimated_events(decisions, posteriors)
    ids = [split.clip_ids[n] for n in clips]
    detection = segment_scores(
        {str(n): reference[clip] for n, clip in enumerate(ids)},
        {str(n): estimated[clip] for n, clip in enumerate(ids)},
        NAMES,
    )
    tagging = tagging_scores(
        split.weak_label[clips], decisions.tags[clips], None, NAMES
    )
    precision, recall, f1 = tagging.micro
    return [f1, precision, recall, detection.micro.f1, detection.error_rate]


@pytest.mark.parametrize("block", [1, 60, 10_000])  # clips: 1, 3 and all draws at once
def test_draws_score_as_clips_drawn_and_copied(block, monkeypatch):
    monkeypatch.setattr("gcrnn_jax.metrics.bootstrap._BLOCK", block)
    rng = np.random.default_rng(0)
    split = Labels(rng, 20)
    systems = [system(rng, split) for _ in range(2)]
    found = bootstrap([clip_counts(*s, split) for s in systems], num_draws=40, seed=3)
    weights = np.concatenate(list(draw_weights(20, 40, seed=3))).astype(int)
    for draw, of_draw in enumerate(weights):
        clips = np.repeat(np.arange(20), of_draw)
        for number, one in enumerate(systems):
            expected = scores_of_drawn(clips, *one, split)
            assert found.drawn[number, draw].tolist() == expected
    for k, name in enumerate(NAMES_OF_SCORES):
        one, other = found.drawn[:, :, k]
        first, second = found.values[:, k]
        for draws, value, estimate in (
            (one, first, found.estimates(0)[name]),
            (other - one, second - first, found.differences(1, 0)[name]),
        ):
            ends = np.quantile(draws, [0.025, 0.975]) - draws.mean() + value
            np.testing.assert_allclose(estimate.interval, ends, atol=1e-12)
            assert estimate.value == value


def test_every_draw_is_of_as_many_clips_with_replacement_each_as_likely():
    weights = np.concatenate(list(draw_weights(50, 20_000, seed=0)))
    assert weights.shape == (20_000, 50)
    assert (weights.sum(1) == 50).all()
    # Binomial(50, 1/50): mean 1, variance 0.98; clips of a draw covary by -1/50
    np.testing.assert_allclose(weights.mean(0), 1, atol=5 * (0.98 / 20_000) ** 0.5)
    covariance = np.cov(weights.T)
    np.testing.assert_allclose(covariance, np.eye(50) - 1 / 50, atol=0.06)
    other = next(draw_weights(50, 20_000, seed=1))
    assert not np.array_equal(weights[: len(other)], other)


def tags_of(hits, reference=1):
    """Counts of clips with one tag each, right or wrong."""
    hits = np.asarray(hits)
    ones = np.ones_like(hits)
    return {"tagging": np.stack([hits, ones, reference * ones], axis=1)}


def test_precision_of_one_tag_a_clip_varies_as_a_mean_does():
    hits = np.random.default_rng(0).random(400) < 0.7
    found = bootstrap([tags_of(hits.astype(int))]).estimates(0)["precision"]
    share = hits.mean()
    reach = 1.96 * (share * (1 - share) / 400) ** 0.5
    assert found.value == share
    assert found.interval == pytest.approx((share - reach, share + reach), abs=0.003)


def test_intervals_shrink_with_the_root_of_the_number_of_clips():
    widths = []
    for repeats in (1, 4, 16):
        hits = np.tile([1, 0, 1, 1, 0] * 10, repeats)
        low, high = bootstrap([tags_of(hits)]).estimates(0)["f1"].interval
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.1)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.1)


def test_clips_of_a_group_are_drawn_together():
    counts = tags_of([1, 1, 0, 0, 1, 0])
    found = bootstrap([counts], num_draws=50, groups=np.array([0, 0, 1, 1, 2, 2]))
    weights = np.concatenate(list(draw_weights(3, 50, seed=0)))
    expected = (weights @ [2, 0, 1]) / 6  # of 1, where each clip has one tag
    np.testing.assert_allclose(found.drawn[0, :, 0], expected)


def test_equal_systems_do_not_differ():
    rng = np.random.default_rng(0)
    split = Labels(rng, 20)
    counts = clip_counts(*system(rng, split), split)
    found = bootstrap([counts, counts], num_draws=100)
    assert found.estimates(0) == found.estimates(1)
    for value, interval in found.differences(0, 1).values():
        assert value == 0 and np.isnan(interval).all()
        assert not Estimate(value, interval).is_significant


def test_a_system_that_is_better_on_most_clips_is_significantly_better():
    rng = np.random.default_rng(0)
    split = Labels(rng, 20)
    split.weak_label[:] = [True, False, False]
    split.events = {clip: ((0.0, 3.0, "Bus"),) for clip in split.clip_ids}
    posteriors = guess(rng, split)
    tags, roll = split.weak_label, np.zeros((20, 12, 3), bool)
    roll[:, :6, 0] = True
    right = Decisions(tags, roll)
    wrong = Decisions(~tags, roll[:, ::-1].copy())
    wrong.tags[0], wrong.roll[0] = tags[0], roll[0]
    found = bootstrap(
        [clip_counts(d, posteriors, split) for d in (right, wrong)], num_draws=100
    )
    better, worse = found.differences(0, 1), found.differences(1, 0)
    assert all(d.is_significant for d in (*better.values(), *worse.values()))
    assert better["f1"].value > 0.9 and better["segment_f1"].value > 0.9
    assert better["error_rate"].interval.high < 0 < worse["error_rate"].interval.low


def test_two_systems_are_compared_on_the_same_draws():
    hits = np.array([1, 0] * 100)
    better = np.r_[hits[:-10], np.ones(10, int)]  # five clips more, none less
    found = bootstrap([tags_of(hits), tags_of(better)])
    one, other = found.estimates(0)["f1"], found.estimates(1)["f1"]
    assert one.interval.high > other.interval.low  # apart they overlap
    assert found.differences(1, 0)["f1"].is_significant


@pytest.mark.parametrize(
    ("low", "high", "is_significant"),
    [
        (0.1, 0.2, True),
        (-0.2, -0.1, True),
        (-0.1, 0.1, False),
        (0.0, 0.1, False),
        (-0.1, 0.0, False),
        (math.nan, math.nan, False),
    ],
)
def test_a_difference_is_significant_if_its_interval_excludes_zero(
    low, high, is_significant
):
    assert Estimate(0.1, Interval(low, high)).is_significant == is_significant


def test_without_strong_labels_there_is_no_interval_for_segments():
    rng = np.random.default_rng(0)
    split = Labels(rng, 20, strong=False)
    counts = clip_counts(*system(rng, split), split)
    assert list(counts) == ["tagging"]
    found = bootstrap([counts, counts], num_draws=10)
    for name in ("segment_f1", "error_rate"):
        value, interval = found.estimates(0)[name]
        assert all(map(math.isnan, (value, *interval)))
        assert not found.differences(0, 1)[name].is_significant


def test_draws_without_any_tag_have_no_say_in_the_interval_of_precision():
    counts = {"tagging": np.array([[1, 1, 1], [0, 0, 1], [0, 0, 1]])}
    found = bootstrap([counts], num_draws=100)
    assert np.isnan(found.drawn[0, :, 1]).any()
    value, interval = found.estimates(0)["precision"]
    assert value == 1.0 and np.isnan(interval).all()  # not [1, 1]
    assert found.estimates(0)["recall"].interval.low == pytest.approx(0.0, abs=0.05)


def test_systems_of_other_clips_are_refused():
    with pytest.raises(DataError, match="system 2 was scored against another"):
        bootstrap([tags_of([1, 0]), tags_of([1, 0], reference=2)])
    with pytest.raises(DataError, match="system 3 was scored against another"):
        bootstrap([tags_of([1, 0]), tags_of([1, 1]), tags_of([1])])
    segments = np.ones((2, 9), int)
    one, other = (tags_of([1, 0]) | {"detection": n * segments} for n in (1, 2))
    with pytest.raises(DataError, match="system 2 was scored against another"):
        bootstrap([one, other])
    for pair in ([one, tags_of([1, 0])], [tags_of([1, 0]), one]):
        with pytest.raises(DataError, match="system 2 was scored against another"):
            bootstrap(pair)
    for nothing in ([], [tags_of(np.zeros(0, int))]):
        with pytest.raises(DataError, match="a system and a clip"):
            bootstrap(nothing)


def test_posteriors_of_other_clips_or_classes_are_refused():
    rng = np.random.default_rng(0)
    split = Labels(rng, 3)
    decisions, posteriors = system(rng, split)
    with pytest.raises(DataError, match="testing: clip 1 is 'a', expected 'clip 0'"):
        clip_counts(decisions, replace(posteriors, clip_ids=tuple("abc")), split)
    names = ("Car", "Bus", "Tram")
    with pytest.raises(DataError, match="testing: .*Car.*, expected .*Bus"):
        clip_counts(decisions, replace(posteriors, class_names=names), split)


def test_clips_of_an_unknown_label_are_refused_as_in_scores():
    rng = np.random.default_rng(0)
    split = Labels(rng, 3)
    split.events["clip 1"] = (Event(0.0, 1.0, "Boat"),)
    with pytest.raises(DataError, match="Boat"):
        clip_counts(*system(rng, split), split)
