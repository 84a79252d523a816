"""What is wrong with lists of DCASE 2017 Task 4, of which others have no like."""

from collections.abc import Iterator
from pathlib import Path

from gcrnn_jax.checking.files import check_files
from gcrnn_jax.data.dataset import SPLITS, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.layouts.dcase2017 import CLIP_LIST, STRONG_LIST, WEAK_LIST
from gcrnn_jax.data.lists.clip_lists import read_weak_list, stream_id_rows
from gcrnn_jax.errors import DataError


def check_dcase_lists(dataset: Dataset) -> Iterator[Finding]:
    """Finds lists of other names or encodings, and differences between two lists."""
    yield from check_files(dataset.root)
    yield from _splits(dataset)
    for name, split in dataset.splits.items():
        if split.rows:  # or NO_ROW already
            yield from _names(split, dataset.classes)
            path = dataset.root / WEAK_LIST.format(name)
            yield from _weak_list(path, split, dataset.classes)


def _splits(dataset: Dataset) -> Iterator[Finding]:
    """Splits without which training or scoring is not possible."""
    root, splits = dataset.root, dataset.splits
    if splits and "training" not in splits:
        expected = CLIP_LIST.format("training")
        detail = f"no usable {expected}, only {', '.join(splits)}"
        yield Finding(str(root), 0, Code.SPLIT_MISSING, detail)
    if splits and not set(splits) - {"training"}:
        detail = f"no usable list of {', '.join(SPLITS[1:])}: nothing to score on"
        yield Finding(str(root), 0, Code.SPLIT_MISSING, detail)
    for name in SPLITS:
        path = root / STRONG_LIST.format(name)
        if name not in splits and path.is_file():
            lists = f"{CLIP_LIST.format(name)} or {WEAK_LIST.format(name)}"
            detail = f"events of a split that no usable {lists} lists"
            yield Finding(str(path), 0, Code.SPLIT_MISSING, detail)


def _names(split: FolderSplit, classes: ClassList) -> Iterator[Finding]:
    """Names beside ids that are those of other classes."""
    if split.list_path.name != CLIP_LIST.format(split.name):
        return
    for row in stream_id_rows(split.list_path, []):  # whose findings are known
        if any(label not in classes.index_by_id for label in row.ids):
            continue
        expected = [classes.names[classes.index_by_id[label]] for label in row.ids]
        # Names that hold commas, joined by commas: compared without splitting them.
        left, is_other = row.names, False
        for name in sorted(expected, key=len, reverse=True):
            is_other |= name not in left
            left = left.replace(name, "", 1)
        if is_other or left.strip(", "):
            detail = f"{row.names!r} beside the ids of {', '.join(expected)}"
            yield Finding(str(split.list_path), row.line, Code.NAMES_DIFFER, detail)


def _weak_list(path: Path, split: FolderSplit, classes: ClassList) -> Iterator[Finding]:
    """Differences between the two lists that say which clip has which labels."""
    if path == split.list_path or not path.is_file():
        return
    try:
        rows, findings = read_weak_list(path, classes)
    except DataError as error:
        yield Finding(str(path), 0, Code.UNREADABLE, str(error))
        return
    yield from findings
    code, clip_list = Code.LABELS_DIFFER, split.list_path
    weak = {row.clip_id: row for row in rows}
    for row in split.rows:
        other = weak.pop(row.clip_id, None) or weak.pop("Y" + row.clip_id, None)
        if other is None:
            detail = f"{row.clip_id} is not in {path.name}"
            yield Finding(str(clip_list), row.line, code, detail)
        elif other.labels != row.labels:
            names, other_names = (
                ", ".join(classes.names[label] for label in labels) or "no label"
                for labels in (row.labels or (), other.labels or ())
            )
            detail = f"{row.clip_id}: {other_names}; {clip_list.name} says {names}"
            yield Finding(str(path), other.line, code, detail)
    for row in weak.values():
        detail = f"{row.clip_id} is not in {clip_list.name}"
        yield Finding(str(path), row.line, code, detail)
