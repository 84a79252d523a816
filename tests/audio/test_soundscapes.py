"""Built-in soundscapes are the same everywhere and labelled honestly."""

from collections import Counter

import numpy as np
import pytest

from gcrnn_jax.audio.signals import rms
from gcrnn_jax.audio.soundscapes import CLASS_NAMES, components, plan, soundscape
from gcrnn_jax.data.labels import DCASE2017_CLASSES


def statistics(waveform: np.ndarray) -> list[float]:
    """RMS of the clip, of its slope and of fifths of it: coarse, yet they tell."""
    return [
        float(rms(w)) for w in (waveform, np.diff(waveform), *waveform.reshape(5, -1))
    ]


# Of VERSION: with other figures here it must be raised.
STORED: dict = {
    (0, 7, False): (
        [(0.062, 9.929, "Train", 18.1), (3.481, 9.827, "Motorcycle", 2.3)],
        [0.01225, 0.00226156, 0.0153642, 0.00959035, 0.0136153, 0.0105639, 0.0111939],
    ),
    (0, 2, False): (
        [(1.676, 6.196, "Train horn", 1.4), (3.81, 9.162, "Car", 1.8)],
        [0.0605579, 0.0362735, 0.0430243, 0.0649789, 0.0735679, 0.0658168, 0.0501884],
    ),
    (17, 123456, True): (
        [(0.302, 5.57, "Car", 9.9)],
        [
            0.0125483,
            0.00476355,
            0.0151344,
            0.0149078,
            0.0169996,
            0.00485883,
            0.00483879,
        ],
    ),
}


@pytest.mark.parametrize("key", STORED)
def test_a_clip_is_the_one_that_other_machines_made(key):
    seed, index, balanced = key
    events, figures = STORED[key]
    clip = soundscape(seed, index, balanced=balanced)
    assert [tuple(event) for event in clip.events] == events
    np.testing.assert_allclose(statistics(clip.waveform), figures, rtol=1e-4)


def test_a_clip_does_not_depend_on_what_was_made_before_it():
    np.random.seed(1)
    state = np.random.get_state()[1].tolist()
    forwards = [soundscape(3, index) for index in range(3)]
    for index in (2, 0, 1):
        again = soundscape(3, index)
        assert again.events == forwards[index].events
        np.testing.assert_array_equal(again.waveform, forwards[index].waveform)
    assert np.random.get_state()[1].tolist() == state


def test_seeds_indices_and_splits_have_different_clips():
    keys = ((0, 0, False), (0, 1, False), (1, 0, False), (0, 0, True))
    clips = [soundscape(seed, index, balanced=b) for seed, index, b in keys]
    for number, first in enumerate(clips):
        for second in clips[number + 1 :]:
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
def test_plans_have_one_to_four_events_in_order_and_apart(balanced):
    sizes, repeated = Counter(), 0
    for index in range(2000):
        events = plan(1, index, balanced=balanced)
        sizes[len(events)] += 1
        assert list(events) == sorted(events, key=lambda event: event.onset)
        last_offset: dict = {}
        for onset, offset, name, snr_db in events:
            assert 0.0 <= onset <= offset - 0.999 <= 9.001
            assert -6.0 <= snr_db <= 20.0
            assert (onset, offset) == (round(onset, 3), round(offset, 3))
            repeated += name in last_offset
            assert onset >= last_offset.get(name, -1.0) + 0.199
            last_offset[name] = offset
    assert [sizes[n] > 20 for n in range(6)] == [False, True, True, True, True, False]
    assert repeated > 5  # or else nothing was tested


@pytest.mark.parametrize("balanced", [False, True])
def test_classes_are_as_unequal_as_in_the_task_unless_they_are_balanced(balanced):
    clips = Counter()
    for index in range(3000):
        clips.update({e.class_name for e in plan(4, index, balanced=balanced)})
    (most, many), (rarest, few) = clips.most_common()[0], clips.most_common()[-1]
    assert len(clips) == 17
    if balanced:
        assert many < 1.35 * few
    else:
        assert (most, rarest) == ("Car", "Car alarm")
        assert many >= 20 * few >= 20 * 0.01 * 3000


def test_sounds_with_pauses_are_short_and_others_long():
    lengths: dict = {name: [] for name in CLASS_NAMES}
    for index in range(1000):
        for onset, offset, name, _ in plan(6, index, balanced=True):
            lengths[name].append(offset - onset)
    for name in ("Train horn", "Air horn, truck horn", "Screaming"):
        assert max(lengths[name]) < 6.0
    for name in ("Ambulance (siren)", "Civil defense siren", "Bus", "Train"):
        assert np.median(lengths[name]) > 5.0
        assert 0.2 < np.mean(np.equal(lengths[name], 10.0)) < 0.5


@pytest.mark.parametrize("index", range(6))
def test_an_event_is_where_its_label_is_and_as_loud_as_it_says(index):
    background, *layers = components(8, index, balanced=True)
    events = plan(8, index, balanced=True)
    assert len(layers) >= len(events)
    for event, layer in zip(events, layers, strict=False):
        first, end = round(event.onset * 16000), round(event.offset * 16000)
        ratio = rms(layer[first:end]) / rms(background[first:end])
        assert 20 * np.log10(ratio) == pytest.approx(event.snr_db, abs=0.1)
        assert not layer[:first].any()
        assert not layer[end:].any()
        assert abs(layer[first]) + abs(layer[end - 1]) < 1e-6  # no clicks


def test_a_waveform_is_ten_seconds_finite_and_within_one():
    peaks = []
    for index in range(20):
        waveform = soundscape(10, index).waveform
        assert waveform.shape == (160000,)
        assert waveform.dtype == np.float32
        assert np.isfinite(waveform).all()
        assert np.abs(waveform).reshape(-1, 800).max(1).min() > 0.0
        peaks.append(np.abs(waveform).max())
    assert 0.04 < min(peaks) < 0.2
    assert 0.5 < max(peaks) <= 1.0


def test_some_clips_have_sounds_without_a_label_and_most_do_not():
    extra = [len(components(11, i)) - 1 - len(plan(11, i)) for i in range(60)]
    assert 12 <= np.count_nonzero(extra) <= 36
    assert set(extra) == {0, 1, 2, 3}


def test_a_clip_is_the_sum_of_its_components_at_some_level():
    mixture = components(12, 5).astype(np.float64).sum(axis=0)
    waveform = soundscape(12, 5).waveform
    scale = rms(waveform) / rms(mixture)
    np.testing.assert_allclose(waveform, scale * mixture, atol=1e-5)
