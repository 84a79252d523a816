"""Clips that are in two splits, so that scores would be of clips trained on."""

import os
from collections.abc import Iterator, Mapping

from gcrnn_jax.data.dataset import FolderSplit
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.lists.clip_lists import outside_largest


def shared_clips(splits: Mapping[str, FolderSplit]) -> Iterator[Finding]:
    """Yields SHARED_CLIP for each clip of a split that an earlier split has too."""
    maybe = outside_largest(
        (split.rows for split in splits.values()), lambda row: row.clip_id
    )
    first: dict[str, tuple[str, str]] = {}  # clip -> split, and its line
    for name, split in splits.items():
        for index, row in enumerate(split.rows):
            if row.clip_id not in maybe:
                continue
            path = split.row_path(index)
            place = name, f"{os.path.basename(path)}:{row.line}"
            other = first.setdefault(row.clip_id, place)
            if other[0] != name:
                places = ", ".join(map("; ".join, (other, place)))
                detail = f"{row.clip_id} ({places})"
                yield Finding(path, row.line, Code.SHARED_CLIP, detail)
