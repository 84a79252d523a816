"""All figures of systems on a labelled split: of posteriors, and of what they decide.

Measures and draws are those of lists and score tables, so that a figure of a run and
that of the lists that it wrote are the same, interval and all.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.evaluation.figures import Draws, draw_notes, groups_of
from gcrnn_jax.evaluation.measure import Measure, Scored
from gcrnn_jax.evaluation.names import Names
from gcrnn_jax.evaluation.placed_tables import Placed
from gcrnn_jax.evaluation.reference import Reference
from gcrnn_jax.evaluation.results import Choice, Result, score_system
from gcrnn_jax.evaluation.systems import PosteriorTables, System
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.decisions import (
    Decisions,
    clip_seconds,
    estimated_events,
    reference_events,
)
from gcrnn_jax.metrics.evaluator import Row, sources_of
from gcrnn_jax.metrics.metric import Metric

MAX_POSTERIORS = 10_000_000  # of frames, over all of whose thresholds figures are
OF_TABLES = ("segment", "tagging", "ranking")  # figures in the table of systems
# Key of a column of `scoring` -> the quantity and the average that it is.
FIGURES = {
    "f1": ("tagging_f1", "micro"),
    "precision": ("tagging_precision", "micro"),
    "recall": ("tagging_recall", "micro"),
    "mAP": ("average_precision", "macro"),
    "segment_f1": ("segment_f1[1 s]", "micro"),
    "error_rate": ("segment_error_rate[1 s]", "micro"),
    "substitution_rate": ("segment_substitution_rate[1 s]", "micro"),
    "deletion_rate": ("segment_deletion_rate[1 s]", "micro"),
    "insertion_rate": ("segment_insertion_rate[1 s]", "micro"),
}
# Name of a metric -> quantities of its `class_cells`; "": of none.
CLASS_FIGURES = {
    "tagging": (
        *("", "tagging_f1", "tagging_precision", "tagging_recall"),
        "average_precision",
    ),
    "detection": (
        *("", "segment_f1[1 s]", "segment_precision[1 s]", "segment_recall[1 s]"),
        "segment_error_rate[1 s]",
    ),
}
_OVER_THRESHOLDS = ("psds", "best")
_OF_EVENTS = ("segment", "event", "intersection", *_OVER_THRESHOLDS)


class SplitFigures:
    """Figures of systems on one split, all of the same draws of its clips."""

    def __init__(
        self,
        split: Split,
        *,
        groups: Sequence[str] | None = None,
        num_draws: int = 1000,
        seed: int = 0,
    ):
        """Of a split with labels; see `Draws`.

        Groups: of its clips, drawn together; None: of those cut from one recording.
        """
        self.split = split
        names = sources_of(split) if groups is None else groups
        self.draws = Draws(groups_of(names), num_draws, seed)

    def add(self, row: Row, choice: Choice | None = None) -> Row:
        """The same with figures and notes.

        Args:
            row: Of a system, scored on the split.
            choice: Which figures; None: all. Without strong labels those of events are
                left out, of very many posteriors those over all thresholds.
        """
        choice, left_out = self._computed(row.posteriors, choice or Choice())
        result = self._result(row, choice)
        measures = {**result.measures, **self._of_other_columns(row)}
        figures = dataclasses.replace(result, measures=measures).figures
        found = {(one.quantity, one.average): one.estimate for one in figures}
        keys = {c.key: FIGURES.get(c.key, (c.key, "")) for c in scoring.columns()}
        return dataclasses.replace(
            row,
            figures=figures,
            estimates={key: found[one] for key, one in keys.items() if one in found},
            notes=[*result.notes, *left_out, *draw_notes(self.draws, figures)],
        )

    def _computed(
        self, posteriors: PosteriorSet, choice: Choice
    ) -> tuple[Choice, list[str]]:
        """The choice without what cannot be computed here, and why."""
        kinds, size, notes = [*choice.kinds], posteriors.frame.size, []
        if self.split.events is None:
            kinds = [kind for kind in kinds if kind not in _OF_EVENTS]
        if size > MAX_POSTERIORS and {*kinds} & {*_OVER_THRESHOLDS}:
            kinds = [kind for kind in kinds if kind not in _OVER_THRESHOLDS]
            notes.append(
                "no figures over all thresholds (PSDS, best F1), which would take long "
                f"for {size:,} posteriors, over {MAX_POSTERIORS:,}: `evaluate "
                "--estimated posteriors.npz --reference LIST` has them"
            )
        return dataclasses.replace(choice, kinds=kinds), notes

    def _result(self, row: Row, choice: Choice) -> Result:
        system = _system_of(row.system, row.decisions, row.posteriors)
        lengths = dict.fromkeys(self.split.clip_ids, clip_seconds(row.posteriors))
        reference = dataclasses.replace(self._reference, durations=lengths)
        return score_system(system, reference, self.draws, choice)

    def _of_other_columns(self, row: Row) -> dict[str, Measure]:
        """Of metrics that have no figures here."""
        return {
            metric.name: _Summed(metric, counts)
            for metric in scoring.METRICS
            if any(c.is_summed and c.key not in FIGURES for c in metric.columns)
            and (self.split.events is not None or metric.task == "tagging")
            for counts in [metric.counts(row.decisions, row.posteriors, self.split)]
        }

    @cached_property
    def _reference(self) -> Reference:
        split = self.split
        return Reference(
            path=Path(split.name),
            rows=(),
            events=reference_events(split),
            labels=_labels(split.weak_label, split.clip_ids, split.class_names),
            durations=None,
            class_names=tuple(split.class_names),
            class_list=True,
            names=Names((), split.name),
        )


@dataclass(frozen=True, eq=False)
class _Summed:
    """Columns of a metric that are no figures otherwise, from its counts [N, C]."""

    metric: Metric
    counts: np.ndarray
    class_names: tuple[str, ...] = ()

    @property
    def cost(self) -> int:
        """All counts."""
        return self.counts.size

    @property
    def at_once(self) -> int:
        """The sums."""
        return self.counts.shape[1]

    def scores(self, weights: np.ndarray) -> Scored:
        """See `Measure`."""
        found = self.metric.scores(weights @ self.counts.astype(float))
        keys = (c.key for c in self.metric.columns if c.is_summed)
        others = [key for key in keys if key not in FIGURES]
        return Scored({(key, ""): np.asarray(found[key]) for key in others}, {})


def _system_of(name: str, decisions: Decisions, posteriors: PosteriorSet) -> System:
    clip_ids, class_names = posteriors.clip_ids, posteriors.class_names
    places = {clip: n for n, clip in enumerate(clip_ids)}
    is_large = posteriors.frame.size > MAX_POSTERIORS  # then nothing looks at them
    blocks = () if is_large else posteriors.blocks()
    highest = [frame.max(1) for _, frame in blocks] or [posteriors.clip]
    return System(
        path=Path(name),
        rows=(),
        events=estimated_events(decisions, posteriors),
        labels=_labels(decisions.tags, clip_ids, class_names),
        tables=Placed(PosteriorTables(posteriors), places, class_names=class_names),
        clip_scores=posteriors.clip,
        highest=np.concatenate(highest),
        score_names=class_names,
        ends=np.full(len(clip_ids), clip_seconds(posteriors)),
        missing=(),
        notes=(),
    )


def _labels(
    rolls: np.ndarray, clip_ids: Sequence[str], class_names: tuple[str, ...]
) -> dict[str, frozenset[str]]:
    """The labels of clips by their ids, from bool [N, K]."""
    return {
        clip: frozenset(class_names[k] for k in row.nonzero()[0].tolist())
        for clip, row in zip(clip_ids, np.asarray(rolls, bool), strict=True)
    }
