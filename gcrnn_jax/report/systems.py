"""What a run says of itself: systems side by side, classes, lists, all on disk too."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.data.event_lists import Event, write_event_list, write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.scoring import (
    Decisions,
    Scores,
    best_constant,
    decide,
    decide_cross_fitted,
    estimated_events,
    find_thresholds,
    score,
)
from gcrnn_jax.metrics.tables import json_text, percent, text_table

_HEADER = (
    "system",
    "thresholds",
    "tag F1",
    "precision",
    "recall",
    "mAP",
    "1-s F1",
    "error rate",
    "subst.",
    "del.",
    "ins.",
)

CHOSEN_HERE = "these clips"  # what says nothing of other clips


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table of systems."""

    system: str
    thresholds: str  # where they come from
    posteriors: PosteriorSet
    decisions: Decisions
    scores: Scores
    postprocessing: Postprocessing | None  # None: it differs from clip to clip
    for_new_clips: Postprocessing  # what the system would best decide by elsewhere


class Judge:
    """Scores systems on one split, thresholds chosen without its labels' help."""

    def __init__(
        self, split: Split, fit_split: Split | None, *, per_class: bool = True
    ):
        """Thresholds come from fit_split, or by cross-fitting where there is none.

        Per_class: one for each class; or one for all.
        """
        self.split, self.fit_split, self.per_class = split, fit_split, per_class

    def fixed(self, system: str, posteriors: PosteriorSet) -> Row:
        """With the thresholds that the system has."""
        fixed = posteriors.postprocessing
        flatters = fixed.chosen_on == self.split.content_hash
        name = CHOSEN_HERE if flatters else "fixed"
        return self._row(system, name, posteriors, fixed, fixed)

    def found(
        self, system: str, posteriors: PosteriorSet, fit: PosteriorSet | None
    ) -> Row:
        """With thresholds found on fit, the system's posteriors of the fit split."""
        if self.fit_split is not None and fit is not None:
            found = find_thresholds(fit, self.fit_split, per_class=self.per_class)
            return self._row(system, self.fit_split.name, posteriors, found, found)
        if len(self.split) < 2:
            return self.fixed(system, posteriors)
        found = find_thresholds(posteriors, self.split, per_class=self.per_class)
        return self._row(system, "other half", posteriors, None, found)

    def constant(self, posteriors: PosteriorSet) -> Row:
        """The best answer that is the same for all clips."""
        decisions = best_constant(self.split, posteriors)
        silent = dataclasses.replace(posteriors, clip=posteriors.clip * 0)
        scores = score(decisions, silent, self.split)
        name, fixed = "the same for all clips", posteriors.postprocessing
        return Row(name, "", silent, decisions, scores, None, fixed)

    def _row(
        self,
        system: str,
        thresholds: str,
        posteriors: PosteriorSet,
        postprocessing: Postprocessing | None,
        for_new_clips: Postprocessing,
    ) -> Row:
        if postprocessing is None:
            decisions = decide_cross_fitted(
                posteriors, self.split, per_class=self.per_class
            )
        else:
            decisions = decide(posteriors, postprocessing)
        scores = score(decisions, posteriors, self.split)
        return Row(
            system,
            thresholds,
            posteriors,
            decisions,
            scores,
            postprocessing,
            for_new_clips,
        )


def systems_table(rows: list[Row]) -> str:
    """The systems side by side: tagging (micro) and 1-second segments (micro)."""
    return text_table(_HEADER, [_cells(row) for row in rows])


def _cells(row: Row) -> list[object]:
    tagging, detection = row.scores.tagging, row.scores.detection
    rates = (tagging.micro.f1, tagging.micro.precision, tagging.micro.recall)
    cells: list[object] = [row.system, row.thresholds, *map(percent, rates)]
    cells.append(percent(tagging.mean_average_precision))
    if detection is None:
        return [*cells, *[None] * 5]
    return [
        *cells,
        percent(detection.micro.f1),
        f"{detection.error_rate:.3f}",
        f"{detection.substitution_rate:.3f}",
        f"{detection.deletion_rate:.3f}",
        f"{detection.insertion_rate:.3f}",
    ]


def classes_table(scores: Scores) -> str:
    """Every class, and the two kinds of averages below them."""
    tagging, detection = scores.tagging, scores.detection
    header = ["class", "clips", "tag F1", "precision", "recall", "AP"]
    if detection:
        header += ["seconds", "1-s F1", "precision", "recall", "error rate"]
    rows = []
    for name, tags in tagging.per_class.items():
        rates = tags.rates
        row: list[object] = [name, tags.num_reference]
        row += map(percent, (rates.f1, rates.precision, rates.recall))
        row.append(percent(tags.average_precision))
        if detection:
            segments = detection.per_class[name]
            rates = segments.rates
            row.append(segments.num_reference)
            row += map(percent, (rates.f1, rates.precision, rates.recall))
            row.append(f"{segments.error_rate:.3f}")
        rows.append(row)
    return text_table(header, [*rows, *_averages(scores)])


def _averages(scores: Scores) -> list[list[object]]:
    tagging, detection = scores.tagging, scores.detection
    rates, macro = tagging.micro, tagging.macro_f1
    micro_row: list[object] = ["overall (micro)", "", percent(rates.f1)]
    micro_row += [percent(rates.precision), percent(rates.recall), ""]
    mean = percent(tagging.mean_average_precision)
    macro_row: list[object] = ["mean of classes", "", percent(macro), "", "", mean]
    if detection:
        rates = detection.micro
        micro_row += ["", percent(rates.f1), percent(rates.precision)]
        micro_row += [percent(rates.recall), f"{detection.error_rate:.3f}"]
        macro_row += ["", percent(detection.macro_f1), "", ""]
        macro_row.append(f"{detection.macro_error_rate:.3f}")
    return [micro_row, macro_row]


def write_results(
    folder: Path, rows: list[Row], chosen: Row, *, data_sha256: str
) -> None:
    """Writes the scores of all rows; of the chosen row posteriors and decisions.

    With the scores goes the hash of the data that they were made on. The decisions are
    lists as DCASE has them. The posteriors carry the thresholds found for them.
    """
    make_folder(folder)
    content: list[Mapping] = [
        {
            "system": row.system,
            "thresholds": row.thresholds,
            "postprocessing": row.postprocessing,
            "tagging": row.scores.tagging,
            "detection": row.scores.detection,
        }
        for row in rows
    ]
    scores = {"data_sha256": data_sha256, "systems": content}
    write_text(folder / "scores.json", json_text(scores))
    posteriors = chosen.posteriors
    dataclasses.replace(posteriors, postprocessing=chosen.for_new_clips).save(
        folder / "posteriors.npz"
    )
    files = [f"{clip}.wav" for clip in posteriors.clip_ids]  # as the task names them
    events = estimated_events(chosen.decisions, posteriors)
    write_event_list(
        folder / "events.csv", dict(zip(files, events.values(), strict=True))
    )
    seconds = posteriors.frame.shape[1] * posteriors.hop_s
    names = posteriors.class_names
    tags = {
        file: [Event(0.0, seconds, names[k]) for k in row.nonzero()[0]]
        for file, row in zip(files, chosen.decisions.tags, strict=True)
    }
    write_event_list(folder / "tags.csv", tags)
