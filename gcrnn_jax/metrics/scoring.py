"""Decisions of a system on a labelled split -> scores of every metric."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions, check_same_clips
from gcrnn_jax.metrics.metric import Column, Metric
from gcrnn_jax.metrics.segment import SegmentMetric, SegmentScores
from gcrnn_jax.metrics.tagging import TaggingScores
from gcrnn_jax.metrics.tagging_metric import TaggingMetric

METRICS: tuple[Metric, ...] = (TaggingMetric(), SegmentMetric())

ClipCounts = dict[str, np.ndarray]  # name of a metric -> int [N, C]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one system on one split.

    Attributes:
        details: By the names of the metrics; None for detection without strong labels.
        values: By the keys of the columns; without those that have no details.
    """

    details: Mapping[str, Any]
    values: Mapping[str, float]

    @property
    def tagging(self) -> TaggingScores:
        """Details of the tags."""
        return self.details["tagging"]

    @property
    def detection(self) -> SegmentScores | None:
        """Details of the segments; None without strong labels."""
        return self.details["detection"]


def score(decisions: Decisions, posteriors: PosteriorSet, split: Split) -> Scores:
    """Scores decisions against the labels of a split, clip by clip.

    Raises:
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    details, values = dict.fromkeys(metric.name for metric in METRICS), {}
    for metric in _metrics_of(split):
        details[metric.name] = metric.details(decisions, posteriors, split)
        values |= metric.values(details[metric.name])
    return Scores(details, values)


def clip_counts(
    decisions: Decisions, posteriors: PosteriorSet, split: Split
) -> ClipCounts:
    """Counts clip by clip what metrics sum over all clips; arguments as of `score`."""
    check_same_clips(posteriors, split)
    return {
        metric.name: metric.counts(decisions, posteriors, split)
        for metric in _metrics_of(split)
    }


def list_scores(
    reference: Sequence[EventRow], estimated: Sequence[EventRow], task: str = "both"
) -> dict[str, Any]:
    """Scores lists of any system against reference lists.

    Args:
        reference: From `read_event_rows`.
        estimated: From `read_event_rows`.
        task: "tagging", "detection" or "both".

    Returns:
        Details by the names of the metrics; None for those that do not score lists, or
        are of the other task.
    """
    return {
        metric.name: metric.list_details(reference, estimated)
        if task in (metric.task, "both")
        else None
        for metric in METRICS
    }


def list_tables(details: Mapping[str, Any]) -> str:
    """The texts and tables of `list_scores`."""
    return "\n\n".join(
        text
        for metric in METRICS
        if details[metric.name] is not None
        for text in metric.list_tables(details[metric.name])
    )


def columns(task: str = "both") -> list[Column]:
    """The scores of all metrics, or of those of a task, in the order of tables."""
    metrics = [metric for metric in METRICS if task in (metric.task, "both")]
    return [column for metric in metrics for column in metric.columns]


def epoch_scores(scores: Scores) -> dict[str, float]:
    """The main scores by the keys that they are logged under each epoch."""
    return {
        column.log_key or column.key: scores.values[column.key]
        for column in _epoch_columns(scores)
    }


def epoch_line(split_name: str, scores: Scores) -> str:
    """The headline scores after an epoch, as "validation mAP 43.2, tag F1 51.0"."""
    texts = [
        f"{column.heading} {column.short_text(scores.values[column.key])}"
        for column in _epoch_columns(scores)
        if column.role == "headline"
    ]
    return f"{split_name} {', '.join(texts)}"


def _epoch_columns(scores: Scores) -> Iterator[Column]:
    """The main scores that are there; first those that no threshold changes."""
    for column in sorted(columns(), key=lambda column: column.is_summed):
        if column.is_main and column.key in scores.values:
            yield column


def _metrics_of(split: Split) -> list[Metric]:
    has_events = split.events is not None
    return [metric for metric in METRICS if has_events or metric.task == "tagging"]
