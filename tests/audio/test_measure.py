"""What is measured of a recording is what is in all of it."""

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.measure import measure


def test_a_recording_is_measured_over_its_whole_length_and_all_channels(tmp_path):
    samples = np.zeros((150000, 2))
    samples[140000:140300, 0] = 1.0
    samples[90] = -0.25
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    measures = measure(tmp_path / "a.wav")
    assert measures[:4] == (150000 / 8000, 8000, 2, "WAV")
    assert measures.peak_amplitude == pytest.approx((0.5 + 0.25) / 2, abs=1e-4)
    assert measures.clipped == 300 / 300000


@pytest.mark.parametrize("level", [0.0, -0.5, 0.5])
def test_what_is_constant_has_no_amplitude(tmp_path, level):
    soundfile.write(tmp_path / "a.wav", np.full(8000, level), 16000)
    assert measure(tmp_path / "a.wav").peak_amplitude == 0


@pytest.mark.parametrize(
    ("level", "clipped"), [(0.995, 0.0), (32766 / 32768, 1.0), (-1.0, 1.0)]
)
def test_samples_are_clipped_at_full_scale_only(tmp_path, level, clipped):
    soundfile.write(tmp_path / "a.wav", np.full(8000, level), 16000)
    assert measure(tmp_path / "a.wav").clipped == clipped
