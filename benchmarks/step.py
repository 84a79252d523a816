r"""The training step and inference, beside the same network in PyTorch.

    python -m benchmarks.step --task sed --batch 8 --dtype float32 \
        --peer "PYTHON_WITH_TORCH torch_gated_crnn.py"

Our side is what training runs: float16 features, the mapped step with Adam. Without
--peer it is measured alone.
"""

import argparse
import json
import os
import shlex
import subprocess
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.peaks import median_seconds
from benchmarks.timing import ROUNDS, alternate, report
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.config import load_config
from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.data.store import Split
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.inference.model import compile_network
from gcrnn_jax.models.shifted_inputs import ShiftedInputs
from gcrnn_jax.training import device_cache, parallel
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.state import TrainStep, initial_state

FRAMES, BINS, CLASSES = 240, 64, 17
BLOCKS = [2, 2, 2, 1]  # as in configs/sed.py and at.py


class TrainingStep:
    """The step of a system on this machine's devices; a call trains on a batch."""

    def __init__(
        self, flags: argparse.Namespace, split: Split | None = None, devices=None
    ):
        """Flags are those of `add_network_flags`; a split is put on the devices."""
        self.mesh = parallel.make_mesh(devices)
        changes = {"dtype": flags.dtype, "filters": flags.filters}
        changes["gru_unroll"] = flags.unroll
        changes |= {"gru_reset_after": flags.reset_after, "blocks": flags.blocks}
        config = load_config(
            flags.task, **{f"model.{name}": value for name, value in changes.items()}
        )
        self.model = config.model.clone(num_classes=CLASSES, axis_name=parallel.AXIS)
        self.scaler = Scaler(np.zeros(BINS, np.float32), np.ones(BINS, np.float32))
        optimizer = config.optimizer.make(total_steps=1000)
        state = initial_state(
            self.model, optimizer, num_frames=FRAMES, num_bins=BINS, seed=0
        )
        self.state = parallel.put_state(state, self.mesh)
        step: Callable = TrainStep(
            self.model,
            optimizer,
            config.augmentation,
            self.scaler,
            config.loss,
            config.seed,
            batch_size=flags.batch,
        )
        cache = None
        if split is not None:
            cache = device_cache.put_split(split, self.mesh)
            step = device_cache.gather_on_device(step)
        self.step = parallel.data_parallel(step, self.mesh, shared=cache, donate=True)

    def __call__(self, batch) -> dict[str, jax.Array]:
        """Takes a step, and returns its metrics, which may be still to come."""
        self.state, metrics = self.step(self.state, batch)
        return metrics


def main() -> None:
    """The command line."""
    flags = _parser().parse_args()
    parallel.configure_jax(flags.batch, flags.devices)
    sides = {"gcrnn_jax": our_side(flags)}
    if flags.peer:
        sides["PyTorch"] = peer_side(flags)
    measured = alternate(sides, flags.rounds)
    for what in ("train", "inference"):
        rates = {name: [one[what] for one in of] for name, of in measured.items()}
        report(f"{what} {network_name(flags)}", rates, "clips/s", flags)


def network_name(flags: argparse.Namespace) -> str:
    """Which network was measured, for a title."""
    name = f"{flags.task} {flags.dtype} batch {flags.batch}"
    name += " reset after" if flags.reset_after else ""
    name += "" if [*flags.blocks] == BLOCKS else f" blocks {flags.blocks}"
    return name + (f" unroll {flags.unroll}" if flags.unroll > 1 else "")


def random_batch(size: int) -> dict[str, np.ndarray]:
    """As the loader's."""
    rng = np.random.default_rng(0)
    return {
        "features": rng.normal(size=(size, FRAMES, BINS)).astype(np.float16),
        "num_frames": np.full(size, FRAMES, np.int32),
        "weak_label": (rng.random((size, CLASSES)) < 0.1).astype(np.float32),
    }


def our_side(flags) -> Callable[[], dict[str, float]]:
    """A measurement of the training step and of inference."""
    training = TrainingStep(flags)
    rows = BatchShares(flags.batch, training.mesh.devices.size).rows.ravel()
    batch = {name: values[rows] for name, values in random_batch(flags.batch).items()}
    batch = parallel.put_batch(batch, training.mesh)
    inputs = {name: batch[name] for name in ("features", "num_frames")}
    state, model = training.state, training.model.clone(axis_name=None)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    variables = parallel.put_state(jax.tree.map(np.array, variables), training.mesh)
    predict = compile_network(model, training.scaler, training.mesh, ShiftedInputs(0))
    return lambda: {
        "train": rate(lambda: training(batch), flags),
        "inference": rate(lambda: predict(variables, inputs), flags),
    }


def rate(function: Callable, flags) -> float:
    """Clips a second, by the median of a few calls."""
    return flags.batch / median_seconds(function, flags.steps, flags.warmup)


def peer_side(flags) -> Callable[[], dict[str, float]]:
    """The same of the peer, in a process of its own."""
    line = [*shlex.split(flags.peer), f"--task={flags.task}", f"--batch={flags.batch}"]
    line += [f"--channels={flags.filters}", f"--steps={flags.steps}"]
    line += ["--amp"] if flags.dtype == "bfloat16" else []
    line += ["--compile"] if flags.compile else []

    # our memory settings double the peer's rate; its users do not have them
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}

    def measure() -> dict[str, float]:
        result = subprocess.run(
            line, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(result.stdout.splitlines()[-1])
        return {what: found[f"{what}_clips_per_s"] for what in ("train", "inference")}

    return measure


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """Which network, on how many clips, how often."""
    parser.add_argument("--task", choices=("sed", "at"), default="sed")
    parser.add_argument("--batch", type=at_least_one, default=8)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--filters", type=at_least_one, default=64)
    parser.add_argument(
        "--blocks",
        type=at_least_one,
        nargs=4,
        default=BLOCKS,
        help="gated units of each",
    )
    parser.add_argument(
        "--unroll", type=at_least_one, default=1, help="steps of the GRU's scan"
    )
    parser.add_argument(
        "--reset_after", action="store_true", help="the GRU's gate, as in cuDNN"
    )
    parser.add_argument("--devices", type=int, default=0, help="of a CPU; 0: its cores")
    parser.add_argument("--warmup", type=int, default=1, help="untimed, in a round")
    add_counts(parser)


def add_peer_flags(parser: argparse.ArgumentParser) -> None:
    """What to compare with."""
    parser.add_argument("--peer", help="the command that times the peer")
    parser.add_argument("--compile", action="store_true", help="the peer")


def add_counts(parser: argparse.ArgumentParser) -> None:
    """How often to measure."""
    parser.add_argument(
        "--steps", type=at_least_one, default=5, help="timed, in a round"
    )
    parser.add_argument("--rounds", type=at_least_one, default=ROUNDS)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.step", __doc__)
    add_network_flags(parser)
    add_peer_flags(parser)
    return parser


if __name__ == "__main__":
    restart_tuned()
    main()
