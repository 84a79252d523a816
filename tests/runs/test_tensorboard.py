"""Curves for TensorBoard: its files, read back as it reads them."""

import contextlib
import dataclasses
import json
import shutil
import struct
import sys

import jax
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from gcrnn_jax.config import Config
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.runs import Run, tensorboard, train_run
from gcrnn_jax.runs.tensorboard import opened
from gcrnn_jax.training import parallel
from tests.conftest import GOLDENS
from tests.defaults import config


def events(folder):
    """The events of all files, by the format of TFRecord."""
    found = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[12 + length + 4 :]
    return found


def scalars(folder):
    """(name, x) -> value, without what a later start purges, as TensorBoard does."""
    found = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            found = {key: y for key, y in found.items() if key[1] < event.step}
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    return found


@pytest.fixture
def run(tmp_path):
    """A run of two epochs of two steps, of which version 0.1 trained the first."""
    folder = shutil.copytree(GOLDENS / "run_0_1", tmp_path / "run")
    values = Run.open(folder).config.to_dict()
    values["training"] |= {"num_epochs": 2, "tensorboard": True}
    return Run(folder, Config.from_dict(values))


def score(run):
    def on_epoch(epoch, state):
        scores = {"tag_f1": 0.5 * epoch, "error_rate": 1.5, "f1": None}
        line = {"epoch": epoch, "split": "validation", **scores}
        with run.scores.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return "told"

    return on_epoch


def test_a_run_writes_its_steps_and_scores(run):
    mesh = parallel.make_mesh(jax.devices()[:1])
    assert train_run(run, FeatureStore.open(run.folder / "store"), mesh, score(run))
    lines = map(json.loads, run.losses.read_text().splitlines())
    expected = {}
    for line in list(lines)[2:]:
        for name in ("loss", "grad_norm", "learning_rate", "clips_per_s"):
            if line[name] is not None:
                expected[f"training/{name}", line["step"] + 1] = line[name]
    assert len(expected) == 7  # the first step of a start has no speed
    expected |= {("validation/tag_f1", 4): 1.0, ("validation/error_rate", 4): 1.5}
    assert scalars(run.folder) == pytest.approx(expected, rel=1e-6)
    times = [event.wall_time for event in events(run.folder) if event.step == 3]
    assert max(times) - min(times) < 3600  # seconds since 1970, all of them


def line_of(step):
    speeds = {"learning_rate": 0.5, "clips_per_s": None, "time_s": 1e9 + step}
    return {"step": step, "loss": 1.0 + step, "grad_norm": 1.0, **speeds}


def test_steps_that_are_computed_again_are_there_once(run):
    with opened(run, 0, score(run)) as (on_step, on_epoch):
        for step in range(4):
            on_step(line_of(step))
        assert on_epoch(1, None) == "told"
    with opened(run, 2, score(run)) as (on_step, _):
        on_step({**line_of(2), "loss": 9.0})
    found = scalars(run.folder)
    losses = {x: value for (name, x), value in found.items() if name == "training/loss"}
    assert losses == {1: 1.0, 2: 2.0, 3: 9.0}
    assert found["validation/tag_f1", 2] == 0.5
    times = [e.wall_time for e in events(run.folder) if e.summary.value and e.step == 1]
    assert set(times) == {1e9}


def test_without_the_field_nothing_is_written(run):
    training = dataclasses.replace(run.config.training, tensorboard=False)
    other = Run(run.folder, dataclasses.replace(run.config, training=training))
    on_epoch = score(other)
    with opened(other, 0, on_epoch) as functions:
        assert functions == (None, on_epoch)
    assert not (run.folder / "tensorboard").exists()


def test_where_it_is_not_installed_the_command_is_said_before_anything_is_done(
    monkeypatch, tmp_path, commands
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    tensorboard.check_installed(Run(tmp_path, config()))
    flags = "--config.training.tensorboard", "--config.data.root=nowhere"
    result = commands.main(tmp_path / "run", *flags)
    assert result.returncode == 2, result.stderr
    assert "pip install 'gcrnn_jax[tensorboard]'" in result.stderr
    with contextlib.suppress(FileNotFoundError):
        assert {p.name for p in (tmp_path / "run").iterdir()} <= {".lock"}
    asks = Run(tmp_path, config(**{"training.tensorboard": True}))
    with pytest.raises(ConfigError, match="tensorboardX cannot be imported"):
        tensorboard.check_installed(asks)
