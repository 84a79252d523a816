"""The files of a folder as layouts look at them: recordings, and texts beside them."""

import codecs
import itertools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.audio.recording_files import (
    AUDIO_ENDINGS,
    is_left_out,
    readable_endings,
    walk_files,
)
from gcrnn_jax.data.clips.stretches import split_of_name
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.lists.text import is_blank, nfc

_MAX_LOOKED_AT = 100_000  # files, to recognise a layout; reading it takes all
_HEAD_BYTES = 4096
_TEXTS = (".txt", ".csv", ".tsv")
# What tools and hands put between the name of a recording and the ending of its labels.
_ADDED = re.compile(
    r"[._-](table\.\d+|selections?|selection[._]tables?|birdnet|results|raven|labels?"
    r"|annotations?)$",
    re.IGNORECASE,
)


class Files(NamedTuple):
    """Files below a folder, as paths from it with `/`, sorted folder by folder."""

    recordings: list[str]
    texts: list[str]  # .txt, .csv and .tsv


def all_files(root: Path) -> Files:
    """All recordings and texts below a folder.

    A folder that cannot be read is left out: who looks up recordings says so.
    """
    top, files = str(root), Files([], [])
    for path in walk_files(top, lambda error: None):
        _add(files, os.path.relpath(path, top).replace(os.sep, "/"))
    return files


def some_files(root: Path) -> Files:
    """As `all_files`, of so many files as tell what kind of folder it is."""
    files = Files([], [])
    for path in itertools.islice(_unsorted(str(root), ""), _MAX_LOOKED_AT):
        _add(files, path)
    return Files(sorted(files.recordings), sorted(files.texts))


def _unsorted(top: str, folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(top, folder)) as entries:
                for entry in entries:
                    path = posixpath.join(folder, entry.name)
                    if is_left_out(entry.name):
                        continue
                    if entry.is_dir():
                        waiting.append(path)
                    yield path
        except OSError:
            continue


def _add(files: Files, path: str) -> None:
    lower = path.lower()
    if lower.endswith(AUDIO_ENDINGS):
        files.recordings.append(path)
    elif lower.endswith(_TEXTS):
        files.texts.append(path)


def first_line(path: Path) -> str | None:
    """The first line of a text with anything in it; "" if there is none.

    None if the file cannot be read or its first line is thousands of letters long.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = head.decode("utf-16" if is_wide else "utf-8-sig", "replace")
    lines = text.splitlines()
    first = next((line for line in lines if not is_blank(line)), "")
    return None if first == text and len(head) == _HEAD_BYTES else first


def in_one_format(root: Path, paths: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """Recordings, of those that lie there in several formats the preferred file.

    Returns:
        The paths in their order, and SEVERAL for the files left out.
    """
    order = {ending: place for place, ending in enumerate(readable_endings())}
    best: dict[str, str] = {}
    for path in paths:
        stem, ending = posixpath.splitext(path)
        other = posixpath.splitext(best.setdefault(stem, path))[1]
        ranks = (order.get(one.lower(), len(order)) for one in (ending, other))
        if next(ranks) < next(ranks):
            best[stem] = path
    left_out = sorted({*paths} - {*best.values()})
    details = (f"{best[posixpath.splitext(path)[0]]} is used" for path in left_out)
    findings = [
        Finding(str(root / path), 0, Code.SEVERAL, detail)
        for path, detail in zip(left_out, details, strict=True)
    ]
    return list(best.values()), findings


def parts(path: str) -> list[str]:
    """The folders and the name of a path, without a first folder `audio`."""
    names = path.split("/")
    return names[1:] if names[0].lower() == "audio" else names


def splits_of(paths: Sequence[str]) -> list[str | None]:
    """The split of each recording, if the uppermost folders of all are splits.

    Example:
        >>> splits_of(["train/a.wav", "audio/test/b.wav"]), splits_of(["train/a", "b"])
        (['train', 'test'], [None, None])
    """
    tops = [names[0] if len(names) > 1 else "" for names in map(parts, paths)]
    if all(map(split_of_name, tops)):
        return [*tops]
    return [None] * len(paths)


class LabelFiles:
    """The recordings of a folder, to be found by the names of their label files."""

    def __init__(self, recordings: Sequence[str]):
        """Of paths as `Files` has them."""
        self._in_folder: dict[str, str] = {}
        self._anywhere: dict[str, list[str]] = {}
        for path in recordings:
            for name in (nfc(path), posixpath.splitext(nfc(path))[0]):
                self._in_folder.setdefault(name, path)
                base = posixpath.basename(name)
                self._anywhere.setdefault(base, []).append(path)

    def recording_of(self, text: str) -> str | None:
        """The recording whose labels a file holds, by its name.

        It lies beside the file, or is the only one of its name.

        Example:
            >>> files = LabelFiles(["a.wav", "b/c.1.wav"])
            >>> files.recording_of("a.Table.1.selections.txt")
            'a.wav'
            >>> files.recording_of("labels/c.1.txt"), files.recording_of("c.txt")
            ('b/c.1.wav', None)
        """
        for stem in self._stems(text):
            if (path := self._in_folder.get(stem)) is not None:
                return path
        for stem in self._stems(text):
            paths = self._anywhere.get(posixpath.basename(stem), ())
            if len(paths) == 1:
                return paths[0]
        return None

    def by_path(self, path: str) -> str | None:
        r"""The recording that a path of any computer means.

        Of several of its name, the one in folders of the same names, from the last on.
        None if there is none, or several remain.

        Example:
            >>> files = LabelFiles(["x/a.wav", "y/a.wav"])
            >>> files.by_path(r"D:\y\a.wav"), files.by_path("a.wav")
            ('y/a.wav', None)
        """
        names = nfc(path).replace("\\", "/").split("/")
        stem = posixpath.splitext(names[-1])[0]
        found = self._anywhere.get(names[-1]) or self._anywhere.get(stem) or []
        for number in range(2, len(names) + 1):
            if len(found) < 2:
                break
            tail = names[-number:-1]
            found = [one for one in found if nfc(one).split("/")[-number:-1] == tail]
        return found[0] if len(found) == 1 else None

    @staticmethod
    def name_of(text: str) -> str:
        """The name that the recording of a label file should have, without ending."""
        return list(LabelFiles._stems(text))[-1]

    @staticmethod
    def _stems(text: str) -> Iterator[str]:
        stem = posixpath.splitext(nfc(text))[0]
        yield stem
        while match := _ADDED.search(stem):
            stem = stem[: match.start()]
            yield stem
