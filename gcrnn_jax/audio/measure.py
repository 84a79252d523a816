"""Length, level and clipping of whole recordings."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import open_recording, open_regular, read_blocks

FULL_SCALE = 0.9999  # of the largest sample; 16 bits end at 0.99997


class Measures(NamedTuple):
    """Of a recording, over its whole length."""

    duration_s: float  # of the samples that can be decoded
    rate_hz: int  # samples a second
    channels: int
    format: str  # as libsndfile names it, "WAV", "OGG" ...
    peak_amplitude: float
    """Half the difference of the highest and the lowest value of the mean of the
    channels: 1 is full scale, 0 is silence, at any constant level."""
    clipped: float  # share of samples, of all channels, that are at full scale


def measure(
    path: str | bytes | os.PathLike, on_block: Callable[[], None] = lambda: None
) -> Measures:
    """Decodes a recording to its end, in blocks, and measures it.

    Args:
        path: Of the recording.
        on_block: Called after each block, a second or less at a time.

    Raises:
        Rejected: As by `read_waveform` of the whole recording.
    """
    num_samples, num_clipped, lowest, highest = 0, 0, np.inf, -np.inf
    with os.fdopen(open_regular(path), "rb") as file, open_recording(file) as recording:
        for block in read_blocks(file, recording):
            mono = block.mean(axis=1, dtype=np.float64)
            lowest, highest = min(lowest, mono.min()), max(highest, mono.max())
            num_clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
            num_samples += len(block)
            on_block()
        return Measures(
            num_samples / recording.samplerate,
            recording.samplerate,
            recording.channels,
            recording.format,
            float(highest - lowest) / 2,
            num_clipped / (num_samples * recording.channels),
        )
