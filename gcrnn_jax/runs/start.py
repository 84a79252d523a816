"""A start from a trained model: its front end, its scaler, and the weights that fit.

An array is taken where the model has one of its name and shape. In an array that has a
row or a column a class, a class that both have, by its id or else its name, keeps its
own, and the others are drawn as for any start. All but `clip_s` of the front end is the
model's, whatever is configured, or its weights would not fit their input.

The model may be one that the run has trained on soundscapes before: of its own network
and front end.

A run reads the model once, before its first step; `start.json` in its folder keeps what
it took, with the model's card, and later starts need no more.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.data.manifest import unseal, write_sealed
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.inference.model import hash_model
from gcrnn_jax.inference.taken import Taken, same_classes, take_weights
from gcrnn_jax.metrics.tables import text_table
from gcrnn_jax.models import Network, network_fields
from gcrnn_jax.runs.loading import read_card_and_variables
from gcrnn_jax.training.frozen import is_frozen, path_text
from gcrnn_jax.training.model_files import MAX_CARD_BYTES
from gcrnn_jax.training.state import TrainState

if TYPE_CHECKING:  # whose start it is
    from gcrnn_jax.runs.run import Run

PyTree = Any
_EXPORTED = "card.json"  # what exported models have, and no others
NEW, TAKEN = "new", "taken"


def configure_start(run: "Run") -> "tuple[Run, str]":
    """The run with the front end of the model that it starts from, if it does.

    Returns:
        The run, and a line that says which fields of its front end were others.

    Raises:
        ConfigError: Its `clip_s` does not fit that front end, or the model's network is
            of another kind.
        DataError: There is no model, or it cannot be read.
    """
    card = None if run.soundscapes else start_card(run)
    if card is None:
        return run, ""
    try:
        front_end = card.front_end.of_clips(run.config.front_end.clip_s)
    except ValueError as error:
        message = f"front_end, of {run.config.training.start_from}: {error}"
        raise ConfigError(message) from error
    config = dataclasses.replace(run.config, front_end=front_end)
    own, theirs = run.config.front_end.as_dict(), front_end.as_dict()
    changes = _changes(own, theirs)
    line = f"front end of the model, not as configured: {changes}" if changes else ""
    if own["kind"] != theirs["kind"]:  # which have hardly a field in common
        line = f"front end of the model, of kind {front_end.kind}"
    return dataclasses.replace(run, config=config), line


def start_card(run: "Run") -> ModelCard | None:
    """The card of the model that a run starts from; None: it starts from none.

    Of a run that has begun from its own folder: the model may be gone, or another.

    Raises:
        ConfigError: Its network is of another kind.
        DataError: There is no such model, or it cannot be read.
    """
    if run.start_path is None:
        return None
    run = next(iter(run.members), run)  # of an ensemble, all start as the first
    if run.has_begun and run.start.exists():
        content = unseal(read_json(run.start, max_bytes=MAX_CARD_BYTES), run.start)
        card = ModelCard.from_dict(content.get("card"), run.start)
        return card.found_near(run.folder)
    return _read_start(run)[0]


def start_state(
    run: "Run", card: ModelCard, network: Network, state: TrainState
) -> TrainState:
    """The state before the first step, of the weights that are taken.

    The first process says what is taken, new and frozen, and keeps that with the run.

    Args:
        run: That starts from a model.
        card: Of the models that it trains.
        network: Of the run.
        state: Whose weights are drawn by the seed.

    Raises:
        ConfigError: Nothing of the model fits, or what is frozen is not of it.
        DataError: There is no model, or it cannot be read.
    """
    path, frozen = str(run.start_path), run.config.training.frozen
    start, variables = _read_start(run)
    _check_front_end(path, start, card)
    drawn = {"params": state.params, "batch_stats": state.batch_stats}
    taken = take_weights(start, variables, card, network, jax.device_get(drawn))
    _check_taken(path, taken, frozen)
    if jax.process_index() == 0:
        for line in _describe(path, start, card, taken, frozen):
            print(line, flush=True)
        _write(run, path, start, variables, taken)
    # copies, as the step writes where its state was
    variables = jax.tree.map(jnp.array, taken.variables)
    average = state.average
    if average is not None:
        average = jax.tree.map(jnp.copy, variables["params"])
    return state.replace(**variables, average=average)


def _read_start(run: "Run") -> tuple[ModelCard, PyTree]:
    path = run.start_path
    assert path is not None
    try:
        card, variables = read_card_and_variables(path)
    except DataError as error:
        hint = ""
        if (path / _EXPORTED).is_file():
            hint = "; this is an exported model: start from the one that it is of"
        raise DataError(f"training.start_from: {error}{hint}") from error
    own, theirs = run.config.model.kind, card.config.model.kind
    if own != theirs:
        raise ConfigError(
            f"training.start_from: {path} holds a {theirs}, expected a {own} as in "
            "model.kind"
        )
    return card, variables


def _leaves(tree: PyTree) -> Iterator[tuple[Any, Any]]:
    yield from jax.tree_util.tree_leaves_with_path(tree)


def _write(
    run: "Run", path: str, start: ModelCard, variables: PyTree, taken: Taken
) -> None:
    arrays = map(np.ascontiguousarray, jax.tree.leaves(variables))
    counts = taken.num_classes
    content = {
        "path": str(Path(path).absolute()),
        "sha256": hash_model(start.to_dict(), (array.data for array in arrays)),
        TAKEN: [name for name, count in counts.items() if count < 0],
        f"{TAKEN} of some classes": [
            name for name, count in counts.items() if count > 0
        ],
        NEW: [name for name, count in counts.items() if count == 0],
        "card": start.to_dict(),
    }
    write_sealed(run.start, content)


def _check_front_end(path: str, start: ModelCard, card: ModelCard) -> None:
    own = card.front_end.as_dict()
    theirs = start.front_end.of_clips(card.front_end.clip_s).as_dict()
    if changes := _changes(own, theirs):
        raise DataError(
            f"the features were computed by another front end than that of {path}, "
            f"which training starts from: {changes}"
        )


def _check_taken(path: str, taken: Taken, frozen: tuple[str, ...]) -> None:
    names = {name.partition("/")[2]: n for name, n in taken.num_classes.items()}
    kernels = [
        name
        for name, leaf in _leaves(taken.variables["params"])
        if leaf.ndim > 1 and names[path_text(name)]
    ]
    if not kernels:  # a bias alone is no start
        raise ConfigError(
            f"training.start_from: nothing of {path} fits the configured network: no "
            "kernel has its name and shape; compare the sections model"
        )
    random = [n for n, count in names.items() if count >= 0 and is_frozen(n, frozen)]
    if random:
        raise ConfigError(
            f"training.frozen: {path} does not have all of {', '.join(random)} in the "
            "shape and of the classes that are configured: what is drawn at random "
            "would stay"
        )


def _describe(
    path: str,
    start: ModelCard,
    card: ModelCard,
    taken: Taken,
    frozen: tuple[str, ...],
) -> Iterator[str]:
    """What is taken, new and frozen, in lines and a table."""
    what = f"the mean of steps {list(start.averaged)}" if start.averaged else ""
    yield f"starting from {path}, {what or f'step {start.step}'}"
    own, theirs = (network_fields(one.config.model) for one in (card, start))
    if changes := _changes(theirs, own):
        yield f"the network differs from the model's: {changes}"
    yield from _describe_classes(start, card)
    arrays: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for leaf_path, leaf in _leaves(taken.variables["params"]):
        name = path_text(leaf_path)
        count = taken.num_classes[f"params/{name}"]
        how = {-1: TAKEN, 0: NEW}.get(count, f"{TAKEN} of {count} classes, else {NEW}")
        if is_frozen(name, frozen):
            how += ", frozen"
        key = name.split("/")[0], how
        arrays[key] += 1
        sizes[key] += math.prod(leaf.shape)
    rows = [[*key, arrays[key], f"{sizes[key]:,}"] for key in arrays]
    rows.append(["all", "", sum(arrays.values()), f"{sum(sizes.values()):,}"])
    yield text_table(["group", "weights", "arrays", "parameters"], rows)


def _describe_classes(start: ModelCard, card: ModelCard) -> Iterator[str]:
    pairs = same_classes(start.classes, card.classes)
    yield (
        f"classes: {len(pairs)} of {len(card.classes)} are the model's, which has "
        f"{len(start.classes)}"
    )
    for place, own in pairs:
        names = start.classes.names[place], card.classes.names[own]
        if names[0] != names[1]:
            ident = card.classes.ids[own]
            yield f"class {ident} is {names[1]!r} here, {names[0]!r} in the model"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {before.get(name)} -> {now.get(name)}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    )
