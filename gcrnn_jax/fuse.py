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

from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser, user_path


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    from gcrnn_jax.runs import Run, choose_runs, fuse_systems
    from gcrnn_jax.training import parallel
    from gcrnn_jax.training.fusion import Fusion

    parallel.configure_jax()
    epochs = None if flags.epochs is None else Fusion.parse(flags.epochs)
    systems = flags.systems
    if flags.choose:
        systems = choose_runs(systems, epochs=epochs, split=flags.choose)
        fused_split = flags.split or Run.open(systems[0]).open_store().reported_split
        if flags.choose == fused_split:
            raise ConfigError(
                f"--choose {flags.choose}: members chosen on a split look better on it "
                "than they are; fuse another, such as --split testing"
            )
        for path in dict.fromkeys(flags.systems):
            print(f"{systems.count(path)} x {path}")
    options = {"epochs": epochs, "split": flags.split}
    fused = fuse_systems(systems, **options, path=flags.output)
    print(
        f"wrote {flags.output}: {len(set(systems))} systems, {len(fused.clip_ids)} "
        f"clips, {len(fused.class_names)} classes"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.fuse", __doc__)
    parser.add_argument(
        "systems",
        type=user_path,
        nargs="+",
        metavar="SYSTEM",
        help="a run, or an .npz file",
    )
    parser.add_argument(
        "--epochs", metavar="FIRST:LAST:EVERY", help="of the runs, the last included"
    )
    parser.add_argument("--split", help="of the runs' data; default: the reported one")
    parser.add_argument(
        "--choose", metavar="SPLIT", help="of the runs' data, to choose members on"
    )
    parser.add_argument(
        "--output", type=user_path, required=True, metavar="NPZ", help="where to"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
