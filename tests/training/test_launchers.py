"""What launchers tell a process, and what is said where that cannot be."""

import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.training.launchers import Place, num_processes, place_of

LOCAL = {
    "GCRNN_COORDINATOR": "127.0.0.1:5000",
    "GCRNN_NUM_PROCESSES": "4",
    "GCRNN_PROCESS_ID": "3",
}
POD = {
    "GCRNN_COORDINATOR_HOST": "gcrnn-0.gcrnn",
    "GCRNN_NUM_PROCESSES": "2",
    "JOB_COMPLETION_INDEX": "1",
}
TASK = {
    "SLURM_JOB_ID": "5000",
    "SLURM_STEP_NODELIST": "gpu[07-08,11]",
    "SLURM_NTASKS": "24",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
}


@pytest.mark.parametrize(
    ("env", "place"),
    [
        (LOCAL, Place("127.0.0.1", 5000, 4, 3)),
        (
            {**LOCAL, "GCRNN_LOCAL_DEVICE_IDS": "6,7"},
            Place("127.0.0.1", 5000, 4, 3, [6, 7]),
        ),
        (POD, Place("gcrnn-0.gcrnn", 8476, 2, 1)),
        ({**POD, "JAX_COORDINATOR_PORT": "99"}, Place("gcrnn-0.gcrnn", 99, 2, 1)),
        (TASK, Place("gpu07", 61440 + 5000 - 4096, 24, 9, [1], "5000")),
        (
            {**TASK, "SLURM_GPUS_PER_TASK": "2", "JAX_COORDINATOR_PORT": "99"},
            Place("gpu07", 99, 24, 9, [0, 1], "5000"),
        ),
        (
            {**TASK, "SLURM_GPUS_PER_TASK": "a100:2,v100:1"},
            Place("gpu07", 61440 + 5000 - 4096, 24, 9, [0, 1, 2], "5000"),
        ),
    ],
)
def test_every_launcher_is_understood(env, place, monkeypatch):
    for name in {*LOCAL, *POD, *TASK}:
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert num_processes() == place.count
    assert place_of(env) == place


@pytest.mark.parametrize(
    ("env", "name", "value", "message"),
    [
        (LOCAL, "GCRNN_PROCESS_ID", "4", "GCRNN_PROCESS_ID: expected 0 to 3, got '4'"),
        (LOCAL, "GCRNN_COORDINATOR", "a:x", "GCRNN_COORDINATOR: expected 1 to 65535"),
        (LOCAL, "GCRNN_COORDINATOR", "here", "expected the first process's address"),
        (LOCAL, "GCRNN_NUM_PROCESSES", "x", "GCRNN_NUM_PROCESSES: expected 1 or more"),
        (LOCAL, "GCRNN_LOCAL_DEVICE_IDS", "all", "expected as 0,1, got 'all'"),
        (POD, "GCRNN_COORDINATOR_HOST", "", "or its name in GCRNN_COORDINATOR_HOST"),
        (POD, "JOB_COMPLETION_INDEX", "", "JOB_COMPLETION_INDEX: expected 0 to 1"),
        (TASK, "SLURM_GPUS_PER_TASK", "a100", "SLURM_GPUS_PER_TASK: expected a number"),
        (TASK, "JAX_COORDINATOR_PORT", "0", "JAX_COORDINATOR_PORT: expected 1 to 65"),
    ],
)
def test_a_variable_that_cannot_be_right_is_named(env, name, value, message):
    with pytest.raises(ConfigError, match=message):
        place_of({**env, name: value})


def test_a_process_without_a_number_is_told_both_variables_for_it():
    env = {name: value for name, value in LOCAL.items() if name != "GCRNN_PROCESS_ID"}
    both = "GCRNN_PROCESS_ID or JOB_COMPLETION_INDEX: expected 0 to 3, got ''"
    with pytest.raises(ConfigError, match=both):
        place_of(env)
