"""Tags as a metric: micro F1, precision and recall, and mean average precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.event_lists import EventRow
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions
from gcrnn_jax.metrics.metric import Column, Metric, class_rows
from gcrnn_jax.metrics.official_tagging import OfficialTagging, official_tagging
from gcrnn_jax.metrics.tables import percent, text_table
from gcrnn_jax.metrics.tagging import (
    TaggingScores,
    rates,
    tagging_counts,
    tagging_scores,
)


class TaggingMetric(Metric):
    """Tags of clips against weak labels."""

    name, task = "tagging", "tagging"
    columns = (
        Column("f1", "tag F1", role="headline", log_key="tag_f1"),
        Column("precision", "precision"),
        Column("recall", "recall"),
        Column(
            "mAP",
            "mAP",
            role="headline",
            is_summed=False,
            log_key="mean_average_precision",
        ),
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
        return [
            f"Tagging (subtask A): {plain.num_clips} clips, "
            f"of which {details.num_files} count officially",
            text_table(["average", *header], overall),
            text_table(
                ["class, all clips", *header, "reference", "estimated"], classes
            ),
        ]
