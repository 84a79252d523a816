"""Long recordings are cut whole, with all that is known of them."""

import itertools

import numpy as np
import pytest

from gcrnn_jax.data.clips.cutting import MIN_PART_S, TOLERANCE_S, Borders, spans

STEP_S = 0.1


@pytest.mark.parametrize("seed", range(30))
def test_every_moment_is_in_a_clip_and_no_clip_is_too_long(seed):
    rng = np.random.default_rng(seed)
    start = round(rng.uniform(0, 5), 3)
    end = round(start + rng.uniform(0.2, 60), 3)
    clip_s = round(rng.uniform(1, 12), 3)
    hop_s = round(clip_s * rng.uniform(0.3, 1), 3)
    clips = spans(start, end, clip_s, hop_s)
    assert clips[0][0] == start and clips[-1][1] == end
    for (first, until), (then, last) in itertools.pairwise(clips):
        assert first < then <= until < last and then - first <= hop_s + 1e-3
    lengths = [until - first for first, until in clips]
    assert max(lengths) <= clip_s + TOLERANCE_S + 1e-3
    assert len(clips) == 1 or min(lengths) >= 0.1 * clip_s - 1e-3


def test_clips_that_do_not_overlap_divide_a_recording():
    assert spans(0, 25, 10, 10) == [(0, 10), (10, 20), (20, 25)]
    assert spans(0, 30, 10, 10) == [(0, 10), (10, 20), (20, 30)]
    assert spans(0, 20.3, 10, 10) == [(0, 10), (10, 20), (19.3, 20.3)]
    assert spans(0, 20.05, 10, 10) == [(0, 10), (10, 20.05)]


def active(events, first, last):
    """Steps of a stretch that are within an event, the plain way."""
    times = np.arange(round(first / STEP_S), round(last / STEP_S)) * STEP_S + 1e-6
    return [any(on <= t < off for on, off in events) for t in times]


@pytest.mark.parametrize("seed", range(20))
def test_what_sounds_in_a_clip_sounds_in_the_recording(seed):
    rng = np.random.default_rng(seed)
    clips = spans(0.0, 40.0, 10.0, float(rng.choice([10.0, 5.0, 4.0])))
    clips = [clips[index] for index in rng.permutation(len(clips))]
    onsets = rng.integers(0, 390, 8) * STEP_S
    events = [(on, min(on + STEP_S * rng.integers(1, 150), 40.0)) for on in onsets]
    borders = Borders(clips)
    heard = [[] for _ in clips]
    for event in events:
        for part in borders.parts(*event):
            heard[part.clip].append((part.onset, part.offset))
    for (start, end), of_clip in zip(clips, heard, strict=True):
        assert active(of_clip, 0.0, end - start) == active(events, start, end)


def test_slivers_at_a_border_are_left_out_unless_nothing_more_is_anywhere():
    borders = Borders([(0.0, 10.0), (10.0, 20.0)])
    sliver = MIN_PART_S - 0.01
    assert [part.clip for part in borders.parts(10 - sliver, 12)] == [1]
    assert [part.clip for part in borders.parts(8, 10 + sliver)] == [0]
    assert [part.clip for part in borders.parts(10 - MIN_PART_S, 12)] == [0, 1]
    assert [part.clip for part in borders.parts(9.98, 10.02)] == [0, 1]
    assert [part.clip for part in borders.parts(9.99, 10.03)] == [1]
    assert borders.parts(5.0, 5.01) == [(0, 5.0, 5.01)]


def test_events_of_no_length_are_where_they_begin():
    borders = Borders([(0.0, 10.0), (10.0, 20.0)])
    assert borders.parts(10, 10) == [(1, 0, 0)]
    assert borders.parts(3, 3) == [(0, 3, 3)]
    assert borders.parts(20, 20) == [] == borders.parts(25, 26)
