"""One page of a system's scores, that a browser opens without a network.

Everything is in the file: style, script, scores, pictures and sound. What comes from
users, such as names of classes and files, reaches the page as text only: the template
escapes it, the script's data are numbers, and the page's policy lets no script run but
its own.
"""

import base64
import hashlib
import importlib.resources
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.tables import percent, to_json
from gcrnn_jax.metrics.tagging import precision_recall
from gcrnn_jax.metrics.uncertainty import Estimate
from gcrnn_jax.report import charts, systems, threshold_tables
from gcrnn_jax.report.clip_cards import clip_cards
from gcrnn_jax.report.examples import PER_CLASS
from gcrnn_jax.report.report_data import ReportData


def write_page(path: Path, data: ReportData) -> None:
    """Writes the page, whole or not at all.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    make_folder(path.parent)
    text = render_page(data).encode("utf-8", "replace")  # a path may be any bytes
    write_atomically(path, [text])


def render_page(data: ReportData) -> str:
    """The page as the text of an HTML file."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": percent, "fraction": fraction}
    row, split = data.main_row, data.split
    estimates = [each.estimates for each in data.rows]
    tables = threshold_tables.threshold_tables(
        row.posteriors, split, row.fitted_postprocessing
    )
    class_header, class_rows, _ = systems.class_rows(row.scores)
    style, script = html_file("page.css"), html_file("page.js")
    return environment.from_string(html_file("page.html")).render(
        data=data,
        split=split,
        main=row,
        rows=list(zip(data.rows, estimates, strict=True)),
        estimates=estimates[[other is row for other in data.rows].index(True)],
        columns=[c for c in scoring.columns() if c.key in row.scores.values],
        class_header=class_header,
        class_rows=class_rows,
        class_intervals=systems.class_intervals(row),
        interval_charts=_interval_charts(data, estimates),
        training_charts=_training_charts(data.curves) if data.curves else [],
        threshold_note=_threshold_note(data),
        tables=tables,
        event_clips=_event_clips(data),
        precision_recall=_precision_recall_charts(data),
        cards=clip_cards(data),
        per_class=PER_CLASS,
        frequencies=charts.frequency_ticks(data.front_end),
        style=style,
        style_hash=source_hash(style),
        script=script,
        script_hash=source_hash(script),
        json=json.dumps(to_json(tables), allow_nan=False, separators=(",", ":")),
    )


def _threshold_note(data: ReportData) -> str:
    """What the scores at the sliders' first thresholds are worth."""
    if data.main_row.postprocessing is not None:
        return "The sliders begin with the thresholds of the scores above."
    return (
        "The scores above took the thresholds of each half of the clips from the other "
        "half. The sliders begin with those found on all of these clips, which are for "
        "new recordings: scored on the clips they were found on, they flatter."
    )


def _event_clips(data: ReportData) -> str:
    """Which clips the sliders' scores of events are of."""
    total, size = len(data.split), data.main_row.posteriors.frame[0].size
    count = len(threshold_tables.sample_clips(total, size))
    few = f"{count} of {total} clips, drawn at random"
    return f"all {total} clips" if count == total else few


def _interval_charts(
    data: ReportData, estimates: Sequence[Mapping[str, Estimate]]
) -> list[tuple[str, str, charts.Axis, Callable[[float], str]]]:
    """(title, score, axis, text of a value) of each chart of systems."""
    interval_charts = []
    pairs = [
        (metric.task, column) for metric in scoring.METRICS for column in metric.columns
    ]
    for task, column in pairs:
        if not (column.is_main and column.key in estimates[0]):
            continue
        ends = [
            end
            for row, estimate in zip(data.rows, estimates, strict=True)
            if row.thresholds  # the best constant answer may be far off
            for end in (estimate[column.key].value, *estimate[column.key].interval)
        ]
        title = f"{task.capitalize()}: {column.heading}"
        scale, text = 1, fraction
        if column.form == "percent":
            title, scale, text = f"{title} in %", 100, percent
        axis = charts.Axis(*charts.value_range(ends, 0.08), scale=scale)
        interval_charts.append((title, column.key, axis, text))
    return interval_charts


def _training_charts(lines: dict[str, Any]) -> list[charts.LineChart]:
    """Loss and scores over epochs."""
    epochs = [*(x for x, _ in lines["loss"]), *(s["epoch"] for s in lines["scores"])]
    x = charts.Axis(0, max([1, *epochs]))
    fields = {
        column.heading: column.log_key or column.key
        for column in scoring.columns()
        if column.is_main and column.form == "percent"
    }
    scores = {
        name: [[score["epoch"], score.get(field)] for score in lines["scores"]]
        for name, field in fields.items()
        if any(score.get(field) is not None for score in lines["scores"])
    }

    def chart(title: str, y_name: str, scale: int, curves) -> charts.LineChart:
        values = [y for points in curves.values() for _, y in points if y is not None]
        y = charts.Axis(0, charts.value_range([0, *values], 0.05)[1], scale=scale)
        return charts.LineChart(title, "epoch", y_name, x, y, curves)

    loss = {"loss": lines["loss"]}
    line_charts = [chart("Loss of the training batches", "loss", 1, loss)]
    if scores:
        title = f"Scores after every epoch, on {lines['split']} with fixed thresholds"
        line_charts.append(chart(title, "%", 100, scores))
    return line_charts


def _precision_recall_charts(data: ReportData) -> list[charts.LineChart]:
    axis, names = charts.Axis(0, 1, 2, 100), ("recall, %", "precision, %")
    line_charts = []
    row = data.main_row
    clip = threshold_tables.ranking(row.posteriors.clip, row.fitted_postprocessing)
    pairs = zip(data.split.weak_label.T, clip.T, strict=True)
    for name, pair in zip(data.split.class_names, pairs, strict=True):
        points = precision_recall(*pair)
        lines = {name: [[0, points[0][1]], *points] if points else []}
        label = f"Precision over recall of {name}"
        line_charts.append(charts.LineChart(label, *names, axis, axis, lines))
    return line_charts


def fraction(value: float) -> str:
    """A score with three decimals; `-` for nan."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def html_file(name: str) -> str:
    """A file that pages are made of."""
    folder = importlib.resources.files("gcrnn_jax.report") / "html"
    return (folder / name).read_text(encoding="utf-8")


def source_hash(content: str) -> str:
    """The source expression of the page's policy for its own script or style."""
    sha256 = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(sha256).decode('ascii')}"
