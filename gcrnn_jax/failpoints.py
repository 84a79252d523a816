"""Faults at named points, for tests of what survives them.

    GCRNN_FAILPOINT=NAME[@N]:kill|term|raise|enospc|hang python -m gcrnn_jax.main ...

ends the process, sends it a SIGTERM, raises an error, lets the disk be full or waits
for ever where the point NAME is reached for the Nth time (default: the first). Without
the variable nothing happens. Points of a worker count in each worker by itself.
"""

import errno
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn

from gcrnn_jax.errors import ConfigError

POINTS = (
    "prepare.clip",  # in a worker, before a recording is read
    "prepare.shard",
    "prepare.ledger",  # a shard is written, what makes it count is not
    "prepare.share",  # what each process is to build is written, nothing is built
    "prepare.card",
    "write.rename",  # of any file: its content is written, its name is not
    "write.folder",  # the old one is moved away, the new one is not in its place
    "train.restore",
    "train.step",
    "train.epoch",  # all its steps are computed, nothing of it is saved
    "save.model",
    "save.state",  # the model of an epoch is being saved, the state is not
    "save.done",  # both are on their way to the disk
    "score.epoch",
    "score.write",
    "report.average",
    "report.write",
    "predict.decode",  # in a worker, before a recording is read
    "predict.recording",  # its posteriors are computed, nothing of it is written
    "predict.ledger",
    "predict.tables",
    "export.program",
    "fuse.system",
    "fuse.write",
)


def _raise(error: Exception) -> NoReturn:
    raise error


_ACTIONS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "raise": lambda: _raise(RuntimeError("a failpoint raised this")),
    "enospc": lambda: _raise(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    "hang": lambda: time.sleep(1e9),
}
_armed: list = []  # name, how often it is still to be passed, action


def arm(setting: str) -> None:
    """Sets the one fault, as GCRNN_FAILPOINT does; "": none.

    Raises:
        ConfigError: There is no such point or action, or N is not 1 or more.
    """
    place, _, action = setting.partition(":")
    name, _, count = place.partition("@")
    count = count or "1"
    is_valid = name in POINTS and action in _ACTIONS and count.isdecimal()
    if setting and not (is_valid and int(count)):
        raise ConfigError(
            f"GCRNN_FAILPOINT: expected NAME[@N]:ACTION, got {setting!r}; names: "
            f"{', '.join(POINTS)}; actions: {', '.join(_ACTIONS)}"
        )
    _armed[:] = [name, int(count), _ACTIONS[action]] if setting else []


def failpoint(name: str) -> None:
    """Marks a point, where the fault that is set happens."""
    if _armed and _armed[0] == name:
        _armed[1] -= 1
        if _armed[1] == 0:
            _armed[2]()


arm(os.environ.get("GCRNN_FAILPOINT", ""))
