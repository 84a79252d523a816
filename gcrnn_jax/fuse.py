r"""Averages the posteriors of several epochs or systems.

    python -m gcrnn_jax.fuse runs/log_mel runs/mfcc --output fused.npz
    python -m gcrnn_jax.fuse a.npz b.npz --output fused.npz
    python -m gcrnn_jax.fuse runs/cnn_10s runs/cnn_1s --choose held_out \
        --output fused.npz
    python -m gcrnn_jax.fuse scores_a scores_b --labelled validation.tsv \
        --output fused_scores

The folder of a run stands for the mean over its fusion epochs (or --epochs), that of an
ensemble for the mean of its members. Every system has the same weight, unless --choose
names a split of the runs' data, on which members are chosen: greedily, by the mean
average precision of the tags. `evaluate --posteriors fused.npz` scores the result.

Folders of score tables (see `evaluate`) of any system are fused too, also with .npz
files, into such a folder, which `evaluate --estimated` scores. With --labelled each
class has the weights that fit a list of labels of some of the recordings best.
"""

import argparse
from collections.abc import Sequence

from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.evaluation.fused_scores import (
    counted_weights,
    found_weights,
    is_of_scores,
    open_members,
    weights_table,
    write_fused,
)
from gcrnn_jax.fields import command_parser, user_path


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    if is_of_scores(flags.systems):
        return _fuse_scores(flags)
    if flags.labelled:
        raise ConfigError(
            "--labelled is of folders of score tables; runs have --choose"
        )
    _fuse_runs(flags)


def _fuse_scores(flags: argparse.Namespace) -> None:
    if flags.choose or flags.split or flags.epochs:
        raise ConfigError("--choose, --split and --epochs are of runs, not of scores")
    members = open_members(flags.systems)
    weights = counted_weights(flags.systems, members)
    if flags.labelled:
        weights = found_weights(members, flags.labelled)
        print(f"{weights_table(members, weights)}\n")
        print(f"scores on the recordings of {flags.labelled} look better than they are")
    write_fused(members, weights, flags.output)
    print(
        f"wrote {flags.output}: {len(members.paths)} systems, {len(members.names)} "
        f"recordings, {len(members.class_names)} classes"
    )


def _fuse_runs(flags: argparse.Namespace) -> None:
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
        help="a run, an .npz file, or a folder of score tables",
    )
    parser.add_argument(
        "--epochs", metavar="FIRST:LAST:EVERY", help="of the runs, the last included"
    )
    parser.add_argument("--split", help="of the runs' data; default: the reported one")
    parser.add_argument(
        "--choose", metavar="SPLIT", help="of the runs' data, to choose members on"
    )
    what = "labels of some of the recordings of score tables, to find weights on"
    parser.add_argument("--labelled", type=user_path, metavar="LIST", help=what)
    parser.add_argument(
        "--output", type=user_path, required=True, metavar="NPZ|FOLDER", help="where to"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
