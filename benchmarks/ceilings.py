r"""How near the training step is to what the device can do: operations and bytes.

    python -m benchmarks.ceilings --task sed --dtype bfloat16 --batch 256

Measures the rate of one large matrix product in the step's dtype and of copying
memory, then the step, and prints the share of each that the step reaches. Counted are
the operations of the step's matrix products and convolutions, and the bytes that go
into them and come out: the least that it can need.
"""

import jax

from benchmarks.operations import work_of
from benchmarks.peaks import copy_rate, matrix_rate, median_seconds
from benchmarks.step import (
    TrainingStep,
    add_network_flags,
    network_name,
    random_batch,
)
from benchmarks.timing import keep
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.metrics.tables import text_table
from gcrnn_jax.training import parallel
from gcrnn_jax.training.parallel import put_batch


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.ceilings", __doc__)
    add_network_flags(parser)
    parser.add_argument(
        "--size", type=at_least_one, default=8192, help="of the matrices"
    )
    flags = parser.parse_args()
    parallel.configure_jax(flags.batch, flags.devices)
    training = TrainingStep(flags)
    batch = put_batch(random_batch(flags.batch), training.mesh)
    done = work_of(training.step, training.state, batch)._asdict()
    count = flags.steps * flags.rounds
    seconds = median_seconds(lambda: training(batch), count, flags.warmup)
    devices = jax.devices()
    ceilings = {
        "operations": matrix_rate(devices, flags.size, flags.dtype, count),
        "bytes": copy_rate(devices, flags.size, count),
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


if __name__ == "__main__":
    restart_tuned()
    main()
