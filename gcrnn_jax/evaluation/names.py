"""Which recording of a reference is meant by a name, and what is near to a name."""

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Mapping

from gcrnn_jax.data.clips.recording_names import but_for_y, segment_of
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.text import nfc
from gcrnn_jax.errors import DataError

NUM_NAMED = 3  # how many names a message has


def _without_folder(name: str) -> str:
    return clip_id_of_file(os.path.basename(name.replace("\\", "/")))


# What of a name is compared, from all of it to the least that the loader compares.
_WAYS: tuple[Callable[[str], str], ...] = (
    str,
    clip_id_of_file,
    _without_folder,
)


class Names:
    """The recordings of a reference, by all names that the loader would take for them.

    Folder, ending and the Y before an id of YouTube may differ, and how a segment of a
    video is named (see `segment_of`); the nearest to the whole name counts.
    """

    def __init__(self, names: Iterable[str], where: object):
        """The names as the reference has them, and which file it is, for messages."""
        self.names, self.where = tuple(dict.fromkeys(names)), where
        self._known: list[dict[str, list[str]]] = []
        for way in _WAYS:
            known: dict[str, list[str]] = {}
            for name in self.names:
                known.setdefault(way(nfc(name)), []).append(name)
            self._known.append(known)
        self._segments: dict[str, list[str]] = {}
        for name in self.names:
            if segment := segment_of(_without_folder(nfc(name))):
                self._segments.setdefault(segment, []).append(name)

    def find(self, name: str) -> str | None:
        """The reference's own name; None: it has no such recording.

        Raises:
            DataError: It may be any of several.
        """
        for way, known in zip(_WAYS, self._known, strict=True):
            found = known.get(way(nfc(name)), [])
            if found:
                return self._only(name, found)
        stem = _without_folder(nfc(name))
        found = [o for one in but_for_y(stem) for o in self._known[-1].get(one, [])]
        found = found or self._segments.get(segment_of(stem) or "", [])
        return self._only(name, found) if found else None

    def _only(self, name: str, found: list[str]) -> str:
        if len(found) > 1:
            raise DataError(
                f"{name!r} may be any of {first_of(found)} of {self.where}: name it "
                "with its folder, or without Y"
            )
        return found[0]

    def find_all(self, names: Iterable[str], where: object) -> dict[str, str]:
        """The reference's names of those that it has.

        Raises:
            DataError: It has none of them, or two are the same recording to it, or one
                may be any of several.
        """
        names = tuple(dict.fromkeys(names))
        found: dict[str, str] = {}
        meant: dict[str, str] = {}
        for name in names:
            own = self.find(name)
            if own is None:
                continue
            if own in meant:
                raise DataError(
                    f"{where}: {meant[own]!r} and {name!r} are both {own!r} of "
                    f"{self.where}: expected one name for each recording"
                )
            meant[own] = name
            found[name] = own
        if names and self.names and not found:
            raise DataError(
                f"{where}: none of {len(names)} recordings is in {self.where}: "
                f"{first_of(names)}{nearest(names[0], self.names)}"
            )
        return found


def nearest(name: str, names: Collection[str]) -> str:
    """Says which name was probably meant; without any like it, one that there is.

    Example:
        >>> nearest("bus", ["Bus", "Car"]), nearest("x", ["Bus"]), nearest("x", [])
        ("; the nearest to 'bus' is 'Bus'", "; it has 'Bus'", '')
    """
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, 1)
    if near:
        return f"; the nearest to {name!r} is {folded[near[0]]!r}"
    return f"; it has {next(iter(names))!r}" if names else ""


def first_of(names: Iterable[str]) -> str:
    """The first names of many.

    Example:
        >>> first_of("abcd")
        'a, b, c, ...'
    """
    names = list(names)
    more = ", ..." if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more


def unknown_labels(
    counts: Mapping[str, int], class_names: Collection[str], where: object
) -> list[str]:
    """Says which labels are no classes, how often they occur, and what is nearest."""
    unknown = [label for label in counts if label not in class_names]
    if not unknown or not class_names:
        return []
    number = sum(counts[label] for label in unknown)
    return [
        f"{where}: {len(unknown)} of {len(counts)} labels are no class of the "
        f"reference ({number} events): {first_of(unknown)}"
        + nearest(unknown[0], class_names)
    ]
