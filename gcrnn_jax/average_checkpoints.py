"""Averages the weights of several epochs into one model.

    python -m gcrnn_jax.average_checkpoints runs/sed --epochs 20:80:10 --output best

The result is a model like any other: `evaluate --model best` scores it.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser, user_path


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    from gcrnn_jax.inference import average_models
    from gcrnn_jax.training import write_model

    card, variables = average_models(_read_models(flags.models, flags.epochs))
    files = card.front_end.files()
    write_model(flags.output, card.to_dict(), variables, files)
    print(f"wrote {flags.output}: the mean of steps {list(card.averaged)}")


def _read_models(paths: Sequence[Path], epochs: str | None) -> Iterator[Any]:
    """Cards and variables of models, or of epochs of runs."""
    from gcrnn_jax.runs import Run, read_card_and_variables
    from gcrnn_jax.training.fusion import Fusion

    for path in paths:
        if epochs is None:
            yield read_card_and_variables(path)
            continue
        run = Run.open(path)
        num_epochs, fusion = run.config.training.num_epochs, Fusion.parse(epochs)
        if fusion.first_epoch > num_epochs:
            raise ConfigError(
                f"--epochs {epochs}: {path} is a run of {num_epochs} epochs"
            )
        for epoch in fusion.epochs(num_epochs):
            yield run.load_epoch(epoch)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.average_checkpoints", __doc__)
    parser.add_argument(
        "models",
        type=user_path,
        nargs="+",
        metavar="MODEL",
        help="the folder of a run (with --epochs), or models to average",
    )
    parser.add_argument(
        "--epochs",
        metavar="FIRST:LAST:EVERY",
        help="epochs of the run, counted from 1, the last included",
    )
    parser.add_argument(
        "--output", type=user_path, required=True, metavar="FOLDER", help="where to"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
