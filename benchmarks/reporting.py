r"""Reporting a run on many clips of many classes: peak memory, seconds of each phase.

    python -m benchmarks.reporting --clips 2000
    python -m benchmarks.reporting --clips 20000 --folder FOLDER

All is done that the command does once a run has trained: the posteriors of the last
epoch, of fused epochs and of averaged weights are collected and scored side by side,
results and page are written. In place of the network a generator gives posteriors, the
same for the same seed; its time is printed apart. Labels are some 2.7 a clip, with
events; most posteriors are near 0, none is 0. The folder is removed at the end: it
holds the mean of the epochs, and one system at a time or the copy in the results.
"""

import argparse
import contextlib
import dataclasses
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.config import load_config
from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection import posterior_files
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.report import ReportData, examples, systems, write_page
from gcrnn_jax.report.clip_readers import empty_reader
from gcrnn_jax.runs import Run, kept_posteriors
from gcrnn_jax.runs.scores import score_systems

CLIP_S, BATCH = 10.0, 44
LABELS_A_CLIP, FALSE_ALARMS_A_CLIP = 2.7, 4.0
LOW_LOG_MEAN, LOW_LOG_STD = -6.5, 1.3  # of posteriors of classes that are not there


class Clock:
    """Wall and CPU seconds of phases; what runs within another counts for itself."""

    def __init__(self):
        self.seconds: dict[str, np.ndarray] = {}
        self._open: list[str] = ["other"]
        self._since = self._now()

    def _now(self) -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def turn(self) -> None:
        """Charges what has passed to the innermost phase."""
        now, name = self._now(), self._open[-1]
        self.seconds[name] = self.seconds.get(name, 0) + now - self._since
        self._since = now

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time of a block for a phase."""
        self.turn()
        self._open.append(name)
        try:
            yield
        finally:
            self.turn()
            self._open.pop()


class SilentSplit(Split):
    """A split whose features are all the same: the generator looks at labels alone."""

    def rows(self, indices) -> np.ndarray:
        """Float16 [n, T, F]."""
        return np.zeros((len(indices), *self.frame_shape), np.float16)


def make_split(name: str, num_clips: int, num_frames: int, num_classes: int) -> Split:
    """Labels and events at random; some classes are far more frequent than others."""
    random = np.random.default_rng(len(name))
    shares = 1 / np.arange(1, num_classes + 1) ** 0.8
    names = [f"class {k}" for k in range(num_classes)]
    weak_label, events = np.zeros((num_clips, num_classes), bool), {}
    for n in range(num_clips):
        count = min(num_classes, 1 + random.poisson(LABELS_A_CLIP - 1))
        drawn = random.choice(num_classes, count, False, shares / shares.sum())
        onsets = random.uniform(0, CLIP_S - 1, count)
        offsets = np.minimum(CLIP_S, onsets + random.gamma(2.0, 1.5, count))
        weak_label[n, drawn] = True
        triples = zip(onsets.tolist(), offsets.tolist(), drawn.tolist(), strict=True)
        events[f"{name} {n}"] = tuple((a, b, names[k]) for a, b, k in triples)
    return SilentSplit(
        name,
        clip_ids=tuple(events),
        num_frames=np.full(num_clips, num_frames, np.int32),
        weak_label=weak_label,
        events=events,
        shards=(),
        frame_shape=(num_frames, 64),
        class_names=tuple(names),
        content_hash=f"{name}{num_clips:08d}",
        data_content_hash="0",
    )


@dataclasses.dataclass
class Generator:
    """In place of a trained model: posteriors from labels and a seed."""

    card: Any
    clock: Clock
    seed: int = 0
    hop_s: float = 0.0

    def replace(self, *, variables: int) -> "Generator":
        """The same with another seed."""
        return dataclasses.replace(self, seed=variables)

    def describe(self, split: Split) -> dict[str, Any]:
        """As of a `TrainedModel`."""
        return {
            "clip_ids": split.clip_ids,
            "class_names": split.class_names,
            "hop_s": self.hop_s,
            "postprocessing": self.card.config.postprocessing,
            "clip_s": CLIP_S,
        }

    def is_large(self, split: Split) -> bool:
        """As of a `TrainedModel`."""
        size = 4 * split.frame_shape[0] * len(split.class_names)
        return posterior_files.is_large(len(split), size)

    def predict_blocks(self, split: Split) -> Iterator[posterior_files.Block]:
        """As of a `TrainedModel`: batch by batch."""
        for first in range(0, len(split), BATCH):
            with self.clock.phase("generate posteriors (in place of the network)"):
                block = self._block(split, first, min(first + BATCH, len(split)))
            yield block

    def attention(self, split: Split) -> np.ndarray:
        """The same at all frames."""
        shape = len(split), split.frame_shape[0], len(split.class_names)
        return np.full(shape, 1 / shape[1], np.float32)

    def _block(self, split: Split, first: int, end: int) -> posterior_files.Block:
        """Low levels that differ by clip and class, and louder places in a few rows."""
        shape = end - first, split.frame_shape[0], len(split.class_names)
        of_clips = np.random.default_rng([first, 0])  # the same at all epochs
        of_epoch = np.random.default_rng([first, self.seed + 1])
        low = of_clips.normal(LOW_LOG_MEAN, LOW_LOG_STD, (shape[0], 1, shape[2]))
        low = np.exp(low + of_epoch.normal(0, 0.3, low.shape)).astype(np.float32)
        noise = of_epoch.random(shape[1:], np.float32) + np.float32(0.5)
        frame = np.minimum(low * noise, np.float32(0.9))
        loud = [
            (n - first, *event)
            for n in range(first, end)
            for event in (split.events or {})[split.clip_ids[n]]
        ]
        for _ in range(of_clips.poisson(FALSE_ALARMS_A_CLIP * shape[0])):
            onset, k = of_clips.uniform(0, CLIP_S - 1), of_clips.integers(shape[2])
            name = split.class_names[k]
            loud.append((int(of_clips.integers(shape[0])), onset, onset + 1.5, name))
        column = {name: k for k, name in enumerate(split.class_names)}
        for n, onset, offset, label in loud:
            a, b = round(onset / self.hop_s), round(offset / self.hop_s)
            level = of_clips.beta(1.5, 2) + of_epoch.normal(0, 0.05)
            values = level + of_epoch.normal(0, 0.1, len(frame[n, a:b]))
            frame[n, a:b, column[label]] = np.clip(values, 1e-3, 0.999)
        return np.float32(0.95) * frame.max(1), frame


@dataclasses.dataclass(frozen=True)
class GeneratedRun(Run):
    """A run whose weights of an epoch are its number."""

    def load_epoch(self, epoch: int) -> tuple[ModelCard, Any]:
        """No card, and the seed of the generator."""
        return None, epoch  # type: ignore[return-value]


class Store:
    """As much of a feature store as reporting reads."""

    content_hash = "0"

    def __init__(self, split: Split, fit_split: Split | None):
        self.split, self.fit_split = split, fit_split

    def find_split(self, _: str | None) -> Split:
        """The one that is reported."""
        return self.split

    def find_fit_split(self, _: Split) -> Split | None:
        """The one that thresholds are found on; None: cross-fitting."""
        return self.fit_split


def report(folder: Path, flags: argparse.Namespace, clock: Clock) -> None:
    """What `main` does after training, with the generator in place of models."""
    with clock.phase("make labels"):
        sizes = flags.frames, flags.classes
        split = make_split("testing", flags.clips, *sizes)
        fit = make_split("validation", flags.fit, *sizes) if flags.fit else None
    last = 10 * (flags.epochs + 1)
    changes = {"training.num_epochs": last, "fusion.last_epoch": last}
    changes |= {"fusion.first_epoch": 20, "fusion.every": 10}
    config = load_config("sed", **changes)
    run, card = GeneratedRun(folder, config), argparse.Namespace(config=config)
    model = Generator(card, clock, hop_s=CLIP_S / flags.frames)
    collect = kept_posteriors.collect_in_first

    def timed_collect(*args, **kwargs):
        with clock.phase("fuse, write and map posteriors"):
            return collect(*args, **kwargs)

    kept_posteriors.collect_in_first = timed_collect
    store: Any = Store(split, fit)
    averaged: Any = model.replace(variables=last + 1)
    with clock.phase("thresholds, decisions and scores of seven rows"):
        rows = score_systems(run, store, model, averaged)  # type: ignore[arg-type]
    with clock.phase("write results"):
        systems.write_results(run.results(split), rows, rows[1], data_sha256="0")
    print(systems.systems_table(rows))
    with clock.phase("write the page"):
        selection = examples.select_examples(rows[1], split)
        page = run.results(split) / "report.html"
        data = ReportData(
            title="generated",
            note="",
            split=split,
            rows=rows,
            main_row=rows[1],
            selection=selection,
            front_end=config.front_end,
            read_clip=empty_reader("no recordings: posteriors are generated"),
            attention=averaged.attention(selection.select(split)),
            attention_note="",
            curves=None,
        )
        write_page(page, data)
    clock.turn()
    files = {p.name: p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    print({name: f"{size / 1e6:,.1f} MB" for name, size in files.items()})


def main() -> None:
    """The command line."""
    parser, count = command_parser("benchmarks.reporting", __doc__), at_least_one
    parser.add_argument("--clips", type=count, default=2000)
    parser.add_argument("--frames", type=count, default=240)
    parser.add_argument("--classes", type=count, default=527)
    parser.add_argument("--epochs", type=count, default=7, help="that are fused")
    what = "clips to find thresholds on; 0: the other half of the clips"
    parser.add_argument("--fit", type=int, default=0, help=what)
    what = "where files go, in a folder of their own; default: a temporary one"
    parser.add_argument("--folder", type=Path, help=what)
    flags = parser.parse_args()
    if flags.folder:
        make_folder(flags.folder)
    folder, clock = Path(tempfile.mkdtemp(dir=flags.folder)), Clock()
    try:
        report(folder, flags, clock)
    finally:
        shutil.rmtree(folder)
    for name, (wall_s, cpu_s) in clock.seconds.items():
        print(f"{name:<50} {wall_s:8.1f} s, {cpu_s:8.1f} s of CPU")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak resident memory {peak / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
