"""The recordings that a command is for, each with a name that no other has."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gcrnn_jax.errors import ConfigError, DataError

# What is a recording in a folder; a file that is named itself may end as it likes.
_ENDINGS = tuple(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .snd .caf .w64 .rf64 "
    ".sph .voc .m4a .mp4 .aac".split()
)


class Recording(NamedTuple):
    """A recording to be predicted.

    Attributes:
        name: Its path below the folder that all recordings of the command have in
            common: "b.wav" of a folder given as "a", "a/b.wav" of "a" and "c".
        path: To open it by.
    """

    name: str
    path: str


class Unreadable(NamedTuple):
    """A recording, or a folder, that cannot be read: a row of errors.csv."""

    path: str
    code: str
    detail: str


def list_recordings(paths: Sequence[str]) -> tuple[list[Recording], list[Unreadable]]:
    """Lists recordings by their names, those in folders included.

    Args:
        paths: Of files, which need not be there, and of folders, which are searched to
            the bottom; links to folders in them are not followed.

    Returns:
        The recordings, and the folders that cannot be searched.

    Raises:
        ConfigError: A folder that is named itself cannot be read.
        DataError: There is no recording.
    """
    if not paths:
        raise DataError("no recording was given")
    denied: set[Unreadable] = set()
    files = {os.path.abspath(path) for path in paths if not os.path.isdir(path)}
    folders = [os.path.abspath(path) for path in paths if os.path.isdir(path)]
    above = os.path.commonpath([*folders, *map(os.path.dirname, files)])
    for folder in folders:
        files.update(_recordings_in(folder, denied))
    if not files:
        raise DataError(
            f"no recording in {', '.join(paths)}: none ends in {' '.join(_ENDINGS)}"
        )
    recordings = [Recording(os.path.relpath(file, above), file) for file in files]
    return sorted(recordings), sorted(denied)


def _recordings_in(folder: str, denied: set[Unreadable]) -> Iterator[str]:
    def refuse(error: OSError):
        if error.filename == folder:
            raise ConfigError(f"cannot read the folder {folder}: {error.strerror}")
        denied.add(Unreadable(error.filename, "DENIED", f"folder: {error.strerror}"))

    for place, _, files in os.walk(folder, onerror=refuse):
        for file in files:
            if file.lower().endswith(_ENDINGS):
                yield os.path.join(place, file)
