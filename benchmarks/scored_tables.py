"""The paper's tables from finished runs: scores, intervals, differences; on disk."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.systems import PAIRS, System
from gcrnn_jax.data.event_lists import write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.fuse import choose_runs, fuse_systems, open_run
from gcrnn_jax.inference import find_split
from gcrnn_jax.metrics.bootstrap import Bootstrap, Estimate, bootstrap, clip_counts
from gcrnn_jax.metrics.tables import json_text, percent
from gcrnn_jax.report import Judge, Row
from gcrnn_jax.workdir import read_config

# Scores of each table, and how each is printed.
_COLUMNS = {
    "tagging": {"f1": "F1", "precision": "precision", "recall": "recall"},
    "detection": {"segment_f1": "1-s F1", "error_rate": "error rate"},
}


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
    split, fit_split = find_split(store, split_name), store.splits.get("validation")
    if fit_split is split:
        fit_split = None
    judge = Judge(split, fit_split)
    found, fixed = {}, {}
    for key, system in systems.items():
        posteriors = _posteriors(system, paths[key], split)
        fit = _posteriors(system, paths[key], fit_split) if fit_split else None
        found[key] = judge.found(system.name, posteriors, fit)
        fixed[key] = judge.fixed(system.name, posteriors)
    ways = {found[next(iter(found))].thresholds: found, "fixed": fixed}
    scored = {way: _score(rows, split) for way, rows in ways.items()}
    parts = [heading, f"Scored on {split.name}: {len(split)} clips."]
    for way, one in scored.items():
        parts += [f"## Thresholds: {way}", *_tables(systems, one)]
    write_text(output.with_suffix(".md"), "\n\n".join(parts) + "\n")
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
    for task, columns in _COLUMNS.items():
        header = ["system", *columns.values(), "the paper, its data"]
        if task == "tagging":
            header.insert(-1, "mAP")
        lines = [_line(*header), _line(*["---"] * len(header))]
        for number, (key, row) in enumerate(scored.rows.items()):
            system = systems[key]
            if task not in system.tasks:
                continue
            estimates = scored.scores.estimates(number)
            cells = [_estimate(name, estimates[name]) for name in columns]
            if task == "tagging":
                cells.append(percent(row.scores.tagging.mean_average_precision))
            lines.append(_line(system.name, *cells, system.paper.get(task, "")))
        parts += [f"### {task.capitalize()}", "\n".join(lines)]
        parts.append(_differences(task, systems, scored))
    return parts


def _differences(task: str, systems: Mapping[str, System], scored: Scored) -> str:
    keys, columns = list(scored.rows), _COLUMNS[task]
    lines = [_line("from", "to", "score", "difference", "95 % interval", "significant")]
    lines.append(_line(*["---"] * 6))
    for one, other in PAIRS[task]:
        if not {one, other} <= set(keys) or task not in systems[one].tasks:
            continue
        found = scored.scores.differences(keys.index(other), keys.index(one))
        for name in columns:
            if name not in ("f1", "segment_f1", "error_rate"):
                continue
            difference = found[name]
            low, high = (_number(name, x, "+") for x in difference.interval)
            lines.append(
                _line(
                    systems[one].name,
                    systems[other].name,
                    columns[name],
                    _number(name, difference.value, "+"),
                    f"{low} to {high}",
                    "yes" if difference.is_significant else "no",
                )
            )
    return "\n".join(lines)


def _estimate(name: str, estimate: Estimate) -> str:
    low, high = (_number(name, x) for x in estimate.interval)
    return f"{_number(name, estimate.value)} ({low} - {high})"


def _number(name: str, value: float, sign: str = "") -> str:
    """An error rate as it is, all else in percent."""
    if name == "error_rate":
        return f"{value:{sign}.3f}"
    return f"{100 * value:{sign}.1f}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


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
    return {"split": split.name, "clips": len(split), "systems": rows}
