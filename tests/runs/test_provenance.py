"""run.json: the command, the versions and the devices of every start of a run."""

import datetime
import json
import socket
from importlib.metadata import version
from types import SimpleNamespace

import jax
import pytest

import gcrnn_jax
from gcrnn_jax.errors import DataError
from gcrnn_jax.runs import Run
from gcrnn_jax.runs.provenance import read_starts, record_start
from tests.defaults import config

STORE = SimpleNamespace(content_hash="abc")
ARGV = ["/home/somebody/gcrnn_jax/main.py", "--config=sed", "--workdir=runs/a"]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, config(seed=4))


def test_a_start_says_what_ran_on_what(run):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    record_start(run, STORE, ARGV)
    content = read_starts(run.folder / "run.json")
    [start] = content.pop("starts")
    assert content == {
        "configuration": "config.json",
        "seed": 4,
        "data_sha256": "abc",
    }
    time = datetime.datetime.fromisoformat(start["time"])
    assert before <= time <= datetime.datetime.now(datetime.UTC)
    versions = start["versions"]
    assert versions["gcrnn_jax"] == gcrnn_jax.__version__
    for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "soundfile"):
        assert versions[name] == version(name)
    assert versions["python"][:2] == "3."
    assert start["step"] == 0 and start["num_processes"] == 1
    assert (start["platform"], start["num_devices"]) == ("cpu", len(jax.devices()))


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (ARGV, ["python", "-m", "gcrnn_jax.main", *ARGV[1:]]),
        (["/home/a/bin/gcrnn", "train", "--config=at"], "gcrnn train --config=at"),
        (["/home/a/mine.py", "3"], "mine.py 3"),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_of_a_command_the_name_and_the_arguments_are_kept(run, argv, command):
    record_start(run, STORE, argv)
    [start] = read_starts(run.folder / "run.json")["starts"]
    assert start["command"] == (command.split() if argv != ARGV else command)
    text = (run.folder / "run.json").read_text()
    assert "/home" not in text
    assert socket.gethostname() not in text


def test_starts_are_listed_from_the_first_that_saved_something(run, caplog):
    record_start(run, STORE, ["gcrnn", "1"])
    record_start(run, STORE, ["gcrnn", "2"])  # nothing was saved of the first
    (run.states / "200" / "state").mkdir(parents=True)
    record_start(run, STORE, ["gcrnn", "3"])
    path = run.folder / "run.json"
    starts = read_starts(path)["starts"]
    assert [(start["command"][1], start["step"]) for start in starts] == [
        ("2", 0),
        ("3", 200),
    ]
    assert not caplog.records
    path.write_text(path.read_text().replace("gcrnn_jax", "gcrnn_jay"))
    with pytest.raises(DataError, match=r"run\.json: damaged or edited"):
        read_starts(path)
    for damage in (path.read_text(), "{", "[]", json.dumps({"starts": 3})):
        path.write_text(damage)
        record_start(run, STORE, ["gcrnn", "4"])
        assert len(read_starts(path)["starts"]) == 1
        assert "starts are listed anew" in caplog.text
        caplog.clear()
