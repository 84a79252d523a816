"""Tags as a metric, and as the tool of DCASE 2017 task 4, subtask A, scores them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcrnn_jax.data.lists.event_lists import EventRow
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions
from gcrnn_jax.metrics.metric import Column, Metric, class_rows
from gcrnn_jax.metrics.tables import percent, text_table
from gcrnn_jax.metrics.tagging import (
    ClassTags,
    Rates,
    TaggingScores,
    rates,
    rates_of_means,
    tagging_counts,
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


class TaggingMetric(Metric):
    """Tags of clips against weak labels."""

    name, task = "tagging", "tagging"
    columns = (
        Column("f1", "tag F1", role="headline", log_key="tag_f1"),
        Column("precision", "precision"),
        Column("recall", "recall"),
        Column("mAP", "mAP", "percent", "headline", False, "mean_average_precision"),
    )
    reference_counts = [2]
    class_header = ("clips", "tag F1", "precision", "recall", "AP")

    def counts(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> np.ndarray:
        """True positives, estimated and reference tags, int [N, 3]."""
        return tagging_counts(split.weak_label, decisions.tags)

    def scores(self, sums: np.ndarray) -> dict[str, Any]:
        """Micro rates."""
        return rates(*np.moveaxis(sums, -1, 0))._asdict()

    def details(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> TaggingScores:
        """Micro and macro scores and those of every class."""
        return tagging_scores(
            split.weak_label, decisions.tags, posteriors.clip, split.class_names
        )

    def values(self, details: TaggingScores) -> dict[str, float]:
        """Micro rates and mean average precision."""
        return {**details.micro._asdict(), "mAP": details.mean_average_precision}

    def class_cells(self, details: TaggingScores) -> dict[str, Sequence[object]]:
        """Labelled clips, rates and average precision of every class."""
        return class_rows(
            details,
            lambda tags: percent(tags.average_precision),
            ["", percent(details.mean_average_precision)],
        )

    def list_details(
        self, reference: Sequence[EventRow], estimated: Sequence[EventRow]
    ) -> OfficialTagging:
        """The official scores of subtask A and plain ones."""
        return official_tagging(reference, estimated)

    def list_tables(self, details: OfficialTagging) -> list[str]:
        """Averages and classes."""
        plain = details.all_clips
        overall = [
            ["micro, official (ranks)", *details.micro.percents()],
            ["macro, official", *details.macro.percents()],
            ["micro, all clips", *plain.micro.percents()],
            ["macro, all clips", "", "", percent(plain.macro_f1)],
        ]
        classes = [
            [name, *c.rates.percents(), c.num_reference, c.num_estimated]
            for name, c in plain.per_class.items()
        ]
        header = ["precision %", "recall %", "F1 %"]
        class_header = ["class, all clips", *header, "reference", "estimated"]
        return [
            f"Tagging (subtask A): {plain.num_clips} clips, "
            f"of which {details.num_files} count officially",
            text_table(["average", *header], overall),
            text_table(class_header, classes),
        ]


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

    Rows are from `read_event_rows`; the times of estimates are not read, save for 0.
    Figures are in [0, 1] where the tool prints percent.

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
        for label in [tag for tag in tags if tag not in labels]:
            table.setdefault(label, Counter())["false"] += tags[label]
    per_class = {}
    for label, n in table.items():
        counts = n["hit"], n["hit"] + n["false"], n["hit"] + n["missed"]
        per_class[label] = ClassTags(zero_rates(*counts), *counts)
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
    found = [
        (side, clips[file_key(row.file)], row.event_label)
        for side, rows in enumerate((reference_rows, estimated_rows))
        for row in rows
        if row.event_label and file_key(row.file) in clips
    ]
    column = {name: k for k, name in enumerate(dict.fromkeys(row[2] for row in found))}
    rolls = np.zeros((2, len(clips), len(column)), bool)
    for side, clip, label in found:
        rolls[side, clip, column[label]] = True
    return tagging_scores(rolls[0], rolls[1], None, list(column))
