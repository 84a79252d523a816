"""Decisions of a system on a labelled split -> scores of every metric."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.lists.event_lists import EventRow
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions, check_same_clips
from gcrnn_jax.metrics.metric import Column, Metric
from gcrnn_jax.metrics.official_tagging import TaggingMetric
from gcrnn_jax.metrics.segment import SegmentMetric, SegmentScores
from gcrnn_jax.metrics.tagging import TaggingScores

METRICS: tuple[Metric, ...] = (TaggingMetric(), SegmentMetric())

ClipCounts = dict[str, np.ndarray]  # name of a metric -> int [N, C]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one system on one split."""

    details: Mapping[str, Any]  # metric -> None for detection without strong labels
    values: Mapping[str, float]  # key of a column; without those that have no details

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
    """Scores lists of any system against reference lists, both of `read_event_rows`.

    Returns:
        Details by the names of the metrics; None for those that do not score lists, or
        are of another task than "tagging", "detection" or "both".
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
    return {c.log_key or c.key: scores.values[c.key] for c in _epoch_columns(scores)}


def epoch_line(split_name: str, scores: Scores) -> str:
    """The headline scores after an epoch, as "validation mAP 43.2, tag F1 51.0"."""
    texts = [
        f"{column.heading} {column.short_text(scores.values[column.key])}"
        for column in _epoch_columns(scores)
        if column.role == "headline"
    ]
    return f"{split_name} {', '.join(texts)}"


def _epoch_columns(scores: Scores) -> list[Column]:
    """The main scores that are there; first those that no threshold changes."""
    found = [c for c in columns() if c.is_main and c.key in scores.values]
    return sorted(found, key=lambda column: column.is_summed)


def _metrics_of(split: Split) -> list[Metric]:
    has_events = split.events is not None
    return [metric for metric in METRICS if has_events or metric.task == "tagging"]
