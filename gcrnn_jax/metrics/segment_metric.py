"""Detected events as a metric: segment-based F1 and error rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.event_lists import EventRow, events_by_file
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics.decisions import Decisions, estimated_events, reference_events
from gcrnn_jax.metrics.metric import Column, Metric, class_rows
from gcrnn_jax.metrics.segment import (
    COUNTS,
    SegmentScores,
    error_rates,
    segment_counts,
    segment_scores,
)
from gcrnn_jax.metrics.tables import percent, text_table
from gcrnn_jax.metrics.tagging import rates


class SegmentMetric(Metric):
    """Active seconds of events against strong labels."""

    name, task = "detection", "detection"
    columns = (
        Column("segment_f1", "1-s F1", role="headline"),
        Column("error_rate", "error rate", "number", "main"),
        Column("substitution_rate", "subst.", "number", "detail"),
        Column("deletion_rate", "del.", "number", "detail"),
        Column("insertion_rate", "ins.", "number", "detail"),
    )
    reference_counts = [COUNTS.index("Nref")]
    class_header = ("seconds", "1-s F1", "precision", "recall", "error rate")

    def counts(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> np.ndarray:
        """Counts of segments, int [N, 9], named by COUNTS."""
        return segment_counts(
            reference_events(split),
            estimated_events(decisions, posteriors),
            split.class_names,
        )

    def scores(self, sums: np.ndarray) -> dict[str, Any]:
        """Micro F1 and error rates."""
        hits, estimated, reference = (
            sums[..., COUNTS.index(name)] for name in ("Ntp", "Nsys", "Nref")
        )
        return {
            "segment_f1": rates(hits, estimated, reference).f1,
            **error_rates(sums),
        }

    def details(
        self, decisions: Decisions, posteriors: PosteriorSet, split: Split
    ) -> SegmentScores:
        """Micro and macro scores and those of every class."""
        return segment_scores(
            reference_events(split),
            estimated_events(decisions, posteriors),
            split.class_names,
        )

    def values(self, details: SegmentScores) -> dict[str, float]:
        """Micro F1 and error rates."""
        error_rates = {c.key: getattr(details, c.key) for c in self.columns[1:]}
        return {"segment_f1": details.micro.f1, **error_rates}

    def class_cells(self, details: SegmentScores) -> dict[str, Sequence[object]]:
        """Active seconds, rates and error rate of every class."""
        return class_rows(
            details,
            lambda segments: f"{segments.error_rate:.3f}",
            [f"{details.error_rate:.3f}", f"{details.macro_error_rate:.3f}"],
        )

    def list_details(
        self, reference: Sequence[EventRow], estimated: Sequence[EventRow]
    ) -> SegmentScores:
        """The scores of subtask B."""
        return segment_scores(events_by_file(reference), events_by_file(estimated))

    def list_tables(self, details: SegmentScores) -> list[str]:
        """Averages, kinds of errors and classes."""
        macro = [details.macro_f1, details.macro_error_rate]
        sed_eval = [details.macro_f1_sed_eval, details.macro_error_rate_sed_eval]
        overall = [
            ["micro (official)", *details.micro.percents(), details.error_rate],
            ["macro", "", "", percent(macro[0]), macro[1]],
            ["macro, sed_eval", "", "", percent(sed_eval[0]), sed_eval[1]],
        ]
        kinds = [details.substitution_rate, details.deletion_rate]
        kinds += [details.insertion_rate]
        classes = [
            [name, *c.rates.percents(), c.error_rate, c.num_reference, c.num_estimated]
            for name, c in details.per_class.items()
        ]
        header = ["precision %", "recall %", "F1 %", "error rate"]
        return [
            f"Detection (subtask B): {details.num_clips} clips in segments of 1 s",
            text_table(["average", *header], overall),
            text_table(
                ["error rate", "substitutions", "deletions", "insertions"],
                [["micro (official)", *kinds]],
            ),
            text_table(["class", *header, "reference", "estimated"], classes),
        ]
