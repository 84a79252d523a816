"""What must hold on every device, checked on those that are here.

    python -m benchmarks.checks

The tests run on CPUs: on a GPU these look at its convolutions, at bfloat16, and at
clips that it holds. Compares the losses of the first steps; prints a line of JSON a
check; exit code 1 if one fails.
"""

import argparse
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from benchmarks.peaks import print_figure
from benchmarks.step import TrainingStep, add_network_flags, random_batch
from gcrnn_jax.fields import command_parser
from gcrnn_jax.training import parallel

STEPS = 3


class _Clips(SimpleNamespace):
    strong_label = known = None

    def __len__(self) -> int:
        return len(self.features)


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.checks", __doc__)
    add_network_flags(parser)
    flags = parser.parse_args()
    parallel.configure_jax(flags.batch, flags.devices)
    failed = False
    for what, found, expected, bound in _comparisons(flags):
        difference = float(np.max(np.abs(found / expected - 1)))
        passed = difference <= bound  # not where it is NaN
        failed |= not passed
        fields = {"of": what, "difference": difference, "bound": bound}
        print_figure("check", **fields, passed=passed)
    sys.exit(failed)


def _comparisons(flags) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """What is compared, the two losses and how much they may differ by."""
    cpu = jax.devices("cpu")[0]

    def on_cpu(**fields) -> np.ndarray:
        with jax.default_device(cpu):
            return _losses(flags, devices=[cpu], **fields)

    with jax.default_matmul_precision("float32"):  # or GPUs round to 10 bits
        exact = _losses(flags)
        yield "exact products: as on a CPU", exact, on_cpu(), 1e-4
    sent = _losses(flags)
    yield "default products: as exact ones", sent, exact, 1e-2
    half = _losses(flags, dtype="bfloat16")
    yield "bfloat16: as on a CPU", half, on_cpu(dtype="bfloat16"), 3e-2
    yield "bfloat16: as float32", half, exact, 3e-2
    held = _losses(flags, is_held=True)
    yield "clips on the devices: as sent", held, sent, 1e-4
    yield "unrolled scan: as a plain one", _losses(flags, unroll=8), sent, 1e-4


def _losses(flags, *, devices=None, is_held: bool = False, **fields) -> np.ndarray:
    """Of the first steps on random clips, without a transfer that is not asked for.

    NaN where a gradient is not finite: such a step leaves the weights as they are.
    """
    flags = argparse.Namespace(**{**vars(flags), **fields})
    clips = random_batch(3 * flags.batch)
    drawn = np.random.default_rng(1).integers(3 * flags.batch, size=flags.batch)
    split: Any = _Clips(**clips, rows=clips["features"].__getitem__)
    training = TrainingStep(flags, split if is_held else None, devices)
    batch = {name: values[drawn] for name, values in clips.items()}
    batch = {"clips": drawn.astype(np.int32)} if is_held else batch
    batch, losses = parallel.put_batch(batch, training.mesh), []
    with jax.transfer_guard("disallow"):
        for _ in range(STEPS):
            metrics = jax.device_get(training(batch))
            losses.append(np.nan if metrics["diverged"] else metrics["loss"])
    return np.array(losses, np.float64)


if __name__ == "__main__":
    main()
