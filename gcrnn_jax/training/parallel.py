"""Devices: one per-replica step, mapped over all of them.

On a CPU the cores are the devices: two devices of one core each train 1.3 to 1.5
times as fast as one device of two threads.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.fields import check
from gcrnn_jax.machine import num_cores
from gcrnn_jax.training.processes import initialize

AXIS = "data"  # the mapped axis: the clips of a batch


@dataclasses.dataclass(frozen=True)
class Parallelism:
    """How a run uses devices.

    Attributes:
        cpu_devices: Of one process, where there is no accelerator; 0: one a core.
        sync_batch_norm: Whether BatchNorm counts the clips of all devices.
        device_cache_fraction: Of a GPU's memory that training clips may take.
    """

    cpu_devices: int
    sync_batch_norm: bool
    device_cache_fraction: float

    def __post_init__(self):
        check(self, "0 or more", "cpu_devices")
        check(self, "in [0, 1]", "device_cache_fraction")


def configure_jax(batch_size: int | None = None, cpu_devices: int = 0) -> None:
    """Settles devices, processes and the cache of compiled programs.

    Must come before anything that touches a device. See `use_cpu_cores`.
    """
    if folder := cache_folder():
        use_compilation_cache(folder / "compiled")
    use_cpu_cores(batch_size, cpu_devices)
    initialize()


def use_cpu_cores(batch_size: int | None = None, num_devices: int = 0) -> None:
    """Where there is no accelerator, makes the CPU's cores the devices.

    Args:
        batch_size: Of one process; None: any.
        num_devices: Of one process; 0: one a core, less those that would not lessen
            the clips of the others.
    """
    if not num_devices:
        cores = num_cores()
        clips = -(-(batch_size or cores) // cores)  # of the device that has most
        num_devices = -(-(batch_size or cores) // clips)
    jax.config.update("jax_num_cpu_devices", num_devices)


def use_compilation_cache(folder: Path) -> None:
    """Keeps compiled programs in a folder of the user's, for the next start.

    JAX_COMPILATION_CACHE_DIR, if set, has precedence. A folder that others may write
    is not used: what it holds is executed.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return  # slower, not wrong
    if status.st_uid == os.getuid() and not status.st_mode & 0o022:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            # a small network has programs of less than the default second
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def make_mesh(devices=None) -> Mesh:
    """All devices of all processes (or those given) on the one axis AXIS.

    With Auto axes: `jax.make_mesh` has Explicit ones, under which plain `jit` of the
    network would gather the batch.
    """
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def put_state(tree, mesh: Mesh):
    """Copies a tree of arrays, equal on every process, to all devices of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def put_batch(rows, mesh: Mesh):
    """Makes global arrays of every process's rows, spread over all devices.

    The arrays must not be written afterwards: on a CPU they are not copied.
    """
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), rows
    )


def data_parallel(
    step: Callable, mesh: Mesh, *, shared=None, out_axes=None, donate: bool = False
):
    """Compiles a per-replica function for all devices, as `jax.pmap` does.

    Args:
        step: (state, batch) -> out, each replica with its own rows of the batch and
            the whole state. Means over replicas are its own to take, by `lax.pmean`
            over AXIS: nothing checks that replicas agree on what is not mapped.
        mesh: The devices.
        shared: Arrays on all devices that the step is given as its third argument,
            whole; None: it has but two.
        out_axes: None: every replica returns the same, which is returned once. AXIS:
            the rows that replicas return are joined.
        donate: The state's memory is reused for the result.

    Differs: from literal `jax.pmap` in that states are global arrays, which orbax can
    save from several processes.
    """
    in_specs = (PartitionSpec(), PartitionSpec(AXIS))
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(*in_specs, *([] if shared is None else [PartitionSpec()])),
        out_specs=PartitionSpec() if out_axes is None else PartitionSpec(out_axes),
        check_vma=False,  # gradients of unmapped parameters would be summed unasked
    )
    compiled = jax.jit(mapped, donate_argnums=(0,) if donate else ())
    if shared is None:
        return compiled
    return lambda state, batch: compiled(state, batch, shared)


def to_host(tree):
    """Fetches a tree of global arrays, rows of all processes included, as NumPy."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)
