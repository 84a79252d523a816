"""A store that was interrupted, damaged or replaced becomes the one it should be."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import (
    DataError,
    RecordingsMissingError,
)
from tests.data.small_stores import build, change_samples, recording, times
from tests.stores import content


def test_an_interrupted_run_goes_on_where_it_was(data_folder, tmp_path):
    root = data_folder(training=12)
    build(root, tmp_path / "whole")
    path = tmp_path / "store"
    build(root, path)
    (path / "card.json").unlink()
    (path / "training/shard-00002.json").unlink()  # written, but not yet noted
    (path / "training/shard-00001.npy.tmp").write_bytes(b"half a sh")
    before = times(path)
    build(root, path)
    redone = [file.name for file, time in times(path).items() if time != before[file]]
    assert redone == ["shard-00002.npy"]
    assert content(path) == content(tmp_path / "whole")


@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_shard_is_built_again(data_folder, tmp_path, finished):
    root = data_folder(training=6)
    path = tmp_path / "store"
    build(root, path)
    whole = content(path)
    if not finished:
        (path / "card.json").unlink()
    (path / "training/shard-00001.npy").write_bytes(b"short")
    build(root, path)
    assert content(path) == whole


@pytest.mark.parametrize("part", ["npy", "json"])
def test_one_wrong_bit_costs_its_shard(data_folder, tmp_path, part, capsys):
    root = data_folder(training=12)
    path = tmp_path / "store"
    build(root, path)
    whole, before = content(path), times(path)
    file = path / f"training/shard-00001.{part}"
    damaged = bytearray(file.read_bytes())
    damaged[-40] ^= 1
    file.write_bytes(damaged)
    if part == "npy":
        with pytest.raises(DataError, match=r"shard-00001\.npy: damaged: its SHA-256"):
            FeatureStore.open(path)
    else:  # nothing reads it until something else is built again
        (path / "card.json").unlink()
    build(root, path)
    assert content(path) == whole
    redone = [file.name for file, time in times(path).items() if time != before[file]]
    assert redone == ["shard-00001.npy"]
    printed = capsys.readouterr().err
    assert "1 of 3 shards are built again" in printed
    assert printed.count(": prepared again") == (part == "npy")


def test_a_card_with_another_number_is_noticed(data_folder, tmp_path):
    root, path = data_folder(training=3), tmp_path / "store"
    build(root, path)
    card = path / "card.json"
    card.write_text(card.read_text().replace('"num_bad": 0', '"num_bad": 1'))
    with pytest.raises(DataError, match=r"card\.json: damaged"):
        FeatureStore.open(path)
    assert build(root, path).card["num_bad"] == 0


def test_a_shard_without_its_ledger_is_not_believed(data_folder, tmp_path, fails_at):
    """A recording changes, the shard is written, its ledger not; it changes back."""
    root, path = data_folder(training=3), tmp_path / "store"
    build(root, path)
    whole = content(path)
    copy = tmp_path / "copy.wav"
    shutil.copy2(recording(root, 1), copy)
    change_samples(recording(root, 1))

    with fails_at("prepare.ledger:raise"):
        build(root, path)
    shutil.copy2(copy, recording(root, 1))
    build(root, path)
    assert content(path) == whole


@pytest.mark.parametrize(
    "fault",
    [
        "prepare.clip@3:raise",
        "prepare.shard@2:enospc",
        "prepare.ledger@2:raise",
        "prepare.card:raise",
        "write.rename@4:enospc",
    ],
)
def test_a_preparation_that_fails_anywhere_goes_on_to_the_same_store(
    data_folder, tmp_path, fault, fails_at
):
    root, path = data_folder(training=6), tmp_path / "store"
    build(root, tmp_path / "whole")
    with fails_at(fault):
        build(root, path)
    done = times(path)
    build(root, path)
    assert content(path) == content(tmp_path / "whole")
    if "ledger" not in fault and "write" not in fault:  # finished shards stay
        assert done.items() <= times(path).items()


def lose(root, *indices):
    for index in indices:
        recording(root, index).unlink()


def test_missing_recordings_are_refused_before_a_store_is_touched(
    data_folder, tmp_path
):
    root, path = data_folder(training=6), tmp_path / "store"
    build(root, path)
    before = content(path)
    lose(root, 0, 5)
    with pytest.raises(RecordingsMissingError, match="2 of 6 clips.*MISSING"):
        build(root, path)
    assert content(path) == before
    with pytest.raises(RecordingsMissingError, match=r"other/rejects\.csv"):
        build(root, tmp_path / "other")


def test_a_good_store_gives_way_only_to_a_finished_one(
    data_folder, tmp_path, monkeypatch
):
    root, path = data_folder(training=12, testing=3), tmp_path / "store"
    build(root, path)
    before = content(path)
    for index in (1, 6):
        recording(root, index).write_bytes(b"no audio")
    with pytest.raises(DataError, match="1 of 15 clips.*were not looked at yet"):
        build(root, path)  # ends with the first shard
    assert {name: content(path)[name] for name in before} == before
    FeatureStore.open(path).splits["training"].rows([1])
    build(root, path, max_bad_fraction=0.2)
    build(root, tmp_path / "fresh", max_bad_fraction=0.2)
    assert content(path) == content(tmp_path / "fresh")


def test_shards_of_an_earlier_attempt_do_not_replace_good_ones(data_folder, tmp_path):
    root, path = data_folder(training=12), tmp_path / "store"
    build(root, path)
    shutil.copy2(recording(root, 1), tmp_path / "copy.wav")
    change_samples(recording(root, 1))
    recording(root, 6).write_bytes(b"no audio")
    with pytest.raises(DataError, match="1 of 12 clips"):
        build(root, path)  # after the first shard was built anew
    assert (path / ".next/training/shard-00000.npy").exists()
    shutil.copy2(tmp_path / "copy.wav", recording(root, 1))
    soundfile.write(recording(root, 6), 0.5 * np.ones(8000), 16000)
    build(root, path)
    build(root, tmp_path / "fresh")
    assert content(path) == content(tmp_path / "fresh")


@pytest.mark.parametrize("num_moved", [0, 1, 3])
def test_a_replacement_that_is_killed_is_finished_by_whoever_opens_the_store(
    data_folder, tmp_path, monkeypatch, num_moved
):
    root, path = data_folder(training=6), tmp_path / "store"
    build(root, path)
    change_samples(recording(root, 1))
    replace, moved = os.replace, []

    def killed(source, target):
        if ".next" in str(source) and ".next" not in str(target):
            if len(moved) == num_moved:
                raise KeyboardInterrupt
            moved.append(source)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            build(root, path)
    FeatureStore.open(path)
    assert not (path / ".next").exists()
    build(root, tmp_path / "fresh")
    assert content(path) == content(tmp_path / "fresh")
