"""What a run leaves as it is: parameters named by their groups, and their statistics.

A frozen BatchNorm normalises by the running statistics that it has, in training too,
and keeps them: so a frozen block computes what it does in prediction. Dropout goes on.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
from flax import linen as nn
from jax import lax

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.layers import BatchNorm

PyTree = Any


def is_frozen(path: str, names: Iterable[str]) -> bool:
    """Whether a group, or an array in it, is one that `names` freeze.

    A name stands for all whose path it is, or begins, up to a "/" or "_".

    Example:
        >>> is_frozen("block_1_unit_0/conv/kernel", ["block_1"])
        True
        >>> is_frozen("block_10_unit_0/conv/kernel", ["block_1"])
        False
    """
    return any(
        path == name or path.startswith((f"{name}/", f"{name}_")) for name in names
    )


def path_text(path: Any) -> str:
    """The path of an array in a tree, as "block_0_unit_0/conv/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def frozen_mask(tree: PyTree, names: Sequence[str]) -> PyTree:
    """The tree with True for each array that is frozen, and False for the others."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: is_frozen(path_text(path), names), tree
    )


def check_frozen(names: Sequence[str], params: PyTree) -> None:
    """Checks names by the parameters of a network, or what has their shapes.

    Raises:
        ConfigError: A name freezes nothing, which names the nearest one that does; or
            all of them together freeze everything.
    """
    paths = [path_text(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    groups = list(dict.fromkeys(path.split("/")[0] for path in paths))
    for name in names:
        if not any(is_frozen(path, [name]) for path in paths):
            nearest = difflib.get_close_matches(name, _beginnings(groups), n=1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise ConfigError(
                f"training.frozen: no parameters of the name {name!r}; {hint}"
                f"There are {', '.join(groups)}"
            )
    if names and all(is_frozen(path, names) for path in paths):
        raise ConfigError(
            f"training.frozen: {', '.join(names)} are all parameters that there are, "
            "and nothing is left to train"
        )


def _beginnings(groups: Iterable[str]) -> list[str]:
    """Names that freeze some of the groups, such as block_0 of block_0_unit_0."""
    found: dict[str, None] = {}
    for group in groups:
        parts = group.split("_")
        found |= dict.fromkeys("_".join(parts[: n + 1]) for n in range(len(parts)))
    return list(found)


def keep_frozen(new: PyTree, old: PyTree, names: Sequence[str]) -> PyTree:
    """The new tree with the arrays of the old one where they are frozen."""
    mask = frozen_mask(new, names)
    return jax.tree.map(lambda fixed, a, b: b if fixed else a, mask, new, old)


def without_gradient(params: PyTree, names: Sequence[str]) -> PyTree:
    """The parameters; no gradient is computed for those that are frozen."""
    mask = frozen_mask(params, names)
    return jax.tree.map(
        lambda fixed, x: lax.stop_gradient(x) if fixed else x, mask, params
    )


@contextlib.contextmanager
def fixed_statistics(names: Sequence[str]) -> Iterator[None]:
    """Networks that are traced meanwhile have frozen BatchNorms, as in prediction."""

    def intercept(call, args, kwargs, context):
        module = context.module
        if isinstance(module, BatchNorm) and is_frozen("/".join(module.path), names):
            kwargs = {**kwargs, "train": False}
        return call(*args, **kwargs)

    with nn.intercept_methods(intercept):
        yield
