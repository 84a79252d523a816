"""A folder of recordings and lists, in any layout -> its splits, clips, recordings."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from gcrnn_jax.configs import sed
from gcrnn_jax.data.clips.assembly import assemble
from gcrnn_jax.data.clips.listing import Listing
from gcrnn_jax.data.dataset import Dataset
from gcrnn_jax.data.findings import Code, Finding, strict
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.layouts import LAYOUTS, Layout, LayoutOptions, audacity, table
from gcrnn_jax.errors import ConfigError, DataError, RecordingsMissingError

_NOT_FOUND = (Code.NO_SPLIT, Code.NO_RECORDINGS)


def find_splits(
    root: str | os.PathLike, options: LayoutOptions | None = None
) -> Dataset:
    """As `read_folder`, for a folder that is to be used.

    Raises:
        ConfigError: The options name no layout.
        DataError: No class list or several, no split, a list without a usable row or
            label, or a clip that is in two splits or of which several recordings have
            the name; or several layouts.
        RecordingsMissingError: No folder, no list in it, or no recordings of a list.
    """
    dataset, findings = read_folder(root, options)
    if any(finding.code in _NOT_FOUND for finding in findings):
        try:
            strict((dataset, findings))
        except DataError as error:
            raise RecordingsMissingError(str(error)) from None
    shared = [finding for finding in findings if finding.code is Code.SHARED_CLIP]
    if shared and findings[0] is shared[0]:
        examples = ", ".join(finding.detail for finding in shared[:3])
        raise DataError(
            f"{root}: {len(shared)} clips are in two splits, so that scores would be "
            f"of clips trained on: {examples}"
        )
    return strict((dataset, findings))


def read_folder(
    root: str | os.PathLike, options: LayoutOptions | None = None
) -> tuple[Dataset, list[Finding]]:
    """Reads the lists of a folder and finds the recording of every clip.

    Recordings are looked up by name among the files that are there, so no list can
    make a path leave the folder. A symbolic link inside it is followed: it is how a
    data set on another disk is put in place.

    Args:
        root: The folder; `gcrnn_jax.data.layouts` has the layouts.
        options: How it is read; None: as `configs/sed.py` has it.

    Returns:
        Every split that there is; and what keeps the folder from being used:
        CLASS_LIST (the classes are then all labels of the lists), UNREADABLE, NO_ROW,
        NO_LABEL, NO_SPLIT, SHARED_CLIP, AMBIGUOUS, NO_RECORDINGS and FOLDER.

    Raises:
        ConfigError: The options name no layout.
        DataError: The files of several layouts are in the folder.
        RecordingsMissingError: No folder.
    """
    root = Path(root)
    if not root.is_dir():
        what = "a file" if root.exists() else "none"
        raise RecordingsMissingError(
            f"{root}: expected a folder with a data set, found {what}"
        )
    options = options or default_options()
    layout = find_layout(root, options.layout)
    if layout is None:
        nothing = Dataset(root, ClassList((), ()), {}, (), "none that is known")
        finding = Finding(str(root), 0, Code.NO_SPLIT, _nothing_found())
        if track := audacity.nearly(root):
            finding = dataclasses.replace(track, code=Code.NO_SPLIT)
        return nothing, [finding]
    read = layout.read(root, options)
    return assemble(root, read, options) if isinstance(read, Listing) else read


def find_layout(root: Path, name: str) -> Layout | None:
    """The layout of this name; if it is empty, the one that is found, or None.

    Raises:
        ConfigError: There is no such layout.
        DataError: The files of several are in the folder.
    """
    if name:
        for layout in LAYOUTS:
            if layout.name == name:
                return layout
        names = ", ".join(layout.name for layout in LAYOUTS)
        raise ConfigError(f"layout: expected one of {names}, got {name!r}")
    layouts: tuple[Layout, ...] = LAYOUTS
    if table.links_elsewhere(root):
        layouts = (table,)
    found = [(layout, what) for layout in layouts if (what := layout.finds(root))]
    if len(found) > 1:
        places = "; ".join(f"{layout.name}: {what}" for layout, what in found)
        raise DataError(
            f"{root}: expected the files of one layout, found those of {len(found)}: "
            f"{places}. Say which counts, as --layout={found[0][0].name}, or in "
            f"training --config.data.layout={found[0][0].name}"
        )
    return found[0][0] if found else None


def _nothing_found() -> str:
    expected = "; ".join(f"{layout.name}: {layout.description}" for layout in LAYOUTS)
    return f"expected a data set in one of these layouts, found none: {expected}"


def default_options(clip_s: float | None = None) -> LayoutOptions:
    """What `configs/sed.py` says of how a folder is read.

    Args:
        clip_s: Of the network's input; None: what it says of that, too.
    """
    config: Any = sed.get_config()
    return LayoutOptions(
        layout=config.data.layout,
        negatives=config.data.negatives or None,
        clip_s=config.front_end.clip_s if clip_s is None else clip_s,
        clip_hop_s=config.data.clip_hop_s,
        split_fractions=config.data.split_fractions,
        split_seed=config.data.split_seed,
        speeds=config.data.speeds,
    )
