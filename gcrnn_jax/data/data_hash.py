"""One hash that says which data a store, a run and a score were made of.

It is of the class list and, for every clip of every split, of its id, its labels, its
events and the bytes of its recording. So it is the same wherever the folder lies,
whatever the dates of its files, however its lists are sorted and written, and whatever
the front end; any label, any event and any byte of a listed recording changes it. That
a recording cannot be decoded does not matter: its bytes count all the same.

A clip's hash is taken while its features are computed, which needs its bytes anyway,
and is kept with its shard.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gcrnn_jax.audio.decode import Rejected, open_regular
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.errors import DataError


def data_sha256(classes: ClassList, splits: Mapping[str, Iterable[str]]) -> str:
    """Returns the hash of a data set, in hex.

    Args:
        classes: Of the labels; their order counts, it is that of the posteriors.
        splits: Name -> the `clip_sha256` of all clips listed, in any order.

    Example:
        >>> classes = ClassList(("/m/0k4j",), ("Car",))
        >>> one = data_sha256(classes, {"training": ["0a", "1b"], "testing": []})
        >>> one == data_sha256(classes, {"testing": [], "training": ["1b", "0a"]})
        True
        >>> one == data_sha256(classes, {"testing": ["0a"], "training": ["1b"]})
        False
    """
    digest = hashlib.sha256(json.dumps([classes.ids, classes.names]).encode())
    for name in sorted(splits):
        digest.update(f"\n{name}".encode())
        for clip in sorted(splits[name]):
            digest.update(f"\n{clip}".encode())
    return digest.hexdigest()


def clip_sha256(
    clip_id: str,
    labels: Sequence[int],
    events: Iterable[tuple[float, float, str]] | None,
    recording: str | None,
) -> str:
    """Returns the hash of one clip, in hex.

    Args:
        clip_id: Without the Y of file names.
        labels: Indices into the class list, ascending.
        events: (onset_s, offset_s, class name) each, in any order; None if nobody
            said when its sounds are.
        recording: The SHA-256 of its bytes in hex, or another text that stands for
            them; None if there are none to read.
    """
    timed = None if events is None else sorted(map(list, events))
    text = json.dumps([clip_id, list(labels), timed, recording])
    return hashlib.sha256(text.encode()).hexdigest()


def recording_sha256(path: str | os.PathLike) -> str | None:
    """Returns the SHA-256 of a file's bytes in hex; None if it has none to read."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (Rejected, OSError):
        return None


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
