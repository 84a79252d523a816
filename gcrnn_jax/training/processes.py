"""Processes of a run: how they find each other, wait for each other and end."""

import atexit
import contextlib
import functools
import itertools
import os
import signal
from collections.abc import Iterator

import jax
import numpy as np
from jax._src import distributed  # its client has no public name
from jax.experimental import multihost_utils

from gcrnn_jax.errors import PreemptedError, exit_code, print_error
from gcrnn_jax.training import peers
from gcrnn_jax.training.launchers import num_processes, place_of

_BARRIERS = itertools.count()  # a barrier's name must be new
_A_WEEK_MS = 7 * 24 * 3600 * 1000
_peers: peers.Peers | None = None


def initialize() -> None:
    """Joins the processes of a run, if its launcher started several.

    `launchers` says which ones it understands.

    Raises:
        ConfigError: A variable of a launcher is not what it should be.
        PeerError: A process has not come in time, or the port of the first is in use.
    """
    global _peers  # noqa: PLW0603 - as lasting as jax's own connection
    if num_processes() == 1:
        return
    place = place_of(os.environ)
    _peers = peers.join(place)
    atexit.register(_peers.close)
    jax.distributed.initialize(
        place.address,
        place.count,
        place.process,
        local_device_ids=place.devices,
        cluster_detection_method="deactivate",
        coordinator_bind_address=place.address if place.is_on_loopback else None,
        # what `peers` finds comes first: jax would end the process by abort()
        heartbeat_timeout_seconds=max(100, round(2 * peers.Timeouts().silent_s)),
        shutdown_timeout_seconds=60,
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

    The others may be waiting for it in a collective, where no message reaches them.
    """
    if _peers is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # to tell the others
    try:
        yield
    except PreemptedError:  # comes to all of them at the same step
        raise
    except BaseException as error:
        _peers.fail(exit_code(error), functools.partial(print_error, error))


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


def array_from_first(array: np.ndarray) -> np.ndarray:
    """The first process's array, whose shape and dtype must be those of all."""
    if jax.process_count() == 1:
        return array
    return np.asarray(multihost_utils.broadcast_one_to_all(array))
