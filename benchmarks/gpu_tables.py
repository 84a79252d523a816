r"""The paper's tables at full width, on soundscapes with the class counts of its task.

    python -m benchmarks.gpu_tables --output FOLDER --minutes 9
    python -m benchmarks.gpu_tables --output FOLDER --clips 60 --seeds 1 --small \
        --rows crnn at --config.training.num_epochs=1 \
        --config.training.steps_per_epoch=2

It ends before the limit, whatever is not done yet, and prints the tables of the rows
that are: means over seeds, how far seeds are apart, differences. The same command again
goes on, a training that was stopped where it was, one that was killed after its last
epoch. Of a row that is scored the trainings are not needed any more, so that a few
small files hold all of it: --keep writes what a call on another machine goes on from,
--kept reads it there.

Rows of seed 0 come first, those of the paper's claims before others; systems that take
as long as all the rest come last. Seeds differ in weights and batches, not in clips.
Further flags, such as --config.training.num_epochs=1, go to every training.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import kept_runs
from benchmarks.fold_runs import is_finished
from benchmarks.scored_tables import (
    WAYS,
    Scored,
    content_over_seeds,
    markdown,
    score_system,
)
from benchmarks.systems import DETECTION, RUNS, SYSTEMS, TAGGING
from benchmarks.tables import run_flags
from benchmarks.task_soundscapes import TRAINING_CLIPS, is_prepared, write_lists
from benchmarks.timing import code_version
from gcrnn_jax.arguments import parse
from gcrnn_jax.config import load_config
from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.data.lists.event_lists import write_text
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.runs import Run
from gcrnn_jax.training.parallel import configure_jax

CLAIMS = (  # of the paper: what helps, from which row to which, and in what task
    ("balancing", "crnn_unbalanced", "crnn", TAGGING),
    ("gates", "crnn", "at", TAGGING),
    ("fusion", "at", "at_fusion", TAGGING),
    ("fusion", "sed", "sed_fusion", DETECTION),
)
_FIRST = tuple(dict.fromkeys(key for _, *pair, _ in CLAIMS for key in pair))
_LAST = ("cnn_ensemble", "frame_cnn", "vgg_cnn")
_NOT_OF_THE_PAPER = ("vgg_cnn", "best_narrow", "best")
_SCORING_S = 60.0  # that trainings leave for scores and tables
_GRACE_S = 15.0  # to save a state
_LEAST_S = 20.0  # less than that is no time for a training, or for scores
DONE, STOPPED = "done", "stopped"
_SETTINGS = "settings.json"

_HOW_TO_READ = """\
In %, but for the error rate; means over seeds. In brackets 95 % intervals by bootstrap
over clips, the same draws for all systems and seeds, and the lowest and the highest
seed. Intervals hold the trained systems and their thresholds fixed; differences are of
the seeds that both have, and not corrected for their number. Training clips have the
class counts of DCASE 2017 task 4, but are built-in soundscapes: only the order of rows
compares with the last column, what the paper reports of the development set and, after
the slash, of the evaluation set."""


class Training(NamedTuple):
    """A training: its folder, and its flags but for that."""

    workdir: Path
    flags: tuple[str, ...]


class Tables:
    """What is wanted, and how much of it is there.

    Attributes:
        todo: Rows in the order in which they are made: a seed and a key of `SYSTEMS`.
    """

    def __init__(self, flags: argparse.Namespace, further: Sequence[str]):
        """Of a command line."""
        self.output, self._is_small, self._dtype = (
            flags.output,
            flags.small,
            flags.dtype,
        )
        self._further = further
        self.clips = flags.clips
        self.data, self.seeds = flags.output / "data", range(flags.seeds)
        keys = sorted(flags.rows, key=lambda k: (*_FIRST, *SYSTEMS, k).index(k))
        late = [key for key in keys if key in _LAST]
        self.todo = [(s, k) for s in self.seeds for k in keys if k not in late]
        self.todo += [(s, k) for s in self.seeds for k in late]

    def trainings(self, seed: int, key: str) -> dict[str, Training]:
        """Those that a row is made of, by the names of their runs."""
        trainings = {}
        for name in SYSTEMS[key].runs:
            flags = run_flags(RUNS[name], self._is_small, self.data)
            flags.append(f"--config.training.seed_offset={seed}")
            if hasattr(load_config(RUNS[name].config).model, "dtype"):
                flags.append(f"--config.model.dtype={self._dtype}")
            workdir = self.output / "runs" / f"{name}-{seed}"
            trainings[name] = Training(workdir, (*flags, *self._further))
        return trainings

    def missing(self) -> dict[Path, Training]:
        """Trainings of rows that are not scored, by their folders, in order."""
        return {
            training.workdir: training
            for seed, key in self.todo
            if not self.row(seed, key).exists()
            for training in self.trainings(seed, key).values()
        }

    def row(self, seed: int, key: str) -> Path:
        """The file of a scored row."""
        return self.output / "rows" / f"{key}-{seed}.npz"


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    ends = time.monotonic()
    flags, further = _parser().parse_known_args(argv)
    ends += 60 * flags.minutes
    _check(flags, further)
    with contextlib.suppress(ValueError):  # not in a thread; so that trainings end too
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if flags.kept:
        kept_runs.take(flags.kept, flags.output)
    _check_settings(flags, further)
    tables = Tables(flags, further)
    write_lists(tables.data, flags.clips)
    failed = train(tables, ends - _SCORING_S)
    score(tables, ends - _LEAST_S)
    text = write_tables(tables, failed)
    if flags.keep:
        _keep(tables, flags.keep, flags.keep_mib)
    print(text)
    if failed:
        sys.exit(1)


def train(tables: Tables, until: float) -> dict[Path, str]:
    """Trains what is missing until then; returns why trainings failed, by folder."""
    failed: dict[Path, str] = {}
    for workdir, flags in tables.missing().values():
        start, outcome = time.monotonic(), DONE
        workdir.mkdir(parents=True, exist_ok=True)
        if not is_prepared(parse(["", *flags])[0]):
            line = ["benchmarks.task_soundscapes", f"--lists={tables.data}"]
            line += [f"--clips={tables.clips}", *flags]
            outcome = run(line, workdir, until)
        if outcome == DONE and not is_finished(workdir):
            line = ["gcrnn_jax.main", *flags, f"--workdir={workdir}"]
            outcome = run(line, workdir, until)
        print(
            f"{workdir.name}: {outcome}, {time.monotonic() - start:.0f} s", flush=True
        )
        if outcome == STOPPED:
            break
        if outcome != DONE:
            failed[workdir] = outcome
    return failed


def run(line: Sequence[str], workdir: Path, until: float) -> str:
    """Runs a module until then; returns `DONE`, `STOPPED` or why it failed."""
    if (seconds := until - time.monotonic()) < _LEAST_S:
        return STOPPED
    path = workdir / "output.txt"
    with open(path, "a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *line], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()  # a training saves its state
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
            return STOPPED
        finally:
            process.kill()
            process.wait()
    last = path.read_text(errors="replace").strip().rpartition("\n")[2]
    return DONE if code == 0 else f"FAILED ({code}): {last}"


def score(tables: Tables, until: float) -> None:
    """Scores the rows whose trainings are finished, and keeps what they counted."""
    configure_jax()
    for seed, key in tables.todo:
        runs = {n: one.workdir for n, one in tables.trainings(seed, key).items()}
        path = tables.row(seed, key)
        if path.exists() or not all(map(is_finished, runs.values())):
            continue
        if time.monotonic() > until:
            return
        with (
            open(tables.output / "output.txt", "a") as output,
            contextlib.redirect_stderr(output),  # a line a training: no recordings
        ):
            store = Run.open(next(iter(runs.values()))).open_store()
            split = store.find_split(None)
            fit_split = store.find_fit_split(split)
            _, rows = score_system(SYSTEMS[key], runs, split, fit_split)
        scored = {way: Scored.of_row(row, split) for way, row in rows.items()}
        about = {"split": split.name, "fit_split": fit_split and fit_split.name}
        save_row(path, scored, {**about, "clips": len(split)})


def save_row(
    path: Path, scored: Mapping[str, Scored], about: Mapping[str, Any]
) -> None:
    """Writes the scores of a row by each way of `WAYS`, and what they are of."""
    values = {way: one.values for way, one in scored.items()}
    arrays = {
        f"{way} {name}": array
        for way, one in scored.items()
        for name, array in one.counts.items()
    }
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, about=json.dumps([about, values]), **arrays
        )
    temporary.replace(path)


def load_row(path: Path) -> tuple[dict[str, Scored], dict[str, Any]]:
    """What `save_row` wrote."""
    with np.load(path) as arrays:
        about, values = json.loads(str(arrays["about"]))
        return {
            way: Scored(
                values[way],
                {
                    name.removeprefix(f"{way} "): arrays[name]
                    for name in arrays
                    if name.startswith(f"{way} ")
                },
            )
            for way in WAYS
        }, about


def write_tables(tables: Tables, failed: Mapping[Path, str]) -> str:
    """Writes tables.md and tables.json of the rows that are scored, and returns both.

    The former, and below it the paper's claims and what is missing.
    """
    seeds: list[dict[str, dict[str, Scored]]] = []
    about: dict[str, Any] = {}
    for seed in tables.seeds:
        paths = {k: tables.row(seed, k) for s, k in tables.todo if s == seed}
        loaded = {k: load_row(path) for k, path in paths.items() if path.exists()}
        seeds += [{k: scored for k, (scored, _) in loaded.items()}] if loaded else []
        about = next((one for _, one in loaded.values()), about)
    text = ""
    if seeds:
        found = {k: one for k, one in SYSTEMS.items() if any(k in s for s in seeds)}
        content = {
            "heading": "# The paper's tables at full width\n\n" + _HOW_TO_READ,
            **code_version(),
            **about,
            **content_over_seeds(found, seeds),
        }
        write_text(tables.output / "tables.json", written := json_text(content))
        content = json.loads(written)
        write_text(tables.output / "tables.md", text := markdown(content))
        text += "".join(f"\n{line}" for line in claims(content)) + "\n"
    of_rows = [tables.trainings(*row).values() for row in tables.todo]
    wanted = {training.workdir for of_row in of_rows for training in of_row}
    missing = [path.name for path in tables.missing() if not is_finished(path)]
    text += f"\n{len(missing)} of {len(wanted)} trainings are missing"
    text += f": {' '.join(missing)}" if missing else ""
    return text + "".join(f"\n{path.name}: {why}" for path, why in failed.items())


def claims(content: Mapping[str, Any]) -> list[str]:
    """A line of each claim of the paper and score, where both rows are there."""
    lines = []
    for what, one, other, task in CLAIMS:
        columns = {column.key: column for column in scoring.columns(task)}
        for found in content["differences"]:
            pair = found["from"], found["to"], found["task"], found["thresholds"]
            if pair != (one, other, task, WAYS[0]):
                continue
            column, difference = columns[found["score"]], found["difference"]
            numbers = difference["value"], *difference["interval"].values()
            value, low, high = (
                "-" if x is None else column.short_text(x, "+") for x in numbers
            )
            sure = "significant" if found["is_significant"] else "not significant"
            name = f"{what}, {column.heading} of {other} less {one}"
            lines.append(f"{name}: {value} ({low} to {high}), {sure}")
    return lines


def _keep(tables: Tables, parts: Path, most_mib: int) -> None:
    others = [tables.output / _SETTINGS, *sorted(tables.output.glob("rows/*.npz"))]
    begun = [path for path in tables.missing() if (path / "config.json").exists()]
    runs = sorted(begun, key=lambda path: not is_finished(path))
    for path in kept_runs.keep(tables.output, parts, others, runs, most_mib << 20):
        print(f"--keep: no room for {path.name}, which another machine trains anew")
    for name in ("tables.md", "tables.json"):
        if (path := tables.output / name).exists():
            write_text(parts / name, path.read_text())


def _check(flags: argparse.Namespace, further: Sequence[str]) -> None:
    if wrong := [field for field in further if not field.startswith("--config.")]:
        raise ConfigError(f"unknown flags {wrong}")
    if unknown := [key for key in flags.rows if key not in SYSTEMS]:
        names = ", ".join(SYSTEMS)
        raise ConfigError(f"--rows: no row {unknown[0]!r}; there are {names}")
    if flags.seeds < 1:
        raise ConfigError(f"--seeds: expected 1 or more, got {flags.seeds}")


def _check_settings(flags: argparse.Namespace, further: Sequence[str]) -> None:
    """Raises ConfigError where rows of other trainings are in the folder."""
    now = {name: getattr(flags, name) for name in ("clips", "small", "dtype")}
    now["further"] = sorted(further)
    path = flags.output / _SETTINGS
    if path.exists() and (before := read_json(path)) != now:
        raise ConfigError(
            f"{flags.output} holds trainings of other flags:",
            f"  then {before}",
            f"  now {now}",
            "Go on with the old ones, or choose another --output",
        )
    flags.output.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(now))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.gpu_tables", __doc__, allow_abbrev=False)
    folder: dict[str, Any] = {"type": Path, "metavar": "FOLDER"}
    parser.add_argument("--output", **folder, required=True)
    parser.add_argument("--minutes", type=float, default=9.0, help="it ends before")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="0 to N - 1")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[key for key in SYSTEMS if key not in _NOT_OF_THE_PAPER],
        metavar="ROW",
        help=f"of {', '.join(SYSTEMS)}; default: all but {_NOT_OF_THE_PAPER}",
    )
    parser.add_argument("--clips", type=int, default=TRAINING_CLIPS, help="to train on")
    parser.add_argument("--small", action="store_true", help="a quarter of the width")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the products of gated networks (default: %(default)s, the paper's)",
    )
    parser.add_argument("--keep", **folder, help="gets what a later call goes on from")
    parser.add_argument("--keep_mib", type=int, default=40, help="at most, of files")
    parser.add_argument("--kept", **folder, help="what an earlier call kept")
    return parser


if __name__ == "__main__":
    run_command(main)
