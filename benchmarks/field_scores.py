"""The field's scores of a large set of score tables: time and memory.

    python -m benchmarks.field_scores --clips 20000 --classes 400
    python -m benchmarks.field_scores --clips 20000 --classes 400 --folder FOLDER

Tables of ten seconds, 250 frames of 40 ms, come one by one from a seed: noise with a
level of its own for each clip and class, raised during one to four events, whose edges
the scores miss a little. So the set is never in memory. Prints, of making the tables
alone and of each score, seconds, CPU seconds and the peak of memory so far.

With a folder the tables are written there as text (0.9 MB each of 400 classes; they are
deleted afterwards), and the command `evaluate` is timed from start to end, with PSDS1,
PSDS2 and event F1, also the best over all thresholds, and their intervals.
"""

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax import metrics
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.fields import at_least_one, command_parser, user_path
from gcrnn_jax.metrics import ScoreTable

CLIP_S, FRAMES = 10.0, 250
_BLOCKS = 16  # of noise, which clips take in turns, shifted and raised


class MadeTables(Iterable[ScoreTable]):
    """Score tables that are made anew, and alike, each time that they are asked for."""

    def __init__(self, num_clips: int, num_classes: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.seed, self.num_clips = seed, num_clips
        self.class_names = tuple(f"class {k:03}" for k in range(num_classes))
        self.times = np.linspace(0, CLIP_S, FRAMES + 1)
        noise = rng.standard_normal((_BLOCKS, FRAMES, num_classes), np.float32)
        noise[:, 1:] += noise[:, :-1]  # neighbours are alike
        self.noise = noise / 2

    def clip_id(self, n: int) -> str:
        """The name of a clip."""
        return f"clip{n:06}"

    def events(self, n: int) -> list[tuple[float, float, int]]:
        """Onsets, offsets and classes of a clip."""
        rng = np.random.default_rng([self.seed, n])
        most = min(4, len(self.class_names))
        onsets = rng.uniform(0, 0.9 * CLIP_S, rng.integers(1, most + 1)).round(3)
        offsets = np.minimum(onsets + rng.uniform(0.3, 5, len(onsets)), CLIP_S).round(3)
        classes = rng.choice(len(self.class_names), len(onsets), replace=False)
        return list(
            zip(onsets.tolist(), offsets.tolist(), classes.tolist(), strict=True)
        )

    def reference(self) -> dict[str, list[Event]]:
        """The events of every clip."""
        return {
            self.clip_id(n): [
                Event(onset, offset, self.class_names[k])
                for onset, offset, k in self.events(n)
            ]
            for n in range(self.num_clips)
        }

    def __iter__(self) -> Iterator[ScoreTable]:
        for n in range(self.num_clips):
            rng = np.random.default_rng([self.seed, n, 1])
            level = rng.normal(-8, 1.5, len(self.class_names)).astype(np.float32)
            scores = self.noise[n % _BLOCKS] + level
            for onset, offset, k in self.events(n):
                near = np.array([onset, offset]) + rng.normal(0, 0.15, 2)
                first, end = np.searchsorted(self.times, near)
                scores[first:end, k] += np.float32(rng.normal(10, 2))
            yield ScoreTable(self.clip_id(n), self.class_names, self.times, scores)


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.field_scores", __doc__)
    parser.add_argument("--clips", type=at_least_one, default=20_000)
    parser.add_argument("--classes", type=at_least_one, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=user_path, help="time the command on files")
    parser.add_argument("--draws", type=int, default=1000, help="with --folder")
    flags = parser.parse_args()
    tables = MadeTables(flags.clips, flags.classes, flags.seed)
    if flags.folder:
        with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
            time_command(tables, Path(folder), flags.draws)
        return
    reference = tables.reference()
    durations = dict.fromkeys(reference, CLIP_S)

    def event_f1() -> float:
        estimated = {table.clip_id: table.events(0.0) for table in tables}
        return metrics.event_scores(reference, estimated).macro_f1

    def best_event_f1() -> float:
        # As many false alarms an hour as PSDS looks at.
        most = int(metrics.PSDS1.max_efpr * flags.clips * CLIP_S / 3600)
        return metrics.f1_curves(
            tables,
            reference,
            criteria=metrics.Collars(time_decimals=6),
            max_false_positives=most,
        ).best_macro_f1()

    measure("tables, made once", lambda: sum(1 for _ in tables))
    measure("event F1, one threshold", event_f1)
    measure("event F1, best thresholds", best_event_f1)
    for name in ("PSDS1", "PSDS2"):
        data = tables, reference, durations, getattr(metrics, name)
        measure(name, lambda data=data: metrics.psds(*data).value)


def time_command(tables: MadeTables, folder: Path, num_draws: int) -> None:
    """Prints what `evaluate` takes for tables in files."""
    write(tables, folder)
    start = time.perf_counter()
    lists = ("reference", "durations")
    flags = [f"--{name}={folder / name}.tsv" for name in lists]
    flags += [f"--estimated={folder / 'scores'}", f"--draws={num_draws}"]
    flags += [
        f"--output={folder / 'scores.json'}",
        "--metrics",
        *"psds event best".split(),
    ]
    command = [sys.executable, "-m", "gcrnn_jax.evaluate", *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_mb(process.pid))
        time.sleep(0.2)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(process.returncode)
    found = json.loads((folder / "scores.json").read_text())["figures"]
    figures = {
        "score": f"evaluate, {num_draws} draws",
        "values": {
            f"{f['quantity'].partition('[')[0]}, {f['average']}": round(f["value"], 4)
            for f in found
            if f["average"] in ("classes", "macro") and f["value"] is not None
        },
        "draws": sorted({figure["draws"] for figure in found}),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(peak),
    }
    print(json.dumps(figures), flush=True)


def write(tables: MadeTables, folder: Path) -> None:
    """Writes a reference, durations and score tables with six decimals."""
    (folder / "scores").mkdir()
    digits = np.array([b"\t%.6f" % (n / 1e6) for n in range(1_000_001)])
    header = "\t".join(["onset", "offset", *tables.class_names]).encode()
    rows, durations = [], []
    for n, table in enumerate(tables):
        name = f"{table.clip_id}.wav"
        rows += [
            f"{name}\t{onset}\t{offset}\t{tables.class_names[k]}\n"
            for onset, offset, k in tables.events(n)
        ]
        durations.append(f"{name}\t{CLIP_S}\n")
        number = np.rint(1e6 / (1 + np.exp(-table.scores))).astype(int)
        lines = [
            b"%.6f\t%.6f" % times
            for times in zip(table.times, table.times[1:], strict=False)
        ]
        text = (
            line + row.tobytes()
            for line, row in zip(lines, digits[number], strict=True)
        )
        path = folder / "scores" / f"{table.clip_id}.tsv"
        path.write_bytes(b"\n".join([header, *text, b""]))
    (folder / "reference.tsv").write_text("".join(rows))
    (folder / "durations.tsv").write_text("".join(durations))


def memory_mb(pid: int) -> float:
    """What a process and those that it started have in memory, shared parts once."""
    kb = 0
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kb = sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                kb += 1024 * memory_mb(int(child))
    return kb / 1024


def measure(name: str, score: Callable[[], Any]) -> None:
    """Prints what a score is and what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    value = score()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "score": name,
        "value": round(value, 4),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(peak),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
