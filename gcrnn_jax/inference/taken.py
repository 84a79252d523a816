"""What a network takes of the variables of another: weights that fit, class by class.

An array is taken where the other has one of its name and shape. In an array that has a
row or a column a class, a class that both have keeps its own.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.models.network import Network, variable_shapes
from gcrnn_jax.training.frozen import path_text

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Taken:
    """Variables to begin with, and which of them are a model's.

    Attributes:
        variables: {"params": ..., "batch_stats": ...}.
        num_classes: Array, as "params/last/kernel" -> classes of the model in it; -1:
            all of it is the model's; 0: nothing is.
    """

    variables: PyTree
    num_classes: Mapping[str, int]


def take_weights(
    start: ModelCard,
    variables: PyTree,
    card: ModelCard,
    network: Network,
    drawn: PyTree,
) -> Taken:
    """Takes of a model's variables what fits a network, and the rest of those drawn.

    Args:
        start: Of the model.
        variables: Its {"params": ..., "batch_stats": ...}.
        card: Of the network, for its classes.
        network: That begins with them.
        drawn: NumPy arrays of the network, for all that is not taken.
    """
    model = {
        path_text(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
    axes, theirs = _class_axes(network, card), _class_axes(start.config.model, start)
    pairs = same_classes(start.classes, card.classes)
    num_same = -1 if len(pairs) == len(card.classes) else len(pairs)
    num_classes: dict[str, int] = {}

    def take(path, own: np.ndarray) -> np.ndarray:
        name = path_text(path)
        other = model.get(name)
        num_classes[name] = 0
        if other is None or axes[name] != theirs[name] or other.ndim != own.ndim:
            return own
        rest = [n for n in range(own.ndim) if n not in axes[name]]
        if any(own.shape[n] != other.shape[n] for n in rest):
            return own
        num_classes[name] = num_same if axes[name] else -1
        ours, of_model = (
            np.ix_(
                *(
                    np.array([pair[side] for pair in pairs], int)
                    if n in axes[name]
                    else np.arange(size)
                    for n, size in enumerate(own.shape)
                )
            )
            for side in (1, 0)
        )
        mixed = np.array(own)
        mixed[ours] = other[of_model]
        return mixed

    taken = jax.tree_util.tree_map_with_path(take, drawn)
    return Taken(taken, num_classes)


def same_classes(one: ClassList, other: ClassList) -> list[tuple[int, int]]:
    """Places of the classes that two lists have: of one id, or else of one name.

    Example:
        >>> one = ClassList(ids=("/m/1", "/m/2"), names=("Car", "Bus"))
        >>> same_classes(one, ClassList(ids=("bus", "/m/1"), names=("Bus", "Auto")))
        [(0, 1), (1, 0)]
    """
    by_id, by_name = other.index_by_id, other.index_by_name
    pairs, used = {}, set()
    for values, places in ((one.ids, by_id), (one.names, by_name)):
        for k, value in enumerate(values):
            place = places.get(value)
            if k not in pairs and place is not None and place not in used:
                pairs[k] = place
                used.add(place)
    return sorted(pairs.items())


def _class_axes(network: Network, card: ModelCard) -> dict[str, tuple[int, ...]]:
    """The axes of every array that have a row a class: they grow with a class more."""
    size = card.front_end.num_frames, card.front_end.num_bins
    count = len(card.classes)
    shapes, more = (
        variable_shapes(network.clone(num_classes=n, axis_name=None), *size)
        for n in (count, count + 1)
    )
    return {
        path_text(path): tuple(
            n
            for n, pair in enumerate(zip(a.shape, b.shape, strict=True))
            if len({*pair}) > 1
        )
        for (path, a), (_, b) in zip(
            jax.tree_util.tree_leaves_with_path(shapes),
            jax.tree_util.tree_leaves_with_path(more),
            strict=True,
        )
    }
