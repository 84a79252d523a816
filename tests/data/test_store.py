"""A store holds exactly the features, once, whoever built it and how often."""

import fcntl
import json
import pickle

import numpy as np
import pytest
import soundfile

from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import (
    DataError,
    StorageError,
    WorkdirError,
)
from tests import defaults
from tests.data.small_stores import FRONT_END, build, change_samples, recording, times
from tests.stores import content


@pytest.mark.parametrize("kind", ["log_mel", "mfcc"])
def test_rows_are_the_features_padded_with_zeros(data_folder, tmp_path, kind):
    root = data_folder(training=10)
    front_end = defaults.front_end(kind=kind, clip_s=1.0)
    split = build(root, tmp_path / "store", front_end=front_end).splits["training"]
    indices = np.array([9, 0, 4, 4, 3, 8])  # of all three shards
    rows = split.rows(indices)
    assert rows.dtype == np.float16
    assert rows.shape == (6, front_end.num_frames, front_end.num_bins)
    for row, index in zip(rows, indices, strict=True):
        expected = front_end(read_waveform(recording(root, index)))
        count = split.num_frames[index]
        assert len(expected) == count
        np.testing.assert_array_equal(row[:count], expected.astype(np.float16))
        assert not row[count:].any()


def test_ids_and_labels_are_those_of_the_list(data_folder, tmp_path):
    root = data_folder(training=10, testing=3)
    store = build(root, tmp_path / "store")
    split = store.splits["training"]
    assert split.clip_ids == tuple(f"training{i}_0.000_10.000" for i in range(10))
    expected = [[i % 3 in (0, 2), i % 3 == 1, i % 3 == 2] for i in range(10)]
    np.testing.assert_array_equal(split.weak_label, expected)
    assert store.classes.names == ("Car", "Air horn, truck horn", "Train")
    assert store.front_end == FRONT_END
    assert len(store.splits["testing"]) == 3
    counts = store.card["splits"]["training"]["clips_per_class"]
    assert counts == {"Car": 7, "Air horn, truck horn": 3, "Train": 3}


def test_a_split_with_a_strong_list_has_events(data_folder, tmp_path):
    root = data_folder(training=2, testing=3)
    (root / "groundtruth_strong_label_testing_set.csv").write_text(
        "testing1_0.000_10.000.wav\t0.25\t0.5\tTrain\r\n"
        "testing2_0.000_10.000.wav\t0\t0\tCar\r\n"
        "Ytesting0_0.000_10.000.wav\t0\t0.125\tAir horn, truck horn\r\n"
    )
    store = build(root, tmp_path / "store")
    assert store.splits["training"].events is None
    assert store.splits["testing"].events == {
        "testing0_0.000_10.000": ((0.0, 0.125, "Air horn, truck horn"),),
        "testing1_0.000_10.000": ((0.25, 0.5, "Train"),),
        "testing2_0.000_10.000": (),
    }


def test_the_scaler_is_that_of_the_real_training_frames(data_folder, tmp_path):
    store = build(data_folder(training=10, testing=5), tmp_path / "store")
    split = store.splits["training"]
    rows = split.rows(np.arange(10)).astype(np.float64)
    frames = np.concatenate(
        [row[:count] for row, count in zip(rows, split.num_frames, strict=True)]
    )
    np.testing.assert_allclose(store.mean, frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(store.std, frames.std(axis=0), rtol=1e-5)


def test_the_scaler_of_a_constant_is_not_zero(data_folder, tmp_path):
    root = data_folder(training=1)
    soundfile.write(recording(root, 0), np.zeros(16000), 16000)
    store = build(root, tmp_path / "store")
    np.testing.assert_allclose(store.std, 1e-3, rtol=1e-6)


def test_two_workers_write_the_same_bytes_as_one(data_folder, tmp_path):
    root = data_folder(training=10, testing=5)
    recording(root, 3).write_bytes(b"no audio")
    for workers in (1, 2):
        path = tmp_path / str(workers)
        build(root, path, num_workers=workers, max_bad_fraction=0.1)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_finished_store_is_opened_and_not_touched(data_folder, tmp_path):
    root = data_folder(training=6)
    build(root, tmp_path / "store")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}
    build(root, tmp_path / "store")
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}
    assert after == before


def test_a_changed_recording_costs_its_shard_and_is_said(data_folder, tmp_path, capsys):
    root = data_folder(training=12)
    path = tmp_path / "store"
    build(root, path)
    before = times(path)
    soundfile.write(recording(root, 5), 0.5 * np.ones(8000), 16000)
    split = build(root, path).splits["training"]
    redone = [file.name for file, time in times(path).items() if time != before[file]]
    assert redone == ["shard-00001.npy"]
    assert "1 of 3 shards are built again" in capsys.readouterr().err
    expected = FRONT_END(read_waveform(recording(root, 5))).astype(np.float16)
    np.testing.assert_array_equal(split.rows([5])[0, : len(expected)], expected)


def test_a_changed_recording_of_the_same_size_is_noticed(data_folder, tmp_path):
    root = data_folder(training=2)
    path = tmp_path / "store"
    before = build(root, path).splits["training"].rows([1])
    change_samples(recording(root, 1))
    assert (build(root, path).splits["training"].rows([1]) != before).any()


def test_a_changed_label_or_front_end_is_noticed(data_folder, tmp_path):
    root = data_folder(training=6)
    path = tmp_path / "store"
    build(root, path)
    text = (root / "training_set.csv").read_text().replace("/m/2", "/m/3")
    (root / "training_set.csv").write_text(text)
    assert not build(root, path).splits["training"].weak_label[:, 1].any()
    mfcc = build(root, path, front_end=defaults.front_end(kind="mfcc", clip_s=1.0))
    assert mfcc.splits["training"].rows([0]).shape[2] == 120


def test_a_shorter_list_leaves_nothing_behind(data_folder, tmp_path):
    root = data_folder(training=12)
    path = tmp_path / "store"
    build(root, path)
    lines = (root / "training_set.csv").read_text().splitlines()
    (root / "training_set.csv").write_text("\n".join(lines[:4]))
    build(root, path)
    build(root, tmp_path / "fresh")
    assert content(path) == content(tmp_path / "fresh")


@pytest.mark.parametrize("sizes", [{"training": 3}, {"training": 9}])
def test_an_index_outside_is_an_error(data_folder, tmp_path, sizes):
    split = build(data_folder(**sizes), tmp_path / "store").splits["training"]
    for index in (-1, len(split)):
        for indices in ([index], [0, index], [index, 0]):
            with pytest.raises(IndexError, match="of split .training., which has"):
                split.rows(indices)
    assert split.rows([]).shape == (0, FRONT_END.num_frames, 64)


def test_a_split_can_be_sent_to_a_worker(data_folder, tmp_path):
    split = build(data_folder(training=9), tmp_path / "store").splits["training"]
    rows = split.rows([8, 1])
    sent = pickle.dumps(split)
    assert len(sent) < 10_000  # without the features
    np.testing.assert_array_equal(pickle.loads(sent).rows([8, 1]), rows)


@pytest.mark.parametrize(
    "name",
    [
        "training/shard-00001.npy",
        "training/clip_ids.json",
        "training/num_frames.npy",
        "training/weak_label.npy",
    ],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_is_named(data_folder, tmp_path, name, damage):
    store = build(data_folder(training=6), tmp_path / "store")
    file = store.path / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=name):
        FeatureStore.open(store.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(version=1), "version 1, "),
        (lambda card: card.update(format="other"), "not the card"),
        (lambda card: card.pop("scaler"), "damaged card"),
        (
            lambda card: card["front_end"].update(num_mels=32),
            "damaged shard: expected float16",
        ),
    ],
)
def test_a_card_of_something_else_is_refused(data_folder, tmp_path, change, message):
    store = build(data_folder(training=2), tmp_path / "store")
    card = json.loads((store.path / "card.json").read_text())
    del card["own_sha256"]  # as cards were before they had one
    change(card)
    (store.path / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=message):
        FeatureStore.open(store.path).splits["training"].rows([0])


def test_no_store_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"card\.json: not found"):
        FeatureStore.open(tmp_path)


def test_a_store_needs_a_training_split(data_folder, tmp_path):
    with pytest.raises(DataError, match="no split named training.*; there are testing"):
        build(data_folder(testing=2), tmp_path / "store")


def test_a_second_preparation_waits_for_the_first_and_takes_its_store(
    data_folder, tmp_path, monkeypatch, capsys
):
    root, path = data_folder(training=2), tmp_path / "store"
    path.mkdir()
    flock = fcntl.flock

    def first_is_done(file, operation):
        if operation == fcntl.LOCK_EX:  # waiting: meanwhile the other one finishes
            fcntl.flock(holder, fcntl.LOCK_UN)
            monkeypatch.setattr(fcntl, "flock", flock)
            build(root, path)
        return flock(file, operation)

    with open(path / ".lock", "w") as holder:
        flock(holder, fcntl.LOCK_EX)
        holder.write("process 77 on elsewhere\n")
        holder.flush()
        monkeypatch.setattr(fcntl, "flock", first_is_done)
        build(root, path)
    printed = capsys.readouterr().err
    assert f"{path} is held by process 77 on elsewhere: waiting for it" in printed
    assert printed.count("preparing: 2/2") == 1


def test_a_place_that_cannot_be_written_is_an_error(data_folder, tmp_path):
    root = data_folder(training=2)
    (tmp_path / "file").touch()
    with pytest.raises(WorkdirError, match="file/store"):
        build(root, tmp_path / "file/store")


def test_a_full_disk_is_an_error_and_leaves_no_shard(data_folder, tmp_path):
    """A limit on the size of files stands in for the disk."""
    import resource
    import signal

    root, path = data_folder(training=4), tmp_path / "store"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        with pytest.raises(StorageError, match=r"shard-00000\.npy"):
            build(root, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(path.rglob("shard-*"))
    build(root, path)
