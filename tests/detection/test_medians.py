"""Median lengths of classes against trying every combination."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from gcrnn_jax.detection.events import segments_from_frames
from gcrnn_jax.detection.medians import best_medians_of_parts
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.runs import Runs
from gcrnn_jax.detection.thresholds import best_event_thresholds
from gcrnn_jax.errors import ConfigError

RULES = Postprocessing(0.3, 0.4, 0.3, 0.3, True, True, 1.0, 0.0, 0.0, 0.5)
HOP_S, LENGTHS = 0.1, (0.0, 0.7, 1.5)


def clips(seed, num_clips=12):
    """Frames of which each class is as noisy as it is rare."""
    rng = np.random.default_rng(seed)
    reference = rng.random((num_clips, 5, 2)) < np.array([0.5, 0.3])
    active = np.repeat(reference, 10, axis=1)
    noise = rng.normal(0, [0.1, 0.5], active.shape)
    frame = np.clip(0.3 + 0.3 * active + noise, 0, 1)
    return frame, rng.random((num_clips, 2)), reference


@pytest.mark.parametrize("seed", range(3))
def test_a_length_a_class_is_that_length_for_each_class_alone(seed):
    frame, clip, _ = clips(seed)
    lengths = (1.5, 0.0)
    rules = replace(RULES, median_s=lengths, event_threshold=(0.4, 0.5))
    roll = rules.detect(frame, clip, HOP_S)
    for k, length in enumerate(lengths):
        alone = replace(rules, median_s=length).detect(frame, clip, HOP_S)
        np.testing.assert_array_equal(roll[..., k], alone[..., k])
        part = rules.select_classes(np.array([k]), 2)
        tagged = rules.tags(clip)[:, None, [k]]
        np.testing.assert_array_equal(
            part.detect_tagged(frame[..., [k]], tagged, HOP_S)[..., 0], roll[..., k]
        )
    runs = rules.detect_runs(frame, rules.tags(clip), HOP_S)
    expected = Runs.from_roll(roll)
    for got, wanted in zip(
        runs,
        (expected.clips, expected.classes, expected.first, expected.end),
        strict=True,
    ):
        np.testing.assert_array_equal(got, wanted)
    assert not rules.is_plain(HOP_S)


@pytest.mark.parametrize("seed", range(3))
def test_lengths_are_the_best_of_all_combinations(seed):
    frame, clip, reference = clips(seed)
    part = np.arange(12) < 4
    some = frame[part], clip[part], reference[part]

    def f1(rules):
        return best_event_thresholds(*some, HOP_S, rules).per_class_f1

    [found, of_all] = best_medians_of_parts(
        *(frame, clip, reference, HOP_S),
        [(part, RULES), (part | True, RULES)],
        medians_s=LENGTHS,
    )
    every = [replace(RULES, median_s=pair) for pair in product(LENGTHS, repeat=2)]
    assert f1(found) == pytest.approx(max(map(f1, every)), abs=1e-12)
    assert replace(found, median_s=0.0) == RULES
    arrays = frame, clip, reference, HOP_S
    every_clip = [(part | True, RULES)]
    assert [of_all] == best_medians_of_parts(*arrays, every_clip, medians_s=LENGTHS)
    # what the thresholds say is what is decided
    best = best_event_thresholds(*some, HOP_S, found)
    decided = replace(found, event_threshold=tuple(best.per_class.tolist()))
    roll = decided.detect(some[0], some[1], HOP_S)
    segments = segments_from_frames(roll, HOP_S, 5)
    hits = (segments & some[2]).sum()
    micro = 2 * hits / (segments.sum() + some[2].sum())
    assert micro == pytest.approx(best.per_class_f1, abs=1e-12)


def test_classes_that_differ_get_lengths_that_differ():
    frame, _, reference = clips(0, 40)
    rules = replace(RULES, gap_s=0.0, min_event_s=0.0, require_clip_tag=False)
    pairs = [(np.ones(40, bool), rules)]
    arrays = frame, np.ones((40, 2)), reference
    [found] = best_medians_of_parts(*arrays, HOP_S, pairs, medians_s=LENGTHS)
    clean, noisy = found.median_s
    assert clean < noisy


def test_another_number_of_lengths_than_classes_is_an_error():
    frame, clip, _ = clips(0)
    rules = replace(RULES, median_s=(0.1, 0.2, 0.3))
    for decide in (rules.detect, rules.detect_runs):
        with pytest.raises(ConfigError, match="median_s: expected one number or 2"):
            decide(frame, clip > 0, HOP_S)
    with pytest.raises(ValueError, match="median_s: expected >= 0"):
        replace(RULES, median_s=(0.1, -0.2))
