"""Averages the posteriors of several epochs or systems.

    python -m gcrnn_jax.fuse runs/log_mel runs/mfcc --output fused.npz
    python -m gcrnn_jax.fuse a.npz b.npz --output fused.npz

The folder of a run stands for the mean over its fusion epochs (or --epochs). Every
system has the same weight. `evaluate --posteriors fused.npz` scores the result.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.errors import run_command


def fuse_systems(systems: Sequence[Path], *, epochs: str | None, split: str | None):
    """The mean posteriors of systems, each a posterior file or the folder of a run.

    Args:
        systems: Files that a run or this command wrote, and folders of runs.
        epochs: Of the runs, as "20:80:10"; None: each run's own `fusion.epochs`.
        split: Of the runs' data; None: the one that they report.

    Returns:
        A PosteriorSet.

    Raises:
        DataError: The systems are not of the same clips and classes.
    """
    from gcrnn_jax import system
    from gcrnn_jax.detection.posteriors import PosteriorSet, fuse

    system.use_this_machine()
    return fuse(
        [
            _fused_run(path, epochs, split)
            if path.is_dir()
            else PosteriorSet.load(path)
            for path in systems
        ]
    )


def _fused_run(run: Path, epochs: str | None, split: str | None):
    from gcrnn_jax import inference, system
    from gcrnn_jax.detection.posteriors import fuse
    from gcrnn_jax.training import parallel
    from gcrnn_jax.workdir import check_same_data, read_config

    config = read_config(run)
    numbers = system.parse_epochs(
        epochs or config["fusion"]["epochs"], config["training"]["num_epochs"]
    )
    store = system.open_store(config)
    check_same_data(run, store)
    card = system.make_card(config, store)
    predict = inference.make_predictor(card, parallel.make_mesh())
    chosen = inference.find_split(store, split)
    return fuse(
        inference.epoch_posteriors(run, config, numbers, split=chosen, predict=predict)
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.fuse",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "systems", type=Path, nargs="+", metavar="SYSTEM", help="a run, or an .npz file"
    )
    parser.add_argument("--epochs", metavar="FIRST:LAST:STEP", help="of the runs")
    parser.add_argument("--split", help="of the runs' data; default: the reported one")
    parser.add_argument("--output", type=Path, required=True, metavar="NPZ")
    flags = parser.parse_args(argv)
    fused = fuse_systems(flags.systems, epochs=flags.epochs, split=flags.split)
    fused.save(flags.output)
    print(
        f"wrote {flags.output}: {len(flags.systems)} systems, {len(fused.clip_ids)} "
        f"clips, {len(fused.class_names)} classes"
    )


if __name__ == "__main__":
    run_command(main)
