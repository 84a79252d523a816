"""Which rows of the global batch a replica holds, and which of them count."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.training.parallel import AXIS

PyTree = Any


class ReplicaRows:
    """The rows of a replica; to be made, and used, within the mapped axis AXIS.

    Attributes:
        numbers: int [b], the row of the global batch that each row is.
        weight: float32 [b], 0 on rows that fill up and equal on all others, of mean 1
            over all replicas; None: all rows count the same, and nothing is computed
            for the difference.
    """

    def __init__(self, size: int, batch_size: int | None = None, num_parts: int = 1):
        """Takes the rows of a batch shared out as by `BatchShares`.

        Args:
            size: Rows of this replica, b.
            batch_size: Of the global batch; None: all rows of all replicas.
            num_parts: Shares of a replica.

        Raises:
            ValueError: A replica has another number of rows.
        """
        num_replicas = lax.axis_size(AXIS)
        batch_size = batch_size or size * num_replicas
        self._shares = BatchShares(batch_size, num_replicas * num_parts)
        if size != self._shares.size * num_parts:
            raise ValueError(
                f"expected {self._shares.size * num_parts} rows a device of a batch of "
                f"{batch_size} on {num_replicas}, in {num_parts} parts, got {size}"
            )
        replica = lax.axis_index(AXIS)
        if self._shares.is_even:
            self.numbers = replica * size + jnp.arange(size)
            self.weight = None
            return
        self.numbers = jnp.asarray(self._shares.rows.reshape(-1, size))[replica]
        weight = self._shares.is_real * (size * num_replicas / batch_size)
        self.weight = jnp.asarray(weight.reshape(-1, size), float)[replica]

    def keys(self, key: jax.Array) -> jax.Array:
        """A random key for each row [b], the same for any number of replicas."""
        return jax.vmap(jax.random.fold_in, (None, 0))(key, self.numbers)

    def weight_of(self, counts: jax.Array) -> jax.Array:
        """Weights of rows, [b], such that the mean over clips is that of some of them.

        That is bool [b], those that count, over all replicas. None: all are 0.
        """
        if self.weight is not None:
            counts = counts & (self.weight > 0)
        number = lax.psum(counts.sum(), AXIS)
        share = self._shares.batch_size / jnp.maximum(number, 1)
        return jnp.where(counts, share, 0.0)

    def partners(
        self, key: jax.Array, rows: PyTree, kinds: jax.Array | None = None
    ) -> PyTree:
        """Another row [b, ...] of the global batch for each, wherever that lies.

        Args:
            key: Of the choice.
            rows: [b, ...] of this replica.
            kinds: int [b]: a row gets one of its own kind. None: of any.
        """
        everywhere = lax.all_gather(rows, AXIS, tiled=True)
        order = jax.random.permutation(key, self._shares.batch_size)
        real = None
        if self.weight is not None:  # where rows lie among those that fill up
            real = jnp.asarray(np.flatnonzero(self._shares.is_real))
        if kinds is not None:
            of_all = lax.all_gather(kinds, AXIS, tiled=True)
            order = _within_kinds(order, of_all if real is None else of_all[real])
        chosen = order[self.numbers]
        if real is not None:
            chosen = real[chosen]
        return jax.tree.map(lambda x: x[chosen], everywhere)


def _within_kinds(order: jax.Array, kinds: jax.Array) -> jax.Array:
    """A random order, int [B], made one of the rows of each kind, int [B], alone."""
    places = jnp.argsort(kinds, stable=True)
    drawn = order[jnp.argsort(kinds[order], stable=True)]
    return jnp.zeros_like(order).at[places].set(drawn)
