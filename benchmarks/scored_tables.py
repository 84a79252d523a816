"""The paper's tables from finished runs: scores, intervals, differences; on disk."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.workdir import read_config

from benchmarks.systems import DETECTION, PAIRS, TAGGING, System
from gcrnn_jax.data.event_lists import write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.fuse import choose_runs, fuse_systems, open_run
from gcrnn_jax.inference import find_fit_split, find_split
from gcrnn_jax.metrics.bootstrap import (
    Bootstrap,
    Difference,
    Estimate,
    bootstrap,
    clip_counts,
)
from gcrnn_jax.metrics.tables import json_text, percent
from gcrnn_jax.report.systems import Judge, Row

# Scores of each table, and how each is printed.
_COLUMNS = {
    TAGGING: {"f1": "F1", "precision": "precision", "recall": "recall"},
    DETECTION: {"segment_f1": "1-s F1", "error_rate": "error rate"},
}
_COMPARED = {TAGGING: ("f1",), DETECTION: ("segment_f1", "error_rate")}


@dataclasses.dataclass(frozen=True)
class Scored:
    """Systems decided in one way and scored."""

    rows: dict[str, Row]
    scores: Bootstrap  # in the order of the rows


def write_tables(
    systems: Mapping[str, System],
    runs: Mapping[str, Path],
    output: Path,
    *,
    split_name: str | None,
    heading: str,
) -> None:
    """Scores systems whose runs are finished; writes OUTPUT.md and OUTPUT.json.

    Args:
        systems: Key -> row, in the order of the tables.
        runs: Name of a run -> its folder.
        output: The two files' path without its ending.
        split_name: What to score on; None: what the runs report.
        heading: Text above the tables: how they were made.
    """
    paths = {
        key: _members(system, [runs[name] for name in system.runs])
        for key, system in systems.items()
    }
    _, store = open_run(next(iter(paths.values()))[0])
    split = find_split(store, split_name)
    fit_split = find_fit_split(store, split)
    found, fixed = {}, {}
    for key, system in systems.items():
        posteriors = _posteriors(system, paths[key], split)
        judge = Judge(split, fit_split, per_class=system.per_class)
        fit = _posteriors(system, paths[key], fit_split) if fit_split else None
        found[key] = judge.found(system.name, posteriors, fit)
        fixed[key] = judge.fixed(system.name, posteriors)
    scored = {"found": _score(found, split), "fixed": _score(fixed, split)}
    where = f"on {fit_split.name}" if fit_split else "by the other half of the clips"
    headings = {
        "found": f"## Thresholds found {where}",
        "fixed": "## Thresholds of the configurations",
    }
    parts = [heading, f"Scored on {split.name}: {len(split)} clips."]
    for way, one in scored.items():
        parts += [headings[way], *_tables(systems, one)]
    text = "\n\n".join(part for part in parts if part)
    write_text(output.with_suffix(".md"), text + "\n")
    content = _content(systems, paths, scored, split)
    write_text(output.with_suffix(".json"), json_text(content))


def _members(system: System, runs: Sequence[Path]) -> list[Path]:
    """The runs to fuse, those with more weight more than once."""
    if system.choose:
        return choose_runs(runs, split=system.choose)
    return list(runs)


def _posteriors(system: System, paths: Sequence[Path], split: Split) -> PosteriorSet:
    last = read_config(paths[0])["training"]["num_epochs"]
    epochs = None if system.is_fused else str(last)
    fused = fuse_systems(paths, epochs=epochs, split=split.name)
    differing = dataclasses.replace(fused.postprocessing, **system.postprocessing)
    return dataclasses.replace(fused, postprocessing=differing)


def _score(rows: dict[str, Row], split: Split) -> Scored:
    counts = [
        clip_counts(row.decisions, row.posteriors, split) for row in rows.values()
    ]
    return Scored(rows, bootstrap(counts))


def _tables(systems: Mapping[str, System], scored: Scored) -> list[str]:
    parts = []
    for task in _COLUMNS:
        keys = [
            key for key in _in(task, systems) if getattr(scored.rows[key].scores, task)
        ]
        if keys:
            parts.append(f"### {task.capitalize()}")
            parts.append(_scores(task, keys, systems, scored))
            parts.append(_differences(task, keys, systems, scored))
    return parts


def _scores(task: str, keys: list[str], systems, scored: Scored) -> str:
    columns, order = _COLUMNS[task], list(scored.rows)
    header = ["system", *columns.values(), "the paper, its data"]
    if task == TAGGING:
        header.insert(-1, "mAP")
    lines = [header, ["---"] * len(header)]
    for key in keys:
        estimates = scored.scores.estimates(order.index(key))
        cells = [_estimate(name, estimates[name]) for name in columns]
        if task == TAGGING:
            precision = scored.rows[key].scores.tagging.mean_average_precision
            cells.append(percent(precision))
        lines.append([systems[key].name, *cells, systems[key].paper.get(task, "")])
    return _markdown(lines)


def _differences(task: str, keys: list[str], systems, scored: Scored) -> str:
    header = ["from", "to", "score", "difference", "95 % interval", "significant"]
    lines = [header, ["---"] * len(header)]
    for one, other, name, difference in _compared(task, keys, scored):
        low, high = (_number(name, x, "+") for x in difference.interval)
        value = _number(name, difference.value, "+")
        is_significant = "yes" if difference.is_significant else "no"
        pair = [systems[one].name, systems[other].name, _COLUMNS[task][name]]
        lines.append([*pair, value, f"{low} to {high}", is_significant])
    return _markdown(lines) if len(lines) > 2 else ""


def _compared(
    task: str, keys: Collection[str], scored: Scored
) -> Iterator[tuple[str, str, str, Difference]]:
    """The pairs of the task among some rows: from, to, score, to minus from."""
    order = list(scored.rows)
    for one, other in PAIRS[task]:
        if one in keys and other in keys:
            found = scored.scores.differences(order.index(other), order.index(one))
            for name in _COMPARED[task]:
                yield one, other, name, found[name]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _estimate(name: str, estimate: Estimate) -> str:
    low, high = (_number(name, x) for x in estimate.interval)
    return f"{_number(name, estimate.value)} ({low} - {high})"


def _number(name: str, value: float, sign: str = "") -> str:
    """An error rate as it is, all else in percent."""
    if name == "error_rate":
        return f"{value:{sign}.3f}"
    return f"{100 * value:{sign}.1f}"


def _content(systems, paths, scored: Mapping[str, Scored], split: Split) -> Any:
    rows = []
    for number, (key, system) in enumerate(systems.items()):
        row = {"key": key, "system": system.name, "paper": system.paper}
        row["runs"] = [path.name for path in paths[key]]
        row["scores"] = {
            way: {
                **one.scores.estimates(number),
                "mAP": one.rows[key].scores.tagging.mean_average_precision,
            }
            for way, one in scored.items()
        }
        rows.append(row)
    differences = [
        {
            "thresholds": way,
            "from": one,
            "to": other,
            "score": name,
            "difference": difference,
            "is_significant": difference.is_significant,
        }
        for way, so in scored.items()
        for task in _COLUMNS
        for one, other, name, difference in _compared(task, _in(task, systems), so)
    ]
    return {
        "split": split.name,
        "clips": len(split),
        "systems": rows,
        "differences": differences,
    }


def _in(task: str, systems: Mapping[str, System]) -> list[str]:
    """The rows of a task's table."""
    return [key for key, system in systems.items() if task in system.tasks]
