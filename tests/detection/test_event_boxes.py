"""Candidate events against loops over frames, and what is decided on them."""

from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.detection.event_boxes import confidences_of_frames, event_boxes
from gcrnn_jax.detection.events import segments_from_frames
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import best_event_thresholds

RULES = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.2, 0.5)


def slow_borders(row, count):
    """Onsets and offsets of one row, in turn."""
    silence = [0.0] * count
    padded = [*silence, *row, *silence]
    difference = [
        round(sum(padded[b + count : b + 2 * count]) - sum(padded[b : b + count]), 12)
        for b in range(len(row) + 1)
    ]
    chosen = []
    for left, (b, value), right in zip(
        [0, *difference], enumerate(difference), [*difference[1:], 0], strict=False
    ):
        is_onset = value > 0 and right < value >= left
        if not (is_onset or (value < 0 and left > value <= right)):
            continue
        if chosen and (chosen[-1][1] > 0) == is_onset:
            chosen[-1] = max(chosen[-1], (b, value), key=lambda one: abs(one[1]))
        else:
            chosen.append((b, value))
    while chosen and chosen[0][1] < 0:
        chosen.pop(0)
    return [b for b, _ in chosen]


def slow_boxes(row, count, merge):
    """Of one row: (first, end, confidence) each."""
    borders = slow_borders(row, count)
    boxes = [list(pair) for pair in zip(borders[::2], borders[1::2], strict=False)]

    def mean(first, end):
        return sum(row[first:end]) / max(1, end - first)

    while len(boxes) > 1:
        drops = []
        for (first, end), (next_first, next_end) in zip(boxes, boxes[1:], strict=False):
            lower = min(mean(first, end), mean(next_first, next_end))
            drops.append((lower - mean(end, next_first)) / max(lower, 1e-12))
        place = int(np.argmin(drops))
        if drops[place] >= merge:
            break
        boxes[place][1] = boxes.pop(place + 1)[1]
    return [(first, end, mean(first, end)) for first, end in boxes]


def smooth_rows(seed, shape=(40, 60)):
    """Rows that rise and fall, some steps in them, some frames missing."""
    rng = np.random.default_rng(seed)
    rows = np.clip(np.cumsum(rng.normal(0, 0.2, shape), axis=1), 0, 1)
    rows[::4] = rows[::4].round()  # many borders alike
    rows[1::8] = 0
    return rows


@pytest.mark.parametrize("count", [1, 3, 8, 100])
@pytest.mark.parametrize("merge", [0.0, 0.4, 1.0])
def test_candidates_are_those_of_a_loop_over_frames(count, merge):
    rows = smooth_rows(count)
    boxes = event_boxes(rows, count, merge)
    for r, row in enumerate(rows):
        expected = slow_boxes(row.tolist(), count, merge)
        found = [
            (first, end) for n, first, end, _ in zip(*boxes, strict=True) if n == r
        ]
        assert found == [(first, end) for first, end, _ in expected], r
        confidence = boxes.confidence[boxes.row == r]
        np.testing.assert_allclose(confidence, [c for *_, c in expected], atol=1e-12)


def test_a_step_is_found_to_the_frame_however_long_the_filter_is():
    row = np.zeros((1, 50))
    row[0, 10:17], row[0, 30] = 0.6, 0.9
    for count in (1, 2, 5, 7):
        boxes = event_boxes(row, count, 0.5)
        assert list(zip(boxes.first, boxes.end, strict=True)) == [(10, 17), (30, 31)]
        np.testing.assert_allclose(boxes.confidence, [0.6, 0.9])


def test_frames_have_the_confidence_of_their_candidate():
    posterior = np.stack([smooth_rows(5), smooth_rows(6)], axis=-1)  # [N, T, K]
    posterior[0, 3] = np.nan
    found = confidences_of_frames(posterior, 3, 0.5)
    expected = np.zeros_like(found)
    for k in range(2):
        for row, first, end, confidence in zip(
            *event_boxes(posterior[..., k], 3, 0.5), strict=True
        ):
            expected[row, first:end, k] = confidence
    np.testing.assert_array_equal(found, expected)


def test_the_extent_of_an_event_does_not_depend_on_its_threshold():
    ramp = np.concatenate([np.zeros(10), np.linspace(0.3, 0.9, 10), np.zeros(10)])
    frames, clip = ramp[:, None], np.ones(1)
    lengths = {
        rules.box_filter_s: {
            int(replace(rules, event_threshold=t).detect(frames, clip, 0.1).sum())
            for t in (0.1, 0.35, 0.55)
        }
        for rules in (RULES, replace(RULES, box_filter_s=0.0))
    }
    assert lengths[0.2] == {10} and len(lengths[0.0]) == 3


@pytest.mark.parametrize("merge", [0.0, 0.6])
def test_thresholds_of_candidates_are_the_best_on_their_grid(merge):
    rng = np.random.default_rng(0)
    frames = np.stack([smooth_rows(1), smooth_rows(2)], axis=-1)[:12]
    reference = rng.random((12, 6, 2)) < 0.4
    rules = replace(RULES, box_merge=merge, min_event_s=0.3)
    grid = (0.1, 0.3, 0.5, 0.7)

    def f1(threshold):
        roll = replace(rules, event_threshold=threshold).detect(frames, None, 0.1)
        found = segments_from_frames(roll, 0.1, 6)
        return 2 * (found & reference).sum() / (found.sum() + reference.sum())

    best = best_event_thresholds(
        frames, np.ones((12, 2)), reference, 0.1, rules, grid=grid
    )
    assert best.overall_f1 == pytest.approx(max(map(f1, grid)), abs=1e-12)
    assert f1(tuple(best.per_class)) == pytest.approx(best.per_class_f1, abs=1e-12)
