"""Two sides measured in turns, so that what else the machine does hits both alike."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gcrnn_jax.metrics.tables import text_table

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5


@dataclass(frozen=True)
class Measured:
    """One side of a comparison: its rate in every round."""

    name: str
    unit: str
    rates: tuple[float, ...]
    ratios: tuple[float, ...]  # to the last side, round by round

    @property
    def cells(self) -> list[str]:
        """Name, median rate and spread, median ratio and spread."""
        return [
            self.name,
            f"{statistics.median(self.rates):.4g} {self.unit}",
            f"{min(self.rates):.4g} - {max(self.rates):.4g}",
            f"{statistics.median(self.ratios):.3f}",
            f"{min(self.ratios):.3f} - {max(self.ratios):.3f}",
        ]


def alternate(
    sides: Mapping[str, Callable[[], float]], *, unit: str, rounds: int = ROUNDS
) -> list[Measured]:
    """Measures all sides in turns.

    Args:
        sides: Name -> a measurement that returns a rate; the last is the yardstick.
        unit: Of the rates.
        rounds: How often all sides are measured.

    Returns:
        One entry a side.
    """
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            rates[name].append(measure())
    *_, yardstick = rates.values()
    return [
        Measured(
            name,
            unit,
            tuple(own),
            tuple(a / b for a, b in zip(own, yardstick, strict=True)),
        )
        for name, own in rates.items()
    ]


def report(title: str, measured: Sequence[Measured]) -> None:
    """Prints a table and keeps the figures in results/, a file a title."""
    header = ["", "median", "min - max", "ratio", "min - max"]
    print(f"\n{title}\n{text_table(header, [side.cells for side in measured])}")
    RESULTS.mkdir(exist_ok=True)
    content = {
        "title": title,
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "sides": [asdict(side) for side in measured],
    }
    name = "".join(c if c.isalnum() else "_" for c in title.lower())
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


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
