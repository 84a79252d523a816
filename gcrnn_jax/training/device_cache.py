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
from gcrnn_jax.training import processes

_CHUNK = 4096  # clips sent at once: the host need not hold them all


def fits_on_devices(split: Split, mesh: Mesh, fraction: float) -> bool:
    """Whether a split takes at most a fraction of each device's memory, everywhere.

    False where a device does not report its memory: on CPUs the memory-mapped files
    are as near.
    """
    size = len(split) * sum(x.nbytes for x in gather(split, np.arange(1)).values())
    stats = [device.memory_stats() or {} for device in mesh.local_devices]
    limit = min(one.get("bytes_limit", 0) for one in stats)
    return processes.all_processes_agree(size <= fraction * limit)


def put_split(split: Split, mesh: Mesh) -> dict[str, jax.Array]:
    """Copies a split to all devices of the mesh.

    Returns:
        As `gather`, of all clips: features [N, T, F], num_frames [N], weak_label
        [N, K] and what else it has.
    """
    sharding = NamedSharding(mesh, PartitionSpec())

    def put(rows):
        # without the comparison between processes that device_put would make
        return jax.make_array_from_process_local_data(sharding, rows, rows.shape)

    def zeros(x):
        shape = (len(split), *x.shape[1:])
        return jax.jit(lambda: jnp.zeros(shape, x.dtype), out_shardings=sharding)()

    @functools.partial(jax.jit, donate_argnums=0)
    def write(cache, rows, start):
        return jax.tree.map(
            lambda c, r: lax.dynamic_update_slice_in_dim(c, r, start, 0), cache, rows
        )

    cache = jax.tree.map(zeros, gather(split, np.arange(0)))
    for start in range(0, len(split), _CHUNK):
        clips = np.arange(start, min(start + _CHUNK, len(split)))
        rows = jax.tree.map(put, gather(split, clips))
        cache = write(cache, rows, np.int32(start))
    return cache


def gather_on_device(step: Callable) -> Callable:
    """A per-replica step (state, {"clips": int [B]}, cache) made of a plain one."""

    def gather_and_step(state, batch, cache):
        return step(state, jax.tree.map(lambda x: x[batch["clips"]], cache))

    return gather_and_step
