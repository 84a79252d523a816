r"""Whole processes: start-up and preparation, with their peak memory.

    python -m benchmarks.commands
    python -m benchmarks.commands --root FOLDER

With --root, in the layout of DCASE 2017 Task 4, `prepare` is measured beside a loop of
librosa over the same recordings in two processes.
"""

import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import ROUNDS, alternate, keep, report
from gcrnn_jax.fields import command_parser
from gcrnn_jax.metrics.tables import text_table

ONE_STEP = (
    "--config=configs/sed.py",
    "--config.data.soundscapes=(60,12,12)",
    "--config.sampling.batch_size=8",
    "--config.training.steps_per_epoch=1",
    "--config.training.num_epochs=1",
    "--config.fusion.epochs=1",
)


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.commands", __doc__)
    parser.add_argument("--root", type=Path)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GCRNN_CACHE"] = str(Path(folder) / "cache")
        _measure(Path(folder), flags.root)


def _measure(folder: Path, root: Path | None) -> None:
    workdir = folder / "run"

    def one_step() -> tuple[float, float]:
        shutil.rmtree(workdir, ignore_errors=True)
        line = ["-m", "gcrnn_jax.main", *ONE_STEP, f"--workdir={workdir}"]
        return run_process(line, until="epoch 1/")

    one_step()  # makes the clips and compiles
    rows = []
    for name, measure in {
        "import gcrnn_jax": lambda: run_process(["-c", "import gcrnn_jax"]),
        "main --help": lambda: run_process(["-m", "gcrnn_jax.main", "--help"]),
        "main, full size: to the end of an epoch of one step": one_step,
    }.items():
        seconds, memory = zip(*[measure() for _ in range(ROUNDS)], strict=True)
        middle = statistics.median(seconds)
        spread = f"{min(seconds):.2f} - {max(seconds):.2f}"
        rows.append([name, f"{middle:.2f} s", spread, f"{max(memory):.0f} MB"])
    print(text_table(["second run of", "median", "min - max", "peak memory"], rows))
    _, memory = run_process(
        ["-m", "benchmarks.step", "--batch=44", "--rounds=1", "--steps=3"]
    )
    print(f"training, full size, batch 44: {memory:.0f} MB")
    rows.append(["training, full size, batch 44", "", "", f"{memory:.0f} MB"])
    keep("whole processes", {"rows": rows})
    if root is not None:
        recordings = sorted(p for p in root.glob("audio/**/*") if p.is_file())
        store = folder / "store"
        sides = {
            "prepare": lambda: _prepare(root, store, len(recordings)),
            "librosa": lambda: _librosa_loop(recordings),
        }
        report("prepare, 2 processes", alternate(sides, ROUNDS), "clips/s")


def _prepare(root: Path, store: Path, count: int) -> float:
    shutil.rmtree(store, ignore_errors=True)
    line = ["-m", "gcrnn_jax.prepare", f"--root={root}", f"--output={store}"]
    seconds, memory = run_process([*line, "--workers=2"])
    print(f"prepare: {count} clips, {seconds:.1f} s, {memory:.0f} MB")
    return count / seconds


def _librosa_loop(recordings: list[Path]) -> float:
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_librosa, recordings, chunksize=16)
    return len(recordings) / (time.perf_counter() - start)


def _librosa(path: Path):
    import librosa

    from benchmarks.features import librosa_log_mel

    return librosa_log_mel(librosa.load(path, sr=16000)[0])


def run_process(arguments: list[str], until: str | None = None) -> tuple[float, float]:
    """Seconds to the end, or to a line that begins so, and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    seconds, lines = None, []
    for line in process.stderr:
        lines.append(line)
        if until and line.startswith(until):
            seconds = time.perf_counter() - start
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or (until and seconds is None):
        sys.exit(f"{' '.join(arguments)}: {''.join(lines[-5:])}")
    seconds = time.perf_counter() - start if seconds is None else seconds
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
