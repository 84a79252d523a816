"""What is heard of a waveform: any rate, channels, length and blocks."""

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.prediction import ensemble as ensemble_module
from tests import defaults
from tests.prediction.conftest import sounds
from tests.prediction.loudness import (
    HOP_S,
    blocks_of,
    frames_of,
    loudness_ensemble,
    loudness_model,
)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_windows_leave_no_seams(reduction):
    waveform = sounds(47.7)
    ensemble = loudness_ensemble(loudness_model(reduction=reduction))
    (one,) = ensemble.posteriors([blocks_of(waveform, 20000)])
    features = defaults.front_end().log_mel(waveform).astype(np.float16)
    features = features[: len(features) // reduction * reduction]
    expected = ensemble.models[0].predict_batch(features[None], None)[1][0]
    found = frames_of(one)[: len(expected)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_event_across_seams_is_one_event():
    waveform = 1e-4 * np.random.default_rng(0).standard_normal(60 * 16000)
    waveform[4 * 16000 : 41 * 16000] *= 1000
    found = loudness_ensemble().predict(waveform, 16000)
    (event,) = [one.event for one in found.events if one.event.event_label == "Car"]
    assert abs(event.onset - 4) < 2 * HOP_S and abs(event.offset - 41) < 2 * HOP_S


def test_rates_and_channels_of_a_waveform_are_the_users_affair():
    loud = 0.3 * np.random.default_rng(0).standard_normal(44100 * 3)
    waveform = np.concatenate([np.zeros(44100 * 4), loud])
    stereo = np.stack([waveform, waveform], axis=1)
    found = loudness_ensemble().predict(stereo, 44100)
    assert found.tags[0].event == Event(0.0, 7.0, "Car")
    event = found.events[0].event
    assert event.event_label == "Car" and abs(event.onset - 4) < 2 * HOP_S
    mono = loudness_ensemble().predict(waveform.astype(np.float32), 44100)
    np.testing.assert_allclose(found.frame, mono.frame, atol=1e-6)


@pytest.mark.parametrize(
    "waveform", [np.zeros(16000, np.int16), np.zeros((2, 3, 16000)), np.float64(0.5)]
)
def test_what_is_no_waveform_is_refused(waveform):
    with pytest.raises(ValueError, match="floats \\[samples\\]"):
        loudness_ensemble().predict(waveform, 16000)


@pytest.mark.parametrize("rate", [float("nan"), 0, -16000, "16000", None])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="rate_hz must be a positive number"):
        loudness_ensemble().predict(np.zeros(16000), rate)


def test_a_waveform_is_heard_in_blocks(monkeypatch):
    stereo = np.stack([sounds(12), sounds(12, 1)], axis=1)
    whole = loudness_ensemble().predict(stereo, 22050)
    monkeypatch.setattr(ensemble_module, "_BLOCK_LENGTH", 997)
    blocks = loudness_ensemble().predict(stereo, np.int64(22050))
    np.testing.assert_allclose(blocks.frame, whole.frame, atol=1e-6)
    assert blocks.events == whole.events


def test_a_waveform_with_nothing_to_hear_is_refused():
    with pytest.raises(DataError, match="EMPTY: holds no samples"):
        loudness_ensemble().predict(np.zeros(0), 16000)
    with pytest.raises(ValueError, match="no channel"):
        loudness_ensemble().predict(np.zeros((16000, 0)), 16000)
    with pytest.raises(DataError, match="not finite at sample 7000"):
        loudness_ensemble().predict(np.where(np.arange(16000) < 7000, 0, 1e300), 16000)
    with pytest.raises(DataError, match="not finite"):
        loudness_ensemble().predict(np.full(16000, np.nan), 16000)


@pytest.mark.parametrize("samples", [1, 1000, 1023, 1024, 1440, 1500])
def test_a_recording_shorter_than_a_window_is_padded(samples):
    waveform = sounds(1)[:samples]
    silent = np.zeros(2000 - samples)
    for least, padded_to in ((1, 1024), (2, 1688)):
        ensemble = loudness_ensemble(loudness_model(min_input_frames=least))
        found = ensemble.predict(waveform, 16000)
        assert len(found.frame) == least
        padded = np.concatenate([waveform, silent])[: max(samples, padded_to)]
        whole = ensemble.predict(padded, 16000)
        np.testing.assert_array_equal(found.frame, whole.frame)
        assert all(tag.offset == samples / 16000 for tag in found.tags)
