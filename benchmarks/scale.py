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

import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from gcrnn_jax.fields import at_least_one, command_parser

CLIPS_PER_SHARD = 1024
BATCH, DRAWN = 44, 20_000  # clips of a process, and batches that are timed
PROCESSES = 64  # that share a batch
PAUSE_S = 1e-3  # between batches: no step is faster
PER_FOLDER = 1000  # recordings
ITEMS = ("store", "lists", "check", "loop", "predict")
_LABELS_PER_CLIP, _LONGEST_NAME = 2.7, 24
_BLOCK = 65536  # clips whose labels are made at a time


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
    text = f"{seconds:9.3f} s {cpu_s:9.3f} s of CPU, at most {peak_mb:6.0f} MB"
    print(f"{name:44}{text}", flush=True)


def clip_ids(first: int, count: int) -> list[str]:
    """Ids as AudioSet's: a video and its seconds."""
    numbers = range(first, first + count)
    return [f"{n * 7919:011x}_{n % 300}.000_{n % 300 + 10}.000" for n in numbers]


def label_blocks(clips: int, classes: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Number of the first clip, and the classes of every clip, a block at a time.

    A class is as frequent as its rank says; the first is in every third clip or so.
    """
    random = np.random.default_rng(0)
    share = 1.0 / np.arange(1, classes + 1)
    for first in range(0, clips, _BLOCK):
        count = min(_BLOCK, clips - first)
        sizes = 1 + random.poisson(_LABELS_PER_CLIP - 1, count)
        drawn = random.choice(classes, sizes.sum(), p=share / share.sum())
        rows = np.split(drawn, np.cumsum(sizes)[:-1])
        yield first, [np.unique(row) for row in rows]


def class_names(classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and names of classes, every fifth with a comma."""
    names = [
        f"Sound of kind {n}{', loud' if n % 5 == 0 else ''}" for n in range(classes)
    ]
    return tuple(f"/m/0{n:05x}" for n in range(classes)), tuple(names)


def make_lists(folder: Path, clips: int, classes: int, recordings: int) -> Path:
    """A folder with lists as DCASE's, and tiny recordings of the first clips."""
    if folder.exists():
        return folder
    ids, names = class_names(classes)
    (audio := folder / "audio" / "training").mkdir(parents=True)
    rows = "".join(f"{one}\t{name}\n" for one, name in zip(ids, names, strict=True))
    (folder / f"sound_event_list_{classes}_classes.txt").write_text(rows)
    for split, count, offset in (
        ("training", clips, 0),
        ("testing", max(1, clips // 100), clips),
    ):
        with open(folder / f"{split}_set.csv", "w") as file:
            for first, labels in label_blocks(count, classes):
                for clip, row in zip(
                    clip_ids(offset + first, len(labels)), labels, strict=True
                ):
                    video, start, end = clip.split("_")
                    texts = (
                        ",".join(names[k] for k in row),
                        ",".join(ids[k] for k in row),
                    )
                    file.write(f'{video},{start},{end},"{texts[0]}","{texts[1]}"\n')
    source = write_recording(folder / "source.wav")
    for clip in clip_ids(0, recordings):
        os.link(source, audio / f"Y{clip}.wav")
    source.unlink()
    return folder


def write_recording(path: Path) -> Path:
    """A second of noise, not silent."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(path, noise, 16000)
    return path


def make_store(folder: Path, clips: int, classes: int) -> Path:
    """A store whose features are all 0, in files that take no disk."""
    import hashlib
    import json

    from gcrnn_jax.config import load_config
    from gcrnn_jax.data.manifest import hash_file, write_sealed
    from gcrnn_jax.data.store import CARD, FORMAT, VERSION

    if (folder / CARD).exists():
        return folder
    front_end = load_config("sed").front_end
    (split := folder / "training").mkdir(parents=True, exist_ok=True)
    shape = front_end.num_frames, front_end.num_bins
    ids, names = class_names(classes)
    weak_label = np.lib.format.open_memmap(
        split / "weak_label.npy", "w+", bool, (clips, classes)
    )
    for first, labels in label_blocks(clips, classes):
        lengths = [len(row) for row in labels]
        places = first + np.repeat(np.arange(len(labels)), lengths)
        weak_label[places, np.concatenate(labels)] = True
    weak_label.flush()
    np.save(split / "num_frames.npy", np.full(clips, shape[0], np.int32))
    (split / "clip_ids.json").write_text(json.dumps(clip_ids(0, clips), indent=0))
    files = {}
    for name in ("weak_label.npy", "num_frames.npy", "clip_ids.json"):
        path = split / name
        entry = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        files[f"training/{name}"] = entry
    shards, hashes = [], {}
    for number, first in enumerate(range(0, clips, CLIPS_PER_SHARD)):
        rows = min(CLIPS_PER_SHARD, clips - first)
        path = split / f"shard-{number:05}.npy"
        header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *shape)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(size := file.tell() + 2 * rows * shape[0] * shape[1])
        if rows not in hashes:
            hashes[rows] = hash_file(path)
        files[f"training/{path.name}"] = {"bytes": size, "sha256": hashes[rows]}
        shards.append({"file": path.name, "rows": rows})
    counts = dict(zip(names, np.asarray(weak_label).sum(0).tolist(), strict=True))
    entry = {"num_clips": clips, "num_listed": clips, "num_rejected": 0}
    entry |= {"num_frames": clips * shape[0], "has_events": False}
    entry |= {"clips_per_class": counts, "shards": shards}
    scaler = {"mean": [0.0] * shape[1], "std": [1.0] * shape[1]}
    card = {"format": FORMAT, "version": VERSION, "identity": "", "scaler": scaler}
    card |= {"data_sha256": hashlib.sha256().hexdigest(), "num_bad": 0}
    card |= {"front_end": front_end.as_dict(), "rejects_per_code": {}}
    card |= {"classes": {"ids": ids, "names": names}, "splits": {"training": entry}}
    write_sealed(folder / CARD, {**card, "files": files})
    return folder


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
        sampling = Sampling(BATCH * PROCESSES, balanced, (1000, 2000, 3000, 4000))
        with figure(f"{what} sampler made"):
            sampler = sampling.make_sampler(split.weak_label, 0)
        _draw(sampler, what)
    with figure("features of 20 batches read and verified"):
        for number in range(20):
            split.rows(sampler.batch(number, slice(BATCH)))


def _draw(sampler, what: str) -> None:
    """Times every batch of one of the processes."""
    seconds = []
    before = time.process_time()
    for number in range(DRAWN):
        started = time.perf_counter()
        sampler.batch(number, slice(BATCH, 2 * BATCH))
        seconds.append(time.perf_counter() - started)
        time.sleep(PAUSE_S)
    cpu_s = (time.process_time() - before) / DRAWN
    later = sorted(seconds[1:])
    peak = memory_mb("VmHWM")
    print_figure(f"{what}: first batch", seconds[0], seconds[0], peak)
    print_figure(f"{what}: mean of {DRAWN} batches", sum(later) / DRAWN, cpu_s, peak)
    print_figure(f"{what}: slowest batch but the first", later[-1], later[-1], peak)


def measure_lists(flags) -> None:
    """Reads a training list."""
    from gcrnn_jax.data.clip_lists import read_clip_list
    from gcrnn_jax.data.folder import read_folder
    from gcrnn_jax.data.labels import ClassList

    root, classes = flags.folder / "lists", ClassList(*class_names(flags.classes))
    with figure("training list read"):
        rows, findings = read_clip_list(root / "training_set.csv", classes)
    assert len(rows) == flags.clips and not findings
    del rows
    with figure("lists and recordings of the folder read"):
        read_folder(root)


def measure_check(flags) -> None:
    """Runs `check`, as its command does."""
    line = ["-m", "gcrnn_jax.check", f"--root={flags.folder / 'lists'}"]
    output = f"--output={flags.folder / 'checked'}"
    for more in (["--lists_only"], ["--workers=2"]):
        started, before = time.perf_counter(), _children()
        # 65: most recordings are missing
        done = subprocess.run(
            [sys.executable, *line, output, *more], check=False, capture_output=True
        )
        assert done.returncode in (0, 65), done.stderr.decode()
        after = _children()
        seconds, cpu_s = time.perf_counter() - started, after.cpu_s - before.cpu_s
        print_figure(f"check {' '.join(more)}", seconds, cpu_s, after.peak_mb)


@dataclasses.dataclass(frozen=True)
class _children:
    """Seconds of CPU of processes that have ended, and the most memory of one."""

    cpu_s: float = dataclasses.field(init=False)
    peak_mb: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        object.__setattr__(self, "cpu_s", used.ru_utime + used.ru_stime)
        object.__setattr__(self, "peak_mb", used.ru_maxrss / 1024)


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


_MEASURES = {"store": measure_store, "lists": measure_lists, "check": measure_check}


if __name__ == "__main__":
    main()
