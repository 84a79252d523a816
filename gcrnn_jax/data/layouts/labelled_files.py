"""Label files beside recordings -> a listing, for all layouts that have them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.files import splits_of
from gcrnn_jax.data.lists.timed_labels import TimedLabel


class LabelFile(NamedTuple):
    """What a file says."""

    path: str
    labels: Mapping[str, Sequence[TimedLabel]]  # of each recording, all that is in it
    is_whole: bool  # whether every row could be used


def listing_of(
    root: Path,
    description: str,
    recordings: Sequence[str],
    files: Sequence[LabelFile],
    findings: Sequence[Finding],
) -> Listing:
    """A listing of recordings that have label files, and of those that have none.

    A recording with label files is strongly labelled, so that one whose file is empty
    is known to hold none of the classes. It is unlabelled if a row of a file of it
    could not be used, or if it has no file.

    Args:
        root: The folder.
        description: Of the layout.
        recordings: All that are in the folder.
        files: By which some of them are labelled, and perhaps others that are gone.
        findings: Of reading the files.
    """
    incomplete = {name for file in files if not file.is_whole for name in file.labels}
    sources: dict[str, str] = {}
    for file in files:
        sources |= {name: sources.get(name, file.path) for name in file.labels}
    there = {*recordings}
    gone = {name: path for name, path in sources.items() if name not in there}
    names = [*recordings, *gone]
    paths = (os.path.relpath(path, root).replace(os.sep, "/") for path in gone.values())
    splits = splits_of([*recordings, *paths])
    clips = [
        ListedClip(
            name,
            None,
            Source(sources.get(name, str(root)), 0),
            split=split,
            has_events=name in sources and name not in incomplete,
        )
        for name, split in zip(names, splits, strict=True)
    ]
    labels = [(file, name, one) for file, name, one in _once(files)]
    events = [
        ListedEvent(name, one.onset, one.offset, one.label, Source(file.path, one.line))
        for file, name, one in labels
        if name not in incomplete
    ]
    more = [*_about_files(root, recordings, files, sources)]
    return Listing(description, clips, events, findings=[*findings, *more])


def _once(
    files: Sequence[LabelFile],
) -> Iterable[tuple[LabelFile, str, TimedLabel]]:
    """The labels of all files, without those that an earlier file has too.

    Some tools write the same in several formats.
    """
    earlier: dict[str, set[tuple]] = {}
    for file in files:
        for name, labels in file.labels.items():
            known = earlier.setdefault(name, set())
            keys = [(one.onset, one.offset, one.label) for one in labels]
            for key, one in zip(keys, labels, strict=True):
                if key not in known:
                    yield file, name, one
            known |= {*keys}


def _about_files(
    root: Path,
    recordings: Sequence[str],
    files: Sequence[LabelFile],
    sources: Mapping[str, str],
) -> Iterable[Finding]:
    for file in files:
        if not file.is_whole:
            detail = f"its {len(file.labels)} recordings; correct the rows named above"
            yield Finding(file.path, 0, Code.INCOMPLETE, detail)
    if without := [name for name in recordings if name not in sources]:
        detail = f"{len(without)} of {len(recordings)}, the first is {without[0]}"
        yield Finding(str(root), 0, Code.NO_LABEL_FILE, detail)
    every = [one for file in files for labels in file.labels.values() for one in labels]
    scores = [one.score for one in every if one.score is not None]
    if scores:
        detail = f"{len(scores)} labels, with scores {min(scores):g} to {max(scores):g}"
        yield Finding(str(root), 0, Code.SCORED, detail)
