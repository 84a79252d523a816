"""Recordings decoded in processes of their own, which may crash or hang at one."""

import itertools
import math
import sys
from collections.abc import Iterator

import numpy as np
import soundfile

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.worker import LostError, Streams
from gcrnn_jax.failpoints import failpoint


def stream_decoded(
    path: str, rate_hz: int, levels: Levels | None = None
) -> Iterator[np.ndarray]:
    """Yields what `stream_waveform` does, while another process decodes.

    Where that dies or hangs, another one goes on from there, once. The levels of what
    was read are put into `levels`.

    Raises:
        Rejected: As by `stream_waveform`; DECODER: two processes were lost.
    """
    num_done = 0
    for is_last in (False, True):
        try:
            blocks = _processes((path, rate_hz))
            for block in itertools.islice(blocks, num_done, None):
                if isinstance(block, Levels):
                    if levels is not None:
                        vars(levels).update(vars(block))
                    continue
                yield block
                num_done += 1
            return
        except LostError as lost:
            if is_last:
                raise Rejected("DECODER", f"{lost}, twice") from None
            print(f"{path}: {lost}: it is tried once more", file=sys.stderr)


def _decode(_: None, task: tuple[str, int]) -> Iterator[np.ndarray | Levels]:
    """The blocks, then their levels."""
    failpoint("predict.decode")
    levels = Levels()
    try:
        yield from stream_waveform(*task, levels=levels)
    except Rejected:
        yield levels
        raise
    yield levels


_processes = Streams(_decode)  # none is started before there is something to decode


def expected_s(path: str) -> float:
    """Seconds of a recording by its header, for progress; infinite: it is not known."""
    try:
        with open(path, "rb") as file:
            header = soundfile.info(file)
    except (OSError, RuntimeError, ValueError, TypeError):
        return math.inf
    return header.frames / header.samplerate or math.inf
