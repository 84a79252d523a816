"""Figures of decisions: of events in lists, of tags.

Each is computed from counts that sum over recordings, so that a draw of recordings
costs a sum. The formulas are those of `segment_scores`, `event_scores`,
`intersection_scores` and `tagging_scores` of `gcrnn_jax.metrics`, whose figures these
are for the recordings as they are.

Averages: "micro" is over all events, "macro" the mean over classes, 0 for a class never
estimated. "macro, sed_eval", "macro, psds_eval" and "macro, sed_scores_eval" are the
means that those tools print, which leave classes out: never estimated, or never found,
or without a reference.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.detection.events import segment_roll
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.measure import Scored, mean_of_defined
from gcrnn_jax.metrics.event_based import Collars, check_matching, count_events
from gcrnn_jax.metrics.intersection import (
    Intersection,
    count_detections,
    disjoint_events,
)
from gcrnn_jax.metrics.metric import ratio
from gcrnn_jax.metrics.segment import COUNTS, count_segments
from gcrnn_jax.metrics.tagging import rates

Lists = Mapping[str, Sequence[Event]]  # events of every recording
Entries = Iterator[tuple[int, np.ndarray, np.ndarray]]  # recording, columns, numbers
_KINDS = [COUNTS.index(kind) for kind in "SDI"]
_KIND_NAMES = ("substitution", "deletion", "insertion")


@dataclass(frozen=True, eq=False)
class Decided:
    """Counts of every recording, and how figures come of their sums.

    Attributes:
        class_names: K names.
        counts: Sparse [N, C]: true positives, estimated and reference of every class,
            and C - 3 K others.
        figures: From sums [B, C].
    """

    class_names: tuple[str, ...]
    counts: Any
    figures: Callable[[np.ndarray], Scored]

    @property
    def cost(self) -> int:
        """Counts that are not 0, and the sums."""
        return int(self.counts.nnz + self.counts.shape[1])

    @property
    def at_once(self) -> int:
        """All of them."""
        return self.cost

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`."""
        return self.figures(self.sums(weights))

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """What recordings that count so often, [B, N], come to, [B, C]."""
        return (self.counts.T @ weights.T).T


def segments(
    reference: Lists, estimated: Lists, class_names: Sequence[str], segment_s: float
) -> Decided:
    """F1 and error rate in segments of so many seconds.

    Example:
        >>> lists = {"a": [Event(0.2, 3.0, "Car")]}, {"a": [Event(2.9, 4.0, "Car")]}
        >>> found = segments(*lists, ["Car"], 1.0).scores(np.ones((1, 1)))
        >>> found.averages["segment_f1[1 s]", "micro"]
        array([0.4])
    """
    if not segment_s > 0:
        raise DataError(f"expected segments longer than 0 s, got {segment_s:g}")

    def entries() -> Entries:
        for n, (file, events) in enumerate(reference.items()):
            others = estimated.get(file, ())
            last_s = max((e.offset for e in (*events, *others)), default=0.0)
            ends = int(np.ceil(last_s / segment_s)), class_names, segment_s
            there, found = segment_roll(events, *ends), segment_roll(others, *ends)
            by_class = [(there & found).sum(0), found.sum(0), there.sum(0)]
            kinds = count_segments(there, found).sum(0)[_KINDS]
            counts = np.concatenate([*by_class, kinds])
            columns = np.flatnonzero(counts)
            yield n, columns, counts[columns]

    figures = partial(_segment_figures, f"{segment_s:g} s", len(class_names))
    return _decided(entries(), len(reference), class_names, 3, figures)


def _segment_figures(setting: str, num_classes: int, sums: np.ndarray) -> Scored:
    counts = _by_class(sums, num_classes)
    f1, error_rate = f"segment_f1[{setting}]", f"segment_error_rate[{setting}]"
    found, kinds = _f1(f1, *counts), sums[:, 3 * num_classes :]
    found = _with_error_rates(found, error_rate, kinds.sum(1), counts)
    of_classes, micro = rates(*counts), rates(*(c.sum(1) for c in counts))
    averages, classes = {**found.averages}, {**found.classes}
    for n, name in enumerate(("precision", "recall")):
        both = micro[n], of_classes[n]
        key = f"segment_{name}[{setting}]"
        averages[key, "micro"], classes[key] = map(np.asarray, both)
    for name, errors in zip(_KIND_NAMES, kinds.T, strict=True):
        share = ratio(errors, counts[2].sum(1))
        averages[f"segment_{name}_rate[{setting}]", "micro"] = share
    return Scored(averages, classes)


def events(
    reference: Lists,
    estimated: Lists,
    class_names: Sequence[str],
    collars: Collars,
    *,
    matching: Literal["optimal", "greedy"] = "optimal",
) -> Decided:
    """F1 and error rate of events within collars."""
    check_matching(matching)
    column = {name: k for k, name in enumerate(class_names)}
    num_classes = len(column)

    def entries() -> Entries:
        for n, (file, own) in enumerate(reference.items()):
            others = estimated.get(file, ())
            options = {"collars": collars, "matching": matching}
            found = count_events(file, own, others, column, **options)
            codes = [codes + i * num_classes for i, codes in enumerate(found[:3])]
            substitutions = np.full(found.substitutions, 3 * num_classes)
            every = np.concatenate([*codes, substitutions])
            yield n, *np.unique(every, return_counts=True)

    setting = collars_text(collars) + ("" if matching == "optimal" else f", {matching}")
    figures = partial(_event_figures, setting, num_classes)
    return _decided(entries(), len(reference), class_names, 1, figures)


def collars_text(collars: Collars) -> str:
    """What a pair of events must fulfil.

    Example:
        >>> collars_text(Collars()), collars_text(Collars(offset_s=None))
        ('onset 0.2 s, offset max(0.2 s, 20 %)', 'onset 0.2 s')
    """
    onset = f"onset {collars.onset_s:g} s"
    if collars.offset_s is None:
        return onset
    share = f"{100 * collars.offset_share:g} %"
    return f"{onset}, offset max({collars.offset_s:g} s, {share})"


def best_event_figures(setting: str, num_classes: int, sums: np.ndarray) -> Scored:
    """F1 of events alone, where each class has its own best threshold."""
    return _f1(f"event_f1_best[{setting}]", *_by_class(sums, num_classes))


def _event_figures(setting: str, num_classes: int, sums: np.ndarray) -> Scored:
    counts = hits, estimated, reference = _by_class(sums, num_classes)
    f1, error_rate = f"event_f1[{setting}]", f"event_error_rate[{setting}]"
    found = _f1(f1, *counts)
    wrong = (estimated + reference - 2 * hits).sum(1)
    errors = wrong - sums[:, 3 * num_classes]  # a substitution is one error, not two
    return _with_error_rates(found, error_rate, errors, counts)


def intersections(
    reference: Lists,
    estimated: Lists,
    class_names: Sequence[str],
    criteria: Intersection,
    durations: Mapping[str, float] | None = None,
) -> Decided:
    """F1 of what detections and events share; arguments as `intersection_scores`."""
    ends = [math.inf if durations is None else durations[file] for file in reference]
    # By their places: names that differ in what looks like an ending are two.
    numbered = (
        {str(n): events for n, events in enumerate(lists)}
        for lists in (reference.values(), [estimated.get(f, ()) for f in reference])
    )
    there, found = (disjoint_events(lists, class_names) for lists in numbered)
    num_classes = len(class_names)

    def entries() -> Entries:
        for n, (clip_id, own) in enumerate(there.by_clip.items()):
            counts = np.zeros((3, num_classes), int)
            for k, spans in own.items():
                counts[2, k] = len(spans)
            for k, spans in found.by_clip[clip_id].items():
                options = {"end_s": ends[n]}
                hits, false, _ = count_detections(spans, k, own, criteria, **options)
                counts[:2, k] = hits, hits + false
            columns = np.flatnonzero(counts)
            yield n, columns, counts.ravel()[columns]

    setting = f"dtc {criteria.dtc:g}, gtc {criteria.gtc:g}"
    figures = partial(_intersection_figures, setting, num_classes)
    return _decided(entries(), len(reference), class_names, 0, figures)


def _intersection_figures(setting: str, num_classes: int, sums: np.ndarray) -> Scored:
    hits, estimated, reference = counts = _by_class(sums, num_classes)
    quantity = f"intersection_f1[{setting}]"
    f1, averages = _f1_of(*counts), _micro_and_macro(quantity, *counts)
    for tool, is_left in (("psds_eval", hits > 0), ("sed_scores_eval", reference > 0)):
        mean = mean_of_defined(np.where(is_left, f1, np.nan))
        averages[quantity, f"macro, {tool}"] = mean
    return Scored(averages, {quantity: f1})


def tags(
    reference: np.ndarray, estimated: np.ndarray, class_names: Sequence[str]
) -> Decided:
    """F1, precision and recall of tags, bool [N, K] each."""
    counts = np.hstack([reference & estimated, estimated, reference]).astype(np.int64)
    rows = ((n, (c := np.flatnonzero(row)), row[c]) for n, row in enumerate(counts))
    figures = partial(_tag_figures, len(class_names))
    return _decided(rows, len(reference), class_names, 0, figures)


def _tag_figures(num_classes: int, sums: np.ndarray) -> Scored:
    counts = _by_class(sums, num_classes)
    of_classes, micro = rates(*counts), rates(*(c.sum(1) for c in counts))
    averages, classes = _micro_and_macro("tagging_f1", *counts), {}
    for quantity, each, micro_of in zip(
        ("tagging_precision", "tagging_recall", "tagging_f1"),
        of_classes,
        micro,
        strict=True,
    ):
        classes[quantity] = np.asarray(each)
        averages[quantity, "micro"] = np.asarray(micro_of)
    return Scored(averages, {name: classes[name] for name in sorted(classes)})


def _decided(
    entries: Iterable[tuple[int, np.ndarray, np.ndarray]],
    num_recordings: int,
    class_names: Sequence[str],
    num_others: int,
    figures: Callable[[np.ndarray], Scored],
) -> Decided:
    from scipy.sparse import csr_array

    rows, columns, numbers = [], [np.zeros(0, int)], [np.zeros(0, int)]
    for n, of_row, values in entries:
        rows += [n] * len(of_row)
        columns.append(of_row)
        numbers.append(values)
    places = np.array(rows, int), np.concatenate(columns)
    shape = num_recordings, 3 * len(class_names) + num_others
    values = np.concatenate(numbers).astype(float)
    return Decided(tuple(class_names), csr_array((values, places), shape), figures)


def _by_class(sums: np.ndarray, num_classes: int) -> tuple[np.ndarray, ...]:
    """True positives, estimated and reference, [B, K] each."""
    return tuple(sums[:, i * num_classes : (i + 1) * num_classes] for i in range(3))


def _micro_and_macro(
    quantity: str, hits: np.ndarray, estimated: np.ndarray, reference: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    counts = hits, estimated, reference
    return {
        (quantity, "micro"): _f1_of(*(count.sum(1) for count in counts)),
        (quantity, "macro"): mean_of_defined(_f1_of(*counts)),
    }


def _f1_of(
    hits: np.ndarray, estimated: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    return np.asarray(rates(hits, estimated, reference).f1)


def _f1(
    quantity: str, hits: np.ndarray, estimated: np.ndarray, reference: np.ndarray
) -> Scored:
    """F1, also with the mean of sed_eval: without classes never estimated or absent."""
    counts = hits, estimated, reference
    f1, averages = _f1_of(*counts), _micro_and_macro(quantity, *counts)
    defined = np.where((estimated > 0) & (reference > 0), f1, np.nan)
    averages[quantity, "macro, sed_eval"] = mean_of_defined(defined)
    return Scored(averages, {quantity: f1})


def _with_error_rates(
    found: Scored,
    quantity: str,
    errors: np.ndarray,
    counts: tuple[np.ndarray, ...],
) -> Scored:
    """With errors for each reference event or segment; nan without one.

    The macro mean is over the classes that the reference has.
    """
    hits, estimated, reference = counts
    of_classes = ratio(estimated + reference - 2 * hits, reference)
    averages = {
        (quantity, "micro"): ratio(errors, reference.sum(1)),
        (quantity, "macro"): mean_of_defined(of_classes),
    }
    return Scored(
        {**found.averages, **averages}, {**found.classes, quantity: of_classes}
    )
