"""Large stores: opened without reading what is large, verified as clips are read."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale_data import make_store
from gcrnn_jax.data import manifest, store
from gcrnn_jax.data.label_index import row_blocks
from gcrnn_jax.data.manifest import hash_file
from gcrnn_jax.data.split import map_array
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import DataError
from tests.data.test_store import build, content


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that are hashed, none of them for being small."""
    names = []
    monkeypatch.setattr(store, "_HASHED_AT_OPENING", 0)
    monkeypatch.setattr(
        manifest, "hash_file", lambda path: names.append(path.name) or hash_file(path)
    )
    return names


def damage(path):
    damaged = bytearray(path.read_bytes())
    damaged[-40] ^= 1
    path.write_bytes(damaged)


def test_a_shard_is_hashed_when_a_clip_of_it_is_read_and_never_again(
    data_folder, tmp_path, hashed
):
    path = build(data_folder(training=10), tmp_path / "store").path
    del hashed[:]
    FeatureStore.open(path)
    assert not hashed  # the labels were, by the builder
    split = FeatureStore.open(path).splits["training"]
    for clips, shards in (([9, 8], ["2"]), ([1, 9, 4, 5], ["0", "1"]), ([9, 4, 0], [])):
        del hashed[:]
        split.rows(clips)
        assert sorted(hashed) == [f"shard-0000{number}.npy" for number in shards]
    del hashed[:]
    FeatureStore.open(path).splits["training"].rows([0, 4, 8])
    assert not hashed


def test_what_other_processes_have_verified_is_not_hashed_again(
    data_folder, tmp_path, hashed
):
    path = build(data_folder(training=10), tmp_path / "store").path
    one, other = (FeatureStore.open(path).splits["training"] for _ in "ab")
    sent = pickle.loads(pickle.dumps(other))
    rows = one.rows([5])
    del hashed[:]
    np.testing.assert_array_equal(other.rows([5]), rows)
    np.testing.assert_array_equal(sent.rows([5]), rows)
    assert not hashed
    sent.rows([0])
    assert hashed == ["shard-00000.npy"]


def test_damage_is_noticed_before_a_clip_is_used_and_mended_at_the_next_start(
    data_folder, tmp_path, hashed, capsys
):
    root, path = data_folder(training=10), tmp_path / "store"
    build(root, path)
    whole, file = content(path), path / "training/shard-00001.npy"
    damage(file)
    split = FeatureStore.open(path).splits["training"]
    split.rows([0, 9])
    for _ in range(2):
        with pytest.raises(DataError, match=r"shard-00001\.npy: damaged: its SHA-256"):
            split.rows([0, 4])
    with pytest.raises(DataError, match=r"shard-00001\.npy: damaged: its SHA-256"):
        FeatureStore.open(path)
    capsys.readouterr()
    build(root, path)
    assert "1 of 3 shards are built again" in capsys.readouterr().err
    assert content(path) == whole
    FeatureStore.open(path).splits["training"].rows([4])


def test_where_nothing_can_be_remembered_damage_is_noticed_all_the_same(
    data_folder, tmp_path, hashed, monkeypatch
):
    path = build(data_folder(training=10), tmp_path / "store").path
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "file"))
    damage(path / "training/shard-00000.npy")
    for _ in range(2):
        split = FeatureStore.open(path).splits["training"]
        with pytest.raises(DataError, match=r"shard-00000\.npy: damaged: its SHA-256"):
            split.rows([0])


def test_small_stores_are_verified_whole_when_they_are_opened(data_folder, tmp_path):
    path = build(data_folder(training=10), tmp_path / "store").path
    damage(path / "training/shard-00002.npy")
    with pytest.raises(DataError, match=r"shard-00002\.npy: damaged: its SHA-256"):
        FeatureStore.open(path)


def test_opening_makes_no_copy_of_the_labels(tmp_path, hashed):
    """20,000 clips of 500 classes: their labels alone are 10 MB."""
    path = make_store(tmp_path / "store", 20_000, 500)
    tracemalloc.start()
    try:
        split = FeatureStore.open(path).splits["training"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6
    assert split.weak_label.shape == (20_000, 500) and isinstance(
        split.weak_label, np.ndarray
    )
    assert not any(name.startswith("shard") for name in hashed)
    count = sum(block.sum() for _, block in row_blocks(split.weak_label))
    assert count == split.weak_label.sum() > 40_000


@pytest.mark.parametrize("kind", ["wrong type", "wrong shape"])
def test_arrays_of_another_type_or_shape_are_refused(tmp_path, kind):
    labels = np.eye(3, dtype=bool)
    other = labels.view(np.int8) if kind == "wrong type" else labels.reshape(1, 9)
    np.save(path := tmp_path / "weak_label.npy", other)
    with pytest.raises(DataError, match=r"weak_label\.npy: damaged labels: expected b"):
        map_array(path, "labels", bool, labels.shape)


def test_pages_of_labels_that_were_read_go_again(tmp_path):
    np.save(path := tmp_path / "weak_label.npy", np.ones((200_000, 100), bool))
    mapped = map_array(path, "labels", bool, (200_000, 100))
    assert sum(block.sum() for _, block in row_blocks(mapped)) == 20_000_000
    assert resident_kb(path) < 1000
    assert mapped.sum() == 20_000_000
    assert resident_kb(path) > 15_000  # where nobody sends them away


def resident_kb(path) -> int:
    """Of a mapped file, what is in the memory of this process."""
    _, _, of_file = Path("/proc/self/smaps").read_text().partition(f"{path}\n")
    return int(of_file.partition("Rss:")[2].split()[0])
