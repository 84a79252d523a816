"""What a layout of a folder is: how it is recognised, and read."""

import dataclasses
from pathlib import Path
from typing import Protocol

from gcrnn_jax.data.clips.listing import Listing
from gcrnn_jax.data.dataset import Dataset
from gcrnn_jax.data.findings import Finding


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """What the files of a folder do not say, and how recordings become clips.

    Attributes:
        layout: Name of the layout; "": the one that is found.
        negatives: Names of folders or labels that mean none of the classes; None:
            not stated.
        clip_s: Recordings that are longer become clips of this length.
        clip_hop_s: From the start of one clip to that of the next; 0: clip_s.
        split_fractions: Of the recordings that train, validate and test, where a
            folder does not say.
        split_seed: Of that division.
        speeds: At which each training clip is there once more; see `SpeedCopies`.
    """

    layout: str
    negatives: tuple[str, ...] | None
    clip_s: float
    clip_hop_s: float
    split_fractions: tuple[float, float, float]
    split_seed: int
    speeds: tuple[float, ...]


class Layout(Protocol):
    """A module that reads the folders of one layout.

    Attributes:
        name: As `data.layout` names it.
        description: For the user, as "one folder per class".
    """

    name: str
    description: str

    def finds(self, root: Path) -> str | None:
        """What is there of it in a folder, as "12 folders of recordings", or None."""
        ...

    def read(
        self, root: Path, options: LayoutOptions
    ) -> Listing | tuple[Dataset, list[Finding]]:
        """What the files say; or, of a reader that looks all up itself, all of it."""
        ...
