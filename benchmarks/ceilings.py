r"""How near the training step is to what the device can do: operations and bytes.

    python -m benchmarks.ceilings --task sed --dtype bfloat16 --batch 256

Measures the rate of one large matrix product in the step's dtype and of copying
memory, then the step, and prints the share of each that the step reaches. Counted are
the operations of the step's matrix products and convolutions, and the bytes that go
into them and come out: the least that it can need.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from benchmarks.operations import work_of
from benchmarks.step import (
    TrainingStep,
    add_network_flags,
    network_name,
    positive,
    random_batch,
)
from benchmarks.timing import keep
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.metrics.tables import text_table
from gcrnn_jax.training import parallel
from gcrnn_jax.training.parallel import AXIS, data_parallel, put_batch


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_network_flags(parser)
    parser.add_argument("--size", type=positive, default=8192, help="of the matrices")
    flags = parser.parse_args()
    parallel.configure_jax(flags.batch, flags.devices)
    training = TrainingStep(flags)
    batch = put_batch(random_batch(flags.batch), training.mesh)
    done = work_of(training.step, training.state, batch)._asdict()
    seconds = _seconds(lambda: training(batch), flags)
    ceilings = {
        "operations": _matrix_rate(training.mesh, flags),
        "bytes": _copy_rate(training.mesh, flags),
    }
    rows = [
        [
            what,
            f"{count / 1e9:.4g} G",
            f"{count / seconds / 1e9:.4g} G/s",
            f"{ceilings[what] / 1e9:.4g} G/s",
            f"{100 * count / seconds / ceilings[what]:.1f} %",
        ]
        for what, count in done.items()
    ]
    title = f"ceilings {network_name(flags)}"
    print(f"\n{title}: {1000 * seconds:.1f} ms, {flags.batch / seconds:.4g} clips/s")
    print(text_table(["", "a step", "reached", "ceiling", "share"], rows))
    keep(title, {"seconds": seconds, "a step": done, "ceilings": ceilings}, flags)


def _seconds(function, flags) -> float:
    """The median time of a call."""
    seconds = []
    for _ in range(flags.warmup + flags.steps * flags.rounds):
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[flags.warmup :]))


def _matrix_rate(mesh: Mesh, flags) -> float:
    """Operations a second of all devices, of products with float32 results."""
    shape = (mesh.devices.size, flags.size, flags.size)
    x = put_batch(jax.random.normal(jax.random.key(0), shape, flags.dtype), mesh)

    def multiply(_, x):
        return jnp.matmul(x, x, preferred_element_type=jnp.float32)

    mapped = data_parallel(multiply, mesh, out_axes=AXIS)
    return 2.0 * x.size * flags.size / _seconds(lambda: mapped((), x), flags)


def _copy_rate(mesh: Mesh, flags) -> float:
    """Bytes a second of all devices, read and written."""
    shape = (mesh.devices.size, 4 * flags.size, flags.size)
    x = put_batch(jnp.ones(shape, jnp.float32), mesh)
    copy = data_parallel(lambda _, x: x + 1, mesh, out_axes=AXIS)
    return 2.0 * x.nbytes / _seconds(lambda: copy((), x), flags)


if __name__ == "__main__":
    restart_tuned()
    main()
