"""Which recordings a command was given, and a name for each that no other has."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gcrnn_jax.errors import ConfigError, DataError

# What is a recording in a folder; a file that is named itself may end as it likes.
_ENDINGS = tuple(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .snd .caf .w64 .rf64 "
    ".sph .voc .m4a .mp4 .aac".split()
)


class NamedRecording(NamedTuple):
    """A recording to be predicted.

    Attributes:
        name: Its path below the folder that all recordings of the command have in
            common: "b.wav" of a folder given as "a", "a/b.wav" of "a" and "c".
        path: To open it by.
    """

    name: str
    path: str


def find_recordings(
    given: Sequence[str],
) -> tuple[list[NamedRecording], list[tuple[str, str, str]]]:
    """Lists the recordings that are given, and those in given folders, by their names.

    Args:
        given: Paths of files, which need not be there, and of folders, which are
            searched to the bottom; links to folders in them are not followed.

    Returns:
        The recordings, and path, code and detail of folders that cannot be searched.

    Raises:
        ConfigError: A folder cannot be read.
        DataError: There is no recording in what was given.
    """
    if not given:
        raise DataError("no recording was given")
    denied: list[tuple[str, str, str]] = []
    paths = {os.path.abspath(path) for path in given if not os.path.isdir(path)}
    folders = [os.path.abspath(path) for path in given if os.path.isdir(path)]
    above = os.path.commonpath([*folders, *map(os.path.dirname, paths)])
    for folder in folders:
        paths |= set(_recordings_in(folder, denied))
    if not paths:
        raise DataError(
            f"no recording in {', '.join(given)}: none ends in {' '.join(_ENDINGS)}"
        )
    named = [NamedRecording(os.path.relpath(path, above), path) for path in paths]
    return sorted(named), sorted(set(denied))


def _recordings_in(folder: str, denied: list[tuple[str, str, str]]) -> Iterator[str]:
    def refuse(error: OSError):
        if error.filename == folder:
            raise ConfigError(f"cannot read the folder {folder}: {error.strerror}")
        denied.append((error.filename, "DENIED", f"folder: {error.strerror}"))

    for place, _, files in os.walk(folder, onerror=refuse):
        for file in files:
            if file.lower().endswith(_ENDINGS):
                yield os.path.join(place, file)
