"""Waveforms of the clips of a data set, read by their ids."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.soundscape_source import soundscape_split
from gcrnn_jax.errors import DataError

ClipReader = Callable[[str], np.ndarray]  # clip id -> float32 [S]; raises Rejected


def clip_reader(data: DataOptions, seed: int, front_end: FrontEnd) -> ClipReader:
    """A function that reads the clips of a run, or generates them again.

    It raises Rejected for a clip that cannot be read, and for all where the folder of
    the data set is no longer there. Waveforms have the front end's rate and length.
    """
    if data.root:
        return folder_reader(Path(data.root), front_end)
    return lambda clip_id: _soundscape(clip_id, seed, front_end)


def folder_reader(root: Path, front_end: FrontEnd) -> ClipReader:
    """As `clip_reader`, for the folder of a data set."""
    try:
        splits = find_splits(root).splits.values()
    except DataError as error:
        return empty_reader(str(error))
    pairs = (zip(split.rows, split.recordings, strict=True) for split in splits)
    paths = {row.clip_id: path for of_split in pairs for row, path in of_split}

    def read(clip_id: str) -> np.ndarray:
        if (path := paths.get(clip_id)) is None:
            raise Rejected("MISSING", f"no recording of this clip in {root}")
        return read_waveform(path, front_end.sample_rate_hz, max_s=front_end.clip_s)

    return read


def empty_reader(reason: str) -> ClipReader:
    """Rejects every clip, for this reason."""

    def read(clip_id: str) -> np.ndarray:
        raise Rejected("MISSING", reason)

    return read


def _soundscape(clip_id: str, seed: int, front_end: FrontEnd) -> np.ndarray:
    name, _, number = clip_id.rpartition("_")
    if name not in SPLITS or not number.isdigit():
        raise Rejected("MISSING", "not a clip of the built-in soundscapes")
    source = soundscape_split(name, seed, int(number) + 1, front_end.sample_rate_hz)
    return source.load(int(number)).waveform
