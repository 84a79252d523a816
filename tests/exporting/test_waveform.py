import dataclasses

import jax
import numpy as np
import pytest
from jax import export

from gcrnn_jax.exporting.stablehlo import features_function, waveform_program
from gcrnn_jax.exporting.waveform import features_in_jax, min_samples
from tests import defaults


def recording(size, seed=0):
    """Noise whose upper half is 120 dB lower, as of a recording at half the rate."""
    noise = np.random.default_rng(seed).standard_normal(size)
    spectrum = np.fft.rfft(noise)
    spectrum[len(spectrum) // 2 :] *= 1e-6
    return (0.1 * np.fft.irfft(spectrum, size)).astype(np.float32)


def in_jax(waveform, front_end):
    with jax.enable_x64(True):
        features = jax.jit(lambda x: features_in_jax(x, front_end))(waveform)
    assert features.dtype == np.float32
    return np.asarray(features)


def test_features_are_those_of_the_numpy_front_end(front_end):
    waveform = np.stack([recording(16663, seed) for seed in range(2)])
    expected = np.stack([front_end(row) for row in waveform])
    # a difference of float64's rounding can flip that of float32, of up to 100
    np.testing.assert_allclose(in_jax(waveform, front_end), expected, 3e-7, 3e-6)


def test_float32_would_hold_rounding_noise_where_there_is_next_to_nothing():
    """Or nobody should pay for float64: the test above tells one from the other."""
    # a Hamming window lets more of the lower half through than float32 rounds off
    waveform = recording(16000)[None]
    front_end = defaults.front_end(window="periodic_hann")
    with pytest.warns(UserWarning, match="float64"):
        single = jax.jit(lambda x: features_in_jax(x, front_end))(waveform)
    assert np.abs(single - in_jax(waveform, front_end)).max() > 1e-3


def test_the_shortest_waveform_is_the_one_that_the_program_takes(small, front_end):
    front_end = dataclasses.replace(front_end, clip_s=1.5)
    model = small("frame_cnn", front_end, filters=[2], time_pooling=[4])
    program = export.deserialize(bytearray(waveform_program(model)))
    waveform = recording(min_samples(front_end, 1))[None]
    clip, frame = program.call(waveform)
    expected = jax.jit(features_function(model))(front_end(waveform[0])[None])
    np.testing.assert_allclose(clip, expected[0], atol=1e-6)
    np.testing.assert_allclose(frame, expected[1], atol=1e-6)
    with pytest.raises(ValueError):
        program.call(waveform[:, :-1])
