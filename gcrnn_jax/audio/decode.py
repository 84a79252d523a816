"""Any recording -> mono waveform, or a code for why it cannot be used.

Nothing here trusts a header: samples are read in blocks of a fixed size up to the
length that was asked for, whatever length the file claims; and what is left of the
file behind them is accounted for.
"""

import contextlib
import errno
import importlib.util
import math
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from gcrnn_jax.audio.containers import begins_recording, find_extent, known_extent
from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.regions import Region, skip_tags
from gcrnn_jax.audio.rejected import PARTIAL, Rejected
from gcrnn_jax.audio.sndfile import SndfilePart
from gcrnn_jax.audio.stretches import MARGIN_S, first_sample, num_samples_of

if TYPE_CHECKING:
    from gcrnn_jax.audio.ffmpeg import FfmpegPart

MIN_RATE_HZ = 4000
MAX_RATE_HZ = 384000
MAX_CHANNELS = 32
BLOCK_LENGTH = 65536  # samples of all channels together, read at a time

# Without FFmpeg, what it could read: ADTS (bare AAC), ASF (WMA), Matroska (WebM), AMR;
# MP4 has `ftyp` in bytes 4 to 7, AVI `AVI ` in bytes 8 to 11.
_FFMPEG_STARTS = (
    *(b"\xff\xf1", b"\xff\xf9", b"\x30\x26\xb2\x75", b"\x1a\x45\xdf\xa3"),
    *(b"#!AMR", b"\x47\x40", b"wvpk", b"MAC "),
)


def read_waveform(
    path: str | bytes | os.PathLike,
    sample_rate_hz: int = 16000,
    max_s: float | None = None,
    start_s: float = 0.0,
) -> np.ndarray:
    """Returns a recording as a mono waveform at one rate.

    The content decides the format, not the name: WAV, FLAC, OGG, MP3 and whatever else
    libsndfile reads. Channels are averaged, then resampled (soxr, HQ) to
    ceil(samples * sample_rate_hz / rate) samples.

    Args:
        path: A str may hold bytes that are not UTF-8, as os.listdir returns them.
        sample_rate_hz: Of the waveform to return.
        max_s: Read no more than `max_s` seconds. None: everything.
        start_s: Where to begin, in seconds of the recording.

    Returns:
        float32 [S], in [-1, 1] for integer and lossy formats up to their overshoot.

    Raises:
        Rejected: The recording cannot be used; see `Rejected.code`.

    Differs: The paper resampled with resampy; soxr agrees to 0.02 in log-mel bins 0-49
        and differs by up to 2 in the top bins, at the filter's edge near 8 kHz.
    """
    blocks = stream_waveform(path, sample_rate_hz, max_s, start_s=start_s)
    return np.concatenate(list(blocks))


def stream_waveform(
    path: str | bytes | os.PathLike,
    sample_rate_hz: int = 16000,
    max_s: float | None = None,
    levels: Levels | None = None,
    start_s: float = 0.0,
) -> Iterator[np.ndarray]:
    """Yields the waveform that `read_waveform` returns, float32 [S], block by block.

    Only a block or two are in memory, however long the recording. What is read is
    added to `levels`. From a start amid the recording it yields what it would yield
    there after all before it; that is passed over where libsndfile finds the place,
    and decoded where not.

    Raises:
        Rejected: At the first fault; with a code of `PARTIAL`, all samples before it
            have been yielded.
    """
    fault: Rejected | None = None
    levels = Levels() if levels is None else levels
    with open_recording(path, is_amid=start_s > 0) as recording:
        rate_hz = recording.rate_hz
        first, surplus = first_sample(start_s, rate_hz, sample_rate_hz)
        limit = left = None
        if max_s is not None:
            limit = math.ceil((start_s + max_s + MARGIN_S) * rate_hz) - first
            left = num_samples_of(start_s, max_s, sample_rate_hz)

        def mono() -> Iterator[np.ndarray]:
            nonlocal fault
            try:
                for block in recording.blocks(limit, first):
                    yield levels.add(block)
            except Rejected as rejected:
                if rejected.code not in PARTIAL:
                    raise
                fault = rejected  # raised when all before it is resampled

        for block in resample(mono(), rate_hz, sample_rate_hz):
            if not np.isfinite(block).all():
                detail = f"samples up to {levels.peak:.3g} overflow in resampling"
                raise Rejected("NONFINITE", detail)
            wanted, surplus = block[surplus:], max(0, surplus - len(block))
            yield wanted[:left]
            if left is not None:
                left = max(0, left - len(wanted))
    levels.is_cropped = levels.num_samples == limit
    if fault is not None:
        raise fault


def resample(
    blocks: Iterable[np.ndarray], rate_hz: int, sample_rate_hz: int
) -> Iterator[np.ndarray]:
    """Yields a waveform at another rate, block by block, as if it came in one piece.

    Args:
        blocks: float32 [S] each, one after the other.
        rate_hz: Of the blocks.
        sample_rate_hz: To return: ceil(samples * sample_rate_hz / rate_hz) samples.
    """
    if rate_hz == sample_rate_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, "float32", quality="HQ")
    num_in = num_out = 0
    for block in blocks:
        resampled = stream.resample_chunk(block)
        num_in, num_out = num_in + len(block), num_out + len(resampled)
        yield resampled
    rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    # a resampler adds or drops a sample or two
    length = math.ceil(num_in * sample_rate_hz / rate_hz) - num_out
    yield np.pad(rest, (0, max(0, length - len(rest))))[:length]


def open_regular(path: str | bytes | os.PathLike) -> int:
    """Opens a regular file to read; rejects anything else without waiting for it."""
    try:
        # Non-blocking: opening a FIFO that has no writer would never return.
        descriptor = os.open(os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        raise Rejected("DENIED", "no permission to read it") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Rejected("MISSING", "no such file") from None
    except OSError as error:
        code = "NOT_REGULAR" if error.errno == errno.ENXIO else "MISSING"
        raise Rejected(code, error.strerror or repr(error)) from None
    except ValueError:
        raise Rejected("MISSING", "the name holds a NUL") from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise Rejected("EMPTY", "0 bytes")
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
    raise Rejected("NOT_REGULAR", kind)


class Recording:
    """An open recording.

    Attributes:
        rate_hz: Samples a second.
        channels: Their number.
        format: As libsndfile names it, "WAV", "OGG" ...; "FFMPEG" for all others.
    """

    def __init__(self, file: Region, *, is_amid: bool = False):
        self._file, self._is_amid = file, is_amid
        self._part = _open_part(file, is_amid=is_amid)
        self.rate_hz, self.channels = self._part.samplerate, self._part.channels
        self.format = self._part.format

    def close(self) -> None:
        """Closes all but the file."""
        self._part.close()

    def blocks(self, limit: int | None = None, first: int = 0) -> Iterator[np.ndarray]:
        """Yields float32 [samples, channels], at most `limit` samples from `first` on.

        Recordings that were joined to one file are read one after the other.

        Raises:
            Rejected: Samples cannot be decoded, are not finite, or end too early; what
                is before the fault has been yielded.
        """
        block_length = max(1, BLOCK_LENGTH // self.channels)
        place = self._part.skip(first) if first else 0
        while limit is None or place < first + limit:
            left = block_length if limit is None else first + limit - place
            block = self._part.read(min(block_length, left))
            if len(block) == 0:
                if not self._has_next_part(place):
                    break
                continue
            place += len(block)
            block = block[max(0, len(block) - (place - first)) :]
            is_finite = np.isfinite(block).all(axis=1)
            if not is_finite.all():
                wrong = place - len(block) + int(np.argmin(is_finite))
                raise Rejected("NONFINITE", f"sample {wrong} is not finite")
            if len(block):
                yield block
        if place == 0:
            raise Rejected("EMPTY", "holds no samples")
        if place <= first:
            end_s = place / self.rate_hz
            raise Rejected("EMPTY", f"ends at {end_s:.3f} s, before the clip begins")

    def _has_next_part(self, num_samples: int) -> bool:
        """Goes on to what is behind the part that was read; raises Rejected at a fault.

        Args:
            num_samples: That were read before, to say where the fault is.
        """
        end, fault = self._part.end()
        if fault is not None:
            raise fault
        if not begins_recording(self._file, end):
            end = skip_tags(self._file, end)
        if end == self._file.size:
            return False
        rest = self._file.size - end
        self._file = self._file.part(end, self._file.size)
        self._part.close()
        where = f"{rest} bytes behind sample {num_samples} are not decoded"
        try:
            self._part = _open_part(self._file, is_amid=self._is_amid)
        except Rejected as rejected:
            raise Rejected("TRUNCATED", f"{where}: {rejected.detail}") from None
        if (self._part.samplerate, self._part.channels) != (
            self.rate_hz,
            self.channels,
        ):
            what = f"{self._part.samplerate} Hz, {self._part.channels} channels"
            raise Rejected("TRUNCATED", f"{where}: another recording, {what}")
        return True


@contextlib.contextmanager
def open_recording(
    path: str | bytes | os.PathLike, *, is_amid: bool = False
) -> Iterator[Recording]:
    """Opens a recording; rejects what is none, unsupported rates and channel counts.

    Args:
        path: Of the recording.
        is_amid: It is read from amid it, and so maybe often.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        descriptor = file.fileno()
        region = Region(descriptor, 0, os.fstat(descriptor).st_size)
        recording = Recording(region, is_amid=is_amid)
        with contextlib.closing(recording):
            if not MIN_RATE_HZ <= recording.rate_hz <= MAX_RATE_HZ:
                limits = f"[{MIN_RATE_HZ}, {MAX_RATE_HZ}] Hz"
                raise Rejected("RATE", f"{recording.rate_hz} Hz, not in {limits}")
            if recording.channels > MAX_CHANNELS:
                detail = f"{recording.channels} channels, over {MAX_CHANNELS}"
                raise Rejected("CHANNELS", detail)
            yield recording


def _open_part(file: Region, *, is_amid: bool) -> "SndfilePart | FfmpegPart":
    """Opens the recording that begins a region, by FFmpeg what libsndfile knows not."""
    extent = (known_extent if is_amid else find_extent)(file)
    try:
        return SndfilePart(file, extent)
    except soundfile.LibsndfileError as error:
        message = getattr(error, "error_string", error)
        reason = (
            " ".join(str(message).split()).rstrip(".") or "not a known audio format"
        )
    if importlib.util.find_spec("av") is None:
        head = file.at(0, 12)
        is_known = head[4:8] == b"ftyp" or head[8:] == b"AVI "
        if is_known or head.startswith(_FFMPEG_STARTS):
            reason += "; FFmpeg, `pip install gcrnn_jax[ffmpeg]`, knows more formats"
        raise Rejected("FORMAT", reason)
    from gcrnn_jax.audio.ffmpeg import FfmpegPart

    try:
        return FfmpegPart(file, extent)
    except ValueError as error:
        if begins_recording(file, 0):
            raise Rejected("CORRUPT", f"cannot be opened: {error}") from None
        raise Rejected("FORMAT", reason) from None
