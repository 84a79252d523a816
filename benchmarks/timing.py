"""Two sides measured in turns, so that what else the machine does hits both alike."""

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gcrnn_jax.machine import num_cores
from gcrnn_jax.metrics.tables import text_table

ROUNDS = 5
RESULTS = Path(os.environ.get("GCRNN_RESULTS", Path(__file__).parent / "results"))

# flags that say what was measured; others may name folders of a machine
_KEPT = ("batch", "filters", "unroll", "warmup", "steps", "rounds", "size", "compile")

T = TypeVar("T")


def alternate(sides: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measures all sides in turns; returns what each measured in every round."""
    results: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            results[name].append(measure())
    return results


def report(
    title: str, rates: Mapping[str, Sequence[float]], unit: str, flags=None
) -> None:
    """Prints a table and keeps the figures in RESULTS, a file a title.

    Args:
        title: Of the table.
        rates: Name of a side -> its rate in every round; the last is the yardstick.
        unit: Of the rates.
        flags: Of the command, to be kept with the figures.
    """
    *_, yardstick = rates.values()
    rows = []
    for name, own in rates.items():
        ratios = [a / b for a, b in zip(own, yardstick, strict=True)]
        rows.append([name, *_middle(own, ".4g", unit), *_middle(ratios, ".3f")])
    header = ["", "median", "min - max", "ratio", "min - max"]
    print(f"\n{title}\n{text_table(header, rows)}", flush=True)
    keep(title, {"unit": unit, "rates": {k: list(v) for k, v in rates.items()}}, flags)


def _middle(values: Sequence[float], form: str, unit: str = "") -> list[str]:
    median = f"{statistics.median(values):{form}} {unit}".strip()
    return [median, f"{min(values):{form}} - {max(values):{form}}"]


def keep(title: str, figures: Mapping[str, Any], flags=None) -> None:
    """Writes figures to RESULTS, with commit, date, machine and flags."""
    import jax  # takes a second, which what is measured beside librosa should not pay

    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {
        "title": title,
        **code_version(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "flags": flags and {k: v for k, v in vars(flags).items() if k in _KEPT},
        "cores": num_cores(),
        "processor": _processor(),
        **figures,
    }
    name = "".join(c if c.isalnum() else "_" for c in title.lower())
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def code_version() -> dict[str, str]:
    """The commit that is measured, with `-dirty` if files differ from it, and the date.

    Returns:
        "commit", "" outside a repository, and "date", as 2026-11-28.
    """
    command = ["git", "describe", "--always", "--exclude=*", "--dirty"]
    options = {"cwd": Path(__file__).parent, "stderr": subprocess.DEVNULL}
    try:
        commit = subprocess.check_output(command, text=True, **options).strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        commit = ""
    return {"commit": commit, "date": datetime.date.today().isoformat()}


def _processor() -> str:
    """Its name and what bfloat16 instructions it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(fields.get("flags", "").split()) & {"avx2", "avx512f", "avx512_bf16"}
    return " ".join([fields.get("model name", "unknown"), *sorted(flags)])
