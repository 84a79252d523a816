"""An ensemble in one command: stopped and continued, fused, reported, and used."""

import json

import jax
import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.runs import Run, fuse_systems, read_card_and_variables
from gcrnn_jax.training.phases import read_account

# two epochs of one step: it is stopped in the second of the second member
LENGTH = ("--config.training.num_epochs=2", "--config.training.steps_per_epoch=1")
STOP = "train.step@4:raise"


@pytest.fixture(scope="module")
def train(commands, without_page):
    fields = (*commands.SMALLEST, *LENGTH)
    return lambda workdir, *flags: commands.main(workdir, *fields, *flags)


@pytest.fixture(scope="module")
def ensemble(train, fails_at, tmp_path_factory):
    """The folder of an ensemble of two that was stopped once, and what was printed."""
    workdir = tmp_path_factory.mktemp("ensemble") / "run"
    flags = (
        "--config.ensemble.members=2",
        "--config.ensemble.differing=(('front_end.window_length',(2048,1024)),)",
    )
    with fails_at(STOP):
        train(workdir, *flags)
    assert {path.name for path in (workdir / "members").iterdir()} == {"1", "2"}
    assert not (workdir / "results").exists()
    result = train(workdir, *flags)
    assert result.returncode == 0, result.stderr
    return workdir, result.stdout


def test_a_stopped_member_ends_to_the_bit_as_a_system_of_its_own(
    ensemble, train, tmp_path
):
    workdir, printed = ensemble
    assert f"{workdir}/members/1 is finished" in printed
    assert f"continuing {workdir}/members/2 after step 1 of 2" in printed
    alone = train(
        tmp_path / "alone",
        "--config.training.seed_offset=1",
        "--config.front_end.window_length=1024",
    )
    assert alone.returncode == 0, alone.stderr
    own, expected = Run.open(workdir).members[1], Run.open(tmp_path / "alone")
    assert own.config == expected.config
    for epoch in (1, 2):
        jax.tree.map(
            np.testing.assert_array_equal,
            own.load_epoch(epoch)[1],
            expected.load_epoch(epoch)[1],
        )
    assert own.losses.read_text().count("\n") == 2


def test_the_time_of_all_members_is_one_account(ensemble):
    account = read_account(ensemble[0] / "goodput.json")
    assert (account["starts"], account["steps"], account["next_step"]) == (2, 4, 4)
    assert account["seconds"]["lost"] == 0  # the stopped step had not been computed


def kept(member, name="testing"):
    [folder] = (member.folder / "posteriors").glob(f"{name}-*")
    sets = [PosteriorSet.load(folder / f"epoch-{epoch}.npz") for epoch in (1, 2)]
    return np.mean([one.frame for one in sets], axis=0, dtype=float)


def test_the_posteriors_are_the_mean_of_the_members(ensemble):
    workdir, _ = ensemble
    members = Run.open(workdir).members
    found = PosteriorSet.load(workdir / "results" / "testing" / "posteriors.npz")
    one, two = map(kept, members)
    assert np.abs(one - two).max() > 1e-3
    np.testing.assert_allclose(found.frame, (one + two) / 2, atol=1e-6)
    for systems in ([workdir], [member.folder for member in members]):
        fused = fuse_systems(systems, split="testing")
        np.testing.assert_array_equal(fused.frame, found.frame)


def rows(workdir):
    path = workdir / "results" / "testing" / "scores.json"
    return json.loads(path.read_text())["systems"]


def test_every_member_and_what_is_fused_of_them_is_scored(ensemble):
    workdir, printed = ensemble
    names = ["member 1", "member 2", "2 members fused", "2 members averaged, fused"]
    assert [row["system"] for row in rows(workdir)] == [
        *names,
        *names,
        "the same for all clips",
    ]
    assert "2 members fused, every class (%)" in printed
    assert f"wrote {workdir}/members/2/averaged" in printed


def test_all_members_predict_with_the_thresholds_of_the_ensemble(ensemble):
    workdir, _ = ensemble
    found = load_model(workdir, batch_size=1)
    lengths = [model.front_end.window_length for model in found.models]
    assert lengths == [2048, 1024]
    expected = rows(workdir)[3]["postprocessing"]
    own = found.postprocessing.tag_threshold
    np.testing.assert_array_equal(own, expected["tag_threshold"])
    one = load_model(workdir / "members" / "2", batch_size=1)
    assert one.postprocessing == found.postprocessing and len(one.models) == 1


def test_where_one_model_is_expected_an_ensemble_names_its_members(ensemble):
    workdir, _ = ensemble
    message = rf"an ensemble of 2, expected one model: .*{workdir}/members/1;"
    with pytest.raises(DataError, match=message):
        read_card_and_variables(workdir)
    (member,) = Run.open(workdir).members[:1]
    assert read_card_and_variables(member.folder)[0].front_end.window_length == 2048
