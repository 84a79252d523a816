"""The lists of DESED, of DCASE task 4 from 2018 on.

    ROOT/metadata/train/weak.tsv                    filename  event_labels
                  train/synthetic21_train/*.tsv     filename  onset  offset  event_label
                  train/unlabel_in_domain.tsv       filename
                  validation/validation.tsv
                  validation/validation_durations.tsv    filename  duration
                  eval/public.tsv
         audio/train/weak/a.wav ...                 a recording lies where its list does

The header of a list says what it is; tabs separate the columns, whatever the ending
(2018 had .csv). The first folder in `metadata` is the split. Files of a list of
durations that its strong list does not name have no events. `dataset/metadata` and
`dataset/dcase_synth/metadata`, as the baselines have them, are read too.

Labels of weak lists are joined by commas, which names of classes hold too: they are
told apart by the labels of the strong lists, or by quotes around a name.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.layouts.files import all_files, first_line
from gcrnn_jax.data.layouts.joined_labels import may_be_ambiguous, split_labels
from gcrnn_jax.data.layouts.layout import LayoutOptions
from gcrnn_jax.data.layouts.negatives import without_negatives
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import stream_event_rows
from gcrnn_jax.data.lists.text import (
    BadRow,
    is_time_header,
    nfc,
    read_utf8_lines,
    split_columns,
    without_empty_end,
)
from gcrnn_jax.errors import DataError

name = "desed"
description = "the lists of DESED and DCASE task 4 since 2018 (metadata/*/*.tsv)"

_METADATA = [
    f"{before}metadata"
    for before in ("", "dataset/", "dcase_synth/", "dataset/dcase_synth/")
]
_FILE = frozenset(["filename", "file", "file_name"])
_LABELS = frozenset(["event_labels", "labels"])
_RATE = re.compile(r"_\d+k(hz)?$", re.IGNORECASE)  # of a copy at another sample rate
_DURATIONS = re.compile(r"_?durations?$")
_SYNTHETIC = re.compile("synth", re.IGNORECASE)
# What a list right in `metadata` is of, by its name.
_TRAINING = re.compile("weak|unlabel|synth|strong|train", re.IGNORECASE)


class _List(NamedTuple):
    path: Path
    kind: str  # "weak", "strong", "unlabelled" or "durations"
    split: str
    folders: tuple[str, ...]  # in which its recordings should lie


class _Found(NamedTuple):
    """What lists say of one recording."""

    source: Source
    split: str
    labels: tuple[str, ...] | None
    has_events: bool


def finds(root: Path) -> str | None:
    """The lists that are there."""
    names = [str(one.path.relative_to(root)) for one in _lists(root, [])]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more if names else None


def read(root: Path, options: LayoutOptions) -> Listing:
    """Reads all lists.

    A recording that several lists of a split name has the labels of all of them.

    Raises:
        DataError: No list, or one that cannot be read.
    """
    findings: list[Finding] = []
    lists = list(_lists(root, findings))
    if not lists:
        raise DataError(f"{root}: expected lists such as metadata/train/weak.tsv")
    lists = [*_without_synthetic(lists, findings)]
    recordings = _Recordings(all_files(root).recordings)
    found: dict[tuple[str, str], _Found] = {}
    events: list[ListedEvent] = []
    for one in (one for one in lists if one.kind == "strong"):
        _read_strong(one, recordings, found, events, findings)
    names = {event.label for event in events}
    for one in (one for one in lists if one.kind == "weak"):
        _read_weak(one, names, recordings, found, findings)
    for one in (one for one in lists if one.kind in ("durations", "unlabelled")):
        _read_names(one, lists, recordings, found, findings)
    stems = Counter(_stem(recording) for _, recording in found)
    clips = [
        ListedClip(
            recording,
            known.labels,
            known.source,
            split=split,
            has_events=known.has_events,
            clip_id=stem if stems[stem := _stem(recording)] == 1 else None,
        )
        for (split, recording), known in found.items()
    ]
    listing = Listing("the lists of DESED", clips, events, None, findings)
    return without_negatives(str(root), listing, options.negatives)


def _stem(path: str) -> str:
    return clip_id_of_file(posixpath.basename(path))


def _lists(root: Path, findings: list[Finding]) -> Iterator[_List]:
    """All lists, those of the same folder together; notes those of another kind."""
    for top in (root / place for place in _METADATA):
        for path in sorted([*top.rglob("*.tsv"), *top.rglob("*.csv")]):
            if (kind := _kind(first_line(path))) is None:
                expected = "expected a header such as `filename event_labels`"
                detail = f"{expected}, separated by tabs, got {first_line(path)!r}"
                findings.append(Finding(str(path), 1, Code.UNREADABLE, detail))
                continue
            inside = path.relative_to(top).with_suffix("").parts
            is_training = len(inside) == 1 and _TRAINING.search(inside[0])
            split = "train" if is_training else inside[0].removesuffix("_durations")
            before = top.relative_to(root).parts[:-1]
            yield _List(path, kind, split, (*before, *inside))


def _kind(header: str | None) -> str | None:
    """What a list holds by its first line, None if that is no header of DESED."""
    names = [name.strip().strip('"').lower() for name in (header or "").split("\t")]
    if not {*names} & _FILE:
        return None
    if is_time_header(names):
        return "strong"
    if {*names} & _LABELS:
        return "weak"
    if "duration" in names:
        return "durations"
    return "unlabelled" if len(names) == 1 else None


def _without_synthetic(
    lists: Sequence[_List], findings: list[Finding]
) -> Iterator[_List]:
    """Leaves out synthetic recordings where a split to score on has real ones."""
    for one in lists:
        is_real = [
            not _SYNTHETIC.search("/".join(other.folders))
            for other in lists
            if other.split == one.split != "train"
        ]
        if any(is_real) and _SYNTHETIC.search("/".join(one.folders)):
            detail = f"synthetic recordings of {one.split!r}, which has real ones"
            findings.append(Finding(str(one.path), 0, Code.UNKNOWN_LIST, detail))
        else:
            yield one


class _Recordings:
    """Recordings by name, of which each list has its own folder."""

    def __init__(self, paths: Iterable[str]):
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            self._by_name.setdefault(nfc(posixpath.basename(path)), []).append(path)

    def find(self, file: str, one: _List) -> str:
        """The recording in the folder most like the list's, or the name itself."""
        paths = self._by_name.get(nfc(posixpath.basename(file)), [])
        if len(paths) == 1:
            return paths[0]
        likeness = {path: _likeness(path, one.folders) for path in paths}
        best = [path for path in paths if likeness[path] == max(likeness.values())]
        return best[0] if len(best) == 1 else file


def _likeness(path: str, folders: Sequence[str]) -> tuple[int, int, int]:
    """How many folders of a recording are those of its list, and how many are not."""
    names = [name for name in path.split("/")[:-1] if name != "audio"]
    plain = [_RATE.sub("", name) for name in names]
    common = sum(name in folders for name in plain)
    return common, common - len(names), sum(name in folders for name in names)


def _add(found: dict[tuple[str, str], _Found], recording: str, new: _Found) -> None:
    """Adds what a list says of a recording to what others, strong ones first, said."""
    old = found.setdefault((new.split, recording), new)
    labels = old.labels
    if new.labels is not None:
        labels = tuple(dict.fromkeys((*(old.labels or ()), *new.labels)))
    found[new.split, recording] = old._replace(labels=labels)


def _read_strong(
    one: _List,
    recordings: _Recordings,
    found: dict[tuple[str, str], _Found],
    events: list[ListedEvent],
    findings: list[Finding],
) -> None:
    # validation.tsv of DESED is test_dcase2018.tsv and eval_dcase2018.tsv
    earlier = {event[:4] for event in events}
    for row in stream_event_rows(one.path, findings):
        source = Source(str(one.path), row.line)
        recording = recordings.find(row.file, one)
        _add(found, recording, _Found(source, one.split, None, has_events=True))
        if row.event_label is None or row.onset is None or row.offset is None:
            continue
        key = recording, row.onset, row.offset, row.event_label
        if key not in earlier:
            events.append(ListedEvent(*key, source))


def _read_weak(
    one: _List,
    names: set[str],
    recordings: _Recordings,
    found: dict[tuple[str, str], _Found],
    findings: list[Finding],
) -> None:
    rows = [*_rows(one.path, _LABELS, findings)]
    texts = [text for _, (_, text) in rows]
    is_ambiguous = may_be_ambiguous(texts)
    if not is_ambiguous and (spaced := [text for text in texts if ", " in text]):
        if not all(text in names for text in spaced):
            findings.append(Finding(str(one.path), 0, Code.JOINED, repr(spaced[0])))
    for line, (file, text) in rows:
        try:
            labels = tuple(split_labels(text, names, is_ambiguous=is_ambiguous))
        except BadRow as bad:
            findings.append(Finding(str(one.path), line, bad.code, str(bad)))
            continue
        recording = recordings.find(file, one)
        old = found.get((one.split, recording))
        if old is not None and old.source.path == str(one.path):
            detail = f"{file} is in line {old.source.line} too; labels united"
            findings.append(Finding(str(one.path), line, Code.DUPLICATE, detail))
        known = _Found(Source(str(one.path), line), one.split, labels, False)
        _add(found, recording, known)


def _read_names(
    one: _List,
    lists: Sequence[_List],
    recordings: _Recordings,
    found: dict[tuple[str, str], _Found],
    findings: list[Finding],
) -> None:
    """Reads unlabelled recordings, or those of a strong list that have no events."""
    if one.kind == "durations" and not _has_strong(one, lists):
        return
    for line, (file, _) in _rows(one.path, _FILE, findings):
        recording = recordings.find(file, one)
        source, is_strong = Source(str(one.path), line), one.kind == "durations"
        _add(found, recording, _Found(source, one.split, None, is_strong))


def _has_strong(durations: _List, lists: Sequence[_List]) -> bool:
    """Whether a list of durations is of a strong list beside it."""
    beside = [
        one
        for one in lists
        if one.kind != "durations" and one.path.parent == durations.path.parent
    ]
    stem = _DURATIONS.sub("", durations.path.stem)
    named = [one for one in beside if one.path.stem == stem]
    return any(one.kind == "strong" for one in named or beside)


def _rows(
    path: Path, columns: frozenset[str], findings: list[Finding]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yields line, file name and one more column of every row."""
    header: list[str] = []
    for line, text in read_utf8_lines(path).rows():
        cells = split_columns(text, "\t")
        if not header:
            header = [name.lower() for name in cells]
            file, column = (_place(header, names) for names in (_FILE, columns))
            continue
        cells = without_empty_end(cells, len(header))
        if len(cells) == len(header) and cells[file]:
            yield line, (cells[file], cells[column])
        else:
            detail = f"expected {' and '.join(header)}, separated by tabs, got {text!r}"
            findings.append(Finding(str(path), line, Code.BAD_ROW, detail))


def _place(header: Sequence[str], names: frozenset[str]) -> int:
    return next(place for place, name in enumerate(header) if name in names)
