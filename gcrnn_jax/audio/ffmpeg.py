"""Recordings that libsndfile cannot read, such as m4a, by PyAV, which brings FFmpeg."""

import contextlib
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from gcrnn_jax.audio.containers import Extent
from gcrnn_jax.audio.mpeg import begins_mp3
from gcrnn_jax.audio.ogg import has_last_page, not_pages
from gcrnn_jax.audio.regions import Region, before_footers
from gcrnn_jax.audio.rejected import Rejected

# Containers that FFmpeg is asked for: none that is a list of other files or addresses.
_CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,"
    "loas,m4v,matroska,webm,matroska\\,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,"
    "mpegts,mxf,nut,ogg,oma,rm,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
# Of these the length that FFmpeg gives is in the file; of others it is a guess from the
# bit rate of the first packets.
_STATE_LENGTHS = {"mov", "matroska", "webm", "asf", "wav", "w64", "caf", "aiff"}
_STATE_LENGTHS |= {"ape", "tta", "tak", "wv", "flac", "dsf", "xwma"}
_READ_AHEAD = 65536  # bytes that FFmpeg may leave at the end, or may have in a buffer
_PACKETS = (188, 192, 204)  # bytes of those of MPEG-TS
_TOLERANCE_S = 0.1  # of lengths in whole packets or milliseconds


class FfmpegPart:
    """The first audio stream of a recording that begins a region.

    Attributes:
        samplerate: In Hz.
        channels: Their number.
        format: "FFMPEG".

    Raises:
        ValueError: FFmpeg knows no audio in it, or cannot decode it.
    """

    format = "FFMPEG"

    def __init__(self, region: Region, extent: Extent):
        self._extent, self._error, self._num_read = extent, "", 0
        self._file = region.part(0, before_footers(region.part(0, extent.end)))
        options = {"format_whitelist": _CONTAINERS}
        with _as_value_error():
            self._container: Any = av.open(self._file, mode="r", options=options)
        self._names = names = set(self._container.format.name.split(","))
        if not self._container.streams.audio:
            raise ValueError("no audio in it")
        if names == {"mp3"} and not begins_mp3(region):
            raise ValueError("not a known audio format")
        stream = self._container.streams.audio[0]
        if stream.codec_context is None or not stream.rate or not stream.channels:
            raise ValueError("no decoder for its audio")
        self.samplerate, self.channels = stream.rate, stream.channels
        self._declared_s = _declared_s(self._container, stream, names)
        self._left = None  # samples to come, where encoders fill up the last packet
        if "mov" in names and self._declared_s is not None:
            self._left = round(self._declared_s * stream.rate)
        self._blocks = self._decode(stream)
        self._rest = np.zeros((0, self.channels), np.float32)

    def close(self) -> None:
        """Closes what FFmpeg has open, not the file."""
        self._container.close()

    def skip(self, count: int) -> int:
        """Passes over nothing: only decoding finds a sample's place for certain."""
        return 0

    def read(self, count: int) -> np.ndarray:
        """Returns the next samples, float32 [<= count, channels]; none at the end."""
        parts, length = [self._rest], len(self._rest)
        try:
            while length < count and (block := next(self._blocks, None)) is not None:
                parts.append(block)
                length += len(block)
        except ValueError as error:
            self._error = str(error)
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        self._num_read += len(joined[:count])
        return joined[:count].astype(np.float32, copy=False)

    def end(self) -> tuple[int, Rejected | None]:
        """Returns where in the region it ends, and what was not read, after all was."""
        count, declared_s = self._num_read, self._declared_s
        seconds, rest = count / self.samplerate, self._file.size - self._file.furthest
        code, detail = "TRUNCATED", ""
        if self._error:
            code, detail = "CORRUPT", f"{self._error} after sample {count}"
        elif declared_s is not None and seconds < declared_s - _TOLERANCE_S:
            detail = f"{seconds:.3f} of {declared_s:.3f} s present"
        elif self._extent.missing:
            detail = f"{self._extent.missing} bytes are missing behind sample {count}"
        elif self._names == {"ogg"} and not has_last_page(self._file):
            detail = f"no last page after sample {count}"
        elif self._names == {"ogg"} and self._extent.unread:
            code, detail = not_pages(self._extent.unread).args
        elif self._names == {"mpegts"} and all(self._file.size % n for n in _PACKETS):
            detail = f"sample {count} is within a packet"
        elif declared_s is None and rest > _READ_AHEAD:
            detail = f"{rest} bytes behind sample {count} are not decoded"
        return self._extent.end, Rejected(code, detail) if detail else None

    def _decode(self, stream) -> Iterator[np.ndarray]:
        layout = stream.layout.name
        planar = av.AudioResampler(format="fltp", layout=layout, rate=self.samplerate)
        with _as_value_error():
            for decoded in self._container.decode(stream):
                for frame in planar.resample(decoded):
                    block = frame.to_ndarray().T[: self._left]
                    if self._left is not None:
                        self._left -= len(block)
                    yield block


def _declared_s(container, stream, names: set[str]) -> float | None:
    """The length that the container states; None: it states none of the sound."""
    if not names & _STATE_LENGTHS:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None or container.streams.video:
        return None
    return container.duration / av.time_base


@contextlib.contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise ValueError(error.strerror or str(error)) from None
