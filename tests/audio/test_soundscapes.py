"""Built-in soundscapes are the same everywhere, labelled honestly, and sound right."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from gcrnn_jax.audio import soundscapes
from gcrnn_jax.audio.soundscapes import (
    CLASS_NAMES,
    Placed,
    components,
    plan,
    soundscape,
)
from gcrnn_jax.data.labels import DCASE2017_CLASSES


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def statistics(waveform: np.ndarray) -> list[float]:
    """RMS of the clip and of tenths of it, and of its slope: coarse, yet they tell."""
    parts = [waveform, np.diff(waveform), *np.split(waveform, 10)]
    return [rms(part) for part in parts]


FINGERPRINTS: dict = {
    (0, 7, False): (
        [(0.027, 9.969, "Train", 18.1), (2.019, 9.9, "Motorcycle", 2.3)],
        [
            0.0297792,
            0.0145177,
            0.0299321,
            0.0329727,
            0.0263825,
            0.0327576,
            0.0331285,
            0.0277083,
            0.0264345,
            0.0259623,
            0.0333632,
            0.0276514,
        ],
    ),
    (0, 2, False): (
        [
            (1.733, 6.069, "Train horn", 1.4),
            (1.907, 6.989, "Train", -0.1),
            (2.547, 9.44, "Car", 1.8),
        ],
        [
            0.00724488,
            0.00376048,
            0.00410562,
            0.00475194,
            0.00841147,
            0.00957195,
            0.00921661,
            0.00877441,
            0.00716856,
            0.0064749,
            0.00646824,
            0.00509741,
        ],
    ),
    (17, 123456, True): (
        [(0.002, 9.957, "Fire engine, fire truck (siren)", -1.9)],
        [
            0.109507,
            0.0815181,
            0.101483,
            0.104449,
            0.103995,
            0.0919302,
            0.097689,
            0.100306,
            0.107765,
            0.127043,
            0.130612,
            0.122581,
        ],
    ),
}


@pytest.mark.parametrize("key", FINGERPRINTS)
def test_a_clip_is_the_one_that_other_machines_made(key):
    seed, index, balanced = key
    events, stored = FINGERPRINTS[key]
    clip = soundscape(seed, index, balanced=balanced)
    assert [tuple(event) for event in clip.events] == events
    np.testing.assert_allclose(statistics(clip.waveform), stored, rtol=1e-4)


def test_a_clip_does_not_depend_on_what_was_made_before_it():
    forwards = [soundscape(3, index) for index in range(3)]
    np.random.seed(7)
    np.random.random(5)
    for index in (2, 0, 1):
        again = soundscape(3, index)
        assert again.events == forwards[index].events
        np.testing.assert_array_equal(again.waveform, forwards[index].waveform)


def test_a_new_process_makes_the_same_clip():
    code = (
        "import json\n"
        "from gcrnn_jax.audio.soundscapes import soundscape\n"
        "clip = soundscape(5, 11)\n"
        "print(json.dumps([clip.events, clip.waveform[::997].tolist()]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    events, waveform = json.loads(run.stdout)
    clip = soundscape(5, 11)
    assert tuple(Placed(*event) for event in events) == clip.events
    assert waveform == clip.waveform[::997].tolist()


def test_seeds_indices_and_splits_have_different_clips():
    clips = [
        soundscape(0, 0),
        soundscape(0, 1),
        soundscape(1, 0),
        soundscape(0, 0, balanced=True),
    ]
    for a, first in enumerate(clips):
        for second in clips[a + 1 :]:
            alike = np.corrcoef(first.waveform, second.waveform)[0, 1]
            assert abs(alike) < 0.5
            assert first.events != second.events


def test_a_seed_or_an_index_below_zero_is_refused():
    with pytest.raises(OverflowError):
        plan(-1, 0)
    with pytest.raises(OverflowError):
        plan(0, -1)


def test_the_classes_are_the_tasks_in_its_order():
    assert CLASS_NAMES == DCASE2017_CLASSES.names


@pytest.mark.parametrize("balanced", [False, True])
def test_plans_have_one_to_four_events_in_order_within_the_clip(balanced):
    sizes = Counter()
    for index in range(1000):
        events = plan(1, index, balanced=balanced)
        sizes[len(events)] += 1
        assert list(events) == sorted(events, key=lambda event: event.onset)
        for onset, offset, _, snr_db in events:
            assert 0.0 <= onset < offset <= 10.0
            assert offset - onset >= 0.499
            assert -6.0 <= snr_db <= 20.0
            assert onset == round(onset, 3)
            assert offset == round(offset, 3)
    assert set(sizes) == {1, 2, 3, 4}


@pytest.mark.parametrize("balanced", [False, True])
def test_events_of_one_class_do_not_overlap(balanced):
    twice = 0
    for index in range(2000):
        last_offset: dict = {}
        for onset, offset, name, _ in plan(2, index, balanced=balanced):
            twice += name in last_offset
            assert onset >= last_offset.get(name, -1.0) + 0.199
            last_offset[name] = offset
    assert twice > 5  # else it says nothing


def clips_with_class(balanced: bool, count: int) -> Counter:
    found = Counter()
    for index in range(count):
        found.update({e.class_name for e in plan(4, index, balanced=balanced)})
    return found


def test_classes_are_as_unequal_as_in_the_task():
    clips = clips_with_class(False, 3000)
    (most, many), (rarest, few) = clips.most_common()[0], clips.most_common()[-1]
    assert (most, rarest) == ("Car", "Car alarm")
    assert len(clips) == 17
    assert many >= 20 * few
    assert few >= 0.01 * 3000


def test_balanced_classes_are_about_as_frequent():
    clips = clips_with_class(True, 3000)
    assert len(clips) == 17
    assert max(clips.values()) < 1.35 * min(clips.values())


def test_trains_come_with_their_horns_except_where_classes_are_balanced():
    shares = []
    for balanced in (False, True):
        clips = [plan(5, index, balanced=balanced) for index in range(6000)]
        names = [{event.class_name for event in clip} for clip in clips]
        with_horn = [n for n in names if "Train horn" in n and len(n) > 1]
        shares.append(np.mean(["Train" in n for n in with_horn]))
    assert shares[0] > 0.17
    assert shares[1] < 0.13


def test_horns_are_short_and_sirens_long():
    lengths: dict = {name: [] for name in CLASS_NAMES}
    for index in range(1500):
        for onset, offset, name, _ in plan(6, index, balanced=True):
            lengths[name].append(offset - onset)
    for name in ("Train horn", "Air horn, truck horn", "Screaming"):
        assert np.median(lengths[name]) < 4.0
    for name in ("Ambulance (siren)", "Civil defense siren", "Bus", "Train"):
        assert np.median(lengths[name]) > 6.0


@pytest.mark.parametrize("index", range(12))
def test_an_event_is_as_loud_as_its_label_says(index):
    background, tracks, _ = components(8, index, balanced=True)
    events = plan(8, index, balanced=True)
    assert len(tracks) == len(events)
    for event, (start, waveform) in zip(events, tracks, strict=True):
        first, end = round(event.onset * 16000), round(event.offset * 16000)
        assert start == first
        ratio = rms(waveform[: end - first]) / rms(background[first:end])
        assert 20 * np.log10(ratio) == pytest.approx(event.snr_db, abs=0.1)


@pytest.mark.parametrize("index", range(12))
def test_an_event_is_heard_from_its_onset_to_its_offset_and_hardly_after(index):
    _, tracks, _ = components(9, index, balanced=True)
    for event, (_, waveform) in zip(plan(9, index, balanced=True), tracks, strict=True):
        length = round(event.offset * 16000) - round(event.onset * 16000)
        assert len(waveform) >= length
        heard, after = waveform[:length], waveform[length:]
        for quarter in np.array_split(heard, 4):
            assert rms(quarter) > 0.03 * rms(heard), event
        if len(after) > 800:
            assert rms(after[800:]) < 0.32 * rms(heard), event


@pytest.mark.parametrize("index", range(20))
def test_a_waveform_is_ten_seconds_finite_and_within_one(index):
    waveform = soundscape(10, index).waveform
    assert waveform.shape == (160000,)
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert 0.04 < np.abs(waveform).max() <= 1.0
    assert np.abs(waveform).reshape(-1, 800).max(1).min() > 0.0


def test_some_clips_have_unlabelled_sounds_and_most_do_not():
    with_some = sum(bool(components(11, index)[2]) for index in range(60))
    assert 12 <= with_some <= 36


def test_the_events_are_all_that_the_mixture_has_besides_background_and_distractors():
    background, tracks, unlabelled = components(12, 5)
    mixture = background.astype(np.float64)
    for start, waveform in (*tracks, *unlabelled):
        mixture[start : start + len(waveform)] += waveform
    waveform = soundscape(12, 5).waveform
    scale = rms(waveform) / rms(mixture)
    np.testing.assert_allclose(waveform, scale * mixture, atol=1e-4 * scale)


def test_numpys_global_generator_is_left_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    soundscapes.soundscape(13, 0)
    assert np.random.get_state()[1].tolist() == before
