"""A start from soundscapes that the same command trains: stopped, continued, shared."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.runs import Run, read_card_and_variables
from gcrnn_jax.training.phases import read_account
from tests.conftest import make_folder
from tests.defaults import config

LENGTH = (
    "--config.training.num_epochs=2",
    "--config.training.steps_per_epoch=1",
    "--config.training.soundscape_epochs=2",
    "--config.ensemble.members=2",
)
# two steps of soundscapes, then one of each of two epochs of the first member
STOPS = "train.step@2:raise", "train.step@4:raise"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_folder(
        tmp_path_factory.mktemp("data"), {"training": 6, "validation": 2}
    )


@pytest.fixture(scope="module")
def train(commands, root, without_page):
    fields = (*commands.SMALLEST, *LENGTH, f"--config.data.root={root}")
    return lambda workdir, *flags: commands.main(workdir, *fields, *flags)


@pytest.fixture(scope="module")
def started(train, fails_at, tmp_path_factory):
    """The folder of two members that were stopped twice, and what was printed last."""
    workdir = tmp_path_factory.mktemp("started") / "run"
    for stop in STOPS:
        with fails_at(stop):
            train(workdir)
    result = train(workdir)
    assert result.returncode == 0, result.stderr
    return workdir, result.stdout


@pytest.mark.parametrize("field", ["data.root", "thresholds.groups"])
def test_what_is_not_there_is_said_before_the_start_is_trained(train, tmp_path, field):
    result = train(tmp_path / "run", f"--config.{field}={tmp_path}/none")
    assert result.returncode == 65 and f"{tmp_path}/none" in result.stderr
    assert "on soundscapes first" not in result.stdout


def test_members_begin_with_the_weights_and_the_scaler_of_one_model(started):
    workdir, printed = started
    assert f"starting from {workdir}/soundscapes/averaged" in printed
    run = Run.open(workdir)
    assert run.soundscapes is not None
    assert run.soundscapes.config.data.root == ""
    card, variables = read_card_and_variables(run.soundscapes.folder)
    assert len(card.classes) == 17
    for member in run.members:
        kept = json.loads(member.start.read_text())
        assert kept["path"] == str(workdir / "soundscapes" / "averaged")
        own, weights = member.load_epoch(2)
        np.testing.assert_array_equal(own.scaler.mean, card.scaler.mean)
        moved = jax.tree.map(
            lambda a, b: np.abs(a - b).max(),
            weights["params"]["block_0_unit_0"],
            variables["params"]["block_0_unit_0"],
        )
        assert (
            0 < max(jax.tree.leaves(moved)) < 0.01
        )  # by one step, the first is of rate 0


def test_stopping_it_anywhere_changes_nothing(started, train, tmp_path):
    alone = train(tmp_path / "run", "--config.ensemble.members=1")
    assert alone.returncode == 0, alone.stderr
    own, expected = Run.open(started[0]).members[0], Run.open(tmp_path / "run")
    jax.tree.map(
        np.testing.assert_array_equal, own.load_epoch(2)[1], expected.load_epoch(2)[1]
    )
    account = read_account(started[0] / "goodput.json")
    assert (account["starts"], account["steps"], account["next_step"]) == (3, 6, 6)


def test_a_finished_run_needs_it_no_more(started, train):
    workdir, _ = started
    (workdir / "soundscapes").rename(workdir / "elsewhere")
    again = train(workdir)
    (workdir / "elsewhere").rename(workdir / "soundscapes")
    assert again.returncode == 0, again.stderr
    assert "soundscapes first" not in again.stdout


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"training.soundscape_epochs": 1, "training.start_from": "runs/sed"},
            "expected one of the two",
        ),
        ({"training.soundscape_epochs": -1}, "0 or more"),
    ],
)
def test_a_start_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        config(**fields)


def test_members_of_other_networks_have_starts_of_their_own(tmp_path):
    fields = {"data.root": "clips", "training.soundscape_epochs": 1}
    fields |= {"ensemble.members": 3}
    copies = "data.speeds", ((), (), (0.8,))  # soundscapes have none
    fields |= {"ensemble.differing": (("model.filters", (64, 16)), copies)}
    run = Run(tmp_path, config(**fields))
    folders = [member.soundscapes.folder for member in run.members]
    shared = tmp_path / "soundscapes"
    assert folders == [shared, tmp_path / "members" / "2" / "soundscapes", shared]


def test_speeds_and_pitches_of_soundscapes_are_not_changed():
    fields = {"data.root": "clips", "training.soundscape_epochs": 1}
    own = config("best", **fields).augmentation
    start = config("best", **fields).soundscape_start().augmentation
    assert own.max_speed and own.max_pitch
    assert start == dataclasses.replace(own, max_speed=0.0, max_pitch=0.0)


def test_soundscapes_need_no_start_from_soundscapes(tmp_path):
    fields = {"training.soundscape_epochs": 1}
    assert Run(tmp_path, config(**fields)).soundscapes is None
    assert Run(tmp_path, config(**fields, **{"data.root": "clips"})).soundscapes
