"""What a recording is, over its whole length: how long, how loud, how distorted."""

import os
from typing import NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import (
    Rejected,
    check_end,
    open_regular,
    opened,
    read_blocks,
)

FULL_SCALE = 0.9999  # of the largest sample; 16 bits end at 0.99997


class Measures(NamedTuple):
    """What was measured of a recording.

    Attributes:
        duration_s: Of what can be decoded.
        rate_hz: Samples a second.
        channels: How many.
        format: As libsndfile names it, "WAV", "OGG" ...
        peak_amplitude: Of the mean of the channels, half of what lies between its
            lowest and its highest value: 1 is full scale, 0 is silence on any level.
        clipped: The share of samples, of all channels, that are at full scale.
    """

    duration_s: float
    rate_hz: int
    channels: int
    format: str
    peak_amplitude: float
    clipped: float


def measure(path: str | bytes | os.PathLike) -> Measures:
    """Decodes a recording to its end, in blocks, to say what is in it.

    Raises:
        Rejected: As `read_waveform`, of the whole recording.
    """
    num_samples, num_clipped, lowest, highest = 0, 0, np.inf, -np.inf
    with os.fdopen(open_regular(path), "rb") as file, opened(file) as recording:
        for block in read_blocks(recording, None):
            mono = block.mean(axis=1, dtype=np.float64)
            if not np.isfinite(mono).all():
                first = num_samples + int(np.argmin(np.isfinite(mono)))
                raise Rejected("NONFINITE", f"sample {first} is not finite")
            lowest, highest = min(lowest, mono.min()), max(highest, mono.max())
            num_clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
            num_samples += len(block)
        check_end(file, recording, num_samples)
        return Measures(
            num_samples / recording.samplerate,
            recording.samplerate,
            recording.channels,
            recording.format,
            float(highest - lowest) / 2,
            num_clipped / (num_samples * recording.channels),
        )
