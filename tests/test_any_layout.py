"""Commands take a folder in any layout, and say which one they have found."""

import dataclasses
import json

import pytest

from gcrnn_jax.check import check
from gcrnn_jax.config import load_config
from gcrnn_jax.data.folder import default_options, find_splits, read_folder
from gcrnn_jax.data.preparation import folder_in_cache
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.runs.labelled import predict_splits
from tests import defaults
from tests.listed import content, write_recordings


@pytest.fixture
def birds(tmp_path):
    """A folder for each class; one long recording in each, and noise."""
    seconds = {f"{bird}__{bird}{i}_wav": 0.5 for bird in ("owl", "wren") for i in "abc"}
    seconds |= {"owl__long_flac": 2.0, "wren__long_flac": 2.0, "noise__n_wav": 0.5}
    return write_recordings(tmp_path / "birds", **seconds)


FLAGS = ("--negatives", "noise", "--split_fractions", 0.5, 0.5, 0, "--split_seed", 3)


@pytest.mark.parametrize("command", ["check", "prepare"])
def test_a_command_says_what_it_has_found_and_how_it_was_divided(
    commands, birds, tmp_path, command
):
    flags = [f"--root={birds}", *FLAGS, "--clip_hop_s=0.5"]
    flags += ["--clip_s=1", "--lists_only"] if command == "check" else []
    flags += [f"--output={tmp_path / 'out'}"]
    result = commands.run(*flags, module=f"gcrnn_jax.{command}")
    said = result.stdout if command == "check" else result.stderr
    assert "layout: one folder per class, 2 classes, 9 recordings\n" in said
    assert "divided by a hash of their names (split_seed 3)" in said
    assert result.returncode == 0, result.stderr + result.stdout
    if command == "check":
        assert "2 longer recordings are cut into 6 clips of 1 s, 0.5 s apart" in said
        card = json.loads((tmp_path / "out" / "check.json").read_text())["card"]
        sizes = [split["num_clips"] for split in card["splits"].values()]
        assert sum(sizes) == 7 + 6 and len(sizes) == 2


def test_a_data_set_of_any_layout_is_written_as_a_table(commands, birds, tmp_path):
    table = tmp_path / "table"
    flags = [f"--root={birds}", *FLAGS, "--clip_s=1", "--lists_only"]
    result = commands.run(*flags, f"--write_table={table}", module="gcrnn_jax.check")
    assert result.returncode == 0, result.stderr + result.stdout
    assert f"wrote {table}: the same as a table of clips" in result.stdout
    how = dataclasses.replace(
        default_options(1.0), negatives=("noise",), split_fractions=(0.5, 0.5, 0.0)
    )
    how = dataclasses.replace(how, split_seed=3)
    dataset = find_splits(birds, how)
    assert content(find_splits(table, default_options(1.0))) == content(dataset)
    hashes = {
        check(root, num_workers=1, options=options).card["data_sha256"]
        for root, options in ((birds, how), (table, default_options(1.0)))
    }
    assert len(hashes) == 1


def test_a_run_takes_a_folder_per_class(commands, birds, tmp_path):
    """Trained and scored; negatives and stretches with the others."""
    flags = [*commands.SMALLEST, f"--config.data.root={birds}"]
    flags += ["--config.data.negatives=('noise',)", "--config.training.num_epochs=1"]
    flags += ["--config.data.split_fractions=(0.5, 0.5, 0.0)"]
    flags += ["--config.fusion.epochs=1", "--config.data.split_seed=3"]
    result = commands.main(tmp_path / "run", *flags)
    assert result.returncode == 0, result.stderr
    assert "layout: one folder per class, 2 classes, 9 recordings\n" in result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["negatives"] == ["noise"]
    assert config["data"]["split_fractions"] == [0.5, 0.5, 0.0]
    # Scored on a folder without any noise, and with noise of another name.
    (birds / "noise").rename(tmp_path / "hiss")
    [scored] = predict_splits(tmp_path / "run", [None], root=birds)
    assert scored.config and scored.config.data.negatives == ()
    (tmp_path / "hiss").rename(birds / "other")
    with pytest.raises(DataError, match="expected to be told"):
        predict_splits(tmp_path / "run", [None], root=birds)
    how = {"negatives": ["other"]}
    [scored] = predict_splits(tmp_path / "run", ["training"], root=birds, layout=how)
    assert not scored.split.weak_label.any(axis=1).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split_fractions": (0.7, 0.7, 0.1)}, "must be parts of 1, of which some"),
        ({"split_fractions": (1.0, 0.0, 0.0)}, "must be parts of 1, of which some"),
        ({"split_fractions": (0.0, 0.5, 0.5)}, "must be parts of 1, of which some"),
        ({"split_fractions": (0.5, 0.5)}, "expected a list of 3 a finite number"),
        ({"split_fractions": (1.5, -0.5, 0.0)}, "split_fractions must be 0 or more"),
        ({"clip_hop_s": -1.0}, "clip_hop_s must be 0 or more"),
        ({"split_seed": -1}, "split_seed must be 0 or more"),
        ({"negatives": "noise"}, "data.negatives: expected a list of str"),
    ],
)
def test_a_field_that_cannot_be_is_named(fields, message):
    changes = {f"data.{name}": value for name, value in fields.items()}
    with pytest.raises(ConfigError, match=message):
        load_config("sed", **changes)


def test_a_layout_that_there_is_not_is_named_with_those_that_there_are(birds):
    options = dataclasses.replace(default_options(), layout="class_folder")
    with pytest.raises(ConfigError, match="one of dcase2017, .*class_folders, got 'cl"):
        find_splits(birds, options)


def test_a_folder_of_no_layout_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="found none: dcase2017: the lists of DCASE"):
        find_splits(tmp_path / "set")


def test_the_place_in_the_cache_depends_on_how_the_folder_is_read(tmp_path):
    features, usual = defaults.front_end(), default_options()
    root = tmp_path / "a"
    changes = [
        {},
        {"layout": "table"},
        {"negatives": ("noise",)},
        {"clip_hop_s": 5.0},
        {"split_fractions": (0.5, 0.5, 0.0)},
        {"speeds": (0.8,)},
        {"split_seed": 1},
    ]
    options = [dataclasses.replace(usual, **change) for change in changes]
    assert len({folder_in_cache(root, features, one) for one in options}) == 7
    data = defaults.config(**{"data.root": str(root), "data.split_seed": 1}).data
    assert data.path(features, 0) == folder_in_cache(root, features, options[-1])
    assert data.layout_options(features) == options[-1]


def test_the_layout_that_is_named_is_read_whatever_else_is_there(birds):
    (birds / "clips.csv").write_text("recording,labels\nowl/owla.wav,Owl\n")
    usual = default_options()
    layouts = {"": "a table of clips", "class_folders": "one folder per class"}
    for name, description in layouts.items():
        negatives = ("noise",) if name else None
        options = dataclasses.replace(usual, layout=name, negatives=negatives)
        dataset, _ = read_folder(birds, options)
        assert dataset.layout.startswith(description)
