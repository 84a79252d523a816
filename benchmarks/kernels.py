"""The kernels of a trace by `jax.profiler`, by the time that they take."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Kernel(NamedTuple):
    """All calls of the kernels of one name.

    Attributes:
        name: Without the number that tells apart those of one kind.
        calls: In the trace.
        seconds: In all of them.
        share: Of the time of all kernels.
    """

    name: str
    calls: int
    seconds: float
    share: float


def read_kernels(folder: Path) -> list[Kernel]:
    """Reads the newest trace in a folder of `jax.profiler.trace`.

    Kernels are what a GPU's streams ran; where there is no GPU, what XLA's threads did.

    Returns:
        The slowest first.

    Raises:
        FileNotFoundError: The folder holds no trace.
    """
    traces = folder.rglob("*.trace.json.gz")
    paths = sorted(traces, key=lambda path: path.stat().st_mtime)
    if not paths:
        raise FileNotFoundError(f"{folder}: no *.trace.json.gz")
    with gzip.open(paths[-1], "rt") as file:
        events = json.load(file)["traceEvents"]
    totals: dict[str, list[float]] = {}
    for event in _kernel_events(events):
        name = re.sub(r"[._]\d+$", "", event["name"])
        totals.setdefault(name, []).append(event.get("dur", 0.0) / 1e6)
    whole = sum(map(sum, totals.values())) or 1.0
    kernels = [
        Kernel(name, len(seconds), sum(seconds), sum(seconds) / whole)
        for name, seconds in totals.items()
    ]
    return sorted(kernels, key=lambda one: -one.seconds)


def _kernel_events(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The complete events of a GPU's streams, or of XLA's threads on a CPU."""
    names = {"process_name": {}, "thread_name": {}}
    for event in events:
        if event.get("ph") == "M" and event["name"] in names:
            place = event["pid"], event.get("tid")
            names[event["name"]][place] = event["args"]["name"]
    gpus = {pid for (pid, _), name in names["process_name"].items() if "GPU" in name}
    pattern = re.compile("Stream" if gpus else "tf_XLA")
    places = {
        (pid, tid)
        for (pid, tid), name in names["thread_name"].items()
        if pattern.match(name) and (pid in gpus or not gpus)
    }
    for event in events:
        is_there = (event.get("pid"), event.get("tid")) in places
        if event.get("ph") == "X" and is_there and not _is_runtime(event["name"]):
            yield event


def _is_runtime(name: str) -> bool:
    """Whether it is XLA's own bookkeeping, or on a CPU a loop around its operations."""
    return re.match(r"end: |(while|call|conditional)(\.\d+)?$|.*::", name) is not None
