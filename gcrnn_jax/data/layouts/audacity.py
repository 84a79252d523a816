"""Label tracks of Audacity beside recordings.

    ROOT/a.wav
         a.txt          its label track; an empty one: none of the classes is in it
         b.wav          without a track: nothing is known of what is in it

A track may also be named a.labels.txt, a_labels.txt, a.wav.txt or
a.BirdNET.results.txt, and lie in another folder if only one recording has its name.
Where the uppermost folders are named as splits are, as `train` and `test`, they are.
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
from gcrnn_jax.data.lists.label_tracks import looks_like_label_track, read_label_track
from gcrnn_jax.errors import DataError

name = "audacity"
description = "label tracks of Audacity (.txt) beside recordings"


def finds(root: Path) -> str | None:
    """The first label track with anything in it, whatever recording it is of."""
    for text in some_files(root).texts:
        if text.lower().endswith(".txt") and _is_track(root / text, empty=False):
            return f"label tracks, as {text}"
    return None


def nearly(root: Path) -> Finding | None:
    """The first text that has the name of a recording, and yet is no label track."""
    files = some_files(root)
    by_name = LabelFiles(files.recordings)
    for text in files.texts:
        recording = by_name.recording_of(text)
        if recording and text.lower().endswith(".txt"):
            return _no_track(root / text, recording)
    return None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Takes the label tracks for the strong labels of their recordings.

    Raises:
        DataError: A track that cannot be read, two of a recording, or no track.
    """
    files = all_files(root)
    recordings, findings = in_one_format(root, files.recordings)
    by_name = LabelFiles(recordings)
    tracks: dict[str, LabelFile] = {}
    for text in files.texts:
        recording = by_name.recording_of(text)
        path = root / text
        if not text.lower().endswith(".txt"):
            continue
        if not _is_track(path, empty=recording is not None):
            if recording is not None:
                findings.append(_no_track(path, recording))
            continue
        recording = recording or LabelFiles.name_of(text)
        if recording in tracks:
            other = tracks[recording].path
            raise DataError(
                f"{path}: expected one label track of {recording}, got {other} too"
            )
        bad: list[Finding] = []
        labels = read_label_track(path, bad)
        tracks[recording] = LabelFile(str(path), {recording: labels}, is_whole=not bad)
        findings += bad
    if not tracks and (wrong := [one for one in findings if one.line]):
        raise DataError(f"{wrong[0].path}:{wrong[0].line}: {wrong[0].detail}")
    if not tracks:
        raise DataError(f"{root}: expected label tracks beside recordings, found none")
    listing = listing_of(
        root, "label tracks of Audacity", recordings, [*tracks.values()], findings
    )
    return without_negatives(str(root), listing, options.negatives)


def _no_track(path: Path, recording: str) -> Finding:
    """What is wrong with a text that should be a label track; a row of one, perhaps."""
    line = first_line(path)
    code = Code.BAD_ROW if "\t" in (line or "") else Code.UNKNOWN_LIST
    expected = f"expected the label track of {recording}, `onset offset label` in "
    detail = f"{expected}seconds, separated by tabs; got {line!r}"
    return Finding(str(path), 1, code, detail)


def _is_track(path: Path, empty: bool) -> bool:
    """Whether a text is a label track; whether an empty one is."""
    line = first_line(path)
    return line is not None and looks_like_label_track([line]) and (bool(line) or empty)
