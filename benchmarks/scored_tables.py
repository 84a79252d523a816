"""The paper's tables from finished runs: scores, intervals, differences; on disk."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.systems import PAIRS, TASKS, Paper, System
from benchmarks.timing import code_version
from gcrnn_jax.data.lists.event_lists import write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.bootstrap import Bootstrap, Estimate, bootstrap
from gcrnn_jax.metrics.evaluator import Evaluator, Row
from gcrnn_jax.metrics.metric import Column
from gcrnn_jax.metrics.scoring import ClipCounts
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.runs import Run, choose_runs, fuse_systems
from gcrnn_jax.training.fusion import Fusion

WAYS = "found", "fixed"  # where thresholds come from: other clips, configurations


class Scored(NamedTuple):
    """A system scored on all clips of a split, and what was counted clip by clip."""

    values: Mapping[str, float]  # key of a column -> score
    counts: ClipCounts

    @classmethod
    def of_row(cls, row: Row, split: Split) -> "Scored":
        """From the row of an evaluator."""
        counts = scoring.clip_counts(row.decisions, row.posteriors, split)
        return cls(row.scores.values, counts)


@dataclass(frozen=True)
class OverSeeds:
    """As `Bootstrap`, of means over trainings that differ in their seeds.

    All are scored on the same draws of clips. A difference is the mean over the seeds
    that both systems have.
    """

    order: Sequence[str]  # keys of the systems
    seeds: Sequence[tuple[Sequence[str], Bootstrap]]  # of each, those that it has

    def estimates(self, system: int) -> dict[str, Estimate]:
        """The mean scores of one system, by name."""
        mean = self._mean(system)
        return mean.estimates(0) if mean else {}

    def differences(self, system: int, other: int) -> dict[str, Estimate]:
        """The scores of one system minus another's, by name; {}: no seed has both."""
        mean = self._mean(system, other)
        return mean.differences(0, 1) if mean else {}

    def _mean(self, *systems: int) -> Bootstrap | None:
        """These systems alone, over the seeds that have all of them."""
        keys = [self.order[number] for number in systems]
        common = [one for one in self.seeds if set(keys) <= set(one[0])]
        if not common:
            return None
        places = [[found.index(key) for key in keys] for found, _ in common]
        scores = [one for _, one in common]
        values, drawn = (
            np.mean([of[n] for of, n in zip(arrays, places, strict=True)], axis=0)
            for arrays in ([s.values for s in scores], [s.drawn for s in scores])
        )
        return Bootstrap(scores[0].names, values, drawn)


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
    store = Run.open(runs[next(iter(systems.values())).runs[0]]).open_store()
    split = store.find_split(split_name)
    fit_split = store.find_fit_split(split)
    rows: dict[str, list[Row]] = {way: [] for way in WAYS}
    members = {}
    for key, system in systems.items():
        members[key], by_way = score_system(system, runs, split, fit_split)
        for way, row in by_way.items():
            rows[way].append(row)
    content = {
        "heading": heading,
        **code_version(),
        "split": split.name,
        "fit_split": fit_split and fit_split.name,
        "clips": len(split),
        "runs": {key: [path.name for path in paths] for key, paths in members.items()},
        **tables_content(systems, rows, split),
    }
    text = json_text(content)
    write_text(output.with_suffix(".json"), text)
    write_text(output.with_suffix(".md"), markdown(json.loads(text)))


def score_system(
    system: System, runs: Mapping[str, Path], split: Split, fit_split: Split | None
) -> tuple[list[Path], dict[str, Row]]:
    """The runs that a row is made of, and its scores by each way of `WAYS`.

    Args:
        system: The row.
        runs: Name of a run -> its folder, finished.
        split: To score on.
        fit_split: To find thresholds on; None: by the other half of the clips.
    """
    paths = _members(system, [runs[name] for name in system.runs])
    posteriors = _posteriors(system, paths, split)
    fit = _posteriors(system, paths, fit_split) if fit_split else None
    evaluator = Evaluator(split, fit_split, per_class=system.per_class)
    found = evaluator.with_fitted_thresholds(system.name, posteriors, fit)
    fixed = evaluator.with_own_thresholds(system.name, posteriors)
    return paths, {"found": found, "fixed": fixed}


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
    keys = list(systems)
    of_systems = {
        key: {way: Scored.of_row(of_way[n], split) for way, of_way in rows.items()}
        for n, key in enumerate(keys)
    }
    return content_over_seeds(systems, [of_systems])


def content_over_seeds(
    systems: Mapping[str, System],
    seeds: Sequence[Mapping[str, Mapping[str, Scored]]],
) -> dict[str, Any]:
    """As `tables_content`, of means over trainings that differ in their seeds.

    Args:
        systems: Key -> row of the tables; each has a training at least.
        seeds: Of each, the key of a system -> where thresholds come from -> its scores
            on the same clips; a system that was not trained with it is not in it.
    """
    scores = {}
    for way in next(iter(seeds[0].values())):
        counts = [[one[way].counts for one in of_seed.values()] for of_seed in seeds]
        of_seeds = zip(seeds, counts, strict=True)
        drawn = [(list(keys), bootstrap(of_seed)) for keys, of_seed in of_seeds]
        scores[way] = OverSeeds(list(systems), drawn)
    columns = [c for c in scoring.columns() if not c.is_summed and c.role != "detail"]
    content = []
    for number, (key, system) in enumerate(systems.items()):
        of_key = [of_seed[key] for of_seed in seeds if key in of_seed]
        by_way, by_seed = {}, {}
        for way, of_way in scores.items():
            values = [one[way].values for one in of_key]
            on_all = {
                c.key: float(np.mean([one[c.key] for one in values]))
                for c in columns
                if c.key in values[0]
            }
            by_way[way] = {**of_way.estimates(number), **on_all}
            by_seed[way] = {name: [v.get(name) for v in values] for name in by_way[way]}
        row = {"key": key, "system": system.name, "tasks": system.tasks}
        several = {"seeds": by_seed} if len(seeds) > 1 else {}
        content.append({**row, "paper": system.paper, "scores": by_way, **several})
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
    task: str, systems: Mapping[str, System], scores: Bootstrap | OverSeeds
) -> Iterator[tuple[str, str, str, Estimate]]:
    """The pairs of a task: keys from and to, the score, and how much "to" has more."""
    order = list(systems)
    keys = [key for key, system in systems.items() if task in system.tasks]
    columns = [c for c in scoring.columns(task) if c.is_main and c.has_interval]
    for one, other in PAIRS[task]:
        if one in keys and other in keys:
            by_name = scores.differences(order.index(other), order.index(one))
            for column in columns if by_name else ():
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
        of_seeds = row.get("seeds", {}).get(way, {})
        cells = [
            _cell(column, scores.get(column.key), of_seeds.get(column.key, ()))
            for column in columns
        ]
        lines.append([row["system"], *cells, paper.text(task)])
    return _lines(lines)


def _cell(column: Column, score: Any, of_seeds: Sequence[Any]) -> str:
    known = [value for value in of_seeds if value is not None]
    texts = [column.short_text(pick(known)) for pick in (min, max) if known]
    seeds = f"seeds {texts[0]} - {texts[1]}" if len(known) > 1 else ""
    if not column.is_summed:
        text = "-" if score is None else column.text(score)
        return f"{text} ({seeds})" if seeds else text
    numbers = [score["value"], score["interval"]["low"], score["interval"]["high"]]
    value, low, high = ("-" if x is None else column.short_text(x) for x in numbers)
    ranges = [*([] if low == "-" else [f"{low} - {high}"]), *([seeds] if seeds else [])]
    return f"{value} ({'; '.join(ranges)})" if ranges else value


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
