"""Recordings and label lists -> a feature store.

    python -m gcrnn_jax.prepare --root ~/dcase2017_task4
    python -m gcrnn_jax.prepare --root ~/dcase2017_task4 --config sed_mfcc

Rerunning it redoes nothing that is done.
"""

import argparse
import time
from collections.abc import Sequence

from gcrnn_jax.errors import run_command
from gcrnn_jax.fields import at_least_one, user_path


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    from gcrnn_jax.config import load_config
    from gcrnn_jax.data.preparation import prepare_folder, summary

    started = time.monotonic()
    changes = {"front_end.kind": flags.features} if flags.features else {}
    config = load_config(flags.config, **changes)
    store = prepare_folder(
        flags.root,
        flags.output,
        config.front_end,
        num_workers=flags.workers or config.data.num_workers,
        max_bad_fraction=(
            config.data.max_bad_fraction
            if flags.max_bad_fraction is None
            else flags.max_bad_fraction
        ),
    )
    print(summary(store))
    print(f"{store.path} is ready, after {time.monotonic() - started:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.prepare",
        description="Computes the features of a folder of recordings in the layout of "
        "DCASE 2017 Task 4 (class list, training_set.csv ..., audio/) once, into a "
        "store that training reads. Rerunning it redoes nothing that is done.",
        epilog="example: python -m gcrnn_jax.prepare --root ~/dcase2017_task4 "
        "--output ~/store --config few_clips --workers 8",
    )
    parser.add_argument(
        "--root", type=user_path, required=True, help="the folder of the data set"
    )
    parser.add_argument(
        "--output",
        type=user_path,
        help="folder of the store (default: one in the user's cache)",
    )
    parser.add_argument(
        "--config",
        default="sed",
        help="what the features are for: a configuration of the package or a file "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        choices=("log_mel", "mfcc"),
        help="instead of the configuration's kind",
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        help="parallel processes (default: one a core)",
    )
    parser.add_argument(
        "--max_bad_fraction",
        type=_fraction,
        help="how much of the clips may be missing or broken (default: the "
        "configuration's, 0.01); they are listed in rejects.csv of the store",
    )
    return parser


def _fraction(text: str) -> float:
    try:
        if 0 <= (value := float(text)) <= 1:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text}")


if __name__ == "__main__":
    run_command(main)
