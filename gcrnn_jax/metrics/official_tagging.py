"""The scores of tags that the official tool of DCASE 2017 task 4, subtask A prints."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.metrics.tagging import (
    ClassTags,
    Rates,
    TaggingScores,
    rates_of_means,
    tagging_scores,
    zero_rates,
)


@dataclass(frozen=True)
class OfficialTagging:
    """The figures of the official tool, and plain ones beside them.

    `micro.f1` is the figure that systems were ranked by. `all_clips` are the plain
    scores of the same lists: every reference clip counts, with an estimate or not.
    """

    micro: Rates
    macro: Rates
    per_class: dict[str, ClassTags]
    num_files: int  # files of the estimate that are in the reference
    all_clips: TaggingScores


def official_tagging(
    reference_rows: Iterable[EventRow], estimated_rows: Iterable[EventRow]
) -> OfficialTagging:
    """Scores a list of tags exactly as the official tool does, and plainly beside.

    The official rules: only files with a row in the estimate count, so the labels of a
    clip without a row are no misses, those of a bare file name are. Files that are not
    in the reference are ignored. Names match up to `.wav` or `.flac`. A row that ends
    at 0 s is dropped, its file too. Equal labels pair one to one, so a second row of
    the same label is a false alarm (but none in the class table). A label that is not
    in the reference is one more class in the macro average.

    `all_clips` counts each (clip, label) once and every reference clip, and takes
    `0 0 label` rows for the labels they are.

    Args:
        reference_rows: From `read_event_rows`.
        estimated_rows: From `read_event_rows`; its times are not read, save for 0.

    Returns:
        Official figures, in [0, 1] where the tool prints percent, and plain ones.

    Source: Badlani, `evaluation/Models.py::FileFormat.computeMetricsString` of the
        task's evaluation tool.
    Differs: without any class the tool divides by zero; here macro is nan.
    """
    reference_rows, estimated_rows = list(reference_rows), list(estimated_rows)
    reference, estimated = _labels(reference_rows), _labels(estimated_rows)
    files = [file for file in estimated if file in reference]
    hits, num_estimated, num_reference = 0, 0, 0
    table: dict[str, Counter[str]] = {}  # class -> how often hit, missed, false
    for file in files:
        labels, tags = Counter(reference[file]), Counter(estimated[file])
        hits += (labels & tags).total()
        num_estimated += tags.total()
        num_reference += labels.total()
        for label, times in labels.items():
            outcome = "hit" if label in tags else "missed"
            table.setdefault(label, Counter())[outcome] += times
        for label in tags.keys() - labels.keys():
            table.setdefault(label, Counter())["false"] += tags[label]
    per_class = {label: _official_class(n) for label, n in table.items()}
    return OfficialTagging(
        micro=zero_rates(hits, num_estimated, num_reference),
        macro=rates_of_means(c.rates for c in per_class.values()),
        per_class=per_class,
        num_files=len(files),
        all_clips=_all_clips(reference_rows, estimated_rows),
    )


def file_key(file: str) -> str:
    """What the official tagging tool compares of a file name: up to .wav or .flac."""
    return file.partition(".wav")[0].partition(".flac")[0].strip()


def _labels(rows: Iterable[EventRow]) -> dict[str, list[str]]:
    """The labels of every file, with repetition, without the rows that end at 0 s."""
    labels: dict[str, list[str]] = {}
    for row in rows:
        if row.offset != 0.0:
            of_file = labels.setdefault(file_key(row.file), [])
            of_file += [row.event_label] if row.event_label else []
    return labels


def _all_clips(
    reference_rows: Sequence[EventRow], estimated_rows: Sequence[EventRow]
) -> TaggingScores:
    files = dict.fromkeys(file_key(row.file) for row in reference_rows)
    clips = {file: n for n, file in enumerate(files)}
    sides = [
        [
            (clips[file_key(row.file)], row.event_label)
            for row in rows
            if row.event_label and file_key(row.file) in clips
        ]
        for rows in (reference_rows, estimated_rows)
    ]
    names = list(dict.fromkeys(label for side in sides for _, label in side))
    column = {name: k for k, name in enumerate(names)}
    weak_label, tags = np.zeros((2, len(clips), len(names)), bool)
    for roll, side in zip((weak_label, tags), sides, strict=True):
        for clip, label in side:
            roll[clip, column[label]] = True
    return tagging_scores(weak_label, tags, None, names)


def _official_class(n: Counter[str]) -> ClassTags:
    counts = n["hit"], n["hit"] + n["false"], n["hit"] + n["missed"]
    return ClassTags(zero_rates(*counts), *counts)
