r"""The loader alone, and the training loop with it beside loops that need no loading.

    python -m benchmarks.loading --task sed --batch 8

Reads built-in soundscapes, which the first call makes.
"""

import itertools
import time
from collections.abc import Callable, Iterator

import jax
from jax.sharding import Mesh

from benchmarks.step import TrainingStep, add_network_flags, network_name
from benchmarks.timing import alternate, report
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.config import load_config
from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.preparation import prepare_soundscapes
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.store import Split
from gcrnn_jax.fields import at_least_one, command_parser
from gcrnn_jax.training import parallel
from gcrnn_jax.training.parallel import put_batch

LOADED = 4000  # batches in a measurement of the loader alone


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.loading", __doc__)
    add_network_flags(parser)
    parser.add_argument(
        "--clips", type=at_least_one, default=2000, help="soundscapes to read"
    )
    flags = parser.parse_args()
    parallel.configure_jax(flags.batch, flags.devices)
    split = soundscape_clips(flags.clips)
    sides = {"loader alone": lambda: _load(_batches(split, 44))}
    report("loader batch 44", alternate(sides, flags.rounds), "clips/s", flags)
    rates = alternate(loop_sides(flags, split), flags.rounds)
    report(f"loop {network_name(flags)}", rates, "clips/s", flags)


def soundscape_clips(count: int) -> Split:
    """Features of built-in soundscapes, made by the first call."""
    clips = {"training": count, "validation": 1, "testing": 1}
    front_end = load_config("sed").front_end
    store = prepare_soundscapes(clips, 0, None, front_end, num_workers=-1)
    return store.splits["training"]


def loop_sides(flags, split: Split) -> dict[str, Callable[[], float]]:
    """Measurements of clips a second in the training loop, by where they come from."""
    training, holding = TrainingStep(flags), TrainingStep(flags, split)
    mesh = training.mesh
    batches, indices = _batches(split, flags.batch), _batches(split, flags.batch, True)
    one = put_batch(next(batches), mesh)
    return {
        "loader": lambda: _train(training, _sent(batches, mesh), flags),
        "clips on the devices": lambda: _train(holding, _sent(indices, mesh), flags),
        "one batch on the devices": lambda: _train(
            training, itertools.repeat(one), flags
        ),
    }


def _batches(split: Split, batch_size: int, is_held: bool = False) -> Iterator:
    sampling = Sampling(batch_size, True, (100, 200, 300, 400), 0, 0.1, 0)
    sampler = sampling.make_sampler(split.weak_label, seed=0)
    return training_batches(None if is_held else split, sampler)


def _sent(batches: Iterator, mesh: Mesh) -> Iterator:
    return (put_batch(batch, mesh) for batch in batches)


def _load(batches: Iterator) -> float:
    size = len(next(batches)["features"])
    start = time.perf_counter()
    for _ in itertools.islice(batches, LOADED):
        pass
    return LOADED * size / (time.perf_counter() - start)


def _train(training: TrainingStep, batches: Iterator, flags) -> float:
    jax.block_until_ready(training(next(batches)))
    start, metrics = time.perf_counter(), None
    for batch in itertools.islice(batches, flags.steps):
        metrics = training(batch)
    jax.block_until_ready(metrics)
    return flags.steps * flags.batch / (time.perf_counter() - start)


if __name__ == "__main__":
    restart_tuned()
    main()
