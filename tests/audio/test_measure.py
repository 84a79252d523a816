"""What is measured of a recording is what is in all of it."""

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.levels import Levels
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


@pytest.mark.parametrize(
    ("scale", "second", "expected"),
    [
        (1, 1.0, []),
        (1, -0.5, []),  # correlation -1, yet a quarter of the level is left
        (1, -0.99, ["CANCELLED"]),
        (1, 0.0, []),
        (60, 1.0, []),  # lossy formats and floats may go over full scale
        (100, 1.0, ["LEVEL"]),
        (32768, -1.0, ["LEVEL", "CANCELLED"]),
        (1e-7, -1.0, []),  # of silence nothing is said
    ],
)
def test_levels_that_no_recorder_writes_are_remarked(scale, second, expected):
    levels = Levels()
    wave = 0.1 * np.sin(np.arange(16000)).astype(np.float32)
    stereo = np.float32(scale) * np.stack([wave, np.float32(second) * wave], 1)
    for block in np.array_split(stereo, 3):
        np.testing.assert_allclose(levels.add(block), block.mean(1), rtol=1e-5)
    assert [code for code, _ in levels.remarks()] == expected


@pytest.mark.parametrize(
    ("peak", "hint"),
    [(100, "128?"), (30000, "32768?"), (9e6, "2147483648?"), (1e30, "is 1")],
)
def test_a_level_far_beyond_full_scale_names_the_integers_it_may_be_of(peak, hint):
    levels = Levels()
    levels.add(np.float32([[0.0], [-peak]]))
    assert levels.remarks()[0][1].endswith(hint)
