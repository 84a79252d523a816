"""The recordings that a command is for, each with a name that no other has."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gcrnn_jax.audio.recording_files import readable_endings, walk_files
from gcrnn_jax.errors import ConfigError, DataError


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


class Listing(NamedTuple):
    """What the paths of a command stand for.

    Attributes:
        recordings: By their names.
        denied: Folders that cannot be searched.
        passed_over: Ending -> files in folders that are no recordings by it.
    """

    recordings: list[Recording]
    denied: list[Unreadable]
    passed_over: Counter[str]


def list_recordings(paths: Sequence[str]) -> Listing:
    """Lists recordings by their names, those in folders included.

    Args:
        paths: Of files, which need not be there and may end as they like, and of
            folders, which are searched to the bottom as `walk_files` does.

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
    others: dict[str, str] = {}
    for folder in folders:
        found, of_folder = _files_in(folder, denied)
        files |= found
        others |= of_folder
    passed_over = Counter(ending for path, ending in others.items())
    if not files:
        raise DataError(
            f"no recording in {', '.join(paths)}: none ends in "
            f"{' '.join(readable_endings())}"
        )
    recordings = [Recording(os.path.relpath(file, above), file) for file in files]
    return Listing(sorted(recordings), sorted(denied), passed_over)


def _files_in(folder: str, denied: set[Unreadable]) -> tuple[set[str], dict[str, str]]:
    """The recordings in a folder, and its other files, each with its ending."""

    def refuse(error: OSError) -> None:
        if error.filename == folder:
            raise ConfigError(f"cannot read the folder {folder}: {error.strerror}")
        denied.add(Unreadable(error.filename, "DENIED", f"folder: {error.strerror}"))

    recordings, others, endings = set(), {}, readable_endings()
    for path in walk_files(folder, refuse):
        if path.lower().endswith(endings):
            recordings.add(path)
        else:
            others[path] = os.path.splitext(path)[1].lower()
    return recordings, others
