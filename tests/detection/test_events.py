"""The one convention of time, there and back."""

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.event_lists import (
    Event,
    events_by_file,
    read_event_rows,
    write_event_list,
)
from gcrnn_jax.detection.events import (
    decode_events,
    frame_roll,
    segment_roll,
    segments_from_frames,
)
from gcrnn_jax.errors import DataError

NAMES = ["car", "train"]
HOPS_S = (0.001, 0.01, 0.02, 0.0415, 0.1, 1 / 3)


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize("seed", range(5))
def test_decoding_a_frame_roll_gives_back_the_same_roll(seed, hop_s):
    """Both directions agree on one convention: frame t covers [t, t + 1) * hop_s."""
    roll = np.random.default_rng(seed).random((50, 2)) < 0.5
    events = decode_events(roll, hop_s, NAMES)
    assert all(0.0 <= e.onset < e.offset <= 50 * hop_s + 1e-6 for e in events)
    np.testing.assert_array_equal(frame_roll(events, 50, hop_s, NAMES), roll)


@pytest.mark.parametrize("hop_s", HOPS_S[1:])
def test_a_roll_survives_the_three_decimals_of_a_list(tmp_path, hop_s):
    roll = np.random.default_rng(0).random((200, 2)) < 0.5
    write_event_list(tmp_path / "a.tsv", {"a": decode_events(roll, hop_s, NAMES)})
    [events] = events_by_file(strict(read_event_rows(tmp_path / "a.tsv"))).values()
    np.testing.assert_array_equal(frame_roll(events, 200, hop_s, NAMES), roll)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        ([0], [(0, 0.1)]),
        ([9], [(0.9, 1.0)]),
        ([2, 7, 8], [(0.2, 0.3), (0.7, 0.9)]),
    ],
)
def test_events_span_whole_frames(frames, expected):
    roll = np.zeros((10, 1), bool)
    roll[frames] = True
    assert [e[:2] for e in decode_events(roll, 0.1, ["car"])] == expected


def test_events_come_by_onset_then_class():
    roll = np.array([[0, 1], [1, 1], [0, 0], [1, 1]], bool)
    labels = [e.event_label for e in decode_events(roll, 1.0, NAMES)]
    assert labels == ["train", "car", "car", "train"]


def test_no_event_ends_after_its_clip():
    roll = np.ones((10, 1), bool)
    roll[8] = False
    assert decode_events(roll, 1.0, ["car"], max_s=7.5) == [Event(0.0, 7.5, "car")]
    assert decode_events(roll, 1.0, ["car"], max_s=9.0) == [Event(0.0, 8.0, "car")]


@pytest.mark.parametrize(
    ("event", "frames"),
    [
        ((0.25, 0.35), [2, 3]),  # both frames in part
        ((0.2, 0.3), [2]),  # the offset is not in the event
        ((0.2995, 0.4004), [3]),  # as far as three decimals may round
        ((0.25, 0.25), []),  # [x, x) is empty
        ((0.85, 3.0), [8, 9]),  # what is after the clip is dropped
    ],
)
def test_an_event_marks_the_frames_it_covers(event, frames):
    roll = frame_roll([Event(*event, "car")], 10, 0.1, ["car"])
    assert np.flatnonzero(roll).tolist() == frames


@pytest.mark.parametrize("roll_of", [frame_roll, segment_roll])
def test_an_unknown_label_is_an_error_that_names_it(roll_of):
    with pytest.raises(DataError, match="'bus'"):
        roll_of([Event(0.0, 1.0, "bus")], 10, class_names=NAMES, **_hop(roll_of))


def _hop(roll_of):
    return {"hop_s": 0.1} if roll_of is frame_roll else {}


@pytest.mark.parametrize(
    ("event", "segments"),
    [
        ((0.0, 1.0), [0]),
        ((0.999, 1.001), [0, 1]),  # any touch
        ((2.0, 3.0), [2]),
        ((2.5, 2.5), [2]),  # even of no length: sed_eval rounds outwards
        ((3.9, 8.0), [3]),  # what is after the last segment is dropped
    ],
)
def test_an_event_marks_the_segments_it_touches(event, segments):
    roll = segment_roll([Event(*event, "car")], 4, ["car"])
    assert np.flatnonzero(roll).tolist() == segments


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize("seed", range(3))
def test_frames_mark_the_segments_that_their_events_mark(seed, hop_s):
    rolls = np.random.default_rng(seed).random((4, 240, 2)) < 0.02
    expected = [
        segment_roll(decode_events(roll, hop_s, NAMES), 10, NAMES) for roll in rolls
    ]
    np.testing.assert_array_equal(segments_from_frames(rolls, hop_s, 10), expected)
    max_s = 0.7 * 240 * hop_s
    expected = [
        segment_roll(decode_events(roll, hop_s, NAMES, max_s), 10, NAMES)
        for roll in rolls
    ]
    found = segments_from_frames(rolls, hop_s, 10, max_s=max_s)
    np.testing.assert_array_equal(found, expected)


def test_thirty_frames_of_a_tenth_do_not_spill_into_a_fourth_second():
    roll = np.ones((30, 1), bool)  # 30 * 0.1 is 3.0000000000000004
    assert segments_from_frames(roll, 0.1, 4)[:, 0].tolist() == [True] * 3 + [False]
    assert decode_events(roll, 0.1, ["car"]) == [Event(0.0, 3.0, "car")]


def test_only_rounding_of_a_list_is_forgiven():
    """0.116 s is 5.8 frames of 20 ms: a twentieth of a frame is not a fifth."""
    roll = frame_roll([Event(0.116, 0.2, "Car")], 12, 0.02, ["Car"])
    assert roll[:, 0].nonzero()[0].tolist() == [5, 6, 7, 8, 9]
