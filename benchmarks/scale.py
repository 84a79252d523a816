"""Data sets of AudioSet's size: seconds and peak memory, one line a figure.

    python -m benchmarks.scale store lists check
    python -m benchmarks.scale loop --steps 100000
    python -m benchmarks.scale predict --recordings 100000

Items, each in a process of its own:

    store    a store is opened, its training clips counted, samplers made, batches drawn
    lists    a training list is read
    check    `check` of the lists, and of tiny recordings of some clips
    loop     a trivially small network is trained; memory by steps
    predict  tiny recordings are predicted by such a network; memory by recordings

Labels are drawn at random; shards of features are holes in files, so 2,000,000 clips
take 1.2 GB of disk. --folder keeps what was made.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.corruption import TINY
from benchmarks.scale_data import (
    PER_FOLDER,
    class_names,
    make_lists,
    make_recordings,
    make_store,
)
from gcrnn_jax.fields import at_least_one, command_parser

BATCH, DRAWN = 44, 20_000  # clips of a process, and batches that are timed
PROCESSES = 64  # that share a batch
PAUSE_S = 1e-3  # between batches: no step is faster
ITEMS = ("store", "lists", "check", "loop", "predict")


def memory_mb(field: str) -> float:
    """Memory of this process: "VmHWM" is the most, "VmRSS" and "RssAnon" are now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


@contextmanager
def figure(name: str) -> Iterator[None]:
    """Prints seconds, seconds of CPU and memory of a block."""
    started, before = time.perf_counter(), time.process_time()
    yield
    seconds, cpu = time.perf_counter() - started, time.process_time() - before
    print_figure(name, seconds, cpu, memory_mb("VmHWM"))


def print_figure(name: str, seconds: float, cpu_s: float, peak_mb: float) -> None:
    """Prints one figure on its line."""
    text = f"{seconds:10.4f} s {cpu_s:10.4f} s of CPU, at most {peak_mb:6.0f} MB"
    print(f"{name:44}{text}", flush=True)


def measure_store(flags) -> None:
    """Opens a store twice, makes samplers and draws from them."""
    from gcrnn_jax.data.sampling import Sampling
    from gcrnn_jax.data.store import FeatureStore

    path = flags.folder / "store"
    for name in ("store opened, files not seen before", "store opened again"):
        with figure(name):
            split = FeatureStore.open(path).splits["training"]
    for balanced in (True, False):
        what = "balanced" if balanced else "shuffled"
        sampling = Sampling(
            BATCH * PROCESSES, balanced, (1000, 2000, 3000, 4000), 0, 0.1, 0
        )
        with figure(f"{what} sampler made"):
            sampler = sampling.make_sampler(split.weak_label, 0)
        _draw(sampler, what)
    with figure("features of 20 batches read and verified"):
        for number in range(20):
            split.rows(sampler.batch(number, slice(BATCH)))


def _draw(sampler, what: str) -> None:
    """Times every batch of one of the processes, and its share of the CPU."""
    times: list[tuple[float, float]] = []
    for number in range(DRAWN):
        before = time.perf_counter(), time.thread_time()
        sampler.batch(number, slice(BATCH, 2 * BATCH))
        after = time.perf_counter(), time.thread_time()
        times.append((after[0] - before[0], after[1] - before[1]))
        time.sleep(PAUSE_S)
    wall, cpu = zip(*times[1:], strict=True)
    peak = memory_mb("VmHWM")
    print_figure(f"{what}: first batch", *times[0], peak)
    mean_s, mean_cpu_s = sum(wall) / len(wall), sum(cpu) / len(cpu)
    print_figure(f"{what}: mean of {DRAWN} batches", mean_s, mean_cpu_s, peak)
    print_figure(f"{what}: slowest batch but the first", max(wall), max(cpu), peak)


def measure_lists(flags) -> None:
    """Reads a training list."""
    from gcrnn_jax.data.folder import read_folder
    from gcrnn_jax.data.labels import ClassList
    from gcrnn_jax.data.lists.clip_lists import read_clip_list

    root, classes = flags.folder / "lists", ClassList(*class_names(flags.classes))
    with figure("training list read"):
        rows, findings = read_clip_list(root / "training_set.csv", classes)
    assert len(rows) == flags.clips and not findings
    del rows
    with figure("lists and recordings of the folder read"):
        read_folder(root)


def measure_check(flags) -> None:
    """Runs `check`, as its command does."""
    line = ["gcrnn_jax.check", f"--root={flags.folder / 'lists'}"]
    line += [f"--output={flags.folder / 'checked'}"]
    for more in ("--lists_only", "--workers=2"):
        # 65: most recordings are missing
        print_figure(f"check {more}", *run_module(*line, more, ends_with=(0, 65)))


def measure_loop(flags) -> None:
    """Trains a trivially small network; prints memory after powers of ten of steps."""
    import jax

    from gcrnn_jax.config import load_config
    from gcrnn_jax.runs import Run, open_store, train_run
    from gcrnn_jax.training import parallel

    per_epoch = min(1000, flags.steps)
    values = dict(flag.removeprefix("--config.").split("=") for flag in TINY[1:])
    changes = {name: ast.literal_eval(value) for name, value in values.items()}
    changes |= {"training.steps_per_epoch": per_epoch, "fusion.last_epoch": 1}
    changes |= {"training.num_epochs": flags.steps // per_epoch}
    changes |= {"data.store": str(flags.folder / "tiny")}
    config = load_config("laptop", **changes)
    parallel.configure_jax(config.sampling.batch_size, config.parallel.cpu_devices)
    workdir = flags.folder / "loop"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    started, before = time.perf_counter(), time.process_time()

    def on_epoch(epoch: int, state) -> None:
        jax.block_until_ready(state.step)
        if epoch in (1, 3, 10, 30, 100, 300, 1000):
            seconds, cpu_s = time.perf_counter() - started, time.process_time() - before
            name = f"loop: {epoch * per_epoch} steps, now {memory_mb('RssAnon'):.1f} MB"
            print_figure(name, seconds, cpu_s, memory_mb("VmHWM"))

    run = Run(workdir, config)
    train_run(run, open_store(config), parallel.make_mesh(), on_epoch)
    shutil.rmtree(workdir)


def measure_predict(flags) -> None:
    """Predicts powers of ten of tiny recordings."""
    model, output = flags.folder / "model", flags.folder / "found"
    if not (model / "averaged").is_dir():
        run_module("gcrnn_jax.main", *TINY, f"--workdir={model}")
    counts = [n for n in (1000, 10_000, 100_000) if n < flags.recordings]
    for count in (*counts, flags.recordings):
        recordings = flags.folder / f"{count}_recordings"
        shutil.rmtree(output, ignore_errors=True)
        make_recordings(recordings, count)
        line = (str(model), str(recordings), f"--output={output}", "--batch_size=64")
        used = run_module("gcrnn_jax.predict", *line, "--formats=events,tags,jsonl")
        print_figure(f"predict: {count} recordings", *used)
        shutil.rmtree(recordings)
    shutil.rmtree(output)


def run_module(
    module: str, *arguments: str, ends_with: Sequence[int] = (0,)
) -> tuple[float, float, float]:
    """Runs a command; returns seconds, seconds of CPU, and MB of its largest process.

    Raises:
        RuntimeError: It ends with another exit code.
    """
    started = time.perf_counter()
    line = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=printed)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ends_with:
            printed.seek(0)
            raise RuntimeError(f"{module}: {process.returncode}: {printed.read()}")
    seconds = time.perf_counter() - started
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.scale", __doc__)
    parser.add_argument("items", choices=ITEMS, nargs="+", metavar="ITEM")
    parser.add_argument("--folder", type=Path, help="default: a new one, removed")
    parser.add_argument("--clips", type=at_least_one, default=2_000_000)
    parser.add_argument("--classes", type=at_least_one, default=527)
    parser.add_argument("--recordings", type=at_least_one, default=100_000)
    parser.add_argument("--steps", type=at_least_one, default=100_000)
    parser.add_argument("--here", action="store_true", help="in this process")
    flags = parser.parse_args(argv)
    if flags.here:
        _MEASURES[flags.items[0]](flags)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = flags.folder or Path(temporary)
        environment = {**os.environ, "GCRNN_CACHE": str(folder / "cache")}
        for item in flags.items:
            sizes = [
                f"--{k}={getattr(flags, k)}" for k in ("clips", "classes", "steps")
            ]
            sizes += [f"--folder={folder}", f"--recordings={flags.recordings}"]
            if item == "store":
                shutil.rmtree(folder / "cache" / "verified", ignore_errors=True)
                make_store(folder / "store", flags.clips, flags.classes)
            if item in ("lists", "check"):
                some = min(PER_FOLDER, flags.clips)
                make_lists(folder / "lists", flags.clips, flags.classes, some)
            line = [sys.executable, "-m", "benchmarks.scale", item, "--here", *sizes]
            subprocess.run(line, env=environment, check=True)


_MEASURES = {
    "store": measure_store,
    "lists": measure_lists,
    "check": measure_check,
    "loop": measure_loop,
    "predict": measure_predict,
}


if __name__ == "__main__":
    main()
