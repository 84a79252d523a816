"""Trainings of one configuration on several folds: started, found, their posteriors."""

import dataclasses
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.runs import Run
from gcrnn_jax.runs.provenance import FILE as STARTS
from gcrnn_jax.runs.provenance import read_starts
from gcrnn_jax.training.phases import FILE as ACCOUNT
from gcrnn_jax.training.phases import read_account

_CPU = "cpu_s.txt"  # seconds of each start, a line each; in the folder of the run
_OF_MACHINE = ("--workdir=", "--config.data.root=")  # flags that make no other run


def fold_folders(root: Path, names: Sequence[str] = ()) -> list[Path]:
    """The data sets in a folder, or those of some names, in order.

    Raises:
        ConfigError: It is no folder, or has none of a name.
    """
    if not root.is_dir():
        raise ConfigError(f"--folds: {root} is no folder")
    found = sorted(path for path in root.iterdir() if path.is_dir())
    there = [path.name for path in found]
    if unknown := [name for name in names if name not in there]:
        raise ConfigError(f"--only: no fold {unknown[0]!r}; there are {there}")
    return [path for path in found if not names or path.name in names]


def train(workdir: Path, flags: Sequence[str]) -> None:
    """Trains a run, or goes on with it, unless it has results.

    Raises:
        ConfigError: It has results, of other flags.
    """
    if is_finished(workdir):
        _check_flags(workdir, flags)
        return
    workdir.mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-m", "gcrnn_jax.main", *flags, f"--workdir={workdir}"]
    print(" ".join(line[1:]), flush=True)
    before = _children_s()
    with open(workdir / "output.txt", "a") as out:
        code = subprocess.run(line, stdout=out, check=False).returncode
    with open(workdir / _CPU, "a") as file:
        file.write(f"{_children_s() - before:.1f}\n")
    if code:
        sys.exit(code)  # it has said why


def is_finished(workdir: Path) -> bool:
    """Whether a run has been trained and scored."""
    return any(workdir.glob("results/*/report.html"))


def load(workdir: Path) -> tuple[Split, PosteriorSet]:
    """What a finished run reports on, and its fused posteriors.

    With the thresholds of its configuration, which the clips have not chosen.
    """
    run = Run.open(workdir)
    split = run.open_store().find_split(None)
    fused = PosteriorSet.load(run.results(split) / "posteriors.npz")
    rules = run.config.postprocessing
    return split, dataclasses.replace(fused, postprocessing=rules)


def flags_of(workdir: Path) -> list[str]:
    """The flags of a run's last start but for its folders; [] where none is known."""
    path = workdir / STARTS
    command = read_starts(path)["starts"][-1]["command"] if path.exists() else []
    flags = [flag for flag in command if flag.startswith("--")]
    return [flag for flag in flags if not flag.startswith(_OF_MACHINE)]


def wall_s(workdir: Path) -> float:
    """Seconds of all starts of a run."""
    return read_account(workdir / ACCOUNT)["wall_s"]


def cpu_s(workdir: Path) -> float:
    """Processor seconds of all starts that `train` made; nan for none."""
    path = workdir / _CPU
    return sum(map(float, path.read_text().split())) if path.exists() else float("nan")


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _check_flags(workdir: Path, flags: Sequence[str]) -> None:
    before = set(flags_of(workdir))
    now = {flag for flag in flags if not flag.startswith(_OF_MACHINE)}
    if before and before != now:
        raise ConfigError(
            f"{workdir} holds a finished run of other flags:",
            *(f"  then {flag}" for flag in sorted(before - now)),
            *(f"  now {flag}" for flag in sorted(now - before)),
            "Choose another --name, or another --output",
        )
