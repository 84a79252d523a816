"""The ids of any number of clips in a few bytes each, and those of their copies."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.errors import DataError

_BLOCK = 4096  # texts decoded at once


def copy_id(clip_id: str, speed: float) -> str:
    """The id of the copy of a clip that is played at a speed."""
    return f"{clip_id}@{speed_text(speed)}"


def speed_text(speed: float) -> str:
    """A speed as the ids of copies have it.

    Example:
        >>> speed_text(1 / 1.2)
        '0.833333'
    """
    return f"{speed:g}"


def original_id(copy: str) -> str:
    """The id of the clip that a copy was made of, by the copy's.

    Example:
        >>> original_id(copy_id("-5sOjyOlmjD_60.000_70.000", 0.8))
        '-5sOjyOlmjD_60.000_70.000'
    """
    return copy.rpartition("@")[0]


class ClipIds(Sequence[str]):
    """Texts as the bytes of a JSON list that they were read from, one a line.

    Two million as Python's texts would be 180 MB, and these are 80 MB. It equals a
    tuple of the same texts.
    """

    def __init__(self, content: bytes, starts: np.ndarray, ends: np.ndarray):
        """Text n is the JSON text in bytes starts[n] to ends[n] of the content."""
        self._content, self._starts, self._ends = content, starts, ends

    @classmethod
    def read(cls, path: Path) -> "ClipIds | tuple[str, ...]":
        """Reads a list of texts; a tuple where it is written in another way.

        Raises:
            DataError: It cannot be read.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        letters = np.frombuffer(content, np.uint8)
        breaks = np.flatnonzero(letters == ord("\n"))
        starts, ends = breaks[:-1] + 1, breaks[1:].copy()
        ends[:-1] -= 1  # the commas
        quotes = letters[[starts, ends - 1]] == ord('"')
        is_ours = content[:2] == b"[\n" and content[-2:] == b"\n]"
        if not is_ours or not quotes.all() or (letters[ends[:-1]] != ord(",")).any():
            return tuple(read_json(path, list))
        return cls(content, starts.astype(np.uint32), ends.astype(np.uint32))

    def take(self, places: np.ndarray) -> "ClipIds":
        """Those at some places, int [n], in that order."""
        return ClipIds(self._content, self._starts[places], self._ends[places])

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return json.loads(self._content[self._starts[index] : self._ends[index]])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _BLOCK):
            part = slice(first, first + _BLOCK)
            places = zip(self._starts[part], self._ends[part], strict=True)
            texts = b",".join(self._content[start:end] for start, end in places)
            yield from json.loads(b"[" + texts + b"]")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (ClipIds, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(
            one == text for one, text in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))
