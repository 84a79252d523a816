r"""Trains and scores every system of the paper's tables on one data set.

    python -m benchmarks.tables --root weak_esc10 --output runs/tables --small
    python -m benchmarks.tables --root FOLDER --output FOLDER --rows mlp crnn at

The same command again continues: runs that are finished are only scored again. Writes
tables.md and ablations.md, of the rows asked for, and the same as JSON, to the output;
the runs lie beside them. --small trains the networks of the paper's tables at a quarter
of their width for 1,200 steps (the MLP at its own, for 6,600 steps of a few clips).
Further flags, such as --config.seed=1, go to every run.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.systems import ABLATIONS, RUNS, SMALL, SMALL_GATED, SYSTEMS, Run
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser

_HOW_TO_READ = """\
In %, but for the error rate; 95 % intervals by bootstrap over clips, which hold the
trained systems and their thresholds fixed: another training would differ too. The
differences are of pairs of systems on the same draws, and not corrected for their
number. `configs/best.py` was chosen on three other sets of the kind of weak ESC-10; no
score has chosen an epoch or a fixed threshold of the other systems. The CNN ensemble
holds a tenth of the training clips out, to choose its members by.

The last column is what the paper reports of DCASE 2017 task 4, on the development set
and, after the slash, on the evaluation set: F1 (precision, recall) of tagging, F1 and
error rate of detection. Other recordings and other classes: only the order of rows
compares. Two of our rows are readings of the paper's one ungated CRNN."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags, further = _parser().parse_known_args(argv)
    if wrong := [field for field in further if not field.startswith("--config.")]:
        raise ConfigError(f"unknown flags {wrong}")
    systems = SYSTEMS | ABLATIONS
    if unknown := set(flags.rows) - set(systems):
        raise ConfigError(f"--rows: no row {unknown}; there are {', '.join(systems)}")
    if flags.root and not flags.root.is_dir():
        raise ConfigError(f"--root: {flags.root} is no folder")
    runs = {name: flags.output / "runs" / name for name in RUNS}
    for name in dict.fromkeys(name for row in flags.rows for name in systems[row].runs):
        _train(runs[name], run_flags(RUNS[name], flags.small, flags.root) + further)

    from benchmarks.scored_tables import write_tables
    from gcrnn_jax.training.parallel import configure_jax

    configure_jax()
    heading = _heading(flags, further)
    for title, table in {"tables": SYSTEMS, "ablations": ABLATIONS}.items():
        selected = {key: one for key, one in table.items() if key in flags.rows}
        if table is ABLATIONS and set(selected) <= set(SYSTEMS):
            continue  # the yardsticks alone
        if selected:
            options = {"split_name": flags.split, "heading": heading}
            write_tables(selected, runs, flags.output / title, **options)
            print((flags.output / f"{title}.md").read_text())


def run_flags(run: Run, is_small: bool, root: Path | None) -> list[str]:
    """The flags of a training, but for the folder of the run."""
    fields = [*run.fields]
    if is_small:
        fields += SMALL.get(run.config, SMALL_GATED)
    if root:
        fields.append(f"data.root={root}")
    config = f"--config=configs/{run.config}.py"
    return [config, *(f"--config.{field}" for field in fields)]


def _heading(flags: argparse.Namespace, further: list[str]) -> str:
    """Title and command, without the folders of this machine, and how to read them."""
    name = flags.root.name if flags.root else "built-in soundscapes"
    root = [f"--root {name}"] if flags.root else []
    line = " ".join([*root, *["--small"] * flags.small, *further])
    return (
        f"# Systems side by side: {name}\n\n"
        f"`python -m benchmarks.tables --output FOLDER {line}`\n\n{_HOW_TO_READ}"
    )


def _train(workdir: Path, flags: list[str]) -> None:
    """Trains a run, or goes on with it; a finished one is only scored again."""
    print(f"{workdir}: {' '.join(flags)}", flush=True)
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / "output.txt", "a") as output:
        command = ["-m", "gcrnn_jax.main", *flags, f"--workdir={workdir}"]
        code = subprocess.run([sys.executable, *command], stdout=output, check=False)
    if code.returncode:
        sys.exit(code.returncode)  # it has said why


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.tables", __doc__)
    parser.add_argument(
        "--root",
        type=Path,
        help="recordings and lists of the data set; default: built-in soundscapes",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=list(SYSTEMS),
        metavar="ROW",
        help=f"of {', '.join(SYSTEMS)} (the default), {', '.join(ABLATIONS)}",
    )
    parser.add_argument("--small", action="store_true", help="a quarter of the width")
    parser.add_argument("--split", help="to score; default: what the runs report")
    return parser


if __name__ == "__main__":
    run_command(main)
