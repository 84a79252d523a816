"""Clips counted some at a time score as all at once, held in memory or mapped."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.posterior_files import is_map
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import cross_fit
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import Decisions, Evaluator, clip_counts, decide, score
from gcrnn_jax.metrics import segment as segment_file
from gcrnn_jax.metrics.decisions import (
    estimated_events,
    reference_events,
    reference_times,
    scored_events,
    scored_tags,
)
from gcrnn_jax.metrics.evaluator import decide_cross_fitted, fit_thresholds
from gcrnn_jax.metrics.segment import COUNTS, segment_scores

NAMES = ("Car", "Bus", "Train", "Air horn")
RULES = Postprocessing(0.4, 0.5, 0.3, 0.25, True, True, 1.0, 0.0, 0.0, 0.5)
CLIPS = 23


class Split(SimpleNamespace):
    """As much of a split as is scored."""

    def __len__(self):
        return len(self.clip_ids)


def make_split(seed, name="testing"):
    """Some clips have no event, some events are long, empty or end after the clip."""
    rng = np.random.default_rng(seed)
    events = {}
    for n in range(CLIPS):
        rows = []
        for _ in range(rng.integers(0, 4)):
            onset = round(rng.uniform(0, 4), 1)
            rows.append((onset, onset + rng.choice([0.0, 0.7, 6.0]), rng.choice(NAMES)))
        events[f"{name} {n}"] = tuple(rows)
    weak = [[any(name == k for *_, k in e) for name in NAMES] for e in events.values()]
    return Split(
        name=name,
        clip_ids=tuple(events),
        class_names=NAMES,
        events=events,
        weak_label=np.array(weak),
        content_hash=name,
    )


def posteriors_of(split, seed, clip_s=None):
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((CLIPS, 42, len(NAMES))), axis=1)
    frame = np.round(1 / (1 + np.exp(1.5 - 0.5 * walk)), 2).astype(np.float32)
    clip = np.round(0.3 * split.weak_label + 0.7 * rng.random((CLIPS, 4)), 2)
    fields = split.clip_ids, NAMES, 0.1
    return PosteriorSet(*fields, clip.astype(np.float32), frame, RULES, clip_s)


@pytest.fixture(params=["in memory", "mapped"])
def case(request, tmp_path, monkeypatch):
    """A split and its posteriors; blocks are of few clips."""
    split = make_split(0)
    posteriors = posteriors_of(split, 0, clip_s=4.0)  # of frames for 4.2 s
    monkeypatch.setattr(segment_file, "_BLOCK", 5 * 10 * 4)
    if request.param == "mapped":
        monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1)
        posteriors.save(tmp_path / "a.npz")
        posteriors = PosteriorSet.load(tmp_path / "a.npz")
    monkeypatch.setattr(posterior_files, "BLOCK_BYTES", 9 * 42 * 4 * 4)
    assert is_map(posteriors.frame) == (request.param == "mapped")
    return split, posteriors


def assert_equal_decisions(found, tags, roll):
    np.testing.assert_array_equal(found.tags, tags)
    np.testing.assert_array_equal(np.asarray(found.roll), roll)


def by_clip(split, events):
    """Counts of segments clip by clip, of lists of events."""
    clips = {
        clip: segment_scores({clip: rows}, events, NAMES).counts
        for clip, rows in reference_events(split).items()
    }
    return np.array([[counts[name] for name in COUNTS] for counts in clips.values()])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"require_clip_tag": False, "median_s": 0.5},
        {"hysteresis": 0.5, "event_threshold": (0.1, 0.5, 0.9, 1.0)},
        {"gap_s": 0.0, "min_event_s": 0.0, "at_least_one_tag": False},
    ],
)
def test_decisions_and_their_scores_are_those_of_all_clips_at_once(case, changes):
    split, posteriors = case
    rules, whole = replace(RULES, **changes), np.array(posteriors.frame)
    decisions = decide(posteriors, rules)
    roll = rules.detect(whole, posteriors.clip, posteriors.hop_s)
    assert_equal_decisions(decisions, rules.tags(posteriors.clip), roll)
    dense = Decisions(decisions.tags, roll)
    events = estimated_events(dense, posteriors)
    assert events == estimated_events(decisions, posteriors)
    assert events == {
        clip: decode_events(of_clip, 0.1, NAMES, 4.0)
        for clip, of_clip in zip(split.clip_ids, roll, strict=True)
    }
    expected = segment_scores(reference_events(split), events, NAMES)
    for one in (decisions, dense):
        found = score(one, posteriors, split).detection
        assert repr(found) == repr(expected)  # nan is nan
        counts = clip_counts(one, posteriors, split)["detection"]
        np.testing.assert_array_equal(counts, by_clip(split, events))


def test_tags_and_events_have_the_greatest_posterior_in_them(case):
    split, posteriors = case
    decisions, frame = decide(posteriors, RULES), np.array(posteriors.frame)
    expected = estimated_events(decisions, posteriors)
    for n, (clip, events) in enumerate(scored_events(decisions, posteriors).items()):
        assert [e.event for e in events] == expected[clip]
        for onset, offset, label, found in events:
            frames = slice(round(onset / 0.1), round(offset / 0.1))
            assert found == frame[n, frames, NAMES.index(label)].max()
    for n, (clip, tags) in enumerate(scored_tags(decisions, posteriors).items()):
        assert clip == split.clip_ids[n]
        labels = [NAMES.index(tag.event_label) for tag in tags]
        assert sorted(labels) == decisions.tags[n].nonzero()[0].tolist()
        scores = [tag.score for tag in tags]
        assert scores == sorted(posteriors.clip[n, labels].tolist(), reverse=True)
        assert {tag[:2] for tag in tags} == ({(0.0, 4.0)} if tags else set())


def test_halves_are_fitted_together_as_each_alone(case):
    split, posteriors = case
    whole = replace(posteriors, frame=np.array(posteriors.frame))
    tags, roll = np.zeros((CLIPS, 4), bool), np.zeros((CLIPS, 42, 4), bool)
    for fit, apply in cross_fit(CLIPS):
        rules = fit_thresholds(*part_of(whole, split, fit))
        some, _ = part_of(whole, split, apply)
        tags[apply] = rules.tags(some.clip)
        roll[apply] = rules.detect(some.frame, some.clip, 0.1)
    found = decide_cross_fitted(posteriors, split)
    assert_equal_decisions(found, tags, roll)
    row = Evaluator(split, None).with_fitted_thresholds("mine", posteriors, None)
    assert_equal_decisions(row.decisions, tags, roll)
    expected = score(Decisions(tags, roll), posteriors, split)
    assert repr(row.scores) == repr(expected)
    assert row.fitted_postprocessing == fit_thresholds(whole, split)


def part_of(posteriors, split, clips):
    names = tuple(split.clip_ids[n] for n in clips)
    some = {"clip": posteriors.clip[clips], "frame": posteriors.frame[clips]}
    labels = {"clip_ids": names, "weak_label": split.weak_label[clips]}
    return replace(posteriors, clip_ids=names, **some), Split(**vars(split) | labels)


def test_a_row_lets_a_file_go_and_keeps_what_is_scored(case):
    split, posteriors = case
    row = Evaluator(split, None).with_own_thresholds("mine", posteriors)
    without = row.without_large_frames()
    assert (without is row) == (not is_map(posteriors.frame))
    assert not is_map(without.posteriors.frame)
    one, other = (
        clip_counts(r.decisions, r.posteriors, split)["detection"]
        for r in (row, without)
    )
    np.testing.assert_array_equal(one, other)


def test_labels_of_no_class_are_named():
    split = make_split(0)
    split.events = {**split.events, "testing 3": ((0.0, 1.0, "Tram"),)}
    with pytest.raises(DataError, match="'Tram'"):
        reference_times(split)
