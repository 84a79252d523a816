"""Selection tables of Raven, and tables of BirdNET, with the recordings they are of.

    ROOT/a.wav
         a.Table.1.selections.txt       its table; a header alone: nothing is in it
         b.wav                          without a table: nothing is known of it
         survey.txt                     a table of several recordings, which it names

Tables are recognised by their header, so their names do not matter where they name the
recordings themselves (`Begin Path`, `Begin File`, `File`). Where the uppermost folders
are named as splits are, as `train` and `test`, they are.
"""

from pathlib import Path

from gcrnn_jax.data.clips.listing import Listing
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.files import (
    LabelFiles,
    all_files,
    first_line,
    in_one_format,
    some_files,
)
from gcrnn_jax.data.layouts.labelled_files import LabelFile, listing_of
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.layouts.table import files_of_table
from gcrnn_jax.data.lists.selection_tables import (
    is_selection_header,
    read_selection_table,
)
from gcrnn_jax.data.lists.timed_labels import TimedLabel
from gcrnn_jax.errors import DataError

name = "raven"
description = "selection tables of Raven or BirdNET (.txt, .csv) beside recordings"


def finds(root: Path) -> str | None:
    """The first selection table."""
    others = files_of_table(root)
    for text in some_files(root).texts:
        if text not in others and is_selection_header(first_line(root / text) or ""):
            return f"selection tables, as {text}"
    return None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Takes the selections for the strong labels of their recordings.

    Raises:
        DataError: A table that cannot be read, or no table.
    """
    files = all_files(root)
    recordings, findings = in_one_format(root, files.recordings)
    by_name = LabelFiles(recordings)
    tables = []
    for text in files.texts:
        if is_selection_header(first_line(root / text) or ""):
            tables.append(_table(root, text, by_name, findings))
        elif by_name.recording_of(text) and ".selections." in text:
            read_selection_table(root / text, [])  # which says what is wrong with it
    if not tables:
        raise DataError(f"{root}: expected selection tables, found none")
    listing = listing_of(root, "selection tables", recordings, tables, findings)
    return without_negatives(str(root), listing, options.negatives)


def _table(
    root: Path, text: str, by_name: LabelFiles, findings: list[Finding]
) -> LabelFile:
    """What a table says of each recording that it names, or by its own name is of."""
    path, bad = str(root / text), []
    labels = read_selection_table(path, bad)
    own = by_name.recording_of(text)
    of_recording: dict[str, list[TimedLabel]] = {}
    if own is not None and not labels:
        of_recording[own] = []
    for label in labels:
        recording = own
        if label.recording:
            last = label.recording.replace("\\", "/").rpartition("/")[2]
            recording = by_name.by_path(label.recording) or last
        elif own is None:
            recording = LabelFiles.name_of(text)
        of_recording.setdefault(str(recording), []).append(label)
    if not of_recording:
        detail = "expected the name of a recording as its own, or rows; found neither"
        findings.append(Finding(path, 0, Code.UNKNOWN_LIST, detail))
    findings += bad
    rows = [one for one in bad if one.code in (Code.BAD_ROW, Code.BAD_TIME)]
    return LabelFile(path, of_recording, is_whole=not rows)
