"""The paper's tables from finished runs: scores, intervals, differences; on disk."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.systems import PAIRS, TASKS, Paper, System
from benchmarks.timing import code_version
from gcrnn_jax.data.lists.event_lists import write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.bootstrap import Bootstrap, Estimate, bootstrap
from gcrnn_jax.metrics.evaluator import Evaluator, Row
from gcrnn_jax.metrics.metric import Column
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.runs import Run, choose_runs, fuse_systems
from gcrnn_jax.training.fusion import Fusion


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
    store = Run.open(next(iter(paths.values()))[0]).open_store()
    split = store.find_split(split_name)
    fit_split = store.find_fit_split(split)
    rows: dict[str, list[Row]] = {"found": [], "fixed": []}
    for key, system in systems.items():
        posteriors = _posteriors(system, paths[key], split)
        fit = _posteriors(system, paths[key], fit_split) if fit_split else None
        evaluator = Evaluator(split, fit_split, per_class=system.per_class)
        fitted = evaluator.with_fitted_thresholds(system.name, posteriors, fit)
        rows["found"].append(fitted)
        rows["fixed"].append(evaluator.with_own_thresholds(system.name, posteriors))
    content = {
        "heading": heading,
        **code_version(),
        "split": split.name,
        "fit_split": fit_split and fit_split.name,
        "clips": len(split),
        "runs": {key: [path.name for path in paths[key]] for key in systems},
        **tables_content(systems, rows, split),
    }
    text = json_text(content)
    write_text(output.with_suffix(".json"), text)
    write_text(output.with_suffix(".md"), markdown(json.loads(text)))


def _members(system: System, runs: Sequence[Path]) -> list[Path]:
    """The runs to fuse, those with more weight more than once."""
    if system.choose:
        return choose_runs(runs, split=system.choose)
    return list(runs)


def _posteriors(system: System, paths: Sequence[Path], split: Split) -> PosteriorSet:
    last = Run.open(paths[0]).config.training.num_epochs
    epochs = None if system.is_fused else Fusion.parse(str(last))
    fused = fuse_systems(paths, epochs=epochs, split=split.name)
    differing = dataclasses.replace(fused.postprocessing, **system.postprocessing)
    return dataclasses.replace(fused, postprocessing=differing)


def tables_content(
    systems: Mapping[str, System], rows: Mapping[str, Sequence[Row]], split: Split
) -> dict[str, Any]:
    """Scores of all systems and the differences of `PAIRS`, for JSON.

    Args:
        systems: Key -> row of the tables.
        rows: Where thresholds come from -> the systems' scores, in their order.
        split: That they were scored on.
    """
    scores = {
        way: bootstrap(
            [scoring.clip_counts(r.decisions, r.posteriors, split) for r in of_way]
        )
        for way, of_way in rows.items()
    }
    columns = [c for c in scoring.columns() if not c.is_summed and c.role != "detail"]
    content = []
    for number, (key, system) in enumerate(systems.items()):
        by_way = {}
        for way, of_way in rows.items():
            values = of_way[number].scores.values
            on_all = {c.key: values[c.key] for c in columns if c.key in values}
            by_way[way] = {**scores[way].estimates(number), **on_all}
        row = {"key": key, "system": system.name, "tasks": system.tasks}
        content.append({**row, "paper": system.paper, "scores": by_way})
    differences = [
        {
            "thresholds": way,
            "task": task,
            "from": one,
            "to": other,
            "score": name,
            "difference": difference,
            "is_significant": difference.is_significant,
        }
        for way, of_way in scores.items()
        for task in TASKS
        for one, other, name, difference in differences_of(task, systems, of_way)
    ]
    return {"systems": content, "differences": differences}


def differences_of(
    task: str, systems: Mapping[str, System], scores: Bootstrap
) -> Iterator[tuple[str, str, str, Estimate]]:
    """The pairs of a task: keys from and to, the score, and how much "to" has more."""
    order = list(systems)
    keys = [key for key, system in systems.items() if task in system.tasks]
    columns = [c for c in scoring.columns(task) if c.is_main and c.has_interval]
    for one, other in PAIRS[task]:
        if one in keys and other in keys:
            by_name = scores.differences(order.index(other), order.index(one))
            for column in columns:
                yield one, other, column.key, by_name[column.key]


def markdown(content: Mapping[str, Any]) -> str:
    """The tables as text, from what `write_tables` wrote as JSON."""
    fit_split = content["fit_split"]
    where = f"on {fit_split}" if fit_split else "by the other half of the clips"
    parts = [
        content["heading"],
        f"Scored on {content['split']}: {content['clips']} clips. "
        f"Commit {content['commit']}, {content['date']}.",
    ]
    for way, heading in {
        "found": f"## Thresholds found {where}",
        "fixed": "## Thresholds of the configurations",
    }.items():
        parts.append(heading)
        for task in TASKS:
            rows = [row for row in content["systems"] if task in row["tasks"]]
            columns = [c for c in scoring.columns(task) if c.role != "detail"]
            values = rows and rows[0]["scores"][way][columns[0].key]["value"]
            if rows and values is not None:
                parts += [f"### {task.capitalize()}", _scores(task, rows, way, columns)]
                parts.append(_differences(task, content, way))
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores(task: str, rows: Sequence[Any], way: str, columns: Sequence[Column]) -> str:
    header = ["system", *(column.heading for column in columns), "the paper, its data"]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        scores, paper = row["scores"][way], Paper.from_dict(row["paper"])
        cells = [_cell(column, scores.get(column.key)) for column in columns]
        lines.append([row["system"], *cells, paper.text(task)])
    return _lines(lines)


def _cell(column: Column, score: Any) -> str:
    if not column.is_summed:
        return "-" if score is None else column.text(score)
    numbers = [score["value"], score["interval"]["low"], score["interval"]["high"]]
    value, low, high = ("-" if x is None else column.short_text(x) for x in numbers)
    return value if low == "-" else f"{value} ({low} - {high})"


def _differences(task: str, content: Mapping[str, Any], way: str) -> str:
    names = {row["key"]: row["system"] for row in content["systems"]}
    columns = {column.key: column for column in scoring.columns(task)}
    header = ["from", "to", "score", "difference", "95 % interval", "significant"]
    lines = [header, ["---"] * len(header)]
    for one in content["differences"]:
        if (one["thresholds"], one["task"]) == (way, task):
            column, difference = columns[one["score"]], one["difference"]
            numbers = [difference["value"], *difference["interval"].values()]
            value, low, high = (
                "-" if x is None else column.short_text(x, "+") for x in numbers
            )
            cells = [names[one["from"]], names[one["to"]], column.heading, value]
            is_significant = "yes" if one["is_significant"] else "no"
            lines.append([*cells, f"{low} to {high}", is_significant])
    return _lines(lines) if len(lines) > 2 else ""


def _lines(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
