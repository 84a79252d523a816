"""Processes of a run: how they find each other, wait for each other and end."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax._src import distributed  # its client has no public name
from jax.experimental import multihost_utils

from gcrnn_jax.errors import PreemptedError, exit_code, exit_now, print_error

_BARRIERS = itertools.count()  # a barrier's name must be new
_A_WEEK_MS = 7 * 24 * 3600 * 1000
_FAILED, _HEARD = "gcrnn_jax/failed", "gcrnn_jax/heard/"
_LOOK_EVERY_S, _WAIT_S = 0.2, 10.0


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
