"""The gradient of a convolution: ours for CPUs beside the one that XLA derives.

    python -m benchmarks.convolution

The 64-bin layer of the paper's network, float32.
"""

import time

import jax
import numpy as np
from jax import lax

from benchmarks.step import add_counts
from benchmarks.timing import alternate, report
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.models.convolution import convolution
from gcrnn_jax.training import parallel


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.convolution", __doc__)
    parser.add_argument("--batch", type=at_least_one, default=8)
    add_counts(parser)
    flags = parser.parse_args()
    parallel.configure_jax(None, 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((flags.batch, 240, 64, 64), np.float32)
    kernel = rng.standard_normal((3, 3, 64, 128), np.float32)
    sides = {
        name: _measurement(function, x, kernel, flags)
        for name, function in {"gcrnn_jax": convolution, "XLA's own": _plain}.items()
    }
    report("gradient of a convolution", alternate(sides, flags.rounds), "1/s", flags)


def _plain(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def _measurement(function, x, kernel, flags):
    gradient = jax.jit(jax.grad(lambda x, k: (function(x, k) ** 2).sum(), (0, 1)))
    jax.block_until_ready(gradient(x, kernel))

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(flags.steps):
            jax.block_until_ready(gradient(x, kernel))
        return flags.steps / (time.perf_counter() - start)

    return measure


if __name__ == "__main__":
    restart_tuned()
    main()
