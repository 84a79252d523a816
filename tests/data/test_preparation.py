"""Where stores without an output go, and that they are found again there."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from gcrnn_jax.data.atomic_files import cache_folder
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.preparation import cache_path, summary
from gcrnn_jax.errors import ConfigError, RecordingsMissingError
from tests import defaults
from tests.stores import content


def test_a_store_of_0_1_in_the_cache_is_found_again(monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", "/cache")
    path = cache_path("data", "/home/data", defaults.front_end().as_dict())
    assert str(path) == "/cache/data-eab6925cedd3"


def test_a_place_in_the_cache_depends_on_values_and_not_on_their_order():
    one = cache_path("data", {"training": 3, "testing": 2})
    assert cache_path("data", {"testing": 2, "training": 3}) == one
    assert cache_path("data", {"testing": 3, "training": 2}) != one
    assert cache_path("data", {"testing": 2, "training": 3}, 0) != one


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"GCRNN_CACHE": "/own", "XDG_CACHE_HOME": "/shared"}, "/own"),
        ({"XDG_CACHE_HOME": "/shared"}, "/shared/gcrnn_jax"),
        ({"GCRNN_CACHE": "", "XDG_CACHE_HOME": ""}, "~/.cache/gcrnn_jax"),
        ({}, "~/.cache/gcrnn_jax"),
    ],
)
def test_the_cache_is_in_the_first_folder_that_is_set(monkeypatch, variables, folder):
    for name in ("GCRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder).expanduser()


@pytest.mark.parametrize("name", ["held_out_fraction", "max_bad_fraction"])
def test_shares_are_from_0_to_1(name):
    for value in (0.0, 1.0):
        options = defaults.build(DataOptions, "data", **{name: value})
        assert getattr(options, name) == value
    for value in (-0.1, 1.1):
        with pytest.raises(ConfigError, match=f"{name} must be in"):
            defaults.build(DataOptions, "data", **{name: value})


def test_features_go_where_they_are_asked_to_and_are_summed_up(
    data_folder, monkeypatch, tmp_path
):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    root, front_end = data_folder(training=3, validation=2), defaults.front_end()
    asked = defaults.prepare(root, tmp_path / "store")
    assert asked.path == tmp_path / "store"
    cached = defaults.prepare(root)
    assert cached.path == cache_path(root.name, str(root), front_end.as_dict())
    hours = sum(asked.splits["training"].num_frames) * front_end.hop_s / 3600
    assert f"training: 3 clips, {hours:.2f} h" in summary(asked)


def options(root, store=""):
    return defaults.build(DataOptions, "data", root=str(root), store=str(store))


def test_paths_of_the_users_home_are_replaced(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert options("~/set", "~/store").root == "/home/me/set"
    assert options("~/set", "~/store").store == "/home/me/store"
    assert options("").root == ""


@pytest.mark.parametrize("gone", ["folder", "content", "audio", "training"])
def test_a_finished_store_works_when_its_recordings_are_gone(
    data_folder, tmp_path, monkeypatch, capsys, gone
):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    root = data_folder(training=4, testing=2)
    front_end = defaults.front_end(clip_s=1.0)
    store = options(root).prepare(front_end, seed=0)
    shutil.rmtree(root / {"audio": "audio", "training": "audio/training"}.get(gone, ""))
    if gone == "content":
        root.mkdir()
    again = options(root).prepare(front_end, seed=0)
    assert again.path == store.path and len(again.splits["training"]) == 4
    printed = capsys.readouterr().err
    assert "recordings not found (" in printed
    assert f"using the features in {store.path}" in printed
    with pytest.raises(RecordingsMissingError):
        options(root, store.path).prepare(defaults.front_end(clip_s=2.0), seed=0)
    with pytest.raises(RecordingsMissingError):
        options(root, tmp_path / "none").prepare(front_end, seed=0)


def test_a_store_with_other_labels_than_the_lists_does_not_stand_for_them(
    data_folder, tmp_path
):
    root = data_folder(training=4)
    front_end, data = defaults.front_end(clip_s=1.0), options(root, tmp_path / "store")
    data.prepare(front_end, seed=0)
    (root / "audio/training/Ytraining0_0.000_10.000.wav").unlink()
    data.prepare(front_end, seed=0)
    text = (root / "training_set.csv").read_text()
    (root / "training_set.csv").write_text(text.replace("/m/2", "/m/3"))
    with pytest.raises(RecordingsMissingError, match="1 of 4 clips"):
        data.prepare(front_end, seed=0)


def test_without_a_home_nothing_is_kept(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("GCRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None
    with pytest.raises(ConfigError, match="no home.*GCRNN_CACHE"):
        cache_path("data")
    monkeypatch.setenv("GCRNN_CACHE", "/own")
    assert cache_folder() == Path("/own")


def test_a_store_of_recordings_does_not_give_way_to_soundscapes(data_folder, tmp_path):
    front_end, store = defaults.front_end(clip_s=1.0), tmp_path / "store"
    options(data_folder(training=2, testing=2), store).prepare(front_end, seed=0)
    before = content(store)
    with pytest.raises(ConfigError, match=r"holds features of recordings .*data\.root"):
        options("", store).prepare(front_end, seed=0)
    assert content(store) == before


def test_a_store_of_soundscapes_gives_way_to_others(tmp_path):
    front_end = defaults.front_end(clip_s=1.0)
    few = dataclasses.replace(
        options("", tmp_path / "store"), soundscapes=(2, 1, 1), num_workers=0
    )
    few.prepare(front_end, seed=0)
    store = dataclasses.replace(few, soundscapes=(3, 1, 1)).prepare(front_end, seed=0)
    assert len(store.splits["training"]) == 3
