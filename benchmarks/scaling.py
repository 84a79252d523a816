r"""What a training step costs on GPUs that nobody has measured: counted, then divided.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --batches 44 512 --gpus 1 8 64 --operations 989e12

Counted, from the program that JAX traces for a GPU: operations and bytes of the matrix
products and convolutions, the products of scans (one after the other), and how often
and how much devices add up. Assumed, as flags: the rates of an H100 and its networks,
the share of them that is reached, and what a product of a scan and an all-reduce wait.
Nothing is measured: these are estimates to choose settings by, and to be replaced.
"""

import argparse
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np

from benchmarks.operations import programs_of, work_of
from benchmarks.step import TrainingStep, add_network_flags, random_batch
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.metrics.tables import text_table
from gcrnn_jax.training import parallel

GPUS_PER_NODE = 8
_COUNTED = 128  # clips: enough that the bytes of weights hardly count
_SHAPES = re.compile(r"f32\[([\d,]*)\]")
_BRANCHES = re.compile(
    r"branch_computations=\{[^}]*|(?:true|false)_computation=%[\w.-]+"
)


class Counts(NamedTuple):
    """Of one step on one device.

    Attributes:
        operations: Of products and convolutions, a clip.
        bytes: Of their inputs and results, a clip.
        in_turn: Products of scans, each of which waits for the one before.
        all_reduces: Sums over devices, in every step: not those of a layer whose
            variance float32 has lost.
        reduced_bytes: That they add up, on each device.
    """

    operations: float
    bytes: float
    in_turn: int
    all_reduces: int
    reduced_bytes: int


def count_step(flags: argparse.Namespace) -> Counts:
    """Traces the step as for a GPU; its all-reduces are those of two CPU devices."""
    training = TrainingStep(argparse.Namespace(**{**vars(flags), "batch": _COUNTED}))
    batch = parallel.put_batch(random_batch(_COUNTED), training.mesh)
    with mock.patch.object(jax, "default_backend", lambda: "gpu"):
        program = jax.make_jaxpr(training.step)(training.state, batch).jaxpr
        work = work_of(training.step, training.state, batch)
    jax.clear_caches()  # or that trace would be compiled
    mapped: Any = training.step
    text = mapped.lower(training.state, batch).compile().as_text()
    sums = _all_reduces(text)
    return Counts(
        work.operations / _COUNTED,
        work.bytes / _COUNTED,
        sum(
            times
            for one, times, is_scan in _equations(program)
            if is_scan and one.primitive.name == "dot_general"
        ),
        len(sums),
        4 * sum(_size(shape) for one in sums for shape in _SHAPES.findall(one)),
    )


def _all_reduces(text: str) -> list[str]:
    """What each sum over devices results in, in a compiled program but its branches."""
    branches = set(re.findall(r"%([\w.-]+)", " ".join(_BRANCHES.findall(text))))
    found: list[str] = []
    for computation in text.split("\n\n"):
        name = re.match(r"\s*(?:ENTRY )?%([\w.-]+)", computation)
        if name and name[1] not in branches:
            found += re.findall(r"= (.*) all-reduce\(", computation)
    return found


def _size(shape: str) -> int:
    """Numbers in an array of a shape as XLA writes it: "64,128", "" of one number."""
    return math.prod(int(axis) for axis in shape.split(",") if axis)


def _equations(program: Any, times=1, is_scan=False) -> Iterator[tuple[Any, int, bool]]:
    """All equations of a program, how often each is computed, and if in a scan."""
    for one in program.eqns:
        yield one, times, is_scan
        repeats = one.params["length"] if one.primitive.name == "scan" else 1
        for inner in programs_of(one.params):
            yield from _equations(inner, times * repeats, is_scan or repeats > 1)


def step_seconds(
    counts: Counts, flags: argparse.Namespace, batch: int, gpus: int
) -> dict[str, float]:
    """Seconds of a step by what they go to, for a batch over all GPUs."""
    clips = batch / gpus
    by_operations = counts.operations / (flags.operations * flags.share)
    by_bytes = counts.bytes / (flags.memory * flags.share)
    network = flags.nvlink if gpus <= GPUS_PER_NODE else flags.infiniband
    moved = 2 * (gpus - 1) / gpus * counts.reduced_bytes  # of a ring
    waits = counts.all_reduces * flags.all_reduce_us * 1e-6 * (gpus > 1)
    return {
        "products": clips * max(by_operations, by_bytes),
        "scan": counts.in_turn * flags.product_us * 1e-6,
        "all-reduce": moved / network + waits,
    }


def main() -> None:
    """The command line."""
    flags = make_parser().parse_args()
    parallel.configure_jax(2, 2)
    counts = count_step(flags)
    for name, value in counts._asdict().items():
        print(f"{name:>14} {value:,.0f}")
    rows = []
    for batch in flags.batches:
        alone = sum(step_seconds(counts, flags, batch, 1).values())
        for gpus in flags.gpus:
            parts = step_seconds(counts, flags, batch, gpus)
            seconds = sum(parts.values())
            each = [f"{1000 * value:.2f}" for value in parts.values()]
            clips = f"{batch / seconds:,.0f}"
            gain = f"{alone / seconds:.2f}"
            rows.append([batch, gpus, f"{batch / gpus:.4g}", *each, clips, gain])
    header = ["batch", "GPUs", "a GPU", "products ms", "scan ms", "all-reduce ms"]
    print(text_table([*header, "clips/s", "times 1 GPU"], np.array(rows).tolist()))


def make_parser() -> argparse.ArgumentParser:
    """Of the command line, with what is assumed."""
    parser = command_parser("benchmarks.scaling", __doc__)
    add_network_flags(parser)
    parser.set_defaults(dtype="bfloat16")
    many = {"type": at_least_one, "nargs": "+"}
    parser.add_argument("--batches", **many, default=[44, 512, 1024, 4096])
    parser.add_argument("--gpus", **many, default=[1, 8, 64])
    for name, default, of in (
        ("operations", 989e12, "operations/s of bfloat16, without sparsity"),
        ("memory", 3.35e12, "bytes/s of memory"),
        ("share", 0.4, "of these two rates that is reached"),
        ("nvlink", 450e9, "bytes/s of a GPU to others of its node"),
        ("infiniband", 50e9, "bytes/s of a GPU to other nodes"),
        ("product_us", 3.0, "microseconds from one product of a scan to the next"),
        ("all_reduce_us", 20.0, "microseconds that an all-reduce waits"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=of)
    return parser


if __name__ == "__main__":
    main()
