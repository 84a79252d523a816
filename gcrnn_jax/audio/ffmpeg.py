"""Recordings that libsndfile cannot read, such as m4a, by PyAV, which brings FFmpeg."""

import contextlib
from collections.abc import Iterator
from typing import IO

import av
import numpy as np


class FfmpegRecording:
    """The first audio stream of a file, read as a `soundfile.SoundFile` is.

    Raises:
        ValueError: FFmpeg knows no audio in the file, or cannot decode it.
    """

    format = "FFMPEG"
    frames = 0  # samples are not counted before the end

    def __init__(self, file: IO[bytes]):
        file.seek(0)
        with _as_value_error():
            self._container = av.open(file, mode="r")
        if not self._container.streams.audio:
            raise ValueError("no audio in it")
        stream = self._container.streams.audio[0]
        self.samplerate, self.channels = stream.rate, stream.channels
        self._left = None  # samples to come, where the file says how many it has
        if stream.duration is not None and stream.time_base is not None:
            self._left = round(stream.duration * stream.time_base * stream.rate)
        self._blocks = self._decode(stream)
        self._rest = np.zeros((0, self.channels), np.float32)

    def __enter__(self) -> "FfmpegRecording":
        return self

    def __exit__(self, error_type: type | None, *_: object) -> None:
        self._container.close()

    def read(self, frames: int, dtype: str, always_2d: bool) -> np.ndarray:
        """Returns the next samples, float32 [<= frames, channels]; none at the end."""
        parts, count = [self._rest], len(self._rest)
        while count < frames and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            count += len(block)
        joined = np.concatenate(parts)
        self._rest = joined[frames:]
        return joined[:frames].astype(dtype, copy=False)

    def _decode(self, stream) -> Iterator[np.ndarray]:
        layout = stream.layout.name
        planar = av.AudioResampler(format="fltp", layout=layout, rate=self.samplerate)
        with _as_value_error():
            for decoded in self._container.decode(stream):
                for frame in planar.resample(decoded):
                    block = frame.to_ndarray().T[: self._left]
                    if self._left is not None:  # encoders fill up the last packet
                        self._left -= len(block)
                    yield block


@contextlib.contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise ValueError(error.strerror or str(error)) from None
