"""Scores of tags: the official ones with all their oddities, and the plain ones.

Tags of a clip are compared with its weak labels. Ratios are in [0, 1]; a ratio that is
not defined, such as the precision of a class that is never tagged, is nan.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.errors import DataError


class Rates(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassTags:
    """The score of one class: over all clips, how often tagged, labelled and both."""

    rates: Rates
    true_positives: int
    num_estimated: int
    num_reference: int
    average_precision: float = float("nan")
    auc: float = float("nan")  # area under the receiver operating characteristic


@dataclass(frozen=True)
class TaggingScores:
    """Scores of tags over clips that are all counted."""

    micro: Rates
    macro_f1: float  # mean of class F1, 0 for a class never tagged
    macro_official: Rates  # mean precision, mean recall, and F1 of the two means
    mean_average_precision: float  # over classes with a positive; nan without posterior
    per_class: dict[str, ClassTags]
    num_clips: int


@dataclass(frozen=True)
class OfficialTagging:
    """What the official tool of DCASE 2017 task 4, subtask A prints, and beside it.

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
        micro=_zero_rates(hits, num_estimated, num_reference),
        macro=_rates_of_means([c.rates for c in per_class.values()]),
        per_class=per_class,
        num_files=len(files),
        all_clips=_all_clips(reference_rows, estimated_rows),
    )


def tagging_scores(
    weak_label: np.ndarray,
    tags: np.ndarray,
    clip_posterior: np.ndarray | None,
    class_names: Sequence[str],
) -> TaggingScores:
    """Scores tags, and the posteriors they came from if given.

    Args:
        weak_label: bool [N, K].
        tags: bool [N, K].
        clip_posterior: [N, K] in [0, 1]; None: average precision and AUC are nan.
        class_names: K names.

    Returns:
        Scores over all clips. A class with no label and no tag at all has F1 nan and is
        no part of `macro_f1`.

    Raises:
        DataError: The arrays are not all [N, K].

    Example:
        >>> label = np.array([[True, False], [True, True]])
        >>> tags = np.array([[True, False], [True, False]])
        >>> scores = tagging_scores(label, tags, None, ["Car", "Bus"])
        >>> round(scores.micro.f1, 3), scores.macro_f1
        (0.8, 0.5)
    """
    arrays = [weak_label, tags] + ([] if clip_posterior is None else [clip_posterior])
    shapes = [array.shape for array in arrays]
    if shapes != [(len(weak_label), len(class_names))] * len(arrays):
        raise DataError(
            f"labels, tags and posteriors must be [N, {len(class_names)}], got {shapes}"
        )
    weak_label, tags = weak_label.astype(bool), tags.astype(bool)
    per_class = {}
    for k, name in enumerate(class_names):
        label, tag = weak_label[:, k], tags[:, k]
        counts = int((label & tag).sum()), int(tag.sum()), int(label.sum())
        ranks = (float("nan"), float("nan"))
        if clip_posterior is not None:
            posterior = clip_posterior[:, k]
            ranks = (average_precision(label, posterior), auc(label, posterior))
        per_class[name] = ClassTags(rates(*counts), *counts, *ranks)
    return TaggingScores(
        micro=rates(*tagging_counts(weak_label, tags).sum(0).tolist()),
        macro_f1=mean_defined([c.rates.f1 for c in per_class.values()]),
        macro_official=_rates_of_means(
            [
                _zero_rates(c.true_positives, c.num_estimated, c.num_reference)
                for c in per_class.values()
                if c.num_estimated or c.num_reference
            ]
        ),
        mean_average_precision=mean_defined(
            [c.average_precision for c in per_class.values()]
        ),
        per_class=per_class,
        num_clips=len(weak_label),
    )


def tagging_counts(weak_label: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Counts the tags of each clip, whichever class they are of.

    Args:
        weak_label: bool [N, K].
        tags: bool [N, K].

    Returns:
        int [N, 3]: true positives, estimated, reference. Summed over clips they are
        what `rates` takes.
    """
    weak_label, tags = weak_label.astype(bool), tags.astype(bool)
    return np.stack([(weak_label & tags).sum(1), tags.sum(1), weak_label.sum(1)], 1)


def average_precision(label: np.ndarray, posterior: np.ndarray) -> float:
    """Sums precision over the steps of recall as the threshold falls; nan if no label.

    Clips with the same posterior fall together, in one step.

    Args:
        label: bool [N].
        posterior: [N].

    Source: scikit-learn, `average_precision_score`.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
        0.8333333333333333
    """
    if not label.any():
        return float("nan")
    order = np.argsort(-posterior, kind="stable")
    last_of_step = np.append(np.diff(posterior[order]) != 0, True)
    hits = np.cumsum(label[order])[last_of_step]
    precision = hits / (np.flatnonzero(last_of_step) + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def auc(label: np.ndarray, posterior: np.ndarray) -> float:
    """How often a labelled clip is above an unlabelled one, ties half; or nan.

    Args:
        label: bool [N].
        posterior: [N].
    """
    negatives = np.sort(posterior[~label])
    pairs = label.sum() * len(negatives)
    if not pairs:
        return float("nan")
    below = np.searchsorted(negatives, posterior[label], "left").sum()
    not_above = np.searchsorted(negatives, posterior[label], "right").sum()
    return float((below + not_above) / 2 / pairs)


def rates(true_positives: int, num_estimated: int, num_reference: int) -> Rates:
    """Precision and recall, nan where undefined; F1 is 0 as soon as either side counts.

    Example:
        >>> rates(0, 0, 5)
        Rates(precision=nan, recall=0.0, f1=0.0)
    """
    hits = float(true_positives)
    total = float(num_estimated + num_reference)
    return Rates(
        hits / float(num_estimated) if num_estimated else float("nan"),
        hits / float(num_reference) if num_reference else float("nan"),
        2 * hits / total if total else float("nan"),
    )


def mean_defined(values: Iterable[float]) -> float:
    """The mean of the values that are not nan; nan if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


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
    return ClassTags(_zero_rates(*counts), *counts)


def _zero_rates(true_positives: int, num_estimated: int, num_reference: int) -> Rates:
    """The official tool's: what is undefined is 0."""
    return Rates(
        *(
            0.0 if math.isnan(value) else value
            for value in rates(true_positives, num_estimated, num_reference)
        )
    )


def _rates_of_means(classes: Sequence[Rates]) -> Rates:
    precision = mean_defined([c.precision for c in classes])
    recall = mean_defined([c.recall for c in classes])
    total = precision + recall
    return Rates(precision, recall, 2 * precision * recall / total if total else 0.0)
