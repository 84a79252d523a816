"""One hash that says which data a store, a run and a score were made of.

It is of the class list and, for every clip of every split, of its id, its labels, its
events and the bytes of its recording. So it is the same wherever the folder lies,
whatever the dates of its files, however its lists are sorted and written, and whatever
the front end; any label, any event and any byte of a listed recording changes it. That
a recording cannot be decoded does not matter: its bytes count all the same.

A clip's hash is taken while its features are computed, which needs its bytes anyway,
and is kept with its shard. All hashes are SHA-256 in hex.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gcrnn_jax.audio.decode import open_regular
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import hash_json


def dataset_content_hash(
    classes: ClassList, splits: Mapping[str, Iterable[str]]
) -> str:
    """Returns the hash of a data set.

    Args:
        classes: Of the labels; their order counts, it is that of the posteriors.
        splits: Name -> the `clip_content_hash` of all clips listed, in any order.

    Example:
        >>> classes = ClassList(("/m/0k4j",), ("Car",))
        >>> splits = {"training": ["0a", "1b"], "testing": []}
        >>> first = dataset_content_hash(classes, splits)
        >>> splits = {"testing": [], "training": ["1b", "0a"]}
        >>> first == dataset_content_hash(classes, splits)
        True
    """
    content_hash = hashlib.sha256(json.dumps([classes.ids, classes.names]).encode())
    for name in sorted(splits):
        content_hash.update(f"\n{name}".encode())
        # as NumPy keeps them, millions take a third of the memory
        hashes = np.fromiter((one.encode() for one in splits[name]), "S64")
        for one in np.unique(hashes):  # sorted; copies at other speeds count once
            content_hash.update(b"\n" + one)
    return content_hash.hexdigest()


def clip_content_hash(
    clip_id: str,
    labels: Sequence[int] | None,
    events: Iterable[tuple[float, float, str]] | None,
    recording: str | None,
) -> str:
    """Returns the hash of one clip.

    Args:
        clip_id: Without the Y of file names.
        labels: Indices into the class list, ascending; None if nobody said what is in
            it.
        events: (onset_s, offset_s, class name) each, in any order; None if nobody
            said when its sounds are.
        recording: The hash of its bytes, or another text that stands for them; None
            if there are none to read.
    """
    timed = None if events is None else sorted(map(list, events))
    known = None if labels is None else list(labels)
    return hash_json([clip_id, known, timed, recording])


def stretch_content_hash(
    recording: str | None, span: tuple[float, float] | None
) -> str | None:
    """The text that stands for a stretch of a recording.

    Args:
        recording: The hash of its bytes; None if there are none to read.
        span: From where to where in seconds; None: all of it.
    """
    if recording is None or span is None:
        return recording
    return f"{recording} {span[0]:.6f} {span[1]:.6f}"


def file_content_hash(path: str | os.PathLike) -> str | None:
    """Returns the hash of a file's bytes; None if it has none to read."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (Rejected, OSError):
        return None
