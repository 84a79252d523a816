"""One folder per class, which names what is in the recordings in it.

    ROOT/dog/a.wav
         dog/small/b.wav        of the class `dog`: the uppermost folder counts
         cat/a.wav              another recording than that of the dog
         background/c.wav       of a class, or of none: see `data.negatives`

Or with splits above: ROOT/train/dog/a.wav, ROOT/test/dog/b.wav. Recordings in no
folder of a class are not used. All these may lie in ROOT/audio.
"""

import posixpath
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data import layouts
from gcrnn_jax.data.clips.listing import ListedClip, Listing, Source
from gcrnn_jax.data.clips.stretches import split_of_name
from gcrnn_jax.data.layouts.files import (
    all_files,
    in_one_format,
    parts,
    some_files,
)
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.lists.text import nfc
from gcrnn_jax.errors import DataError

name = "class_folders"
description = "one folder per class, with no list (.csv, .tsv) beside them"

# Names of folders that may mean none of the classes, or a class: the user is asked.
ASKED = frozenset(
    "background background_noise _background_noise_ noise none other others negative "
    "negatives".split()
)


class _Place(NamedTuple):
    path: str
    split: str | None
    class_name: str
    folder: str  # of the class, in which the path is


def finds(root: Path) -> str | None:
    """The folders that may be classes."""
    files = some_files(root)
    others = (layout for layout in layouts.LAYOUTS if layout.name != name)
    if any(layout.finds(root) for layout in others):
        return None
    lists = [text for text in files.texts if text.lower().endswith((".csv", ".tsv"))]
    if not all("/" in text for text in lists):
        return None
    places = _places(root, files.recordings, strict=False)
    names = sorted({place.class_name for place in places})
    examples = ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
    return f"{len(names)} folders of recordings: {examples}" if names else None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Takes the names of folders for the labels of the recordings in them.

    Raises:
        DataError: Fewer than two classes, counting a folder of negatives; folders of
            splits beside others; or a folder whose name may mean none of the classes,
            while `data.negatives` does not say.
    """
    recordings, findings = in_one_format(root, all_files(root).recordings)
    places = _places(root, recordings)
    counts = Counter(place.class_name for place in places)
    if len(counts) < 2:
        found = [f"{one!r} with {n} recordings" for one, n in counts.items()]
        raise DataError(
            f"{root}: expected the folders of two classes or more, or of one and of "
            "negatives (--negatives, or in training --config.data.negatives), found "
            + (found[0] if found else "none")
        )
    if options.negatives is None:
        _ask(root, places)
    clips = [
        ListedClip(
            place.path,
            (place.class_name,),
            Source(str(root / place.folder), 0),
            split=place.split,
        )
        for place in places
    ]
    nested = any(place.folder != posixpath.dirname(place.path) for place in places)
    text = "one folder per class" + (", the uppermost of nested ones" if nested else "")
    listing = Listing(text, clips, findings=findings)
    return without_negatives(str(root), listing, options.negatives)


def _places(root: Path, paths: Sequence[str], *, strict: bool = True) -> list[_Place]:
    """Which class and split recordings are of, if they are in a folder of a class.

    Raises:
        DataError: If it is strict, for folders of splits beside others.
    """
    folders = {path: parts(path)[:-1] for path in paths}
    depths = {}  # of folders below each uppermost one
    for names in filter(None, folders.values()):
        depths[names[0]] = max(depths.get(names[0], 0), len(names))
    are_splits = [top for top in depths if split_of_name(top)]
    with_folders = sorted(top for top in are_splits if depths[top] > 1)
    others = sorted(set(depths) - set(are_splits))
    if others and len(with_folders) > 1 and strict:
        raise DataError(
            f"{root}: expected folders of splits only or of classes only, found "
            f"{', '.join(with_folders)} beside {', '.join(others[:3])}"
        )
    has_splits = bool(depths) and not others
    places = []
    for path, names in folders.items():
        split = names[0] if has_splits and names else None
        classes = names[1:] if has_splits else names
        if classes:
            end = len(path.split("/")) - len(classes)
            folder = "/".join(path.split("/")[:end])
            places.append(_Place(path, split, nfc(classes[0]), folder))
    return places


def _ask(root: Path, places: Sequence[_Place]) -> None:
    for place in places:
        if place.class_name.lower() in ASKED:
            raise DataError(
                f"{root / place.folder}: expected to be told whether what is in a "
                f"folder {place.class_name!r} is of a class or of none. Of none: "
                f"--negatives {shlex.quote(place.class_name)}; of a class, as all "
                "folders: --negatives ''. In training, "
                f"--config.data.negatives='(\"{place.class_name}\",)' or '(\"\",)'"
            )
