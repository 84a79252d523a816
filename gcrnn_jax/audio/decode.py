"""Any recording -> mono waveform, or a code for why it cannot be used.

Nothing here trusts a header: samples are read in blocks of a fixed size up to the
length that was asked for, whatever length the file claims.
"""

import contextlib
import errno
import importlib.util
import math
import os
import stat
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal

import numpy as np
import soundfile
import soxr

MIN_RATE_HZ = 4000
MAX_RATE_HZ = 384000
MAX_CHANNELS = 32
BLOCK_LENGTH = 65536  # samples of all channels together, read at a time
TOLERANCE_S = 0.04  # a file may end this much (one hop) before its declared end
MARGIN_S = 0.1  # read beyond the crop, so that the resampler sees no edge there

# ADTS (bare AAC), ASF (WMA), Matroska (WebM); MP4 has `ftyp` in bytes 4 to 7.
_FFMPEG_STARTS = (b"\xff\xf1", b"\xff\xf9", b"\x30\x26\xb2\x75", b"\x1a\x45\xdf\xa3")

# WAV writers that stream put the largest size they can: length unknown.
_UNKNOWN_WAV_SIZE = 0x7FFFF000


class Rejected(Exception):  # noqa: N818 - an outcome of a recording, not a fault
    """A recording that cannot be used.

    Attributes:
        code: MISSING, NOT_REGULAR, DENIED, EMPTY, FORMAT, CORRUPT, TRUNCATED,
            DECODER, NONFINITE, RATE, CHANNELS or TOO_SHORT.
        detail: The reason, in a few words.
    """

    def __init__(self, code: str, detail: str):
        super().__init__(code, detail)  # both, so that it survives pickling
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def read_waveform(
    path: str | bytes | os.PathLike,
    sample_rate_hz: int = 16000,
    max_s: float | None = None,
) -> np.ndarray:
    """Returns a recording as a mono waveform at one rate.

    The content decides the format, not the name: WAV, FLAC, OGG, MP3 and whatever else
    libsndfile reads. Channels are averaged, then resampled (soxr, HQ) to
    ceil(samples * sample_rate_hz / rate) samples.

    Args:
        path: A str may hold bytes that are not UTF-8, as os.listdir returns them.
        sample_rate_hz: Of the waveform to return.
        max_s: Read no more than the first `max_s` seconds. None: everything.

    Returns:
        float32 [S], in [-1, 1] for integer and lossy formats up to their overshoot.

    Raises:
        Rejected: The recording cannot be used; see `Rejected.code`.

    Differs: The paper resampled with resampy; soxr agrees to 0.02 in log-mel bins 0-49
        and differs by up to 2 in the top bins, at the filter's edge near 8 kHz.
    """
    return np.concatenate(list(stream_waveform(path, sample_rate_hz, max_s)))


def stream_waveform(
    path: str | bytes | os.PathLike,
    sample_rate_hz: int = 16000,
    max_s: float | None = None,
) -> Iterator[np.ndarray]:
    """Yields the waveform that `read_waveform` returns, float32 [S], block by block.

    Only a block or two are in memory, however long the recording.

    Raises:
        Rejected: At the first fault; blocks before it have been yielded.
    """
    with os.fdopen(open_regular(path), "rb") as file, open_recording(file) as recording:
        rate_hz = recording.samplerate
        limit = None if max_s is None else math.ceil((max_s + MARGIN_S) * rate_hz)
        left = None if max_s is None else math.ceil(max_s * sample_rate_hz)
        mono = (
            block.mean(axis=1, dtype=np.float64).astype(np.float32)
            for block in read_blocks(file, recording, limit)
        )
        for block in resample(mono, rate_hz, sample_rate_hz):
            yield block[:left]
            if left is not None:
                left = max(0, left - len(block))


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


class _Sequential(soundfile.SoundFile):
    """Reads from start to end without seeking.

    soundfile seeks after every block, which is slow on lossy formats and fails on a
    FLAC stream of unknown length.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def open_recording(file: IO[bytes]) -> Iterator[Any]:
    """Opens a recording; rejects unsupported rates and channel counts."""
    try:
        # The descriptor is ours to close: on an error libsndfile may or may not.
        recording: Any = _Sequential(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        recording = _open_with_ffmpeg(file, _reason(error, "not a known audio format"))
    with recording:
        rate_hz, channels = recording.samplerate, recording.channels
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            detail = f"{rate_hz} Hz, not in [{MIN_RATE_HZ}, {MAX_RATE_HZ}] Hz"
            raise Rejected("RATE", detail)
        if channels > MAX_CHANNELS:
            raise Rejected("CHANNELS", f"{channels} channels, over {MAX_CHANNELS}")
        yield recording


def _open_with_ffmpeg(file: IO[bytes], reason: str) -> Any:
    """Opens a format that libsndfile does not know, where PyAV is installed.

    Only formats known by their first bytes: FFmpeg takes almost anything for MP3.
    """
    file.seek(0)
    head = file.read(12)
    if head[4:8] != b"ftyp" and not head.startswith(_FFMPEG_STARTS):
        raise Rejected("FORMAT", reason)
    if importlib.util.find_spec("av") is None:
        hint = "FFmpeg, `pip install gcrnn_jax[ffmpeg]`, knows more formats"
        raise Rejected("FORMAT", f"{reason}; {hint}")
    from gcrnn_jax.audio.ffmpeg import FfmpegRecording

    try:
        return FfmpegRecording(file)
    except ValueError:
        raise Rejected("FORMAT", reason) from None


def read_blocks(
    file: IO[bytes], recording: soundfile.SoundFile, limit: int | None = None
) -> Iterator[np.ndarray]:
    """Yields float32 [samples, channels], at most `limit` samples in all.

    Raises:
        Rejected: Samples cannot be decoded, are not finite, or end too early.
    """
    block_length = max(1, BLOCK_LENGTH // recording.channels)
    num_samples = 0
    while limit is None or num_samples < limit:
        left = block_length if limit is None else limit - num_samples
        try:
            block = recording.read(min(block_length, left), "float32", always_2d=True)
        except (soundfile.LibsndfileError, ValueError) as error:
            reason = _reason(error, "cannot be decoded")
            raise Rejected("CORRUPT", f"{reason} after sample {num_samples}") from None
        if len(block) == 0:
            _check_end(file, recording, num_samples)
            return
        is_finite = np.isfinite(block).all(axis=1)
        if not is_finite.all():
            first = num_samples + int(np.argmin(is_finite))
            raise Rejected("NONFINITE", f"sample {first} is not finite")
        num_samples += len(block)
        yield block


def _check_end(file: IO[bytes], recording: soundfile.SoundFile, num_samples: int):
    """Raises if the file stops before the end that it declares, or is empty.

    libsndfile shortens WAV and OGG silently. MP3 has no reliable length field, so a
    truncated MP3 cannot be detected.
    """
    # libsndfile gives the largest number for a FLAC stream of unknown length
    expected = recording.frames if recording.frames < 2**62 else 0
    is_short = expected - num_samples > TOLERANCE_S * recording.samplerate
    if recording.format in ("WAV", "WAVEX"):
        missing_s = _missing_wav_s(file)
        if missing_s > TOLERANCE_S:
            raise Rejected("TRUNCATED", f"the last {missing_s:.3f} s are missing")
    elif recording.format == "OGG":
        if not _has_last_ogg_page(file):
            raise Rejected("TRUNCATED", f"no last page after sample {num_samples}")
        if is_short:
            raise Rejected("CORRUPT", f"{num_samples} of {expected} samples readable")
    elif recording.format == "FLAC" and is_short:
        raise Rejected("TRUNCATED", f"{num_samples} of {expected} samples present")
    if num_samples == 0:
        raise Rejected("EMPTY", "holds no samples")


def _missing_wav_s(file: IO[bytes]) -> float:
    """The seconds of samples that a WAV file declares but does not hold."""
    file.seek(0)
    order: Literal["big", "little"] = "big" if file.read(4) == b"RIFX" else "little"
    file.seek(12)
    bytes_per_s = 0
    while len(head := file.read(8)) == 8:
        name, size, start = head[:4], int.from_bytes(head[4:], order), file.tell()
        if name == b"fmt ":
            bytes_per_s = int.from_bytes(file.read(12)[8:], order)
        elif name == b"data":
            if size >= _UNKNOWN_WAV_SIZE or not bytes_per_s:
                return 0.0
            missing = start + size - os.fstat(file.fileno()).st_size
            return max(0, missing) / bytes_per_s
        file.seek(start + size + size % 2)
    return 0.0


def _has_last_ogg_page(file: IO[bytes]) -> bool:
    """Returns whether the last page is whole and marked as the end of its stream."""
    size = os.fstat(file.fileno()).st_size
    tail_length = min(size, 65536 + 282)  # no page is longer
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return False
    body = start + 27 + tail[start + 26]
    is_last = bool(tail[start + 5] & 4)
    return is_last and len(tail) >= body + sum(tail[start + 27 : body])


def _reason(error: soundfile.LibsndfileError | ValueError, otherwise: str) -> str:
    message = getattr(error, "error_string", error)
    return " ".join(str(message).split()).rstrip(".") or otherwise
