"""Processes that train together prepare the store of one process, each its share."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gcrnn_jax.config import load_config
from gcrnn_jax.runs import features
from tests import defaults
from tests.stores import content

# Prepares and ends, as a training run begins; a fault is set in one process alone.
PROGRAM = """
import json, os, sys
fields, process, fault, seen = json.loads(sys.argv[1])
own = os.environ["GCRNN_PROCESS_ID"]
if own == process:
    os.environ["GCRNN_FAILPOINT"] = fault
from gcrnn_jax.config import load_config
from gcrnn_jax.data import preparation, recording_source
from gcrnn_jax.runs import open_store
from gcrnn_jax.training import parallel, processes
parallel.configure_jax()
if own != "0":
    def forbidden(*_): raise AssertionError("lists are read by the first alone")
    preparation.find_splits = forbidden
    recording_source.RecordingSource.cache_key = forbidden
    recording_source.RecordingSource.missing = forbidden
with processes.exit_all_on_failure():
    store = open_store(load_config("sed", **fields))
    sizes = [store.content_hash, *map(len, store.splits.values())]
    with open(os.path.join(seen, own), "w") as file:
        json.dump(sizes, file)
    processes.barrier("all have written")
"""
# Each process runs in a folder of its own.
MOVE = """
import json, os, sys
os.chdir(os.path.join(json.loads(sys.argv[1])[1], os.environ["GCRNN_PROCESS_ID"]))
"""


def run_program(commands, num_processes, fields, process="", fault="", program=PROGRAM):
    """The process of the launcher; and what each process has seen of the store."""
    launcher = [sys.executable, "launch/local.py", f"-n{num_processes}"]
    line = [*launcher, "--grace-s=0.5", "--", sys.executable, "-c", program]
    with tempfile.TemporaryDirectory() as seen:
        result = subprocess.run(
            [*line, json.dumps([fields, process, fault, seen])],
            cwd=commands.ROOT,
            env={**os.environ, "PYTHONPATH": str(commands.ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return result, [json.loads(file.read_text()) for file in Path(seen).iterdir()]


@pytest.fixture
def fields(data_folder, tmp_path):
    """Three shards: of two processes the first builds two."""
    return {
        "front_end.clip_s": 1.0,
        "data.root": str(data_folder(training=24, validation=5, testing=7)),
        "data.store": str(tmp_path / "store"),
        "data.held_out_fraction": 0.25,
    }


def one_process(fields, tmp_path) -> dict:
    config = load_config("sed", **fields, **{"fusion.first_epoch": 1})
    store = defaults.prepare(
        fields["data.root"], tmp_path / "one", config.front_end, num_workers=0
    )
    return content(store.path)


def test_processes_prepare_the_store_of_one(commands, fields, tmp_path):
    """One of the four has no shard."""
    result, seen = run_program(commands, 4, fields)
    assert result.returncode == 0, result.stderr
    expected = one_process(fields, tmp_path)
    assert content(tmp_path / "store") == expected
    data_sha256 = json.loads(expected["card.json"])["data_sha256"]
    assert seen == [[data_sha256, 18, 5, 7, 6]] * 4
    assert "preparing part 1/4: 24/24 clips, " in result.stderr
    assert "part 2" not in result.stderr  # one display is enough


def test_a_finished_store_is_opened_by_all(commands, fields, tmp_path):
    expected = one_process(fields, tmp_path)
    fields = {**fields, "data.store": str(tmp_path / "one")}
    result, seen = run_program(commands, 2, fields)
    assert len(seen) == 2 and seen[0] == seen[1] and "preparing" not in result.stderr
    assert content(tmp_path / "one") == expected


def test_what_is_built_again_is_said_once(commands, fields, tmp_path):
    one_process(fields, tmp_path)
    for file in (tmp_path / "data/audio").glob("*/*"):
        os.utime(file, (1, 1))
    result, _ = run_program(
        commands, 2, {**fields, "data.store": str(tmp_path / "one")}
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("shards are built again") == 1


@pytest.mark.parametrize("is_there", [False, True], ids=["none", "of other data"])
def test_a_folder_that_is_not_that_of_the_first_process_is_refused(
    commands, tmp_path, is_there
):
    """As a node's own disk: the store of each process is where it runs."""
    fields = {"front_end.clip_s": 1.0, "data.soundscapes": (3, 2, 2)}
    folders = [tmp_path / process for process in "01"]
    for number, folder in enumerate(folders[: 2 if is_there else 1]):
        sizes = {"training": 3 + number, "validation": 2, "testing": 2}
        defaults.soundscapes(sizes, 0, folder / "store", defaults.front_end(clip_s=1.0))
    folders[1].mkdir(exist_ok=True)
    program = PROGRAM.replace("import json, os, sys\n", MOVE, 1)
    fields["data.store"] = "store"
    result, _ = run_program(commands, 2, fields, str(tmp_path), program=program)
    assert result.returncode == 65, result.stderr
    assert "error: store on " in result.stderr and "Traceback" not in result.stderr
    assert "does not have the features of the first process" in result.stderr


@pytest.mark.parametrize(
    ("process", "fault"),
    [("1", "prepare.ledger:kill"), ("0", "prepare.ledger@2:kill")],
)
def test_none_waits_for_a_process_that_is_killed(
    commands, fields, tmp_path, process, fault
):
    """The next start goes on with what each has finished."""
    killed, _ = run_program(commands, 2, fields, process, fault)
    assert killed.returncode == 128 + signal.SIGKILL
    assert not (tmp_path / "store/card.json").exists()
    again, _ = run_program(commands, 2, fields)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path / "store") == one_process(fields, tmp_path)


def test_what_a_share_cannot_use_ends_all_with_one_line(commands, fields, tmp_path):
    """Of the second process, which alone finds a split of broken recordings."""
    root = tmp_path / "data"
    for file in (root / "audio/validation").iterdir():
        file.write_bytes(b"no audio")
    result, _ = run_program(commands, 2, fields)
    assert result.returncode == 65
    assert result.stderr.count("error: ") == 1 and "Traceback" not in result.stderr
    assert "preparing part 2/2: 5 of 36 clips cannot be used" in result.stderr


def test_soundscapes_are_shared_too(commands, tmp_path):
    fields = {
        "front_end.clip_s": 1.0,
        "data.soundscapes": (5, 3, 2),
        "data.store": str(tmp_path / "store"),
    }
    result, _ = run_program(commands, 2, fields)
    assert result.returncode == 0, result.stderr
    assert "preparing part 1/2: 7/7 clips" in result.stderr
    front_end = defaults.front_end(clip_s=1.0)
    sizes = {"training": 5, "validation": 3, "testing": 2}
    defaults.soundscapes(sizes, 0, tmp_path / "one", front_end)
    assert content(tmp_path / "store") == content(tmp_path / "one")


@pytest.mark.parametrize(
    ("of_others", "asked", "expected"),
    [([], -1, 8), (["same"], -1, 4), (["same"] * 20, -1, 1), (["same"], 3, 3)],
)
def test_processes_with_the_same_cores_share_them(
    monkeypatch, of_others, asked, expected
):
    """A process of another machine, or with other cores, does not count."""

    def gathered(own):
        return np.array([own, *(own for _ in of_others), own + np.uint32(1)])

    monkeypatch.setattr(features.multihost_utils, "process_allgather", gathered)
    monkeypatch.setattr(features, "resolve_num_workers", lambda asked: 8)
    assert features._own_workers(asked) == expected
