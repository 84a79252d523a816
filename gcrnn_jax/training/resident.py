"""The training clips in the memory of every device: batches travel as indices.

51,172 clips are 1.6 GB, which a GPU reads a thousand times as fast as the host sends.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gcrnn_jax.data.loader import gather
from gcrnn_jax.data.store import Split
from gcrnn_jax.training import parallel

_CHUNK = 4096  # clips sent at once: the host need not hold them all


def fits(split: Split, mesh: Mesh, fraction: float) -> bool:
    """Whether a split takes at most a fraction of each device's memory, everywhere.

    False where a device does not say what it has: on CPUs the memory-mapped files
    are as near.
    """
    size = len(split) * sum(x.nbytes for x in gather(split, np.arange(1)).values())
    stats = [device.memory_stats() or {} for device in mesh.local_devices]
    limit = min(one.get("bytes_limit", 0) for one in stats)
    return parallel.all_processes_agree(size <= fraction * limit)


def put_split(split: Split, mesh: Mesh) -> dict[str, jax.Array]:
    """Copies a split to all devices of the mesh.

    Returns:
        As `gather`, of all clips: features [N, T, F], num_frames [N] and weak_label
        [N, K].
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def put(rows):
        # without the comparison between processes that device_put would make
        return jax.make_array_from_process_local_data(sharding, rows, rows.shape)

    def zeros(x):
        shape = (len(split), *x.shape[1:])
        return jax.jit(lambda: jnp.zeros(shape, x.dtype), out_shardings=sharding)()

    @functools.partial(jax.jit, donate_argnums=0)
    def write(whole, rows, first):
        return jax.tree.map(
            lambda w, r: lax.dynamic_update_slice_in_dim(w, r, first, 0), whole, rows
        )

    whole = jax.tree.map(zeros, gather(split, np.arange(0)))
    for first in range(0, len(split), _CHUNK):
        clips = np.arange(first, min(first + _CHUNK, len(split)))
        rows = jax.tree.map(put, gather(split, clips))
        whole = write(whole, rows, np.int32(first))
    return whole


def with_look_up(step: Callable) -> Callable:
    """A per-replica step (state, {"clips": int [B]}, resident split) of a plain one."""

    def look_up(state, batch, resident):
        return step(state, jax.tree.map(lambda x: x[batch["clips"]], resident))

    return look_up
