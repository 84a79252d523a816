"""A scorecard as people read it, and as programs do: tables, JSON, CSV."""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from typing import Any

from gcrnn_jax.evaluation.figures import Figure
from gcrnn_jax.evaluation.scorecard import Scorecard
from gcrnn_jax.metrics.bootstrap import Estimate
from gcrnn_jax.metrics.tables import text_table

MAIN_QUANTITIES = (  # of classes on the screen; the first of each name
    "segment_f1",
    "event_f1",
    "intersection_f1",
    "tagging_f1",
    "psds1",
    "psds2",
    "average_precision",
)

_HEADER = ("figure", "average", "value", "95 % interval")


def main_figures(figures: Iterable[Figure]) -> list[Figure]:
    """The first figure of each main quantity."""
    found: dict[str, Figure] = {}
    for figure in figures:
        name = figure.quantity.partition("[")[0]
        if name in MAIN_QUANTITIES:
            found.setdefault(name, figure)
    return list(found.values())


def scorecard_text(card: Scorecard) -> str:
    """Coverage, every average with its interval, every class, and notes."""
    parts = [f"Scores {card.coverage()}", _averages_table(card)]
    parts += [table] if (table := _classes_table(card)) else []
    if card.differences:
        parts.append(_moved_text(card))
    notes = [f"- {note}" for note in card.notes()]
    return "\n\n".join([*parts, "\n".join(notes)])


def scorecard_content(card: Scorecard) -> dict[str, Any]:
    """What the JSON file holds; undefined figures and intervals are nan here."""
    own, *others = card.results
    content: dict[str, Any] = {
        "coverage": {
            "recordings": card.num_recordings,
            "with_estimates": card.num_covered,
            "missing": list(card.missing),
            "missing_count_as": "left out" if card.leaves_out else "without events",
            "systems": [
                {
                    "estimated": str(result.system.path),
                    "with_estimates": number,
                    "missing": list(missing),
                }
                for result, number, missing in zip(
                    card.results, card.num_covered_by, card.missing_of, strict=True
                )
            ],
        },
        "figures": [figure_entry(figure) for figure in own.figures],
        "curves": own.curves(),
        "draws": {
            "number": own.draws.num_draws,
            "seed": own.draws.seed,
            "groups": own.draws.num_groups,
        },
        "notes": card.notes(),
    }
    for other in others:
        content["against"] = {
            "estimated": str(other.system.path),
            "figures": [figure_entry(figure) for figure in other.figures],
            "differences": [figure_entry(figure) for figure in card.differences],
        }
    return content


def scorecard_csv(card: Scorecard) -> str:
    """A row for each average and each class of every quantity; empty if undefined."""
    names = [str(result.system.path) for result in card.results]
    parts = [
        (name, result.figures, number)
        for name, result, number in zip(
            names, card.results, card.num_covered_by, strict=True
        )
    ]
    if card.differences:
        of_both = list(card.differences), card.num_covered
        parts.append((f"{names[0]} - {names[1]}", *of_both))
    return figures_csv(parts, len(card.reference.events))


def figures_csv(
    parts: Iterable[tuple[str, Iterable[Figure], int]], num_recordings: int
) -> str:
    """The same, of systems' names, figures, and recordings with estimates."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["system", "quantity", "average", "class", "value", "low", "high", "draws"]
    writer.writerow([*header, "p", "recordings", "with_estimates"])
    for name, figures, number in parts:
        scored = num_recordings, number
        for figure in figures:
            for class_, average, estimate in _lines(figure):
                values = estimate.value, *estimate.interval
                cells = ["" if not math.isfinite(v) else repr(v) for v in values]
                p_value = "" if figure.p_value is None or class_ else figure.p_value
                row = [name, figure.quantity, average, class_, *cells]
                writer.writerow([*row, figure.num_draws, p_value, *scored])
    return text.getvalue()


def missing_csv(card: Scorecard) -> str:
    """The recordings without estimates, a line each, and of which of two systems."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [["filename"], *([name] for name in card.missing)]
    if len(card.results) > 1:
        rows = [["filename", "system"]]
        for result, missing in zip(card.results, card.missing_of, strict=True):
            rows += [[name, str(result.system.path)] for name in missing]
    writer.writerows(rows)
    return text.getvalue()


def _lines(figure: Figure) -> Iterator[tuple[str, str, Estimate]]:
    yield "", figure.average, figure.estimate
    for name, estimate in figure.classes.items():
        yield name, "", estimate


def figures_table(figures: Iterable[Figure]) -> str:
    """Every average with its interval."""
    return text_table(_HEADER, [_cells(figure) for figure in figures])


def figure_entry(figure: Figure) -> dict[str, Any]:
    """What JSON files hold of a figure; undefined ones and intervals are nan here."""
    entry = {
        "quantity": figure.quantity,
        "average": figure.average,
        **_values(figure.estimate),
        "draws": figure.num_draws,
        "classes": {name: _values(one) for name, one in figure.classes.items()},
    }
    return entry if figure.p_value is None else {**entry, "p": figure.p_value}


def _averages_table(card: Scorecard) -> str:
    if not card.differences:
        return figures_table(card.results[0].figures)
    others = {(f.quantity, f.average): f for f in card.results[1].figures}
    found = {(f.quantity, f.average): f for f in card.differences}
    rows = []
    for figure in card.results[0].figures:
        key = figure.quantity, figure.average
        cells = ["-"] * 4  # of a figure that the other system has not
        if key in found:
            difference = found[key]
            p_value = difference.p_value
            cells[0] = _number(others[key].estimate.value)
            cells[1:3] = _cells_of(difference.estimate, "+")
            cells[3] = "-" if p_value is None else f"{p_value:.3f}"
        rows.append([*_cells(figure), *cells])
    own, other = (result.system.path for result in card.results)
    names = [own.name, other.name]
    if own.name == other.name:  # of two folders
        names = [str(own), str(other)]
    header = ["figure", "average", names[0], "95 % interval"]
    more = [names[1], "difference", "95 % interval", "p"]
    return text_table([*header, *more], rows)


def _classes_table(card: Scorecard) -> str:
    """The main quantities of every class; the files have all."""
    main = main_figures(f for f in card.results[0].figures if f.classes)
    figures = {figure.quantity.partition("[")[0]: figure for figure in main}
    if not figures:
        return ""
    names = sorted({name for figure in figures.values() for name in figure.classes})
    rows = []
    for name in names:
        estimates = [figure.classes.get(name) for figure in figures.values()]
        rows.append([name, *(_with_interval(e) if e else "-" for e in estimates)])
    return text_table(["class", *figures], rows)


def _moved_text(card: Scorecard) -> str:
    """The classes whose difference is not 0, with 95 %."""
    rows = [
        [figure.quantity, name, *_cells_of(estimate, "+")]
        for figure in card.differences
        for name, estimate in figure.classes.items()
        if estimate.is_significant
    ]
    tested = sum(len(figure.classes) for figure in card.differences)
    if not rows:
        return f"No class moved, of {tested} differences of classes."
    table = text_table(["figure", "class that moved", "difference", "95 %"], rows)
    chance = 0.05 * tested
    expected = f"about {chance:.2g} would be here by chance alone"
    return f"{table}\n\nOf {tested} such differences, {expected}."


def _values(estimate: Estimate) -> dict[str, float]:
    low, high = estimate.interval
    return {"value": estimate.value, "low": low, "high": high}


def _cells(figure: Figure) -> list[str]:
    return [figure.quantity, figure.average, *_cells_of(figure.estimate)]


def _cells_of(estimate: Estimate, sign: str = "") -> list[str]:
    return [_number(estimate.value, sign), _range(estimate, sign)]


def _with_interval(estimate: Estimate) -> str:
    if not math.isfinite(estimate.value):
        return "-"
    text = _range(estimate)
    return _number(estimate.value) + (f" {text}" if text != "-" else "")


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if math.isfinite(value) else "-"


def _range(estimate: Estimate, sign: str = "") -> str:
    low, high = estimate.interval
    if not math.isfinite(low + high):
        return "-"
    return f"[{low:{sign}.3f}, {high:{sign}.3f}]"
