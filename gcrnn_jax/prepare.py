"""Recordings and label lists, in any layout, -> a feature store that training reads.

    python -m gcrnn_jax.prepare --root ~/dcase2017_task4
    python -m gcrnn_jax.prepare --root ~/dcase2017_task4 --config sed_mfcc --workers 8

Rerunning it redoes nothing that is done. Several machines that share a disk prepare in
parts, which may run at once; the same command without --part then seals the store:

    python -m gcrnn_jax.prepare --root SET --output STORE --part 1/3   # 2/3, 3/3
    python -m gcrnn_jax.prepare --root SET --output STORE
"""

import argparse
import time
from collections.abc import Sequence

from gcrnn_jax.errors import run_command
from gcrnn_jax.fields import (
    add_layout_flags,
    at_least_one,
    command_parser,
    layout_fields,
    user_path,
)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = (parser := _parser()).parse_args(argv)
    if flags.part and not flags.output:
        parser.error("--part needs an --output, a folder that all parts share")
    from gcrnn_jax.config import load_config
    from gcrnn_jax.data.preparation import prepare_folder, prepare_part, summary

    started = time.monotonic()
    changes = {f"data.{name}": value for name, value in layout_fields(flags).items()}
    if flags.features:
        changes["front_end.kind"] = flags.features
    if flags.onnx:
        changes |= {"front_end.kind": "onnx", "front_end.path": str(flags.onnx)}
    config = load_config(flags.config, **changes)
    options = {
        "num_workers": flags.workers or config.data.num_workers,
        "max_bad_fraction": (
            config.data.max_bad_fraction
            if flags.max_bad_fraction is None
            else flags.max_bad_fraction
        ),
        "options": config.data.layout_options(config.front_end),
    }
    folders = flags.root, flags.output, config.front_end
    if flags.part:
        print(prepare_part(*folders, *flags.part, **options))
        ready = "part {}/{} of {} is ready".format(*flags.part, flags.output)
    else:
        store = prepare_folder(*folders, **options)
        print(summary(store))
        ready = f"{store.path} is ready"
    print(f"{ready}, after {time.monotonic() - started:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.prepare", __doc__)
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
    add_layout_flags(parser)
    parser.add_argument(
        "--onnx",
        type=user_path,
        metavar="MODEL.onnx",
        help="the model that gives the features, with --config embeddings",
    )
    parser.add_argument(
        "--part",
        type=_part,
        metavar="I/N",
        help="every N-th shard of 1024 clips, from the I-th on; when all parts from "
        "1/N to N/N are done, the same command without --part seals the store",
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


def _part(text: str) -> tuple[int, int]:
    number, slash, num_parts = text.partition("/")
    if slash and number.isdecimal() and num_parts.isdecimal():
        if 1 <= int(number) <= int(num_parts):
            return int(number), int(num_parts)
    raise argparse.ArgumentTypeError(f"expected I/N, from 1/N to N/N, got {text}")


def _fraction(text: str) -> float:
    try:
        if 0 <= (value := float(text)) <= 1:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected 0 to 1, got {text}")


if __name__ == "__main__":
    run_command(main)
