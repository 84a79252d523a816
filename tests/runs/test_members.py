"""Members of an ensemble: what they differ in, and what they cannot differ in."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from gcrnn_jax.config import Config, load_config
from gcrnn_jax.configs import sed, vgg_cnn
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.fields import as_json_lists, flatten
from gcrnn_jax.runs import Run, members
from gcrnn_jax.runs.continuation import config_changes
from gcrnn_jax.runs.loading import member_folders

WINDOWS = ("front_end.window_length", (1024, 2048))
WEIGHTS = ("loss.clip_weight", (1.0, 0.5, 0.25))
GATED = tuple(sed.get_config().model.to_dict().items())
VGG = tuple(vgg_cnn.get_config().model.to_dict().items())


def ensemble(count, *differing, **changes):
    options = {"ensemble.members": count, "ensemble.differing": differing}
    return load_config("sed", **options, **changes)


def test_members_take_the_values_in_turn_and_draw_numbers_of_their_own():
    config = ensemble(4, WINDOWS, WEIGHTS, **{"seed": 5, "training.seed_offset": 10})
    found = config.members()
    assert [one.front_end.window_length for one in found] == [1024, 2048, 1024, 2048]
    assert [one.loss.clip_weight for one in found] == [1.0, 0.5, 0.25, 1.0]
    assert [one.training_seed for one in found] == [15, 16, 17, 18]
    assert {one.seed for one in found} == {5}  # of the data: theirs are the same


def test_a_member_is_a_single_system_that_differs_in_nothing_else():
    config = ensemble(3, WINDOWS)
    of_ensemble = {"ensemble.members", "ensemble.differing"}
    changes = [set(), {WINDOWS[0], "training.seed_offset"}, {"training.seed_offset"}]
    own = flatten(config.to_dict())
    for member, expected in zip(config.members(), changes, strict=True):
        other = flatten(member.to_dict())
        assert member.ensemble.members == 1 and other.keys() == own.keys()
        changed = {name for name in own if own[name] != other[name]}
        assert changed == of_ensemble | expected


def test_members_may_be_networks_of_different_kinds():
    config = ensemble(3, ("model", (GATED, VGG)))
    kinds = [one.model.kind for one in config.members()]
    assert kinds == ["gated_crnn", "vgg_cnn", "gated_crnn"]
    assert config.members()[1].model == load_config("vgg_cnn").model
    assert Config.from_dict(as_json_lists(config.to_dict())) == config


def test_members_may_hear_other_copies_of_the_same_clips():
    found = ensemble(2, ("data.speeds", ((), (0.8, 1.25)))).members()
    assert [one.data.speeds for one in found] == [(), (0.8, 1.25)]


def test_a_single_system_has_no_members():
    assert load_config("sed").members() == []


def test_an_ensemble_is_read_as_it_was_written():
    config = ensemble(3, WINDOWS, ("model.blocks", ((2, 2, 2, 1), (1, 1, 1, 1))))
    assert Config.from_dict(as_json_lists(config.to_dict())) == config


@pytest.mark.parametrize(
    ("count", "differing", "message"),
    [
        (0, (), "ensemble: members must be 1 or more, got 0"),
        (1001, (), "ensemble: members must be 1000 or less, got 1001"),
        (1, (WINDOWS,), "2 values of front_end.window_length for 1 members"),
        (2, (WEIGHTS,), "3 values of loss.clip_weight for 2 members, expected from 2"),
        (2, (("loss.clip_weight", (1.0,)),), "1 values of loss.clip_weight"),
        (2, (WINDOWS, WINDOWS), "a field is there twice: front_end.window_length, fr"),
        (2, (("data.root", ("a", "b")),), "members cannot differ in data.root"),
        (
            2,
            (("seed", (0, 1)),),
            "members cannot differ in seed, expected data.speeds or",
        ),
        (2, (("front_end.clip_s", (10.0, 5.0)),), "cannot differ in front_end.clip_s"),
        (
            2,
            (("loss.clip_weigth", (1.0, 0.5)),),
            "ensemble.differing: member 1: loss.clip_weigth: unknown field; did you "
            "mean loss.clip_weight?",
        ),
        (
            3,
            (("loss.clip_weight", (1.0, 0.5, -1.0)),),
            "ensemble.differing: member 3: loss: clip_weight must be 0 or more, got -1",
        ),
        (
            2,
            (("front_end.window_length", (512, 1024)),),
            "ensemble.differing: front_end.window_length is 1024, expected that of the "
            "first member, 512",
        ),
        (
            2,
            (("model", (VGG, GATED)),),
            "ensemble.differing: model.kind is 'gated_crnn', expected that of the "
            "first member, 'vgg_cnn'",
        ),
        (
            2,
            (("model", (GATED, VGG[1:])),),
            "ensemble.differing: member 2: model.batch_norm_momentum: missing",
        ),
        (
            2,
            (("model", (GATED, (1, 2))),),
            "model: expected pairs of names and values",
        ),
        (
            2,
            (("model", (GATED, ())),),
            "model: expected pairs of names and values",
        ),
        (
            2,
            (("model", (GATED, VGG + VGG[:1])),),
            "expected a kind, and each name once",
        ),
        (
            2,
            (("model.filters", (GATED, VGG)),),
            "model.filters: expected a value, got ((",
        ),
        (
            2,
            (("model", (GATED, VGG)), ("model.filters", (64, 32))),
            "differing: expected model or model.filters, not both",
        ),
        (2, (("loss", ((), ())),), "loss is a section, expected a field of it, or"),
        (2, (("loss.", (1, 2)),), "loss. is a section, expected a field of it, or"),
        (2, ((3, (1, 2)),), "ensemble.differing: expected a list of a list of 2:"),
    ],
)
def test_members_that_cannot_be_are_named(count, differing, message):
    with pytest.raises(ConfigError) as error:
        ensemble(count, *differing)
    assert message in str(error.value)


def test_members_that_start_from_a_model_have_its_front_end():
    changes = {"training.start_from": "runs/other"}
    with pytest.raises(ConfigError, match="front_end.window_length: all members have"):
        ensemble(2, WINDOWS, **changes)
    assert len(ensemble(2, ("loss.clip_weight", (1.0, 0.5)), **changes).members()) == 2


def test_members_of_different_kinds_start_from_no_one_model():
    with pytest.raises(ConfigError, match="got ..gated_crnn., .vgg_cnn.."):
        ensemble(2, ("model", (GATED, VGG)), **{"training.start_from": "runs/other"})


def test_members_of_different_features_need_stores_of_their_own():
    for differing in (WINDOWS, ("data.speeds", ((), (0.8,)))):
        with pytest.raises(ConfigError, match="data.store: members differ in their"):
            ensemble(2, differing, **{"data.store": "features"})
    assert ensemble(2, ("loss.clip_weight", (1.0, 0.5)), **{"data.store": "features"})


def changes(before, now, **options):
    options.setdefault("rate_may_change", False)
    return config_changes(before.to_dict(), now.to_dict(), **options)


def test_an_ensemble_may_grow_and_a_single_system_become_none():
    single, two, five = (ensemble(count) for count in (1, 2, 5))
    assert changes(two, five) == changes(five, two) == []
    assert changes(single, two) == ["ensemble.members: 1 -> 2"]
    assert changes(two, single) == ["ensemble.members: 2 -> 1"]
    other = ensemble(2, WINDOWS)
    assert [line.partition(":")[0] for line in changes(two, other)] == [
        "ensemble.differing"
    ]


def test_a_run_of_before_there_were_ensembles_goes_on():
    before = load_config("sed").to_dict()
    del before["ensemble"], before["training"]["seed_offset"]
    assert Config.from_dict(before) == load_config("sed")
    now = load_config("sed").to_dict()
    assert config_changes(before, now, rate_may_change=False) == []


def test_where_a_member_diverged_all_go_on_with_another_rate(tmp_path):
    run = Run(tmp_path, ensemble(2))
    slower = Run(tmp_path, ensemble(2, **{"optimizer.learning_rate": 1e-4}))
    run.write_config()
    for member in run.members:
        (member.models / "100").mkdir(parents=True)
        member.write_config()
    assert run.has_begun and not run.has_diverged
    with pytest.raises(ConfigError) as error:
        slower.check_config()
    assert "  optimizer.learning_rate: 0.001 -> 0.0001" in error.value.args
    run.members[1].divergence.touch()
    assert run.has_diverged and not run.members[0].has_diverged
    slower.check_config()
    with pytest.raises(ConfigError):
        slower.members[0].check_config()
    slower.members[0].check_config(rate_may_change=True)


def test_the_first_member_has_the_folder_1(tmp_path):
    run = Run(tmp_path, ensemble(2, WINDOWS))
    assert [one.folder for one in run.members] == [
        tmp_path / "members" / name for name in "12"
    ]
    assert [one.config for one in run.members] == run.config.members()
    assert dataclasses.replace(run, config=run.members[0].config).members == []


def test_a_folder_is_an_ensemble_s_if_its_configuration_says_so(tmp_path):
    assert member_folders(tmp_path) == []
    (tmp_path / "members" / "1").mkdir(parents=True)
    for count, expected in ((3, ["1", "2", "3"]), (1, [])):  # 1: begun anew
        Run(tmp_path, ensemble(count)).write_config()
        found = member_folders(tmp_path)
        assert found == [tmp_path / "members" / name for name in expected]
    for damaged in ('{"ensemble": {}}', '{"ensemble": {"members": "2"}}', "{}"):
        (tmp_path / "config.json").write_text(damaged)
        with pytest.raises(DataError, match=r"config.json: expected a number ensemble"):
            member_folders(tmp_path)


def test_the_row_that_is_looked_into_is_of_all_members(monkeypatch):
    """Its frames stay, whatever their size; the next row is of averaged weights."""

    def names_from(run, store, systems, *, main):
        return [name for name, _ in systems][main:]

    monkeypatch.setattr(members, "score_each", names_from)
    one = members.TrainedMember(*[SimpleNamespace(folder=Path())] * 4)
    names = members.score_members(one.run, [one] * 3)
    assert names == ["3 members fused", "3 members averaged, fused"]
