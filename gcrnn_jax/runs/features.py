"""The features that a run is trained on, prepared by all of its processes."""

import contextlib
import os
import socket
import zlib
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from gcrnn_jax.config import Config
from gcrnn_jax.data.build_store import StorePlan
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.data.worker_pool import resolve_num_workers
from gcrnn_jax.errors import DataError
from gcrnn_jax.training import processes


def open_store(config: Config) -> FeatureStore:
    """The features of the configured data, after computing what is not there yet.

    The first process reads the lists and looks at the recordings; each process then
    computes its share, and the first seals the store.

    Raises:
        As `DataOptions.prepare`; DataError too where processes see different folders.
    """
    data, front_end, seed = config.data, config.front_end, config.seed
    if jax.process_count() == 1:
        return data.prepare(front_end, seed)
    path = data.path(front_end, seed)
    is_first = jax.process_index() == 0
    plan = data.plan(front_end, seed) if is_first else None
    with contextlib.ExitStack() as held:
        is_shared = False
        if isinstance(plan, StorePlan):
            held.enter_context(plan.held())
            is_shared = plan.share(jax.process_count())
        processes.barrier("features are planned")
        if not path.is_dir():
            raise DataError(_not_shared(path))
        if processes.broadcast_from_first(is_shared):
            _build_share(config)
            processes.barrier("every process has computed its features")
        if isinstance(plan, StorePlan):
            plan = plan.finish(data.num_workers)
    processes.barrier("features are ready")
    store = plan or FeatureStore.open(path)
    own_hash = np.frombuffer(bytes.fromhex(store.content_hash), np.uint8)
    if (processes.array_from_first(own_hash) != own_hash).any():
        raise DataError(_not_shared(path))
    return data.hold_out(store, seed)


def _not_shared(path: Path) -> str:
    host = socket.gethostname()
    message = f"{path} on {host} does not have the features of the first process"
    return f"{message}: all need a folder on a disk that they share: set data.store"


def _build_share(config: Config) -> None:
    """Builds what the plan has left for this process; the first shows how far it is.

    The others have as much to do.
    """
    number, count = jax.process_index() + 1, jax.process_count()
    shards = config.data.read_share(config.front_end, config.seed, number)
    shards.label = f"preparing part {number}/{count}"
    with open(os.devnull, "w") as nowhere:
        shards.stream = None if number == 1 else nowhere
        shards.build(_own_workers(config.data.num_workers))


def _own_workers(num_workers: int) -> int:
    """How many workers this process has where -1 asks for all cores.

    Processes of one machine may each have cores of their own, or share them.
    """
    cores = f"{socket.gethostname()} {sorted(os.sched_getaffinity(0))}"
    own = np.asarray(zlib.crc32(cores.encode()), np.uint32)
    num_sharing = int((multihost_utils.process_allgather(own) == own).sum())
    if num_workers == -1:
        return max(1, resolve_num_workers(-1) // num_sharing)
    return num_workers
