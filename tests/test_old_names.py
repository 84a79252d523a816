"""Configurations and flags of version 0.1 are read still."""

import json
from pathlib import Path

import pytest

from gcrnn_jax.config import (
    Config,
    flatten,
)
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.old_names import flags_with_todays_names, with_todays_names
from gcrnn_jax.training.fusion import Fusion
from tests.defaults import values

# As version 0.1 wrote it into its runs and cards.
OLD = Path(__file__).parent / "goldens" / "run_0_1" / "config.json"


# What version 0.1 does not know, and what it knew under another name.
OLD_NAMES = {
    "data.held_out": ("data.held_out_fraction", 0.25),
    "model.network": ("model.kind", "gated_crnn"),
    "model.gated": ("model.gated_convolution", False),
    "model.pooling": ("model.clip_pooling", "mean"),
    "sampling.size_steps": ("sampling.class_size_thresholds", (3, 7)),
    "loss.clip": ("loss.clip_weight", 0.5),
    "loss.frame": ("loss.frame_weight", 0.7),
    "loss.attended": ("loss.frame_attention", True),
    "loss.rarity_power": ("loss.class_balance_power", 0.3),
    "parallel.resident_fraction": ("parallel.device_cache_fraction", 0.25),
    "postprocessing.gated": ("postprocessing.require_clip_tag", False),
}


def field(config, name):
    section, field = name.split(".")
    if name == "model.kind":
        return config.model.kind
    return getattr(getattr(config, section), field)


def test_the_whole_configuration_of_a_run_of_version_0_1_is_read():
    old = json.loads(OLD.read_text())
    assert {name for name in flatten(old) if name in OLD_NAMES} == set(OLD_NAMES)
    config = Config.from_dict(old)
    for name, (new, _) in OLD_NAMES.items():
        before = flatten(old)[name]
        now = field(config, new)
        assert now == (tuple(before) if isinstance(before, list) else before)
    assert config.fusion == Fusion.parse("1:2:1")
    assert config.training.weight_average == config.training.clips_per_epoch == 0
    assert config.optimizer.clip_norm == config.optimizer.reference_batch_size == 0
    assert config.optimizer.accumulate_steps == 1
    assert config.data.num_workers == 1
    assert config.model.filters == 2 and config.seed == 0
    assert config.model.dropout == config.model.block_dropout == 0
    assert config.model.attention_temperature == 1
    assert config.model.frequency_kernels == 0
    assert config.model.filter_multiples == ()
    assert Config.from_dict(config.to_dict()) == config


def test_fields_that_a_network_got_since_are_added_to_that_network_alone():
    fields = {"kind": "gated_crnn", "dropout": 0.3}
    section = with_todays_names({"model": fields})["model"]
    assert section["dropout"] == 0.3 and section["block_dropout"] == 0
    assert with_todays_names({"model": {"kind": "mlp"}})["model"] == {"kind": "mlp"}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_every_old_name_of_a_whole_configuration_is_read(name):
    new, value = OLD_NAMES[name]
    section, old = name.split(".")
    sections = json.loads(OLD.read_text())
    assert old in sections[section]
    sections[section][old] = value
    assert field(Config.from_dict(sections), new) == value


@pytest.mark.parametrize("name", OLD_NAMES)
def test_a_file_of_ones_own_that_sets_an_old_name_beside_todays_is_read(name):
    new, value = OLD_NAMES[name]
    section, old = name.split(".")
    assert field(Config.from_dict(values(**{section: {old: value}})), new) == value


@pytest.mark.parametrize("name", OLD_NAMES)
def test_an_old_name_is_a_flag_still(name):
    new, value = OLD_NAMES[name]
    for dashes in ("-", "--"):
        flags = [f"{dashes}config.{name}={value}", "--workdir=x"]
        assert flags_with_todays_names(flags) == [
            f"--config.{new}={value}",
            "--workdir=x",
        ]
    flags = flags_with_todays_names([f"--config.{name}", "v"])
    assert flags == [f"--config.{new}", "v"]


def test_all_workers_had_the_number_none_in_version_0_1():
    sections = json.loads(OLD.read_text())
    sections["data"]["num_workers"] = 0
    assert Config.from_dict(sections).data.num_workers == -1
    assert Config.from_dict(values(data={"num_workers": 0})).data.num_workers == 0


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ("20:80:10", [20, 30, 40, 50, 60, 70, 80]),
        ("20:75:10", [20, 30, 40, 50, 60, 70]),
        ("78:90", [78, 79, 80]),
        ("4", [4]),
        (4, [4]),
    ],
)
def test_epochs_of_version_0_1_are_first_to_last_and_no_further_than_the_run(
    text, epochs
):
    assert Fusion.parse(text).epochs(80) == epochs
    sections = values()
    sections["fusion"] = {"epochs": text}
    fusion = Config.from_dict(sections).fusion
    assert fusion.epochs(80) == epochs
    flags = flags_with_todays_names([f"--config.fusion.epochs={text}"])
    assert flags == [
        f"--config.fusion.first_epoch={fusion.first_epoch}",
        f"--config.fusion.last_epoch={fusion.last_epoch}",
        f"--config.fusion.every={fusion.every}",
    ]
    assert Fusion.parse(str(fusion)) == fusion


@pytest.mark.parametrize("text", ["all", "", "0:3", "5:4", "1:2:0", "1:2:3:4", "1:x"])
def test_epochs_in_another_form_are_refused(text):
    with pytest.raises(ConfigError, match="epochs: expected .first:last:every."):
        Fusion.parse(text)


def test_a_file_that_sets_old_epochs_beside_todays_is_read():
    config = Config.from_dict(values(fusion={"epochs": "2:10:4"}))
    assert config.fusion == Fusion.parse("2:10:4")


def test_the_values_that_are_read_stay_as_they_were():
    sections = values(loss={"clip": 0.5})
    before = json.dumps(sections)
    assert with_todays_names(sections)["loss"]["clip_weight"] == 0.5
    assert json.dumps(sections) == before


def test_flags_of_version_0_1_may_stand_before_their_values():
    assert flags_with_todays_names(
        ["--config.fusion.epochs", "1:2", "--noconfig.model.gated"]
    ) == [
        "--config.fusion.first_epoch=1",
        "--config.fusion.last_epoch=2",
        "--config.fusion.every=1",
        "--noconfig.model.gated_convolution",
    ]
