r"""Trains and scores every system of the paper's tables on one data set.

    python -m benchmarks.tables --root weak_esc10 --output runs/tables --small
    python -m benchmarks.tables --root FOLDER --output FOLDER --rows mlp crnn at

The same command again continues: runs that are finished are not trained again. Rows
that are not asked for are in the tables too once their runs are there. Writes tables.md
and ablations.md, and the same as JSON, to the output; the runs lie beside them. --small
trains every network at a quarter of its width for 1,200 steps. Further flags, such as
--config.seed=1, go to every run.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.systems import ABLATIONS, RUNS, SMALL, SMALL_GATED, SYSTEMS
from gcrnn_jax.data.event_lists import write_text
from gcrnn_jax.errors import ConfigError, run_command

_FLAGS = "flags.txt"  # in the folder of a run


def main() -> None:
    """The command line."""
    flags, flags.fields = _parser().parse_known_args()
    if wrong := [field for field in flags.fields if not field.startswith("--config.")]:
        raise ConfigError(f"unknown flags {wrong}")
    known = SYSTEMS | ABLATIONS
    if unknown := set(flags.rows) - set(known):
        raise ConfigError(f"--rows: no row {unknown}; there are {', '.join(known)}")
    for name in dict.fromkeys(name for row in flags.rows for name in known[row].runs):
        _train(name, flags)

    from benchmarks.scored_tables import write_tables
    from gcrnn_jax.system import use_this_machine

    use_this_machine()
    runs = {name: _workdir(flags, name) for name in RUNS}
    for title, systems in {"tables": SYSTEMS, "ablations": ABLATIONS}.items():
        found = {
            key: system
            for key, system in systems.items()
            if all(_is_finished(name, flags) for name in system.runs)
        }
        if found:
            options = {"split_name": flags.split, "heading": _heading(flags)}
            write_tables(found, runs, flags.output / title, **options)
            print((flags.output / f"{title}.md").read_text())


def _workdir(flags: argparse.Namespace, name: str) -> Path:
    return flags.output / "runs" / name


def _is_finished(name: str, flags: argparse.Namespace) -> bool:
    """Whether a run has its scores.

    Raises:
        ConfigError: It was begun with other flags, and would not be this row.
    """
    workdir = _workdir(flags, name)
    if not (workdir / _FLAGS).exists():
        return False
    now = " ".join(_differences(name, flags))
    if (before := (workdir / _FLAGS).read_text()) != now:
        raise ConfigError(
            f"{workdir} was begun with other flags:\n  {before}\n  {now}\n"
            "Give the same ones again, or another --output"
        )
    return any(workdir.glob("results/*/scores.json"))


def _differences(name: str, flags: argparse.Namespace) -> list[str]:
    """The flags that make a run what it is, wherever it and its data lie."""
    run = RUNS[name]
    fields = [*run.fields]
    if flags.small:
        fields += SMALL.get(run.config, SMALL_GATED)
    return [
        f"--config=configs/{run.config}.py",
        *(f"--config.{field}" for field in fields),
        *flags.fields,
    ]


def _heading(flags: argparse.Namespace) -> str:
    """Title and commands, without the folders of this machine."""
    name = flags.root.name if flags.root else "built-in soundscapes"
    further = [f"--root {name}"] if flags.root else []
    further += ["--small"] * flags.small + flags.fields
    return (
        f"# Systems side by side: {name}\n\n"
        f"`python -m benchmarks.tables --output FOLDER {' '.join(further)}`\n\n"
        "Ours with 95 % intervals by bootstrap over clips, which hold the trained "
        "systems and their thresholds fixed. The last column is what the paper reports "
        "of DCASE 2017 task 4, development / evaluation set: other recordings, other "
        "classes; only the order of rows compares. Epochs are those of the "
        "configurations, none was chosen by a score."
    )


def _train(name: str, flags: argparse.Namespace) -> None:
    if _is_finished(name, flags):
        return
    workdir, line = _workdir(flags, name), _differences(name, flags)
    print(f"training {name}: {workdir}", flush=True)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / _FLAGS, " ".join(line))
    line.append(f"--workdir={workdir}")
    if flags.root:
        line.append(f"--config.data.root={flags.root}")
    with open(workdir / "output.txt", "a") as output:
        command = [sys.executable, "-m", "gcrnn_jax.main", *line]
        code = subprocess.run(command, stdout=output, check=False).returncode
    if code:
        sys.exit(code)  # it has said why


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
