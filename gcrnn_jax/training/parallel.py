"""Devices and processes: one per-replica step, mapped over all of them.

On a CPU the cores are the devices: two devices of one core each train 1.3 to 1.5
times as fast as one device of two threads.
"""

import contextlib
import dataclasses
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax._src import distributed  # its client has no public name
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.errors import PreemptedError, exit_code, exit_now, print_error
from gcrnn_jax.fields import check
from gcrnn_jax.machine import num_cores

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


_BARRIERS = itertools.count()  # a barrier's name must be new
_A_WEEK_MS = 7 * 24 * 3600 * 1000
_FAILED, _HEARD = "gcrnn_jax/failed", "gcrnn_jax/heard/"
_LOOK_EVERY_S, _WAIT_S = 0.2, 10.0


def configure_jax(batch_size: int | None = None, cpu_devices: int = 0) -> None:
    """Settles devices, processes and the cache of compiled programs.

    Must come before anything that touches a device. See `use_cpu_cores`.
    """
    if folder := cache_folder():
        use_compilation_cache(folder / "compiled")
    use_cpu_cores(batch_size, cpu_devices)
    initialize()


def num_processes() -> int:
    """How many processes the launcher started, known before they are joined."""
    env = os.environ
    if "GCRNN_NUM_PROCESSES" in env:
        return int(env["GCRNN_NUM_PROCESSES"])
    return int(env.get("SLURM_NTASKS", "1")) if "SLURM_STEP_NODELIST" in env else 1


def initialize() -> None:
    """Joins the processes of a run, if its launcher started several.

    Understands launch/local.py (GCRNN_COORDINATOR, GCRNN_NUM_PROCESSES,
    GCRNN_PROCESS_ID), Kubernetes Indexed Jobs (GCRNN_NUM_PROCESSES,
    GCRNN_COORDINATOR_HOST, JOB_COMPLETION_INDEX) and SLURM (`srun`, one task a GPU,
    or SLURM_GPUS_PER_TASK of them).
    """
    if num_processes() == 1:
        return
    env = os.environ
    ids = env.get("GCRNN_LOCAL_DEVICE_IDS")
    devices = [int(i) for i in ids.split(",")] if ids else None
    # a process that fails must not hold the others for the default 300 s
    options: dict[str, Any] = {"shutdown_timeout_seconds": 60}
    if "GCRNN_NUM_PROCESSES" not in env:  # SLURM: jax reads the rest itself
        if devices is None and env.get("SLURM_GPUS_PER_TASK"):
            devices = list(range(int(env["SLURM_GPUS_PER_TASK"])))
        jax.distributed.initialize(local_device_ids=devices, **options)
        return
    port = env.get("JAX_COORDINATOR_PORT", "8476")
    address = env.get("GCRNN_COORDINATOR") or f"{env['GCRNN_COORDINATOR_HOST']}:{port}"
    process = env.get("GCRNN_PROCESS_ID") or env["JOB_COMPLETION_INDEX"]
    jax.distributed.initialize(
        address,
        num_processes(),
        int(process),
        local_device_ids=devices,
        cluster_detection_method="deactivate",
        **options,
    )


def use_cpu_cores(batch_size: int | None = None, num_devices: int = 0) -> None:
    """Where there is no accelerator, makes the CPU's cores the devices.

    Args:
        batch_size: Of one process; the devices must divide it. None: any.
        num_devices: Of one process; 0: one a core, less what does not divide the batch.
    """
    if not num_devices:
        cores = num_cores()
        fits = [n for n in range(1, cores + 1) if not (batch_size or 0) % n]
        num_devices = max(fits)
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


def first_then_all(function: Callable[[], Any], name: str) -> Any:
    """Calls a function in the first process, and then in the others.

    For what writes files that the others find done.
    """
    is_first = jax.process_index() == 0
    result = function() if is_first else None
    barrier(name)
    return result if is_first else function()


def barrier(name: str) -> None:
    """Waits until every process has come here, for days if need be.

    By the coordination service: a collective of devices, as
    `multihost_utils.sync_global_devices` is one, gives up after half a minute, and
    the first process may be preparing the features of two million clips.
    """
    if jax.process_count() > 1:
        client = distributed.global_state.client
        assert client is not None  # there is one wherever there are several processes
        client.wait_at_barrier(
            f"gcrnn_jax {next(_BARRIERS)}: {name}", timeout_in_ms=_A_WEEK_MS
        )


@contextlib.contextmanager
def exit_all_on_failure() -> Iterator[None]:
    """Ends all processes of a run, with one exit code, when one of them fails.

    The others may be waiting for it in a collective, where no message reaches them:
    a thread of each looks for the failure that the first to fail leaves with the
    coordination service.
    """
    if jax.process_count() == 1:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # to tell the others
    over = threading.Event()
    threading.Thread(target=_exit_when_another_fails, args=(over,), daemon=True).start()
    try:
        yield
    except PreemptedError:  # comes to all of them at the same step
        raise
    except BaseException as error:
        over.set()
        code = exit_code(error)
        if _publish_failure(code):
            print_error(error)
        _wait_until_all_notified()
        exit_now(code)
    finally:
        over.set()


def _exit_when_another_fails(over: threading.Event) -> None:
    client: Any = distributed.global_state.client
    while not over.wait(_LOOK_EVERY_S):
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # nothing is there yet
            code = int(client.key_value_try_get(_FAILED))
            _wait_until_all_notified()
            exit_now(code)


def _publish_failure(code: int) -> bool:
    """Returns False if another process has failed before: one message is enough."""
    client: Any = distributed.global_state.client
    try:
        client.key_value_set(_FAILED, str(code))
    except jax.errors.JaxRuntimeError as error:
        return "ALREADY_EXISTS" not in str(error)
    return True


def _wait_until_all_notified() -> None:
    """The coordination service may end with this process."""
    client: Any = distributed.global_state.client
    deadline = time.monotonic() + _WAIT_S
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # it has ended
        client.key_value_set(f"{_HEARD}{jax.process_index()}", "")
        while time.monotonic() < deadline:
            if len(client.key_value_dir_get(_HEARD)) == jax.process_count():
                return
            time.sleep(_LOOK_EVERY_S)


def all_processes_agree(value: bool) -> bool:
    """Whether the value is true on every process."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.process_allgather(np.asarray(value)).all())


def broadcast_from_first(value: bool) -> bool:
    """The first process's value: a file may not appear on all at once."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(value)))
