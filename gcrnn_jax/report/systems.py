"""Results of a run: systems side by side, classes, lists; on screen and on disk."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.data.atomic_files import make_folder, write_text
from gcrnn_jax.data.lists.event_tables import write_event_table
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.decisions import scored_events, scored_tags
from gcrnn_jax.metrics.evaluator import Row
from gcrnn_jax.metrics.metric import MACRO, MICRO
from gcrnn_jax.metrics.scoring import Scores
from gcrnn_jax.metrics.tables import json_text, text_table

MAX_ABSENT = 20  # classes that no clip has, in a table on the screen


def systems_table(rows: Sequence[Row]) -> str:
    """The systems side by side, with every score of every metric."""
    lines = [[row.system, row.thresholds] for row in rows]
    header = ["system", "thresholds"]
    for column in scoring.columns():
        header.append(column.heading)
        for row, line in zip(rows, lines, strict=True):
            value = row.scores.values.get(column.key)
            line.append("-" if value is None else column.text(value))
    return text_table(header, lines)


def classes_table(scores: Scores) -> str:
    """Every class, and the two kinds of averages below them.

    Many classes that no clip has are left out, and counted in a line.
    """
    header, rows, averages = class_rows(scores)
    there = [
        row for row in rows if str(row[1]) != "0"
    ]  # clips, or seconds, of the reference
    if (num_absent := len(rows) - len(there)) <= MAX_ABSENT:
        return text_table(header, [*rows, *averages])
    absent = f"{num_absent} classes that no clip has are left out; scores.json has all"
    return f"{text_table(header, [*there, *averages])}\n{absent}"


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


def write_results(
    folder: Path, rows: list[Row], chosen: Row, *, data_sha256: str
) -> None:
    """Writes the scores of all rows; of the chosen row posteriors and decisions.

    With the scores goes the hash of the data that they were made on. The decisions are
    tables as `predict` writes them; a clip without any is in them by its name. The
    posteriors carry the thresholds fitted for them.
    """
    make_folder(folder)
    fields = ("system", "thresholds", "postprocessing")
    content = [
        {name: getattr(row, name) for name in fields} | {**row.scores.details}
        for row in rows
    ]
    scores = {"data_sha256": data_sha256, "systems": content}
    write_text(folder / "scores.json", json_text(scores))
    posteriors, rules = chosen.posteriors, chosen.fitted_postprocessing
    with_rules = dataclasses.replace(posteriors, postprocessing=rules)
    with_rules.save(folder / "posteriors.npz")
    for name, of_clips in (
        ("events.csv", scored_events(chosen.decisions, posteriors)),
        ("tags.csv", scored_tags(chosen.decisions, posteriors)),
    ):
        files = {f"{clip}.wav": found for clip, found in of_clips.items()}
        write_event_table(folder / name, files)  # as the task names them
