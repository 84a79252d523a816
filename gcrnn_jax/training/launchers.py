"""What the launcher of several processes tells each of them by its environment.

launch/local.py sets GCRNN_COORDINATOR, GCRNN_NUM_PROCESSES and GCRNN_PROCESS_ID; an
Indexed Job of Kubernetes GCRNN_NUM_PROCESSES, GCRNN_COORDINATOR_HOST and
JOB_COMPLETION_INDEX; SLURM's `srun`, one task a GPU or SLURM_GPUS_PER_TASK of them,
its own variables.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from gcrnn_jax.errors import ConfigError

_PORT = 8476  # JAX's own choice


class Place(NamedTuple):
    """What a launcher tells a process.

    Attributes:
        host: Of the first process.
        port: That it listens on.
        count: Of processes.
        process: Which of them this one is, from 0 on.
        devices: Of this machine's accelerators, those of this process; None: all.
        run: Tells the processes of this run from strangers.
    """

    host: str
    port: int
    count: int
    process: int
    devices: list[int] | None = None
    run: str = "-"

    @property
    def address(self) -> str:
        """Where the first process listens."""
        return f"{self.host}:{self.port}"

    @property
    def is_on_loopback(self) -> bool:
        """Whether no other machine takes part."""
        return self.host == "localhost" or self.host.startswith("127.")


def num_processes(env: Mapping[str, str] = os.environ) -> int:
    """How many processes the launcher started, known before they are joined."""
    if "GCRNN_NUM_PROCESSES" in env:
        return _number(env, "GCRNN_NUM_PROCESSES", 1)
    return _number(env, "SLURM_NTASKS", 1) if "SLURM_STEP_NODELIST" in env else 1


def place_of(env: Mapping[str, str]) -> Place:
    """What the launcher has told this process."""
    ids = env.get("GCRNN_LOCAL_DEVICE_IDS")
    if ids and not re.fullmatch(r"\d+(,\d+)*", ids):
        raise ConfigError(f"GCRNN_LOCAL_DEVICE_IDS: expected as 0,1, got {ids!r}")
    devices = [int(i) for i in ids.split(",")] if ids else None
    if "GCRNN_NUM_PROCESSES" not in env:
        return _slurm_place(env, devices)
    host, _, port = env.get("GCRNN_COORDINATOR", "").rpartition(":")
    if "GCRNN_COORDINATOR" not in env:
        host, port = env.get("GCRNN_COORDINATOR_HOST", ""), ""
    if not host:
        raise ConfigError(
            "GCRNN_NUM_PROCESSES is set: expected the first process's address in "
            f"GCRNN_COORDINATOR, as host:port, or its name in GCRNN_COORDINATOR_HOST; "
            f"got {env.get('GCRNN_COORDINATOR')!r} and "
            f"{env.get('GCRNN_COORDINATOR_HOST')!r}"
        )
    names = "GCRNN_PROCESS_ID", "JOB_COMPLETION_INDEX"
    name = next((name for name in names if name in env), " or ".join(names))
    if port:
        number = _number({"GCRNN_COORDINATOR": port}, "GCRNN_COORDINATOR", 1, 2**16)
    else:
        number = _port(env, _PORT)
    return Place(
        host,
        number,
        num_processes(env),
        _number(env, name, 0, num_processes(env)),
        devices,
    )


def _slurm_place(env: Mapping[str, str], devices: list[int] | None) -> Place:
    job = _number(env, "SLURM_JOB_ID", 0)
    if devices is None and (per_task := env.get("SLURM_GPUS_PER_TASK")):
        devices = [*range(_num_gpus(per_task))]  # a task sees its own alone
    elif devices is None:
        devices = [_number(env, "SLURM_LOCALID", 0)]
    return Place(
        first_host(env["SLURM_STEP_NODELIST"]),
        _port(env, 61440 + job % 4096),  # two jobs may share a node
        num_processes(env),
        _number(env, "SLURM_PROCID", 0, num_processes(env)),
        devices,
        run=str(job),
    )


def _port(env: Mapping[str, str], default: int) -> int:
    name = "JAX_COORDINATOR_PORT"
    return _number(env, name, 1, 2**16) if name in env else default


def _number(env: Mapping[str, str], name: str, least: int, end: int = 2**31) -> int:
    text = env.get(name, "")
    if not (text.isdecimal() and least <= int(text) < end):
        upper = f" to {end - 1}" if end < 2**31 else " or more"
        raise ConfigError(f"{name}: expected {least}{upper}, got {text!r}")
    return int(text)


def _num_gpus(text: str) -> int:
    """Of what --gpus-per-task was given: 2, a100:2 or a100:1,v100:1."""
    counts = [one.rpartition(":")[2] for one in text.split(",")]
    if not all(count.isdecimal() for count in counts):
        expected = "a number, or several by type as a100:1,v100:1"
        raise ConfigError(f"SLURM_GPUS_PER_TASK: expected {expected}, got {text!r}")
    return sum(map(int, counts))


def first_host(nodes: str) -> str:
    """The first of the nodes in SLURM's notation.

    Example:
        >>> first_host("gpu[007-012,20],fat1"), first_host("fat1,gpu2")
        ('gpu007', 'fat1')
        >>> first_host("rack[1-2]-node[03,05].site")
        'rack1-node03.site'
    """
    first = re.sub(r"\[(\d+)[^\]]*\]", r"\1", nodes)
    return first.partition(",")[0]
