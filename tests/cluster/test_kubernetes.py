"""launch/kubernetes.yaml is valid, and its variables start a run of two processes."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from gcrnn_jax import errors

ROOT = Path(__file__).parents[2]
SERVICE, JOB = yaml.safe_load_all((ROOT / "launch/kubernetes.yaml").read_text())
POD = JOB["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
FAILS = [
    errors.ConfigError,
    errors.DataError,
    errors.DivergedError,
    errors.WorkdirError,
]


# the first in which a Job's rules for failed pods need no feature gate, and the newest
@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("resource", [SERVICE, JOB], ids=lambda x: x["kind"])
def test_it_is_valid(resource, version):
    kubernetes_validate.validate(resource, version, strict=True)
    misspelt = {**resource, "spec": {**resource["spec"], "paralelism": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, version, strict=True)


def test_its_parts_fit_each_other():
    name, spec = JOB["metadata"]["name"], JOB["spec"]
    env = {one["name"]: one["value"] for one in CONTAINER["env"]}
    assert SERVICE["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert POD["subdomain"] == SERVICE["metadata"]["name"]
    assert env["GCRNN_COORDINATOR_HOST"] == f"{name}-0.{POD['subdomain']}"
    count = str(spec["completions"])
    assert count == str(spec["parallelism"]) == env["GCRNN_NUM_PROCESSES"]
    mounts = {one["name"]: one["mountPath"] for one in CONTAINER["volumeMounts"]}
    volumes = {one["name"]: one for one in POD["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert volumes["shared-memory"]["emptyDir"]["medium"] == "Memory"
    assert mounts["shared-memory"] == "/dev/shm"


def test_its_rules_are_those_of_the_exit_codes():
    fail, preempted, lost = JOB["spec"]["podFailurePolicy"]["rules"]
    assert fail["action"] == "FailJob"
    assert fail["onExitCodes"]["values"] == [error.exit_code for error in FAILS]
    assert preempted["action"] == lost["action"] == "Ignore"
    assert preempted["onExitCodes"]["values"] == [errors.PreemptedError.exit_code]
    assert lost["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    for rule in (fail, preempted):
        assert rule["onExitCodes"]["containerName"] == CONTAINER["name"]


def test_its_command_and_variables_train_in_two_processes(commands, tmp_path):
    """As pods do, with what Kubernetes adds; names and folders are of this machine.

    SIGTERM to one of them, as where its node is drained, ends both with 75.
    """
    env = {one["name"]: one["value"] for one in CONTAINER["env"]}
    host = env.pop("GCRNN_COORDINATOR_HOST")
    assert re.fullmatch(r"gcrnn-0\.gcrnn", host)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    of_this_machine = {
        "GCRNN_COORDINATOR_HOST": "127.0.0.1",
        "JAX_COORDINATOR_PORT": port,
        "GCRNN_CACHE": str(commands.cache),
        "JAX_PLATFORMS": "cpu",
    }
    assert CONTAINER["command"] == ["gcrnn", "train"]
    program = [sys.executable, "-c", "from gcrnn_jax.cli import main; main()"]
    tiny = [flag for flag in commands.TINY if not flag.startswith("--config=")]
    args = [*CONTAINER["args"], *tiny, *commands.SMALLEST]
    args = [x.replace("/data/", f"{tmp_path}/") for x in args if ".root=" not in x]
    args += ["--config.training.num_epochs=5000", "--config.fusion.epochs=5000"]
    pods = [
        subprocess.Popen(
            [*program, *CONTAINER["command"][1:], *args],
            env={**os.environ, **env, **of_this_machine, "JOB_COMPLETION_INDEX": index},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in map(str, range(JOB["spec"]["completions"]))
    ]
    try:
        assert pods[0].stderr
        assert any(line.startswith("epoch 1/") for line in pods[0].stderr)
        pods[1].send_signal(signal.SIGTERM)
        for pod in pods:
            assert "preempted before step" in pod.communicate(timeout=100)[1]
            assert pod.returncode == 75
    finally:
        for pod in pods:
            pod.kill()
            pod.wait()
    assert (tmp_path / "runs/sed/resume").is_dir()
