"""How long recordings are, by their headers where these say it."""

import os

import soundfile

from gcrnn_jax.audio.decode import open_recording, open_regular
from gcrnn_jax.audio.rejected import Rejected

_MAX_LENGTH = 2**50  # of samples; libsndfile gives 2**63 - 1 where none is stated


def duration_s(path: str | os.PathLike) -> float | None:
    """Returns how long a recording is, in seconds; None if it cannot be read.

    A header is believed, also where the file ends before or goes on behind it, which
    shows when it is decoded. Where there is none, or it does not say, all is decoded.
    """
    try:
        descriptor = open_regular(path)
    except Rejected:
        return None
    try:
        with soundfile.SoundFile(descriptor, closefd=False) as recording:
            if 0 < recording.frames < _MAX_LENGTH:
                return recording.frames / recording.samplerate
    except soundfile.SoundFileError:
        pass  # of a format that another decoder knows
    finally:
        os.close(descriptor)
    return _decoded_s(path)


def _decoded_s(path: str | os.PathLike) -> float | None:
    num_samples, rate_hz = 0, 1
    try:
        with open_recording(path) as recording:
            rate_hz = recording.rate_hz
            for block in recording.blocks():
                num_samples += len(block)
    except Rejected:
        pass  # as far as it goes
    return num_samples / rate_hz if num_samples else None
