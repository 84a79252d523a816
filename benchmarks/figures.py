"""Figures of the network on this device, each a line of JSON as soon as it is there.

    python -m benchmarks.figures step --variant="unroll 4" --unroll=4 --batches 44 256
    python -m benchmarks.figures peer --batches 44 --peer="PYTHON SCRIPT" --compile
    python -m benchmarks.figures loop --batches 44 --clips=5000
    python -m benchmarks.figures profile --batches 44

The items of `benchmarks.plan`.
"""

import statistics
import tempfile
from pathlib import Path

import jax
from flax import linen as nn

from benchmarks.kernels import read_kernels
from benchmarks.loading import loop_sides, soundscape_clips
from benchmarks.operations import work_of
from benchmarks.peaks import print_figure
from benchmarks.step import (
    TrainingStep,
    add_network_flags,
    add_peer_flags,
    our_side,
    peer_side,
    random_batch,
    rate,
)
from benchmarks.timing import alternate
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.models import gated_crnn
from gcrnn_jax.training import parallel

_TRACED, _KERNELS = 3, 20  # steps, and lines


class WithoutGru(nn.Module):
    """Stands in for the GRU: its first inputs are the outputs."""

    units: int
    gate: str
    candidate: str
    reset_after: bool
    unroll: int
    dtype: jax.typing.DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
        """[B, T, D] -> [B, T, 2 * units]; D must be at least that."""
        return x[..., : 2 * self.units]


def _step(flags) -> None:
    """The training step on one resident batch, with its operations and bytes."""
    training = TrainingStep(flags)
    batch = parallel.put_batch(random_batch(flags.batch), training.mesh)
    work = work_of(training.step, training.state, batch)._asdict()
    rates = [rate(lambda: training(batch), flags) for _ in range(flags.rounds)]
    spread = {"lowest": min(rates), "highest": max(rates)}
    middle = statistics.median(rates)
    about = {"variant": flags.variant, "batch": flags.batch, "dtype": flags.dtype}
    print_figure("step", **about, clips_per_s=middle, **spread, **work)


def _peer(flags) -> None:
    """Training and inference beside the peer's on the same device, in turns."""
    ours, peer = our_side(flags), peer_side(flags) if flags.peer else None
    for _ in range(flags.rounds):
        own = ours()
        about = {"variant": flags.variant, "batch": flags.batch}
        print_figure("ours", **about, **own)
        if peer:
            other = peer()
            ratios = {f"{what}_ratio": own[what] / other[what] for what in own}
            print_figure("peer", **about, **other, **ratios)


def _loop(flags) -> None:
    """The training loop by where its batches come from."""
    split = soundscape_clips(flags.clips)
    rates = alternate(loop_sides(flags, split), flags.rounds)
    for side, own in rates.items():
        about = {"side": side, "batch": flags.batch}
        print_figure("loop", **about, clips_per_s=statistics.median(own))


def _profile(flags) -> None:
    """The slowest kernels of a step."""
    training = TrainingStep(flags)
    batch = parallel.put_batch(random_batch(flags.batch), training.mesh)
    jax.block_until_ready(training(batch))
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(_TRACED):
                jax.block_until_ready(training(batch))
        kernels = read_kernels(Path(folder))
    of_all = sum(one.seconds for one in kernels) / _TRACED
    print_figure("kernels", batch=flags.batch, kinds=len(kernels), ms=1000 * of_all)
    for one in kernels[:_KERNELS]:
        each = {"calls": one.calls / _TRACED, "ms": 1000 * one.seconds / _TRACED}
        print_figure("kernel", share=one.share, **each, name=one.name[:80])


_ITEMS = {"step": _step, "peer": _peer, "loop": _loop, "profile": _profile}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.figures", __doc__)
    parser.add_argument("what", choices=_ITEMS)
    parser.add_argument("--variant", default="", help="its name")
    parser.add_argument("--batches", type=at_least_one, nargs="+", default=[44])
    parser.add_argument("--without_gru", action="store_true")
    parser.add_argument("--clips", type=at_least_one, default=2000, help="of the loop")
    add_network_flags(parser)
    add_peer_flags(parser)
    flags = parser.parse_args()
    parallel.configure_jax(None, flags.devices)
    if flags.without_gru:
        setattr(gated_crnn, "BidirectionalGru", WithoutGru)  # noqa: B010
    for batch in flags.batches:
        flags.batch = batch
        _ITEMS[flags.what](flags)


if __name__ == "__main__":
    restart_tuned()
    main()
