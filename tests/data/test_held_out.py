"""Training clips held out: a split of their own, and none of them trained on."""

import dataclasses

import numpy as np
import pytest

from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.errors import ConfigError, DataError
from tests import defaults
from tests.defaults import prepare


@pytest.fixture
def store(data_folder, tmp_path):
    root = data_folder(training=20, validation=4)
    return prepare(
        root, tmp_path / "store", defaults.front_end(clip_s=1.0), num_workers=1
    )


def test_held_out_clips_are_a_part_and_training_the_rest(store):
    whole = store.splits["training"]
    store.hold_out(0.25, seed=3)
    training, held_out = store.splits["training"], store.splits["held_out"]
    assert len(training) == 15 and len(held_out) == 5
    assert {*training.clip_ids, *held_out.clip_ids} == set(whole.clip_ids)
    for part in (training, held_out):
        places = [whole.clip_ids.index(clip) for clip in part.clip_ids]
        order = np.arange(len(part))[::-1]
        np.testing.assert_array_equal(
            part.rows(order), whole.rows(np.array(places)[order])
        )
        np.testing.assert_array_equal(part.weak_label, whole.weak_label[places])
        np.testing.assert_array_equal(part.num_frames, whole.num_frames[places])
    assert len({whole.content_hash, training.content_hash, held_out.content_hash}) == 3


def test_the_seed_alone_chooses(store):
    parts = []
    for seed in (3, 3, 4):
        again = FeatureStore.open(store.path)
        again.hold_out(0.25, seed)
        parts.append(again.splits["held_out"])
    assert parts[0].clip_ids == parts[1].clip_ids != parts[2].clip_ids
    assert parts[0].content_hash == parts[1].content_hash != parts[2].content_hash


def test_strong_labels_go_with_their_clips(store):
    split = store.splits["validation"]
    split.events = {clip: ((0.0, 1.0, clip),) for clip in split.clip_ids}
    part = split.part("some", np.array([3, 1]))
    again = part.part("one", np.array([1]))
    assert part.clip_ids == (split.clip_ids[3], split.clip_ids[1])
    assert part.events == {clip: split.events[clip] for clip in part.clip_ids}
    np.testing.assert_array_equal(again.rows([0]), split.rows([1]))


@pytest.mark.parametrize("of_one_recording", [1, 3])
def test_every_clip_is_in_one_part(store, of_one_recording):
    names = [f"r{n // of_one_recording}_{n}.000_{n + 1}.000" for n in range(20)]
    whole, held_out = store.splits["training"], []
    for part in range(3):
        clips = dataclasses.replace(whole, clip_ids=tuple(names))
        store.splits = {"training": clips}
        store.hold_out(1 / 3, 3, part)
        own = store.splits["held_out"].clip_ids
        assert {*store.splits["training"].clip_ids} == {*names} - {*own}
        assert 5 <= len(own) <= 9
        held_out += own
    assert sorted(held_out) == sorted(names)


def test_a_part_that_one_recording_leaves_nothing_is_named(store):
    names = [f"r{n // 18}_{n}.000_{n + 1}.000" for n in range(20)]
    whole = store.splits["training"]
    with pytest.raises(DataError, match="too many are of one recording"):
        for part in range(4):
            clips = dataclasses.replace(whole, clip_ids=tuple(names))
            store.splits = {"training": clips}
            store.hold_out(0.25, 3, part)


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="held_out_part is 3, counted from 0"):
        defaults.config(**{"data.held_out_fraction": 1 / 3, "data.held_out_part": 3})


@pytest.mark.parametrize("fraction", [0.01, 1.0])
def test_nothing_or_all_cannot_be_held_out(store, fraction):
    with pytest.raises(DataError, match="20 training clips cannot be held out"):
        store.hold_out(fraction, seed=0)


def test_clips_of_one_recording_are_held_out_together(store):
    ids = [f"r{n % 4}_{n}.000_{n + 1}.000" for n in range(20)]
    whole = store.splits["training"]
    store.splits["training"] = dataclasses.replace(whole, clip_ids=tuple(ids))
    store.hold_out(0.3, seed=3)
    sources = [
        {clip_id.split("_")[0] for clip_id in store.splits[name].clip_ids}
        for name in ("training", "held_out")
    ]
    assert not sources[0] & sources[1] and len(sources[1]) == 2  # 10 clips for 6
    store.splits["training"] = dataclasses.replace(
        whole, clip_ids=tuple(f"r_{n}.000_{n + 1}.000" for n in range(20))
    )
    with pytest.raises(DataError, match="all training clips are of one recording"):
        store.hold_out(0.3, seed=3)
