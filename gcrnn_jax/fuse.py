r"""Averages the posteriors of several epochs or systems.

    python -m gcrnn_jax.fuse runs/log_mel runs/mfcc --output fused.npz
    python -m gcrnn_jax.fuse a.npz b.npz --output fused.npz
    python -m gcrnn_jax.fuse runs/cnn_10s runs/cnn_1s --choose held_out \
        --output fused.npz

The folder of a run stands for the mean over its fusion epochs (or --epochs). Every
system has the same weight, unless --choose names a split of the runs' data, on which
members are chosen: greedily, by the mean average precision of the tags. `evaluate
--posteriors fused.npz` scores the result.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcrnn_jax.errors import ConfigError, DataError, run_command


def fuse_systems(
    systems: Sequence[Path], *, epochs: str | None = None, split: str | None = None
):
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
    from gcrnn_jax.detection.posteriors import PosteriorSet, fuse

    found = {  # once each: a run with more weight is there more than once
        path: fused_run(path, epochs, split)[0]
        if path.is_dir()
        else PosteriorSet.load(path)
        for path in dict.fromkeys(systems)
    }
    return fuse([found[path] for path in systems])


def choose_runs(
    runs: Sequence[Path], *, epochs: str | None = None, split: str
) -> list[Path]:
    """Runs to fuse, those with more weight more than once, chosen on a split.

    Raises:
        ConfigError: A system is no run, or its data have no such split.
        DataError: The runs differ in the clips of that split.
    """
    from gcrnn_jax.detection.posteriors import first_difference
    from gcrnn_jax.metrics.ensemble import choose_members

    for path in runs:
        if not path.is_dir():
            what = "is a file" if path.exists() else "is not there"
            raise ConfigError(f"--choose needs the folders of runs: {path} {what}")
    found = [fused_run(path, epochs, split) for path in runs]
    chosen_on = found[0][1]
    for path, (_, part) in zip(runs, found, strict=True):
        if difference := first_difference(chosen_on.clip_ids, part.clip_ids):
            raise DataError(f"{path}: another {split} than {runs[0]}: {difference}")
    counts = choose_members([posteriors for posteriors, _ in found], chosen_on)
    return [path for path, n in zip(runs, counts, strict=True) for _ in range(n)]


def fused_run(run: Path, epochs: str | None, split: str | None):
    """The mean posteriors of a run's epochs, and the Split that they are of."""
    from gcrnn_jax import inference, system
    from gcrnn_jax.detection.posteriors import fuse
    from gcrnn_jax.training import parallel

    config, store = open_run(run)
    numbers = system.parse_epochs(
        epochs or config["fusion"]["epochs"], config["training"]["num_epochs"]
    )
    card = system.make_card(config, store)
    predict = inference.make_predictor(card, parallel.make_mesh())
    chosen = inference.find_split(store, split)
    of_epochs = inference.epoch_posteriors(
        run, config, numbers, split=chosen, predict=predict
    )
    return fuse(of_epochs), chosen


def open_run(run: Path):
    """A run's configuration and the FeatureStore of its data.

    Raises:
        DataError: The folder holds no run, or its training clips have changed.
    """
    from gcrnn_jax import system
    from gcrnn_jax.workdir import check_same_data, read_config

    config = read_config(run)
    store = system.open_store(config)
    check_same_data(run, store)
    return config, store


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
    parser.add_argument(
        "--choose", metavar="SPLIT", help="of the runs' data, to choose members on"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="NPZ", help="where to"
    )
    flags = parser.parse_args(argv)
    from gcrnn_jax import inference, system

    system.configure_jax()
    systems, options = flags.systems, {"epochs": flags.epochs}
    if flags.choose:
        systems = choose_runs(systems, split=flags.choose, **options)
        _, store = open_run(systems[0])
        if flags.choose == (flags.split or inference.reported_split(store)):
            raise ConfigError(
                f"--choose {flags.choose}: members chosen on a split look better on it "
                "than they are; fuse another, such as --split testing"
            )
        for path in dict.fromkeys(flags.systems):
            print(f"{systems.count(path)} x {path}")
    fused = fuse_systems(systems, split=flags.split, **options)
    fused.save(flags.output)
    print(
        f"wrote {flags.output}: {len(set(systems))} systems, {len(fused.clip_ids)} "
        f"clips, {len(fused.class_names)} classes"
    )


if __name__ == "__main__":
    run_command(main)
