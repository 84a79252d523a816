r"""Configurations trained and scored over folds and seeds, side by side.

    python -m benchmarks.folds --folds weak_esc10_folds --output FOLDER \
        --config few_clips best best_without_gates
    python -m benchmarks.folds --folds weak_esc10_folds --output FOLDER \
        --config best --fields model.filters=64 --name wide --seeds 2
    python -m benchmarks.folds --folds weak_esc10_folds --output FOLDER \
        --runs "old=runs/old_{fold}" --fuse "both=best,wide" --base few_clips

Each folder in --folds is a data set. A configuration is a file of configs/ or a row of
`systems.py`. What is trained already is only scored again, and a training that was
stopped goes on. The table, folds.md and folds.json in the output, is of all rows that
are there on every fold, or of those that --table names.
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import fold_runs
from benchmarks.fold_scores import markdown, over_folds, score_fold
from benchmarks.systems import RUNS, Run
from benchmarks.timing import code_version
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser
from gcrnn_jax.metrics.tables import json_text

_HOW_TO_READ = """\
Mean over the folds (lowest - highest fold), on each the mean over trainings that differ
in their seed; in %, but for the error rate. Each half of a fold's validation clips has
the thresholds that fit the other half best, for each class its own or one for all, or
all clips have those that the configuration states. Differences with 95 % intervals by
bootstrap over the clips of all folds, on the same draws, not corrected for their
number; bold where the interval excludes 0. They hold the trainings fixed: other seeds
would differ too. Minutes are of one training."""


class Row(NamedTuple):
    """A row of the table: the trainings on each fold, in the order of their seeds."""

    name: str
    runs: Mapping[str, Sequence[Path]]  # fold -> folders
    fused: tuple[str, ...] = ()  # rows whose mean posteriors it has; (): a row of runs

    def posteriors(self, fold: str) -> list[PosteriorSet]:
        """Of each training on a fold, or their mean alone."""
        sets = [fold_runs.load(run)[1] for run in self.runs[fold]]
        return [fuse_posteriors(sets)] if self.fused else sets


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    _check(flags)
    folds = fold_runs.fold_folders(flags.folds, flags.only)
    names = [fold.name for fold in folds]
    for text in flags.runs:
        link(flags.output, *_named("--runs", text), names, flags.seeds)
    for seed in range(flags.seeds):
        for config, fold in itertools.product(flags.config, folds):
            workdir = _workdir(flags.output, flags.name or config, fold.name, seed)
            fold_runs.train(workdir, run_flags(config, flags.fields, fold, seed))
    content = json_text(table_content(flags, names))
    write_text(flags.output / "folds.json", content)
    text = markdown(json.loads(content))
    write_text(flags.output / "folds.md", text)
    print(text)


def _check(flags: argparse.Namespace) -> None:
    if flags.seeds < 1:
        raise ConfigError(f"--seeds: expected 1 or more, got {flags.seeds}")
    if flags.fields and not flags.name:
        raise ConfigError("--fields make another row than the configuration's: --name")
    if flags.name and len(flags.config) != 1:
        raise ConfigError("--name is of one --config")


def run_flags(config: str, fields: Sequence[str], fold: Path, seed: int) -> list[str]:
    """The flags of a training: of a configuration or a row of `systems.py`."""
    run = RUNS.get(config, Run(config))
    fields = [*run.fields, *fields, f"data.root={fold.resolve()}"]
    if seed:
        fields.append(f"seed={seed}")
    return [f"--config={run.config}", *(f"--config.{field}" for field in fields)]


def link(
    output: Path, name: str, pattern: str, folds: Sequence[str], num_seeds: int
) -> None:
    """Has finished runs that lie elsewhere be a row of the output.

    Args:
        output: Of the table.
        name: Of the row.
        pattern: Their folders, with {fold} and, for several, {seed} in it.
        folds: Their names.
        num_seeds: From 0 on.

    Raises:
        ConfigError: None is there, or the row is there already, with other runs.
    """
    seeds = range(num_seeds) if "{seed}" in pattern else range(1)
    found = {}
    for fold, seed in itertools.product(folds, seeds):
        path = Path(pattern.replace("{fold}", fold).replace("{seed}", str(seed)))
        if fold_runs.is_finished(path):
            found[_workdir(output, name, fold, seed)] = path.resolve()
    if not found:
        raise ConfigError(f"--runs: {pattern}: no finished run of folds {folds}")
    for place, path in found.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink() and not place.exists():
            place.symlink_to(path)
        elif place.resolve() != path:
            raise ConfigError(f"--runs: {name} is there with other runs: {place}")


def table_content(flags: argparse.Namespace, folds: Sequence[str]) -> dict[str, Any]:
    """The scores of all rows that are there on every fold, for JSON.

    Raises:
        ConfigError: There is none, or a row that a flag names is not among them.
    """
    there = find_rows(flags.output, folds)
    rows = {row.name: row for row in there if all(row.runs.values())}
    for text in flags.fuse:
        name, members = _named("--fuse", text)
        rows[name] = _fused(name, members.split(","), rows, folds)
    wanted = flags.table or list(rows)
    base = flags.base or next(iter(wanted), "")
    if unknown := [name for name in (*wanted, base) if name not in rows]:
        rest = f"there are {', '.join(rows)}" if rows else "there is none"
        raise ConfigError(f"no row {unknown[0]!r} on every fold; {rest}")
    chosen = [rows[name] for name in dict.fromkeys((*wanted, base))]
    splits, scored = {}, {}
    for seed, fold in enumerate(folds):
        splits[fold] = fold_runs.load(chosen[0].runs[fold][0])[0]
        sets = {row.name: row.posteriors(fold) for row in chosen}
        scored[fold] = score_fold(splits[fold], sets, seed=seed)
    scores = over_folds(scored, base)
    heading = (
        f"# Configurations over folds: {flags.folds.name}\n\n"
        f"`python -m benchmarks.folds --folds {flags.folds.name} --output FOLDER`"
        f"\n\n{_HOW_TO_READ}"
    )
    return {
        "heading": heading,
        **code_version(),
        "folds": {fold: len(split) for fold, split in splits.items()},
        "base": base,
        "rows": [{**_describe(row), "scores": scores[row.name]} for row in chosen],
        "unfinished": [row.name for row in there if row.name not in rows],
    }


def find_rows(output: Path, folds: Sequence[str]) -> list[Row]:
    """Rows of finished runs by name, those that are not on every fold included."""
    rows: dict[str, Row] = {}
    found = [path.name.rsplit("-", 2) for path in (output / "runs").glob("*-*-*")]
    for name, fold, seed in sorted(found, key=lambda parts: (parts[:2], int(parts[2]))):
        row = rows.setdefault(name, Row(name, {fold: [] for fold in folds}))
        path = _workdir(output, name, fold, int(seed))
        if fold in row.runs and fold_runs.is_finished(path):
            row.runs[fold].append(path)  # type: ignore[attr-defined]
    return list(rows.values())


def _fused(
    name: str, members: Sequence[str], rows: Mapping[str, Row], folds: Sequence[str]
) -> Row:
    if unknown := [member for member in members if member not in rows]:
        raise ConfigError(f"--fuse: no row {unknown[0]!r} on every fold")
    runs = {f: [p for member in members for p in rows[member].runs[f]] for f in folds}
    return Row(name, runs, tuple(members))


def _describe(row: Row) -> dict[str, Any]:
    """What a row is, and the mean seconds of a training; of a fused one of them all."""
    paths = [path for of_fold in row.runs.values() for path in of_fold]
    share = len(row.runs) if row.fused else len(paths)
    flags = [] if row.fused else fold_runs.flags_of(paths[0])
    return {
        "name": row.name,
        "fused": row.fused,
        "flags": [flag for flag in flags if not flag.startswith("--config.seed=")],
        "trainings": 1 if row.fused else min(map(len, row.runs.values())),
        "wall_s": sum(map(fold_runs.wall_s, paths)) / share,
        "cpu_s": float(np.sum([fold_runs.cpu_s(path) for path in paths])) / share,
    }


def _workdir(output: Path, name: str, fold: str, seed: int) -> Path:
    return output / "runs" / f"{name}-{fold}-{seed}"


def _named(flag: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"{flag}: expected NAME=..., got {text!r}")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.folds", __doc__)
    parser.add_argument("--folds", type=Path, required=True, help="a data set in each")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    several: dict[str, Any] = {"nargs": "+", "default": []}
    parser.add_argument("--only", **several, metavar="FOLD", help="default: all folds")
    parser.add_argument("--config", **several, metavar="NAME", help="to be trained")
    field = "SECTION.FIELD=VALUE"
    parser.add_argument("--fields", **several, metavar=field, help="that differ")
    parser.add_argument("--name", help="of the row; default: the configuration's")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="0 to N - 1")
    parser.add_argument(
        "--runs",
        **several,
        metavar="ROW=FOLDER",
        help="finished runs that lie elsewhere, {fold} and {seed} in their folders",
    )
    parser.add_argument(
        "--fuse", **several, metavar="ROW=ROW,ROW", help="all trainings of rows, fused"
    )
    parser.add_argument("--table", **several, metavar="ROW", help="default: all")
    parser.add_argument("--base", metavar="ROW", help="default: the first of the table")
    return parser


if __name__ == "__main__":
    run_command(main)
