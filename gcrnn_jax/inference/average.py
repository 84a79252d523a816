"""The mean of the weights of several models of one network."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.inference.card import ModelCard

PyTree = Any


def average_models(
    models: Iterable[tuple[ModelCard, PyTree]],
) -> tuple[ModelCard, PyTree]:
    """The mean of the weights and batch statistics of models of one network.

    Args:
        models: Cards and variables; an iterator reads one after the other.

    Returns:
        The card of the last, whose `averaged` lists the steps, and float32 variables.
        Of several models it has no probabilities, which are of their posteriors.

    Raises:
        DataError: There are none, they differ in network, front end, classes or
            scaler, or an array is not finite.

    Differs: averaged batch statistics stand in for statistics computed anew with the
    averaged weights, which would need the training clips.
    """
    total, cards = None, []
    for card, variables in models:
        _check_same_system(cards[0] if cards else card, card)
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
            if not np.isfinite(leaf).all():
                name = jax.tree_util.keystr(path)
                raise DataError(f"the model of step {card.step}: {name} is not finite")
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), variables)
        total = exact if total is None else jax.tree.map(np.add, total, exact)
        cards.append(card)
    if not cards:
        raise DataError("no models to average")
    mean = jax.tree.map(lambda x: (x / len(cards)).astype(np.float32), total)
    steps = tuple(card.step for card in cards)
    card = dataclasses.replace(cards[-1], averaged=steps)
    return card if len(cards) == 1 else dataclasses.replace(
        card, probabilities=None
    ), mean


def _check_same_system(first: ModelCard, other: ModelCard) -> None:
    one, two = first.to_dict(), other.to_dict()
    for name, a, b in (
        ("network", one["config"]["model"], two["config"]["model"]),
        ("front end", one["front_end"], two["front_end"]),
        ("classes", one["classes"], two["classes"]),
        ("scaler of the features", one["scaler"], two["scaler"]),
    ):
        if a != b:
            raise DataError(
                f"the models of steps {first.step} and {other.step} differ in their "
                f"{name}: {a} and {b}"
            )
