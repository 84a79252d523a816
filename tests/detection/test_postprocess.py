"""Post-processing against a plain loop over frames, and the authors' frames."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.ndimage

from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.runs import Runs
from gcrnn_jax.errors import ConfigError

BASE = Postprocessing(0.3, 0.3, 0.4, 0.4, True, False, 1.0, 0.0, 0.0, 0.5)


def slow_runs(active):
    """[first, end) of every run of True."""
    runs = []
    for t, on in enumerate(active):
        if on and runs and runs[-1][1] == t:
            runs[-1][1] = t + 1
        elif on:
            runs.append([t, t + 1])
    return runs


def slow_clean(active, hop_s, gap_s, min_event_s):
    """Fills, then removes, one class of one clip, in seconds and without numpy."""
    joined = []
    for first, end in slow_runs(active):
        if joined and (first - joined[-1][1]) * hop_s < gap_s:
            joined[-1][1] = end
        else:
            joined.append([first, end])
    cleaned = [False] * len(active)
    for first, end in joined:
        if not (end - first) * hop_s < min_event_s:
            cleaned[first:end] = [True] * (end - first)
    return cleaned


@pytest.mark.parametrize("density", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("seed", range(5))
def test_many_clips_at_once_come_out_as_from_a_plain_loop(seed, density):
    rng = np.random.default_rng(seed)
    hop_s, gap_s, min_event_s = 0.25, rng.integers(0, 8) / 4, rng.integers(0, 8) / 4
    frames = rng.random((6, 40, 3))
    threshold = 1 - density
    plain = replace(
        BASE,
        event_threshold=threshold,
        gap_s=gap_s,
        min_event_s=min_event_s,
        require_clip_tag=False,
    )
    found = plain.detect(frames, np.zeros((6, 3)), hop_s)
    for n in range(6):
        for k in range(3):
            expected = slow_clean(
                (frames[n, :, k] > threshold).tolist(), hop_s, gap_s, min_event_s
            )
            assert found[n, :, k].tolist() == expected
    np.testing.assert_array_equal(plain.detect(frames[2], np.zeros(3), hop_s), found[2])


def slow_hysteresis(posterior, high, low):
    """Walks both ways from every frame over `high`, one class of one clip."""
    active = [p > high for p in posterior]
    for seed in [t for t, on in enumerate(active) if on]:
        for way in (-1, 1):
            t = seed + way
            while 0 <= t < len(posterior) and posterior[t] > low:
                active[t] = True
                t += way
    return active


@pytest.mark.parametrize("hysteresis", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_events_go_on_as_far_as_a_plain_loop_walks(seed, hysteresis):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 11, (6, 40, 3)) / 10  # many are equal to a threshold
    high = (0.8, 0.9, 0.6)
    wide = replace(
        BASE,
        event_threshold=high,
        hysteresis=hysteresis,
        gap_s=0,
        min_event_s=0,
        require_clip_tag=False,
    )
    found = wide.detect(frames, np.zeros((6, 3)), 0.1)
    for n in range(6):
        for k in range(3):
            expected = slow_hysteresis(frames[n, :, k], high[k], hysteresis * high[k])
            assert found[n, :, k].tolist() == expected
    np.testing.assert_array_equal(wide.detect(frames[2], np.zeros(3), 0.1), found[2])


def test_hysteresis_opens_no_gate_and_comes_before_gaps_and_short_runs():
    frames = np.array([0.5, 0.9, 0.5, 0.1, 0.1, 0.5, 0.9, 0.5, 0.5, 0.1, 0.5])[:, None]
    wide = replace(
        BASE, event_threshold=0.8, hysteresis=0.5, gap_s=0.3, min_event_s=0.8
    )
    assert not wide.detect(frames, np.zeros(1), 0.1).any()
    roll = wide.detect(frames, np.ones(1), 0.1)
    assert roll[:, 0].tolist() == [True] * 9 + [False] * 2


@pytest.mark.parametrize("num_frames", [1, 2, 8, 40])
@pytest.mark.parametrize("size", [3, 5, 27])
@pytest.mark.parametrize("seed", range(3))
def test_the_median_is_that_of_scipy_with_silence_beyond_the_ends(
    seed, size, num_frames
):
    frames = np.random.default_rng(seed).random((4, num_frames, 3))
    smooth = replace(
        BASE,
        event_threshold=0.45,
        median_s=size * 0.02,
        gap_s=0,
        min_event_s=0,
        require_clip_tag=False,
    )
    found = smooth.detect(frames, np.zeros((4, 3)), 0.02)
    active = (frames > 0.45).astype(int)
    expected = scipy.ndimage.median_filter(active, (1, size, 1), mode="constant")
    np.testing.assert_array_equal(found, expected == 1)
    np.testing.assert_array_equal(smooth.detect(frames[1], np.ones(3), 0.02), found[1])


@pytest.mark.parametrize(
    ("median_s", "hop_s", "size"),
    [
        (0.54, 0.02, 27),  # the baseline of DCASE 2017
        (0.3, 0.1, 3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.4, 0.1, 3),  # the greatest odd number, not the nearest
        (0.59, 0.1, 5),
        (0.29, 0.1, 1),
        (0.05, 0.1, 1),
        (0.0, 0.1, 1),
    ],
)
def test_the_median_is_over_the_most_odd_frames_within_its_seconds(
    median_s, hop_s, size
):
    smooth = replace(
        BASE, median_s=median_s, gap_s=0, min_event_s=0, require_clip_tag=False
    )
    for run in range(1, 20):  # the median keeps whole what is most of its frames
        frames = np.r_[np.zeros(40), np.ones(run), np.zeros(40)][:, None]
        found = smooth.detect(frames, np.ones(1), hop_s)
        assert found.sum() == (run if run > size // 2 else 0)


def detect_text(text, **fields):
    """`#` is an active frame of 0.1 s, `.` a silent one."""
    frames = np.array([mark == "#" for mark in text], float)[:, None]
    roll = replace(BASE, require_clip_tag=False, **fields).detect(
        frames, np.ones(1), 0.1
    )
    return "".join("#" if on else "." for on in roll[:, 0])


@pytest.mark.parametrize(
    ("frames", "cleaned"),
    [
        ("", ""),
        ("......", "......"),
        ("######", "######"),
        ("###..###..", "########.."),  # 0.2 s < 0.3 s: filled
        ("###...###.", "###...###."),  # 0.3 s is not shorter than 0.3 s
        ("..###..###", "..########"),  # silence at the ends is no gap
        ("#..#..#...", "#######..."),  # filled first, so long enough to stay
        ("##....###.", "......###."),  # 0.2 s removed, 0.3 s stays
    ],
)
def test_gaps_under_gap_s_are_filled_then_runs_under_min_event_s_removed(
    frames, cleaned
):
    assert detect_text(frames, gap_s=0.3, min_event_s=0.3) == cleaned


@pytest.mark.parametrize("run", [7, 14, 28, 56])
def test_so_many_frames_of_a_fiftieth_last_as_long_as_their_product(run):
    frames = np.r_[0, np.ones(run), 0][:, None]  # 0.14 / 0.02 is 7.000000000000001
    plain = replace(
        BASE, gap_s=0, min_event_s=round(run * 0.02, 2), require_clip_tag=False
    )
    assert plain.detect(frames, np.ones(1), 0.02).sum() == run
    assert not plain.detect(frames[1:-2], np.ones(1), 0.02).any()


def test_the_median_comes_after_hysteresis_and_before_gaps_and_short_runs():
    no_gap = detect_text("#....#.#.", median_s=0.3, gap_s=0.3, min_event_s=0)
    assert no_gap == "......#.."  # after filling it would be three frames
    no_blips = detect_text("##.##....", median_s=0.3, gap_s=0, min_event_s=0.3)
    assert no_blips == "#####...."  # after removing there would be none
    frames = np.array([0.1, 0.5, 0.9, 0.1])[:, None]
    wide = replace(BASE, event_threshold=0.8, hysteresis=0.5, median_s=0.3)
    roll = replace(wide, min_event_s=0).detect(frames, np.ones(1), 0.1)
    assert roll[:, 0].tolist() == [False, True, True, False]


def test_old_files_call_a_required_tag_gated_and_have_no_hysteresis_and_no_median():
    old = {"tag_threshold": [0.1, 0.2], "event_threshold": 0.3, "gap_s": 0}
    old |= {"min_event_s": 0.4, "gated": False, "at_least_one_tag": True}
    expected = Postprocessing(
        (0.1, 0.2), 0.3, 0.0, 0.4, False, True, 1.0, 0.0, 0.0, 0.5
    )
    assert Postprocessing.from_dict(old) == expected
    wide = old | {"hysteresis": 0.5, "median_s": 0.3, "chosen_on": "here"}
    replaced = replace(expected, hysteresis=0.5, median_s=0.3, chosen_on="here")
    assert Postprocessing.from_dict(wide) == replaced
    assert Postprocessing.from_dict(asdict(replaced)) == replaced
    assert "gated" in old  # not changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gapp_s": 1.0}, r"postprocessing\.gapp_s: unknown field; did you mean gap_s"),
        ({"gap_s": "1"}, r"postprocessing\.gap_s: expected a finite number, got '1'"),
        (
            {"hysteresis": 2.0},
            r"postprocessing: hysteresis must be in \[0, 1\], got 2.0",
        ),
    ],
)
def test_a_file_with_other_fields_is_an_error_that_names_them(change, message):
    with pytest.raises(ConfigError, match=message):
        Postprocessing.from_dict(asdict(BASE) | change)


def test_zero_seconds_switch_filling_and_removing_off():
    assert detect_text("#.#..##", gap_s=0, min_event_s=0) == "#.#..##"


def test_the_last_frame_of_a_class_does_not_join_the_first_of_the_next():
    frames = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]], float)
    quick = replace(BASE, gap_s=9, min_event_s=0, require_clip_tag=False)
    np.testing.assert_array_equal(quick.detect(frames, np.ones(2), 1.0), frames == 1)


@pytest.mark.parametrize("gap_s", [0.3736, 0.4])
@pytest.mark.parametrize("min_event_s", [0.45, 0.4565])
def test_the_authors_frames_are_reached_in_seconds(gap_s, min_event_s):
    """n_smooth=10 fills gaps of up to 9 frames, n_salt=10 drops runs of up to 10."""
    authors = replace(
        BASE, gap_s=gap_s, min_event_s=min_event_s, require_clip_tag=False
    )
    for gap, filled in ((9, True), (10, False)):
        frames = np.r_[np.ones(11), np.zeros(gap), np.ones(11)][:, None]
        assert authors.detect(frames, np.ones(1), 0.0415).all() == filled
    for run, kept in ((10, False), (11, True)):
        frames = np.r_[np.zeros(20), np.ones(run), np.zeros(20)][:, None]
        assert authors.detect(frames, np.ones(1), 0.0415).any() == kept


def test_a_posterior_equal_to_its_threshold_is_no_tag_and_no_event():
    equal = replace(
        BASE, tag_threshold=0.5, event_threshold=0.5, gap_s=0, min_event_s=0
    )
    assert equal.tags(np.array([0.5, 0.6])).tolist() == [False, True]
    frames = np.array([[0.6, 0.5], [0.6, 0.6]])
    roll = equal.detect(frames, np.array([1.0, 1.0]), 1.0)
    assert roll.tolist() == [[True, False], [True, True]]


def test_a_class_that_is_no_tag_has_no_event():
    frames, clips = np.full((2, 3, 2), 0.9), np.array([[0.9, 0.1], [0.2, 0.8]])
    gated = replace(BASE, min_event_s=0).detect(frames, clips, 1.0)
    assert gated.any(1).tolist() == [[True, False], [False, True]]
    open_gate = replace(BASE, min_event_s=0, require_clip_tag=False).detect(
        frames, clips, 1.0
    )
    assert open_gate.all()


def test_a_clip_that_no_class_passes_gets_its_likeliest_tag_if_asked():
    clips = np.array([[0.1, 0.2], [0.4, 0.35], [0.29, 0.1]])
    fallback = replace(BASE, at_least_one_tag=True, min_event_s=0)
    expected = [[False, True], [True, True], [True, False]]
    assert fallback.tags(clips).tolist() == expected
    frames = np.ones((3, 2, 2))
    assert fallback.detect(frames, clips, 1.0).any(1).tolist() == expected
    assert not BASE.tags(clips)[[0, 2]].any()
    assert not fallback.tags(np.array([[np.nan, 0.2], [np.nan, np.nan]])).any()


def test_every_class_may_have_its_own_threshold():
    own = replace(
        BASE,
        tag_threshold=(0.2, 0.8),
        event_threshold=[0.6, 0.1],
        gap_s=0,
        min_event_s=0,
    )
    assert own.tags(np.array([0.5, 0.5])).tolist() == [True, False]
    roll = own.detect(np.array([[0.5, 0.5], [0.7, 0.0]]), np.array([0.9, 0.9]), 1.0)
    assert roll.tolist() == [[False, True], [True, False]]
    assert hash(own) == hash(own)  # also of a list: it is kept as a tuple


@pytest.mark.parametrize(
    "fields",
    [
        {"tag_threshold": -0.1},
        {"event_threshold": 1.5},
        {"event_threshold": float("nan")},
        {"tag_threshold": (0.3, 2.0)},
        {"tag_threshold": "high"},
        {"event_threshold": ((0.1, 0.2),)},
        {"gap_s": -1},
        {"min_event_s": float("nan")},
        {"median_s": -0.1},
        {"median_s": float("nan")},
        {"hysteresis": -0.1},
        {"hysteresis": 1.1},
        {"hysteresis": float("nan")},
    ],
)
def test_a_field_that_cannot_be_is_an_error_that_names_it(fields):
    [name] = fields
    with pytest.raises(ValueError, match=name):
        replace(BASE, **fields)


def test_as_many_thresholds_as_classes_are_needed():
    three = replace(BASE, tag_threshold=(0.1, 0.2, 0.3))
    with pytest.raises(ConfigError, match="tag_threshold.*2.*got 3"):
        three.tags(np.zeros((4, 2)))
    three = replace(BASE, event_threshold=(0.1, 0.2, 0.3))
    with pytest.raises(ConfigError, match="event_threshold.*2.*got 3"):
        three.detect(np.zeros((4, 5, 2)), np.zeros((4, 2)), 0.1)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_runs_of_wanted_classes_are_those_of_the_roll(seed, gated):
    rng = np.random.default_rng(seed)
    rules = replace(
        BASE,
        event_threshold=tuple(rng.choice([0.0, 0.3, 0.5, 0.9, 1.0], 4)),
        hysteresis=rng.choice([1.0, 0.5, 0.0]),
        median_s=rng.choice([0.0, 0.3, 0.5]),
        gap_s=rng.choice([0.0, 0.3]),
        min_event_s=rng.choice([0.0, 0.2]),
        require_clip_tag=gated,
        at_least_one_tag=bool(seed % 2),
    )
    frame = rng.random((7, 30, 4), np.float32) ** 3
    frame[2], frame[3, 4:9, 1] = 0, np.nan  # which no threshold is under
    if seed > 2:
        frame = np.round(frame, 1)
    clip = rng.random((7, 4), np.float32)
    is_wanted = rng.random((7, 4)) < 0.7
    tags = rules.tags(clip) if gated else True
    roll = rules.detect(frame, clip, 0.1) & is_wanted[:, None]
    found = rules.detect_runs(frame, is_wanted & tags, 0.1)
    expected = Runs.from_roll(roll)
    names = ("clips", "classes", "first", "end")
    for one, name in zip(found, names, strict=True):
        np.testing.assert_array_equal(one, getattr(expected, name))
    assert len(expected.clips)


def test_what_decides_on_frames_alone_is_plain():
    plain = replace(BASE, gap_s=0.1, min_event_s=0.1, median_s=0.2, hysteresis=1.0)
    assert plain.is_plain(0.1)  # a frame is 0.1 s: no gap is shorter, no run
    changes = {"gap_s": 0.11, "min_event_s": 0.11, "median_s": 0.3, "hysteresis": 0.9}
    for name, value in changes.items():
        assert not replace(plain, **{name: value}).is_plain(0.1)
