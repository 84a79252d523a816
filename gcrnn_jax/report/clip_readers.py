"""Waveforms of the clips of a data set, read by their ids."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.dataset import SPLITS
from gcrnn_jax.data.folder import default_options, find_splits
from gcrnn_jax.data.layouts import LayoutOptions
from gcrnn_jax.data.recording_source import RecordingSource
from gcrnn_jax.data.soundscape_source import soundscape_split
from gcrnn_jax.errors import DataError

ClipReader = Callable[[str], np.ndarray]  # clip id -> float32 [S]; raises Rejected


def clip_reader(data: DataOptions, seed: int, front_end: FrontEnd) -> ClipReader:
    """A function that reads the clips of a run, or generates them again.

    It raises Rejected for a clip that cannot be read, and for all where the folder of
    the data set is no longer there. Waveforms have the front end's rate and length.
    """
    if data.root:
        options = data.layout_options(front_end)
        return folder_reader(Path(data.root), front_end, options)
    return lambda clip_id: _soundscape(clip_id, seed, front_end)


def folder_reader(
    root: Path, front_end: FrontEnd, options: LayoutOptions | None = None
) -> ClipReader:
    """As `clip_reader`, for the folder of a data set.

    Args:
        root: The folder.
        front_end: Of the waveforms.
        options: How the folder is read; None: as `configs/sed.py` has it.
    """
    try:
        dataset = find_splits(root, options or default_options(front_end.clip_s))
    except DataError as error:
        return empty_reader(str(error))
    places = {
        row.clip_id: (name, index)
        for name, split in dataset.splits.items()
        for index, row in enumerate(split.rows)
    }
    sources = {
        name: RecordingSource.of_split(dataset, split, front_end, None)
        for name, split in dataset.splits.items()
    }

    def read(clip_id: str) -> np.ndarray:
        if (place := places.get(clip_id)) is None:
            raise Rejected("MISSING", f"no recording of this clip in {root}")
        name, index = place
        return sources[name].load(index).waveform

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
