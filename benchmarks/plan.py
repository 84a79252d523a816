"""Measures a GPU within a time limit, the most valuable figures first.

    python -m benchmarks.plan --limit_s=470 --output=FOLDER --peer="PYTHON SCRIPT"

Every item is a process of its own with its own limit: one that fails, or hangs, is a
line, and the next one runs. Figures are printed and written to FOLDER/figures.jsonl one
by one, all other output goes to FOLDER/log.txt. At the end: which bars are met, and
what to do next. Without a GPU everything runs at a tiny size.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bars import report_bars
from benchmarks.variants import VARIANTS, Variant, best_together, best_variant

# what our package imports beyond JAX, and a machine without it may lack
PACKAGE = ("flax", "optax", "orbax", "grain", "ml_collections", "soundfile", "soxr")
_LEAST_S = 2.0  # less than that is no time for an item
_RESERVE_S = 6.0  # to end the last item, and for the bars


class Item(NamedTuple):
    """A process of the plan.

    Attributes:
        name: Of its lines.
        arguments: Of the interpreter.
        cap_s: It is killed then, or when it has had half of the time that is left.
        needs: Modules; where one is missing, a line says so.
        environment: Added to that of the plan.
        takes_rest: It may use all the time that is left.
    """

    name: str
    arguments: tuple[str, ...]
    cap_s: float
    needs: tuple[str, ...] = PACKAGE
    environment: Mapping[str, str] = {}
    takes_rest: bool = False


class Recorder(list[dict[str, Any]]):
    """The figures so far; each is printed and on disk as soon as it is added."""

    def __init__(self, folder: Path):
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._start = time.monotonic()
        self._file = open(folder / "figures.jsonl", "a")
        self._log = open(folder / "log.txt", "a")

    def add(self, item: str, figure: dict[str, Any]) -> None:
        """Adds a figure of an item."""
        at = round(time.monotonic() - self._start, 1)
        self.append({"item": item, "at_s": at, **figure})
        self._file.write(json.dumps(self[-1]) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        fields = [f"{key}={_short(value)}" for key, value in figure.items()]
        print(f"{at:5.0f} s  {item}: {', '.join(fields[1:])}", flush=True)

    def log(self, line: str) -> None:
        """Writes a line that is no figure to the log alone."""
        self._log.write(line)
        self._log.flush()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_plan(items: Iterable[Item], recorder: Recorder, limit_s: float) -> None:
    """Runs items one after the other; returns before the limit, come what may."""
    ends = time.monotonic() + limit_s - _RESERVE_S
    for item in items:
        left = ends - time.monotonic()
        limit = min(item.cap_s, left if item.takes_rest else left / 2)
        missing = [name for name in item.needs if find_spec(name) is None]
        start = time.monotonic()
        if missing:
            outcome = f"left out: no module {', '.join(missing)}"
        elif limit < _LEAST_S:
            outcome = "left out: no time"
        else:
            outcome = _run_item(item, limit, recorder)
        seconds = round(time.monotonic() - start, 2)
        recorder.add(
            item.name, {"figure": "item", "outcome": outcome, "seconds": seconds}
        )


def _run_item(item: Item, limit_s: float, recorder: Recorder) -> str:
    """Returns "done", or why it is not."""
    recorder.log(f"--- {item.name}: {' '.join(item.arguments)}\n")
    process = subprocess.Popen(
        [sys.executable, *item.arguments],
        env={**os.environ, **item.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last: list[str] = []
    # a thread: what outlives the process may hold its output open
    reader = threading.Thread(target=_read, args=(process, item, recorder, last))
    reader.daemon = True
    reader.start()
    try:
        code = process.wait(limit_s)
        reader.join(0.5)
    except subprocess.TimeoutExpired:
        return f"STOPPED after {limit_s:.0f} s"
    finally:
        _kill_group(process)
        reader.join(0.5)
    return "done" if code == 0 else f"FAILED ({code}): {''.join(last)[:200]}"


def _read(process, item: Item, recorder: Recorder, last: list[str]) -> None:
    for line in process.stdout:
        if line.startswith('{"figure"') and line.endswith("}\n"):
            recorder.add(item.name, json.loads(line))
            continue
        recorder.log(line)
        if line.strip():
            last[:] = [line.strip()]


def _kill_group(process: subprocess.Popen) -> None:
    """Ends a process and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold it
        process.wait(_RESERVE_S / 2)


def gpu_items(recorder: Recorder, folder: Path, peer: str | None) -> Iterator[Item]:
    """The plan, item after item; what comes later depends on the figures so far."""
    yield Item("device", ("-m", "benchmarks.peaks"), 60, ("jax",))
    device = [one for one in recorder if one["figure"] == "device"]
    is_tiny = bool(device) and device[0]["platform"] == "cpu"
    if not device or (is_tiny and device[0]["driver"]):
        return  # without JAX nothing else runs, and a GPU that it does not see is none
    tiny = ("--filters=2", "--steps=1", "--rounds=1", "--devices=1")
    tiny += ("--blocks", "1", "1", "1", "1")
    network = tiny if is_tiny else ("--steps=20", "--rounds=3", "--warmup=3")
    batches = ("2",) if is_tiny else ("44", "256")
    checked = (*tiny, "--batch=2") if is_tiny else ("--filters=16", "--batch=4")
    yield Item("correctness", ("-m", "benchmarks.checks", *checked), 100)

    def item(name: str, variant: Variant, cap_s: float, *further: str) -> Item:
        module = ("-m", "benchmarks.figures", name, f"--variant={variant.name}")
        flags = (*module, "--dtype=bfloat16", *network, *variant.flags, *further)
        name = f"{name}: {variant.name}"
        return Item(name, flags, cap_s, environment=_environment(variant))

    for variant in VARIANTS:
        yield item("step", variant, 90, "--batches", *batches)
    if together := best_together(recorder):
        yield item("step", together, 90, "--batches", *batches)
    best = best_variant(recorder)
    line = [*([f"--peer={peer}"] if peer else []), *([] if is_tiny else ["--compile"])]
    turns = () if is_tiny else ("--rounds=2",)  # the peer compiles anew in each
    for batch in reversed(batches):
        yield item("peer", best, 150, "--batches", batch, *turns, *line)
    clips = "--clips=60" if is_tiny else "--clips=5000"
    yield item("loop", best, 90, "--batches", batches[0], clips)
    # kernels that the host starts one by one: of a graph there may be only its whole
    traced = best._replace(xla_flags=(), environment=())
    yield item("profile", traced, 60, "--batches", batches[0])
    yield from _long_items(folder, is_tiny)


def _long_items(folder: Path, is_tiny: bool) -> Iterator[Item]:
    """A whole run, and tables, in the time that is left."""
    tiny = (
        "--config.data.soundscapes=(24,12,12)",
        "--config.data.num_workers=0",
        "--config.model.blocks=(1,1,1,1)",
        "--config.model.filters=2",
        "--config.sampling.batch_size=4",
        "--config.training.steps_per_epoch=1",
        "--config.training.num_epochs=2",
        "--config.fusion.epochs=1:2:1",
    )
    fields = ("--config.model.dtype=bfloat16", *(tiny if is_tiny else ()))
    needs = (*PACKAGE, "jinja2", "matplotlib")
    line = ("-m", "gcrnn_jax.main", "--config=configs/sed.py")
    line += (f"--workdir={folder / 'run'}", *fields)
    yield Item("run", line, math.inf, needs, takes_rest=True)
    rows = ("crnn",) if is_tiny else ("crnn", "at", "sed", "best")
    line = ("-m", "benchmarks.tables", f"--output={folder / 'tables'}", *fields)
    yield Item("tables", (*line, "--rows", *rows), math.inf, needs, takes_rest=True)


def _environment(variant: Variant) -> dict[str, str]:
    flags = " ".join([os.environ.get("XLA_FLAGS", ""), *variant.xla_flags]).strip()
    return {**dict(variant.environment), **({"XLA_FLAGS": flags} if flags else {})}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit_s", type=float, default=470.0)
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    parser.add_argument("--peer", help="the command that times the peer")
    flags = parser.parse_args()
    folder = flags.output or Path(tempfile.mkdtemp(prefix="gcrnn_gpu_"))
    recorder = Recorder(folder)
    os.environ["GCRNN_RESULTS"] = str(folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that items end too
    try:
        run_plan(gpu_items(recorder, folder, flags.peer), recorder, flags.limit_s)
    finally:
        text = report_bars(recorder)
        (folder / "bars.txt").write_text(text + "\n")
        print(f"\n{text}\n\nfigures and log in {folder}", flush=True)


if __name__ == "__main__":
    main()
