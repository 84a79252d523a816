"""Results of a run: systems side by side, classes, lists; on screen and on disk.

Every score has its 95 % interval, in the line below it.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.data.atomic_files import make_folder, write_text
from gcrnn_jax.data.lists.event_tables import write_event_table
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.calibration import with_probability
from gcrnn_jax.evaluation.labelled import CLASS_FIGURES
from gcrnn_jax.evaluation.output import figure_entry, figures_table
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.decisions import scored_events, scored_tags
from gcrnn_jax.metrics.evaluator import Row
from gcrnn_jax.metrics.metric import MACRO, MICRO, Column
from gcrnn_jax.metrics.scoring import Scores
from gcrnn_jax.metrics.tables import json_text, text_table
from gcrnn_jax.metrics.uncertainty import Estimate

MAX_ABSENT = 20  # classes that no clip has, in a table on the screen
_PERCENT, _NUMBER = Column("", ""), Column("", "", "number")


def systems_table(rows: Sequence[Row]) -> str:
    """The systems side by side, with every score of every metric."""
    columns = scoring.columns()
    lines: list[list[str]] = []
    for row in rows:
        values, estimates = row.scores.values, row.estimates
        texts = [c.text(values[c.key]) if c.key in values else "-" for c in columns]
        lines.append([row.system, row.thresholds, *texts])
        if estimates:
            below = [interval_text(estimates.get(c.key), c) for c in columns]
            lines.append(["", "", *below])
    header = ["system", "thresholds", *(column.heading for column in columns)]
    return text_table(header, lines)


def interval_text(estimate: Estimate | None, column: Column = _PERCENT) -> str:
    """The interval of a score as the column prints it; "" where there is none.

    Example:
        >>> from gcrnn_jax.metrics.uncertainty import Interval
        >>> interval_text(Estimate(0.5, Interval(0.43, 0.5612)))
        '43.0-56.1'
    """
    if estimate is None or not math.isfinite(estimate.interval.low):
        return ""
    return "-".join(column.short_text(end) for end in estimate.interval)


def classes_table(row: Row) -> str:
    """Every class of a system, and the two kinds of averages below them.

    Many classes that no clip has are left out, and counted in a line.
    """
    header, rows, averages = class_rows(row.scores)
    intervals = class_intervals(row)
    there = [
        row for row in rows if str(row[1]) != "0"
    ]  # clips, or seconds, of the reference
    num_absent = len(rows) - len(there)
    lines: list[list[object]] = []
    for cells in [*(rows if num_absent <= MAX_ABSENT else there), *averages]:
        lines.append(cells)
        if any(below := intervals[str(cells[0])]):
            lines.append(["", *below])
    table = text_table(header, lines)
    if num_absent <= MAX_ABSENT:
        return table
    absent = f"{num_absent} classes that no clip has are left out; scores.json has all"
    return f"{table}\n{absent}"


def class_rows(
    scores: Scores,
) -> tuple[list[str], list[list[object]], list[list[object]]]:
    """The header of the table of classes, its rows, and those of averages."""
    header, rows = ["class"], {}
    for metric in scoring.METRICS:
        details = scores.details[metric.name]
        cells = {} if details is None else metric.class_cells(details)
        header += metric.class_header if cells else ()
        for name, row in cells.items():
            rows.setdefault(name, [name]).extend(row)
    averages = [rows.pop(name) for name in (MICRO, MACRO)]
    return header, list(rows.values()), averages


def class_intervals(row: Row) -> dict[str, list[str]]:
    """The intervals of the cells of `class_rows`, of each but the first."""
    classes = {f.quantity: f.classes for f in row.figures if f.classes}
    averages = {(f.quantity, f.average): f.estimate for f in row.figures}
    below: dict[str, list[str]] = {}
    for metric in scoring.METRICS:
        details = row.scores.details[metric.name]
        found = {} if details is None else metric.class_cells(details)
        for name, cells in found.items():
            average = {MICRO: "micro", MACRO: "macro"}.get(name)
            quantities = CLASS_FIGURES.get(metric.name, [""] * len(cells))
            for quantity, cell in zip(quantities, cells, strict=True):
                estimate = averages.get((quantity, average or ""))
                if average is None:
                    estimate = classes.get(quantity, {}).get(name)
                form = _NUMBER if "error_rate" in quantity else _PERCENT
                text = interval_text(estimate, form) if cell != "" else ""
                below.setdefault(name, []).append(text)
    return below


def shortfall(row: Row, constant: Row) -> str:
    """A sentence that says where a system is no better than the best constant answer.

    Args:
        row: Of the system.
        constant: Of `Evaluator.best_constant`.

    Returns:
        Of the headline scores that a constant answer has; "": it is better in all.
    """
    parts = []
    for column in scoring.columns():
        own = row.scores.values.get(column.key, math.nan)
        other = constant.scores.values.get(column.key, math.nan)
        if column.role == "headline" and column.is_summed and own <= other:
            scores = f"{column.text(own)} against {column.text(other)}"
            parts.append(f"{column.heading} {scores}")
    if not parts:
        return ""
    return (
        f"{row.system} is no better than the best answer that is the same for all "
        f"clips: {', '.join(parts)}"
    )


def row_content(row: Row) -> dict[str, Any]:
    """What JSON files hold of a system: thresholds, details, figures and notes."""
    return {
        **{n: getattr(row, n) for n in ("system", "thresholds", "postprocessing")},
        **row.scores.details,
        "figures": [figure_entry(figure) for figure in row.figures],
        "notes": list(row.notes),
    }


def how_found(fit_split: Split | None) -> str:
    """Where the thresholds of a run's table come from."""
    if fit_split:
        return f"Thresholds found on {fit_split.name}, or fixed; in %."
    return (
        'Thresholds of the other half of the clips ("other half"), or fixed; in %. '
        "This part also served to watch training: it is no test set."
    )


def tables_text(rows: Sequence[Row], row: Row) -> str:
    """Systems side by side; then one of them, class by class and figure by figure."""
    parts = [systems_table(rows), f"{row.system}, every class (%)", classes_table(row)]
    return "\n\n".join([*parts, f"{row.system}, every figure", figures_text(row)])


def figures_text(row: Row) -> str:
    """Every figure of a system with its definition, and notes."""
    notes = "\n".join(f"- {note}" for note in row.notes)
    return f"{figures_table(row.figures)}\n\n{notes}".rstrip()


def write_results(
    folder: Path, rows: list[Row], chosen: Row, *, data_sha256: str
) -> None:
    """Writes the scores of all rows; of the chosen row posteriors and decisions.

    With the scores goes the hash of the data that they were made on. The decisions are
    tables as `predict` writes them; a clip without any is in them by its name, and
    probabilities are those that labels of other clips fitted. The posteriors carry the
    thresholds fitted for them.
    """
    make_folder(folder)
    scores = {"data_sha256": data_sha256, "systems": [*map(row_content, rows)]}
    write_text(folder / "scores.json", json_text(scores))
    posteriors, rules = chosen.posteriors, chosen.fitted_postprocessing
    with_rules = dataclasses.replace(posteriors, postprocessing=rules)
    with_rules.save(folder / "posteriors.npz")
    fitted, names = chosen.probabilities_elsewhere, posteriors.class_names
    for name, of_clips, calibrator in (
        (
            "events.csv",
            scored_events(chosen.decisions, posteriors),
            fitted and fitted.frame,
        ),
        ("tags.csv", scored_tags(chosen.decisions, posteriors), fitted and fitted.clip),
    ):
        files = {
            f"{clip}.wav": with_probability(found, calibrator, names)
            for clip, found in of_clips.items()
        }
        write_event_table(folder / name, files)  # as the task names them
