import numpy as np
import pytest

from gcrnn_jax.audio.frames import stream_log_mel
from tests import defaults

FRONT_ENDS = {
    "paper's": defaults.front_end(),
    "centered": defaults.front_end(centered=True),
    "odd frames": defaults.front_end(centered=True, window_length=1001),
    "hop over a frame": defaults.front_end(hop_length=3000),
    "centered, hop over a frame": defaults.front_end(hop_length=3000, centered=True),
    "zeros around the window": defaults.front_end(
        window_length=640, fft_length=1024, hop_length=320, centered=True
    ),
}


@pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS)
@pytest.mark.parametrize("length", [1, 500, 1023, 1024, 1025, 3000, 20000])
def test_blocks_of_any_size_give_the_frames_of_the_whole(front_end, length):
    waveform = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    whole = front_end.log_mel(waveform)
    for size in (701, 5000, 10**6):
        blocks = (waveform[i : i + size] for i in range(0, length, size))
        frames = [np.zeros((0, 64)), *stream_log_mel(blocks, front_end)]
        np.testing.assert_allclose(np.concatenate(frames), whole, atol=1e-6)


def test_single_samples_are_blocks_too():
    waveform = np.random.default_rng(0).standard_normal(1800).astype(np.float32)
    for front_end in (defaults.front_end(), defaults.front_end(centered=True)):
        frames = list(stream_log_mel(waveform[:, None], front_end))
        whole = front_end.log_mel(waveform)
        np.testing.assert_allclose(np.concatenate(frames), whole, atol=1e-6)


def test_no_samples_have_no_frames():
    for front_end in (defaults.front_end(), defaults.front_end(centered=True)):
        frames = list(stream_log_mel([np.zeros(0, np.float32)], front_end))
        assert sum(map(len, frames)) == 0
