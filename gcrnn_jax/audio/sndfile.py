"""A recording that libsndfile reads, and whether it was read to its end."""

import os
from typing import Any

import numpy as np
import soundfile

from gcrnn_jax.audio.containers import Extent
from gcrnn_jax.audio.mpeg import declares_length, ends_within_frame
from gcrnn_jax.audio.ogg import has_last_page, not_pages
from gcrnn_jax.audio.regions import Region, before_footers, skip_tags
from gcrnn_jax.audio.rejected import Rejected

TOLERANCE_S = 0.04  # a file may end this much (one hop) before its declared end
_UNKNOWN_LENGTH = 2**62  # libsndfile gives 2**63 - 1 for a FLAC stream without one
_MP3_FRAME_LENGTH = 1441  # bytes; a frame that is cut short is no recording behind
_PCM = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32")
_PLAIN = (*_PCM, "FLOAT", "DOUBLE", "ULAW", "ALAW")  # can be read without the header
_LITTLE_ENDIAN = (b"RIFF", b"RF64", b"BW64", b"riff", b"dns.")


class SndfilePart:
    """A recording that begins a region.

    Attributes:
        samplerate: In Hz.
        channels: Their number.
        format: As libsndfile names it, "WAV", "OGG" ...

    Raises:
        soundfile.LibsndfileError: libsndfile does not know it.
    """

    def __init__(self, region: Region, extent: Extent):
        self._region, self._extent = region, extent
        self._file = region.part(extent.replaced, extent.end, extent.header)
        self._how: dict[str, Any] = {}
        recording: Any = _open(self._file)
        self.samplerate, self.channels = recording.samplerate, recording.channels
        self.format = recording.format
        if extent.samples and recording.subtype in _PLAIN:
            self._file = region.part(*extent.samples)
            is_little = region.at(0, 4) in _LITTLE_ENDIAN
            self._how = {
                "samplerate": recording.samplerate,
                "channels": recording.channels,
                "format": "RAW",
                "subtype": recording.subtype,
                "endian": {"FILE": "LITTLE" if is_little else "BIG"}.get(
                    recording.endian, recording.endian
                ),
            }
            recording = _open(self._file, **self._how)
        elif extent.samples:  # packed in blocks: what the header does not give is lost
            begin, end = extent.samples
            self._extent = extent._replace(unread=end - begin)
        self._recording, self._error, self._num_read = recording, "", 0
        self._length = min(recording.frames, _UNKNOWN_LENGTH)

    def close(self) -> None:
        """Closes what libsndfile has open, not the file."""
        self._recording.close()

    def skip(self, count: int) -> int:
        """Passes over the first samples, before any is read, without decoding them.

        Returns how many: all of them, or 0 where only decoding finds the place.
        """
        guesses_length = self.format == "MP3" and not declares_length(self._region)
        if guesses_length or count >= min(self._length, _UNKNOWN_LENGTH):
            return 0
        try:
            self._recording.seek(count)
        except soundfile.LibsndfileError:  # damaged on the way there
            self._recording.close()
            self._recording = _open(self._file, **self._how)
            return 0
        self._num_read = count
        return count

    def read(self, count: int) -> np.ndarray:
        """Returns the next samples, float32 [<= count, channels]; none at the end."""
        count = min(count, self._length - self._num_read)
        if self._error or count <= 0:
            return np.zeros((0, self.channels), np.float32)
        block = np.empty((count, self.channels), np.float32)
        # soundfile's own read forgets the samples before an error
        ffi, library = soundfile._ffi, soundfile._snd  # type: ignore[attr-defined]
        pointer, handle = ffi.from_buffer("float[]", block), self._recording._file
        count = library.sf_readf_float(handle, pointer, count)
        if code := library.sf_error(handle):
            reason = soundfile.LibsndfileError(code).error_string
            self._error = " ".join(str(reason).split()).rstrip(".")
            self._error = self._error or "cannot be decoded"
        self._num_read += count
        return block[:count]

    def end(self) -> tuple[int, Rejected | None]:
        """Returns where in the region it ends, and what was not read, after all was."""
        num_read, missing = self._num_read, self._length - self._num_read
        is_short = TOLERANCE_S * self.samplerate < missing < _UNKNOWN_LENGTH - num_read
        end, extent = self._extent.end, self._extent
        code, detail = "TRUNCATED", ""
        if self._error:
            code, detail = "CORRUPT", f"{self._error} after sample {num_read}"
        elif self.format == "OGG" and not has_last_page(self._file):
            detail = f"no last page after sample {num_read}"
        elif self.format == "OGG" and is_short:
            code, detail = "CORRUPT", f"{num_read} of {self._length} samples readable"
        elif is_short and (self.format != "MP3" or declares_length(self._region)):
            detail = f"{num_read} of {self._length} samples present"
        elif extent.missing and (missing_s := self._seconds(extent.missing)):
            detail = f"the last {missing_s:.3f} s are missing"
        elif extent.unread and self.format == "OGG":
            code, detail = not_pages(extent.unread).args
        elif extent.unread and self._seconds(extent.unread):
            detail = self._unread(extent.unread)
        elif self.format in ("FLAC", "MP3"):
            end, detail = self._end_of_frames()
        return end, Rejected(code, detail) if detail else None

    def _end_of_frames(self) -> tuple[int, str]:
        """Where FLAC or MP3, whose header does not say it, ends, and what is wrong."""
        end, whole = skip_tags(self._region, self._position()), self._extent.end
        if whole - end > _MP3_FRAME_LENGTH:
            is_flac = self.format == "FLAC"
            return (whole, self._unread(whole - end)) if is_flac else (end, "")
        before_tags = min(whole, before_footers(self._region))
        if self.format == "MP3" and ends_within_frame(self._region, before_tags):
            return whole, f"sample {self._num_read} is within a frame"
        return whole, ""

    def _unread(self, num_bytes: int) -> str:
        return f"{num_bytes} bytes behind sample {self._num_read} are not decoded"

    def _seconds(self, num_bytes: int) -> float:
        """How long so many bytes of samples last; 0: no longer than may be missing."""
        read = self._position() / max(1, self._num_read) * self.samplerate
        return num_bytes / read if num_bytes > TOLERANCE_S * read else 0.0

    def _position(self) -> int:
        """How much of the region was read."""
        descriptor = self._file.whole_file()
        if descriptor is not None:
            return os.lseek(descriptor, 0, os.SEEK_CUR)
        return self._file.tell() - len(self._file.header) + self._extent.replaced


def _open(region: Region, **how: Any) -> Any:
    """Opens a region, a whole file by its descriptor, which is quicker."""
    descriptor = region.whole_file()
    if descriptor is None:
        file: Any = region  # soundfile asks for no more than it has
        return soundfile.SoundFile(file, **how)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return soundfile.SoundFile(descriptor, closefd=False, **how)
