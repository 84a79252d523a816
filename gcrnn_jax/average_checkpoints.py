"""Averages the weights of several epochs into one model.

    python -m gcrnn_jax.average_checkpoints runs/sed --epochs 20:80:10 --output best

The result is a model like any other: `evaluate --model best` scores it.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.errors import DataError, run_command


def average(models: Iterable):
    """The mean of the weights and batch statistics of models of one network.

    Args:
        models: `checkpoints.Model`s; an iterator reads one after the other.

    Returns:
        A Model with the card of the last, whose "averaged" lists the steps.

    Raises:
        DataError: There are none, they differ in network, front end, classes or
            scaler, or an array is not finite.

    Differs: averaged batch statistics stand in for statistics computed anew with the
    averaged weights, which would need the training clips.
    """
    import jax
    import numpy as np

    from gcrnn_jax.training.checkpoints import Model

    total, cards = None, []
    for card, variables in models:
        _check_same_system(cards[0] if cards else card, card)
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path)
                raise DataError(
                    f"the model of step {card['step']}: {name} is not finite"
                )
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), variables)
        total = exact if total is None else jax.tree.map(np.add, total, exact)
        cards.append(card)
    if not cards:
        raise DataError("no models to average")
    mean = jax.tree.map(lambda x: (x / len(cards)).astype(np.float32), total)
    return Model({**cards[-1], "averaged": [card["step"] for card in cards]}, mean)


def _check_same_system(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    for what, one, two in (
        ("network", first["config"]["model"], other["config"]["model"]),
        ("front end", first["front_end"], other["front_end"]),
        ("classes", first["classes"], other["classes"]),
        ("scaler of the features", first["scaler"], other["scaler"]),
    ):
        if one != two:
            raise DataError(
                f"the models of steps {first['step']} and {other['step']} differ in "
                f"their {what}: {one} and {two}"
            )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    from gcrnn_jax import inference, system
    from gcrnn_jax.training.checkpoints import load_model, save_model
    from gcrnn_jax.workdir import read_config

    def models():
        for path in flags.models:
            if not flags.epochs:
                yield load_model(path)
                continue
            config = read_config(path)
            last = config["training"]["num_epochs"]
            for epoch in system.parse_epochs(flags.epochs, last):
                yield inference.load_epoch(path, config, epoch)

    model = average(models())
    save_model(flags.output, model)
    print(f"wrote {flags.output}: the mean of steps {model.card['averaged']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.average_checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="the folder of a run (with --epochs), or models to average",
    )
    parser.add_argument(
        "--epochs", metavar="FIRST:LAST:STEP", help="epochs of the run, counted from 1"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
