"""Length, level and clipping of whole recordings."""

import os
from collections.abc import Callable
from typing import NamedTuple

from gcrnn_jax.audio.decode import open_recording
from gcrnn_jax.audio.levels import Levels


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
    remarks: tuple[tuple[str, str], ...]  # of `Levels`


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
    levels = Levels()
    with open_recording(path) as recording:
        for block in recording.blocks():
            levels.add(block)
            on_block()
        return Measures(
            levels.num_samples / recording.rate_hz,
            recording.rate_hz,
            recording.channels,
            recording.format,
            (levels.highest - levels.lowest) / 2,
            levels.num_clipped / (levels.num_samples * recording.channels),
            tuple(levels.remarks()),
        )
