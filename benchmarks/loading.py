r"""The loader alone, and the training loop with it beside one with a resident batch.

    python -m benchmarks.loading --task sed --batch 8

Reads built-in soundscapes, which the first call makes.
"""

import argparse
import itertools
import time
from collections.abc import Iterator

import jax

from benchmarks.step import TrainingStep, add_network_flags
from benchmarks.timing import alternate, report
from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.audio.features import FrontEnd
from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.sampling import make_sampler
from gcrnn_jax.data.store import Split
from gcrnn_jax.prepare import prepare_soundscapes
from gcrnn_jax.training.parallel import put_batch

CLIPS = {"training": 2000, "validation": 1, "testing": 1}
LOADED = 4000  # batches in a measurement of the loader alone


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_network_flags(parser)
    flags = parser.parse_args()
    training = TrainingStep(flags)
    split = prepare_soundscapes(CLIPS, front_end=FrontEnd()).splits["training"]
    sides = {"loader alone": lambda: _load(_batches(split, 44))}
    measured = alternate(sides, unit="clips/s", rounds=flags.rounds)
    report("loader batch 44", measured)

    batches = _batches(split, flags.batch)
    resident = put_batch(next(batches), training.mesh)
    sides = {
        "real loader": lambda: _train(
            training, (put_batch(batch, training.mesh) for batch in batches), flags
        ),
        "resident batch": lambda: _train(training, itertools.repeat(resident), flags),
    }
    measured = alternate(sides, unit="clips/s", rounds=flags.rounds)
    report(f"loop {flags.task} {flags.dtype} batch {flags.batch}", measured)


def _batches(split: Split, batch_size: int) -> Iterator:
    options = {"balanced": True, "size_steps": (100, 200, 300, 400)}
    sampler = make_sampler(split.weak_label, seed=0, batch_size=batch_size, **options)
    return training_batches(split, sampler)


def _load(batches: Iterator) -> float:
    size = len(next(batches)["features"])
    start = time.perf_counter()
    for _ in itertools.islice(batches, LOADED):
        pass
    return LOADED * size / (time.perf_counter() - start)


def _train(training: TrainingStep, batches: Iterator, flags) -> float:
    start, metrics = time.perf_counter(), None
    for batch in itertools.islice(batches, flags.steps):
        metrics = training(batch)
    jax.block_until_ready(metrics)
    return flags.steps * flags.batch / (time.perf_counter() - start)


if __name__ == "__main__":
    restart_tuned()
    main()
