"""The `audiofolder` of Hugging Face datasets: metadata.csv beside the recordings.

    ROOT/metadata.csv            file_name,label
                                 train/a.wav,dog
         train/a.wav
    or   ROOT/train/metadata.csv, and so on for other splits; file_name is then a path
                                 below ROOT/train

Labels are in a column `label` or `labels`, several separated by `;` or as a list of
JSON; `?` says that they are not known. Splits are those in a column `split`, or the
uppermost folders if all of them are named as splits are.

Source: huggingface.co/docs/datasets/audio_load, "AudioFolder with metadata".
"""

from collections.abc import Iterator
from pathlib import Path

from gcrnn_jax.data.clips.listing import ListedClip, Listing, Source
from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.layouts.files import splits_of
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.lists.tables import LABEL_NAMES, SPLIT_NAMES, Table, labels_of_cell
from gcrnn_jax.data.lists.text import BadRow
from gcrnn_jax.errors import DataError

name = "audiofolder"
description = "metadata.csv with a column file_name beside recordings, of Hugging Face"
METADATA = "metadata.csv"
_FILE = frozenset(("file_name", "audio_file_name"))


def finds(root: Path) -> str | None:
    """The tables, if there are any."""
    paths = [path.relative_to(root).as_posix() for path in _tables(root)]
    return ", ".join(paths[:3]) or None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Reads all tables.

    Raises:
        DataError: There is none, or one that cannot be read or has no column of files
            or of labels; or `data.negatives` names a label that does not occur.
    """
    if not (tables := _tables(root)):
        raise DataError(f"{root}: expected metadata.csv, found none")
    findings: list[Finding] = []
    clips = [clip for path in tables for clip in _clips(root, path, findings)]
    if not any(clip.split for clip in clips):
        splits = splits_of([clip.recording for clip in clips])
        pairs = zip(clips, splits, strict=True)
        clips = [clip._replace(split=split) for clip, split in pairs]
    listing = Listing("an audiofolder with metadata.csv", clips, findings=findings)
    return without_negatives(str(root), listing, options.negatives)


def _tables(root: Path) -> list[Path]:
    return [*sorted(root.glob(METADATA)), *sorted(root.glob(f"*/{METADATA}"))]


def _clips(root: Path, path: Path, findings: list[Finding]) -> Iterator[ListedClip]:
    table = Table(path, _FILE)
    file, labels, split = map(table.place, (_FILE, LABEL_NAMES, SPLIT_NAMES))
    if file is None or labels is None:
        what = f"expected a column 'label' or 'labels', got {', '.join(table.names)}"
        raise DataError(f"{path}:{table.line}: {what}")
    folder = path.parent.relative_to(root).as_posix()
    prefix = "" if folder == "." else f"{folder}/"
    for line, columns in table.rows(findings):
        try:
            if not columns[file]:
                raise BadRow("expected the path of a recording, got none")
            yield ListedClip(
                recording=prefix + columns[file],
                labels=labels_of_cell(columns[labels]),
                source=Source(str(path), line),
                split=None if split is None else columns[split],
            )
        except BadRow as bad:
            findings.append(Finding(str(path), line, bad.code, str(bad)))
