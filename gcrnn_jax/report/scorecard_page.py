"""A scorecard as one page, that a browser opens without a network or a script.

Figures and classes with their intervals, PSD-ROC, reliability, and the recordings that
a system gets wrong, or about which two systems disagree. Names reach the page as text
only, as in `page`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.evaluation import Result, Scorecard
from gcrnn_jax.evaluation.output import main_figures
from gcrnn_jax.evaluation.results import errors_of_recordings
from gcrnn_jax.metrics.bootstrap import Estimate
from gcrnn_jax.report.charts import Axis, LineChart
from gcrnn_jax.report.page import fraction, html_file, source_hash

_MAX_POINTS = 400  # of a line
_NUM_RECORDINGS = 30  # that are shown


class ClassChart(NamedTuple):
    """A quantity of every class, of one system or two."""

    quantity: str
    axis: Axis
    rows: Sequence[tuple[str, Sequence[Estimate]]]  # class, and of each system


class Recording(NamedTuple):
    """A recording, how often each system is wrong about it, and all events."""

    name: str
    errors: Sequence[int]
    reference: str
    found: Sequence[str]


def write_scorecard_page(path: Path, card: Scorecard) -> None:
    """Writes the page, whole or not at all.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    make_folder(path.parent)
    write_atomically(path, [scorecard_page(card).encode("utf-8", "replace")])


def scorecard_page(card: Scorecard) -> str:
    """The page as the text of an HTML file."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["fraction"] = fraction
    style = html_file("page.css")
    own = card.results[0]
    others = {(f.quantity, f.average): f for r in card.results[1:] for f in r.figures}
    differences = {(f.quantity, f.average): f for f in card.differences}
    curves = [result.curves() for result in card.results]
    quantity, recordings = _recordings(card)
    return environment.from_string(html_file("scorecard.html")).render(
        card=card,
        title=own.system.path.name,
        coverage=card.coverage()[:1].upper() + card.coverage()[1:],
        names=[str(result.system.path) for result in card.results],
        headline=main_figures(own.figures),
        figures=[
            (f, others.get(key := (f.quantity, f.average)), differences.get(key))
            for f in own.figures
        ],
        class_charts=_class_charts(card.results),
        rocs=_roc_charts(curves),
        reliability=_reliability_chart(curves),
        quantity=quantity,
        recordings=recordings,
        style=style,
        style_hash=source_hash(style),
    )


def _class_charts(results: Sequence[Result]) -> list[ClassChart]:
    charts = []
    for figure in main_figures(results[0].figures):
        if not figure.classes:
            continue
        systems = [figure.classes]
        for result in results[1:]:
            key = figure.quantity, figure.average
            same = [f for f in result.figures if (f.quantity, f.average) == key]
            systems += [f.classes for f in same]
        nothing = Estimate(math.nan, figure.estimate.interval)
        rows = [
            (name, [classes.get(name, nothing) for classes in systems])
            for name in sorted({*systems[0], *systems[-1]})
        ]
        charts.append(ClassChart(figure.quantity, Axis(0, 1), rows))
    return charts


def _roc_charts(curves: Sequence[Mapping[str, Any]]) -> list[LineChart]:
    charts = []
    for quantity in (name for name in curves[0] if name.startswith("psds")):
        lines = {
            f"system {n}": _steps(found[quantity])
            for n, found in enumerate(curves, start=1)
            if "efpr" in found.get(quantity, {})
        }
        ends = [x for points in lines.values() for x, _ in points]
        axes = Axis(0, max([1.0, *ends])), Axis(0, 1, scale=100)
        names = "effective false positives an hour", "found, %"
        charts.append(LineChart(f"PSD-ROC of {quantity}", *names, *axes, lines))
    return charts


def _steps(roc: Mapping[str, np.ndarray]) -> list[list[float]]:
    """The points of a staircase: it stays until it rises."""
    x, y = np.asarray(roc["efpr"]), np.asarray(roc["tpr"])
    if len(x) > _MAX_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, _MAX_POINTS).round().astype(int))
        x, y = x[kept], y[kept]
    points = [[float(x[0]), float(y[0])]] if len(x) else []
    for place in range(1, len(x)):
        points.append([float(x[place]), float(y[place - 1])])
        points.append([float(x[place]), float(y[place])])
    return points


def _reliability_chart(curves: Sequence[Mapping[str, Any]]) -> LineChart | None:
    lines: dict[str, Sequence[Sequence[float | None]]] = {}
    for n, found in enumerate(curves, start=1):
        if curve := found.get("reliability"):
            points = zip(curve["posterior"], curve["labelled"], strict=True)
            kept = [[float(p), float(y)] for p, y in points if math.isfinite(p)]
            lines[f"system {n}"] = kept
    if not lines:
        return None
    lines["as it should be"] = [[0.0, 0.0], [1.0, 1.0]]
    axis = Axis(0, 1, scale=100)
    names = "score, %", "labelled, %"
    return LineChart("Reliability of scores", *names, axis, axis, lines)


def _recordings(card: Scorecard) -> tuple[str, list[Recording]]:
    """Recordings about which two systems differ most, or where one is most wrong."""
    found = [errors_of_recordings(result) for result in card.results]
    if not found[0].quantity:
        return "", []
    errors = np.stack([one.errors for one in found])
    weight = errors[0] if len(errors) == 1 else np.abs(errors[0] - errors[1])
    names = list(card.reference.events)
    order = [n for n in np.argsort(-weight, kind="stable") if weight[n]]
    return found[0].quantity, [
        Recording(
            names[n],
            errors[:, n].tolist(),
            _text(card.reference.events[names[n]]),
            [_text(result.system.events[names[n]]) for result in card.results],
        )
        for n in order[:_NUM_RECORDINGS]
    ]


def _text(events: Sequence[Event]) -> str:
    parts = (f"{e.event_label} {e.onset:.2f}–{e.offset:.2f}" for e in sorted(events))
    return "; ".join(parts) or "nothing"
