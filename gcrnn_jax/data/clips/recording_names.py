"""The names of recordings in lists -> the files of a folder that they mean.

A list may name a recording by its path below the folder or the end of it, by its file
name or by an id; with or without an ending, and with or without the Y that downloaders
of YouTube put in front of ids. Names are looked up among the files that are there: no
list makes a path leave the folder.
"""

import contextlib
import filecmp
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.audio.recording_files import (
    is_no_audio,
    readable_endings,
    walk_files,
)
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.text import nfc

_YOUTUBE_ID = re.compile(r"Y[\w-]{11}(_.*)?")
_SEGMENT = re.compile(r"Y?([\w-]{11})_(\d+(?:\.\d+)?)(?:_(\d+(?:\.\d+)?))?")


class Found(NamedTuple):
    """What a name means.

    Attributes:
        path: Below the folder, with `/`; None: no recording has the name.
        others: What else it may mean, in other folders and with other content.
    """

    path: str | None
    others: tuple[str, ...] = ()


class RecordingNames:
    """The recordings of a folder, to be found by what lists call them.

    Example:
        >>> names = RecordingNames(Path("."), ["audio/dog/a.wav", "cat/Yb_0.flac"])
        >>> [names.find(name).path for name in ("a", "dog/a.mp3", "b_0", "cow/a.wav")]
        ['audio/dog/a.wav', 'audio/dog/a.wav', 'cat/Yb_0.flac', None]
    """

    def __init__(self, root: Path, paths: Sequence[str]):
        """Of recordings below a folder, with `/`; in any order."""
        self._root = root
        self._paths: dict[str, str] = {}  # in form NFC -> as the system has them
        self._by_stem: dict[str, list[str]] = {}  # file name without ending -> keys
        endings = {ending: i for i, ending in enumerate(readable_endings())}
        for path in paths:
            name = nfc(path)
            stem, _ = posixpath.splitext(posixpath.basename(name))
            self._paths[name] = path
            self._by_stem.setdefault(stem, []).append(name)
        for names in self._by_stem.values():
            if len(names) > 1:
                names.sort(key=lambda name: _preference(name, endings))

    @classmethod
    def of_folder(cls, root: Path) -> "tuple[RecordingNames, list[Finding]]":
        """The files in a folder and all those in it that may be recordings.

        The second result is a FOLDER for every folder that cannot be read.
        """
        findings = []

        def note(error: OSError) -> None:
            detail = str(error.strerror)
            findings.append(Finding(str(error.filename), 0, Code.FOLDER, detail))

        top = os.path.join(root, "")
        paths = [
            path.removeprefix(top).replace(os.sep, "/")
            for path in walk_files(top, note)
            if not is_no_audio(path)
        ]
        return cls(root, paths), findings

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, name: str, split: str = "") -> Found:
        """Returns what a name means, in a split of which its folder may have the name.

        Of one recording in several formats the one that loses least is taken, of copies
        of it in several folders any.
        """
        if (path := self._paths.get(name)) is not None:
            return Found(path)
        return self._find(self.inside(name), split)

    def inside(self, name: str) -> str:
        """A name as a path below the folder; "" if it is of another place."""
        path = nfc(name.strip())
        if os.path.isabs(path):
            path = os.path.relpath(path, os.path.abspath(self._root))
        elif "\\" in path and path not in self._paths:  # of Windows
            path = path.replace("\\", "/")
        path = posixpath.normpath(path)
        return "" if path in (".", "..") or path.startswith(("../", "/")) else path

    def _find(self, name: str, split: str) -> Found:
        if not name or name in self._paths:
            return Found(self._paths.get(name))
        folder, _, base = name.rpartition("/")
        stem = clip_id_of_file(name)
        names = self._of_stem(base)
        whole = [one for one in names if posixpath.splitext(one)[0] == stem]
        if whole:
            return self._first_of(whole)
        if folder:
            names = [one for one in names if _is_in(one, folder)]
        exact = [one for one in names if posixpath.basename(one) == base]
        names = exact or names
        of_split = [one for one in names if _is_of_split(one, split)]
        return self._first_of(of_split or names)

    def _of_stem(self, base: str) -> Sequence[str]:
        """The recordings of a name without folder, as it is or but for Y and ending."""
        stem = clip_id_of_file(base)
        for one in dict.fromkeys((base, stem)):
            if names := self._by_stem.get(one) or self._by_stem.get("Y" + one):
                return names
        for one in but_for_y(stem):
            if names := self._by_stem.get(one):
                return names
        return ()

    def _first_of(self, names: Sequence[str]) -> Found:
        """The first of several; the others that are not the same recording."""
        if not names:
            return Found(None)
        of_folders = {}
        for name in names:  # the most preferred first
            of_folders.setdefault(posixpath.dirname(name), self._paths[name])
        first, *others = of_folders.values()
        return Found(first, tuple(o for o in others if not self._are_copies(first, o)))

    def _are_copies(self, first: str, other: str) -> bool:
        return have_same_bytes(self._root / first, self._root / other)


def but_for_y(stem: str) -> list[str]:
    """What a recording may be called but for the Y that is put before YouTube's ids.

    Example:
        >>> but_for_y("a"), but_for_y("YXh7TqNh1aKY_30.000_40.000")[1]
        (['Ya'], 'Xh7TqNh1aKY_30.000_40.000')
    """
    return ["Y" + stem, *([stem[1:]] if _YOUTUBE_ID.fullmatch(stem) else [])]


def segment_of(stem: str) -> str | None:
    """A segment of a video as AudioSet's strong lists name it: id and milliseconds.

    A start with an end behind it is in seconds, unless the end is a second or more of
    milliseconds later; without one it is in seconds if it has a point. None: it is no
    such name.

    Example:
        >>> [segment_of(f"{x}Xh7TqNh1aKY_30{y}") for x, y in (("Y", ".000_40.000"),)]
        ['Xh7TqNh1aKY_30000']
        >>> segment_of("Xh7TqNh1aKY_30000"), segment_of("Xh7TqNh1aKY_30_40")
        ('Xh7TqNh1aKY_30000', 'Xh7TqNh1aKY_30000')
    """
    match = _SEGMENT.fullmatch(stem)
    if match is None:
        return None
    video, start, end = match.groups()
    is_ms = "." not in start and (end is None or float(end) - float(start) >= 1000)
    return f"{video}_{round(float(start) * (1 if is_ms else 1000))}"


def have_same_bytes(first: Path, other: Path) -> bool:
    """Whether two files can be read and are the same."""
    with contextlib.suppress(OSError):
        return filecmp.cmp(first, other, shallow=False)
    return False


def _preference(path: str, endings: Mapping[str, int]) -> tuple[int, str]:
    ending = posixpath.splitext(path)[1].lower()
    return endings.get(ending, len(endings)), path


def _is_in(path: str, folder: str) -> bool:
    return f"/{posixpath.dirname(path)}".endswith(f"/{folder}")


def _is_of_split(path: str, split: str) -> bool:
    """Whether a folder on the way is the split's: "train" is of "training"."""
    folders = posixpath.dirname(path).lower().split("/")
    return any(split.startswith(folder) for folder in folders if len(folder) > 2)
