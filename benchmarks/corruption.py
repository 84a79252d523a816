"""Damages files of a run, its store, models and posteriors; shows what goes unnoticed.

    python -m benchmarks.corruption --trials 1000 --output corruption.json

Each trial draws a file and a fault, loads what the file belongs to, and takes the fault
back: it was noticed (an error of ours or a warning), was harmless (what was loaded is
equal) or silent. Then newest states are damaged: training has to go on from the one
before. The run is tiny and of built-in soundscapes; --folder keeps it.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging as python_logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import GcrnnError
from gcrnn_jax.exporting.exported_model import ExportedModel
from gcrnn_jax.fields import command_parser
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.runs import Run, provenance, read_card_and_variables
from gcrnn_jax.runs.training import make_train_step
from gcrnn_jax.training import parallel, phases
from gcrnn_jax.training.checkpoints import Checkpoints, saved_steps
from gcrnn_jax.training.state import initial_state

KINDS = ("bit", "byte", "zeroed", "truncated", "swapped")
NOTICED, HARMLESS, SILENT = "noticed", "harmless", "silent"
EPOCHS, STEPS = 3, 3  # of a tiny run, and of each of its epochs
TINY = (
    *("--config=laptop", "--config.data.soundscapes=(16,8,8)"),
    *("--config.data.num_workers=0", "--config.front_end.clip_s=1.0"),
    *("--config.model.blocks=(1,)", "--config.model.time_pooling=(2,)"),
    *("--config.model.frequency_pooling=(2,)", "--config.model.filters=4"),
    *("--config.model.last_filters=8", "--config.model.rnn_units=4"),
    *("--config.sampling.batch_size=8", "--config.parallel.cpu_devices=1"),
    f"--config.training.steps_per_epoch={STEPS}",
    f"--config.training.num_epochs={EPOCHS}",
    *("--config.fusion.first_epoch=1", f"--config.fusion.last_epoch={EPOCHS}"),
    "--config.fusion.every=1",
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault of a file that is not empty.

    Attributes:
        kind: Of `KINDS`.
        path: Of the file.
        place: In [0, 1), of its bytes: where the fault is, or where the file is cut.
        bits: 1 to 255, flipped in the byte; of "bit" one of them.
        other: A file of the same size, of "swapped".
    """

    kind: str
    path: Path
    place: float = 0.5
    bits: int = 1
    other: Path | None = None

    def damage(self) -> None:
        """Damages the file for good."""
        before = self.path.read_bytes()
        content, at = bytearray(before), int(self.place * len(before))
        if self.kind in ("bit", "byte"):
            content[at] ^= self.bits
        elif self.kind == "zeroed":
            content[at : at + 512] = bytes(len(content[at : at + 512]))
        elif self.kind == "truncated":
            del content[at:]
        elif self.other is not None:
            content = self.other.read_bytes()
            self.other.write_bytes(before)
        self.path.write_bytes(content)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Damages the file; undone at the end."""
        files = [self.path, *([self.other] if self.other else [])]
        before = {path: path.read_bytes() for path in files}
        self.damage()
        try:
            yield
        finally:
            for path, whole in before.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(whole)


def draw_fault(files: Sequence[Path], random: np.random.Generator) -> Fault:
    """Draws a file, a kind and a place; "swapped" only where there is a partner."""
    files = [path for path in files if path.stat().st_size]
    path = files[random.integers(len(files))]
    size = path.stat().st_size
    partners = [p for p in files if p != path and p.stat().st_size == size]
    kind = KINDS[random.integers(len(KINDS) if partners else len(KINDS) - 1)]
    bits = 1 << random.integers(8) if kind == "bit" else random.integers(1, 256)
    other = partners[random.integers(len(partners))] if kind == "swapped" else None
    return Fault(kind, path, random.random(), int(bits), other)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A run, its store and an export of it, and how each of their files is loaded."""

    run: Run
    store: Path
    exported: Path

    def files(self) -> list[Path]:
        """All files of the three, but for locks."""
        folders = (self.run.folder, self.store, self.exported)
        found = (path for folder in folders for path in sorted(folder.rglob("*")))
        return [path for path in found if path.is_file() and path.name != ".lock"]

    def loads(self, path: Path) -> list[Callable[[], Any]]:
        """What loads the things that a file is a part of; nothing: nobody reads it."""
        if path.is_relative_to(self.exported):
            return [lambda: ExportedModel.load(self.exported, 8).content_hash]
        if path.is_relative_to(self.store):
            return [lambda: load_store(self.store)]
        folder, *rest = path.relative_to(self.run.folder).parts
        loads: dict[str, Callable[[], Any]] = {
            "averaged": lambda: _model(self.run.averaged),
            "checkpoints": lambda: _model(self.run.models / rest[0]),
            "resume": self.restore,
            "posteriors": lambda: _posteriors(path),
            "results": lambda: _posteriors(path) if path.suffix == ".npz" else None,
            "config.json": lambda: Run.open(self.run.folder).config.to_dict(),  # noqa: PLW0108
            "data.json": lambda: self.run.check_data(FeatureStore.open(self.store)),
            "metrics.jsonl": self.run.curves,
            "scores.jsonl": self.run.curves,
            phases.FILE: lambda: phases.read_account(path),
            provenance.FILE: lambda: provenance.read_starts(path),
        }
        return [loads[folder]]

    def restore(self) -> Any:
        """The state that training goes on from, read from a copy of the folder."""
        store = FeatureStore.open(self.store)
        card = ModelCard.from_run(self.run.config, store)
        step = make_train_step(self.run, card, store)
        shape = {"num_frames": card.front_end.num_frames}
        shape |= {"num_bins": card.front_end.num_bins, "seed": self.run.config.seed}
        average = self.run.config.training.weight_average > 0
        like = initial_state(step.model, step.optimizer, average=average, **shape)
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(self.run.states, Path(folder) / "resume")
            checkpoints = Checkpoints(Path(folder) / "models", copy, card.to_dict())
            try:
                return checkpoints.restore(like, parallel.make_mesh())
            finally:
                checkpoints.close()


def load_store(path: Path) -> Any:
    """All that a store holds."""
    store = FeatureStore.open(path)
    splits = [
        (split.rows(np.arange(len(split))), split.weak_label, split.num_frames)
        for split in store.splits.values()
    ]
    texts = [(split.clip_ids, split.events) for split in store.splits.values()]
    return store.card, store.mean, store.std, splits, repr(texts)


def _model(path: Path) -> Any:
    card, variables = read_card_and_variables(path)
    return card.to_dict(), variables


def _posteriors(path: Path) -> Any:
    one = PosteriorSet.load(path)
    texts = one.clip_ids, one.class_names, one.hop_s, one.postprocessing
    return one.clip, one.frame, repr(texts)


def digest(content: Any) -> str:
    """SHA-256 of arrays and plain values."""
    hashed = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(content):
        text = leaf.tobytes() if hasattr(leaf, "tobytes") else repr(leaf).encode()
        hashed.update(repr(path).encode() + np.asarray(text).tobytes())
    return hashed.hexdigest()


class Warnings(python_logging.Handler):
    """Keeps the warnings that are logged while it is open, to itself."""

    def __init__(self):
        """Nothing is counted before `with`."""
        super().__init__(python_logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: python_logging.LogRecord) -> None:
        """Called by `logging`."""
        self.messages.append(record.getMessage())

    def __enter__(self) -> "Warnings":
        logger = logging.get_absl_logger()
        self._before: list[python_logging.Handler] = logger.handlers
        setattr(logger, "handlers", [self])  # noqa: B010
        return self

    def __exit__(self, *_) -> None:
        logging.get_absl_logger().handlers = self._before


def outcome(load: Callable[[], Any], expected: str) -> str:
    """What a load came to, whose content without a fault has the digest expected."""
    with Warnings() as warnings:
        try:
            found = digest(load())
        except GcrnnError:
            return NOTICED
    # of classes with few clips or none, which a sound run warns of too
    if any("learnt" not in message for message in warnings.messages):
        return NOTICED
    return HARMLESS if found == expected else SILENT


def run_trials(subject: Subject, trials: int, seed: int) -> tuple[Counter, list[str]]:
    """Draws and applies faults; returns the outcomes, and what was silent."""
    random, files = np.random.default_rng(seed), subject.files()
    counts, silent, expected = Counter(), [], {}
    for _ in range(trials):
        fault = draw_fault(files, random)
        paths = [fault.path, *([fault.other] if fault.other else [])]
        loads = [(path, load) for path in paths for load in subject.loads(path)]
        for path, load in loads:
            if path not in expected:
                expected[path] = digest(load())
        with fault.applied():
            results = [outcome(load, expected[path]) for path, load in loads]
        found = next((x for x in (SILENT, NOTICED) if x in results), HARMLESS)
        if found == SILENT and NOTICED in results:
            found = NOTICED  # one of two swapped files was
        counts[found] += 1
        if found == SILENT:
            silent.append(str(fault))
    return counts, silent


def run_fallbacks(subject: Subject, trials: int, seed: int) -> Counter:
    """Damages newest states; counts how training would go on."""
    random, counts = np.random.default_rng(seed), Counter()
    *_, before, newest = saved_steps(subject.run.states)
    whole = digest(subject.restore())
    folder = subject.run.states / str(newest)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for _ in range(trials):
        fault = draw_fault(files, random)
        with fault.applied(), Warnings():
            changed = fault.path.read_bytes()
            state = subject.restore()
        if changed == fault.path.read_bytes():
            counts["unchanged"] += 1
        elif int(state.step) == before:
            counts["fell back"] += 1
        else:
            counts["harmless" if digest(state) == whole else SILENT] += 1
    return counts


def make_subject(folder: Path) -> Subject:
    """Trains and exports a tiny run in a folder, if it is not there."""
    workdir, store = folder / "run", folder / "store"
    environment = {**os.environ, "GCRNN_CACHE": str(folder / "cache")}
    flags = (*TINY, f"--workdir={workdir}", f"--config.data.store={store}")
    if not (workdir / "results").is_dir():
        _python(environment, "gcrnn_jax.main", *flags)
    if not (folder / "exported").is_dir():
        arguments = (workdir, "--output", folder / "exported", "--formats", "stablehlo")
        _python(environment, "gcrnn_jax.export", *arguments)
    return Subject(Run.open(workdir), store, folder / "exported")


def _python(environment, module: str, *arguments) -> None:
    line = [sys.executable, "-m", module, *map(str, arguments)]
    subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.corruption", __doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--fallbacks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="of the run; default: a new one")
    parser.add_argument("--output", type=Path, help="JSON; default: printed only")
    flags = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = flags.folder or Path(temporary)
        os.environ["GCRNN_CACHE"] = str(folder / "cache")
        subject = make_subject(folder)
        counts, silent = run_trials(subject, flags.trials, flags.seed)
        fallbacks = run_fallbacks(subject, flags.fallbacks, flags.seed)
    result = {"trials": flags.trials, **{k: counts[k] for k in (NOTICED, HARMLESS)}}
    result |= {SILENT: counts[SILENT], "fallbacks": dict(fallbacks), "which": silent}
    text = json.dumps(result, indent=1)
    print(text)
    if flags.output:
        flags.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
