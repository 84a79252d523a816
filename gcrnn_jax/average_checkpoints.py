"""Averages the weights of several epochs into one model.

    python -m gcrnn_jax.average_checkpoints runs/sed --epochs 20:80:10 --output best

The result is a model like any other: `evaluate --model best` scores it.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from gcrnn_jax.errors import DataError, run_command


def average(models: Iterable):
    """The mean of the weights and batch statistics of models of one network.

    Args:
        models: `checkpoints.Model`s, read one after the other.

    Returns:
        A Model with the card of the last, whose "averaged" lists the steps.

    Raises:
        DataError: There are none, their arrays differ in shape, or one is not finite.

    Differs: averaged batch statistics stand in for statistics computed anew with the
    averaged weights, which would need the training clips.
    """
    import jax
    import numpy as np

    from gcrnn_jax.training.checkpoints import Model

    total, cards = None, []
    for card, variables in models:
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path)
                raise DataError(
                    f"the model of step {card['step']}: {name} is not finite"
                )
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), variables)
        try:
            total = exact if total is None else jax.tree.map(np.add, total, exact)
        except ValueError as error:
            raise DataError(f"the models are of different networks: {error}") from error
        cards.append(card)
    if not cards:
        raise DataError("no models to average")
    mean = jax.tree.map(lambda x: (x / len(cards)).astype(np.float32), total)
    return Model({**cards[-1], "averaged": [card["step"] for card in cards]}, mean)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    import json

    from gcrnn_jax import inference, system
    from gcrnn_jax.training.checkpoints import load_model, save_model

    if flags.epochs:
        models = []
        for run in flags.models:
            config = load_model(run).card["config"]
            last = config["training"]["num_epochs"]
            epochs = system.parse_epochs(flags.epochs, last)
            models += [inference.load_epoch(run, config, epoch) for epoch in epochs]
    else:
        models = [load_model(path) for path in flags.models]
    model = average(models)
    save_model(flags.output, model)
    print(
        f"wrote {flags.output}: the mean of steps {json.dumps(model.card['averaged'])}"
    )


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
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    return parser


if __name__ == "__main__":
    run_command(main)
