"""Log-mel frames of a waveform that comes in blocks; a few blocks are in memory."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd


def stream_log_mel(
    blocks: Iterable[np.ndarray], front_end: FrontEnd
) -> Iterator[np.ndarray]:
    """Yields the frames that `front_end.log_mel` gives of all blocks joined.

    Args:
        blocks: Waveforms [S] of any lengths, one after the other.
        front_end: `clip_s` is ignored: all frames are computed.

    Yields:
        float32 [T, M]: the frames that a block completes; T may be 0.
    """
    if front_end.centered:
        blocks = _mirrored(blocks, front_end.frame_length)
        front_end = dataclasses.replace(front_end, centered=False)
    waveform, to_skip = np.zeros(0, np.float32), 0  # from the next frame's start on
    for block in blocks:
        waveform = np.concatenate([waveform, block[to_skip:]])
        to_skip = max(0, to_skip - len(block))
        frames = front_end.log_mel(waveform)
        advance = len(frames) * front_end.hop_length
        to_skip += max(0, advance - len(waveform))  # a hop longer than a frame
        waveform = waveform[advance:]
        yield frames


def _mirrored(blocks: Iterable[np.ndarray], frame_length: int) -> Iterator[np.ndarray]:
    """Yields the blocks with half a frame mirrored at either end, as `log_mel` does."""
    half = frame_length // 2
    start, tail = np.zeros(0, np.float32), None
    for block in blocks:
        if tail is not None:
            yield block
            tail = np.concatenate([tail, block])[-1 - frame_length :]
            continue
        start = np.concatenate([start, block])
        if len(start) > frame_length:
            yield np.concatenate([start[1 : half + 1][::-1], start])
            tail = start[-1 - frame_length :]
    if tail is not None:
        yield tail[half - frame_length - 1 : -1][::-1]
    elif len(start):  # too short to be mirrored at one end after the other
        yield np.pad(start, (half, frame_length - half), mode="reflect")
