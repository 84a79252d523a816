"""Soundscapes become a store like any other recordings."""

import numpy as np
import pytest

from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.prepare import prepare_soundscapes

soundscapes = pytest.importorskip("gcrnn_jax.audio.soundscapes")

SIZES = {"training": 4, "validation": 2, "testing": 3}


def test_a_store_of_soundscapes_has_their_features_labels_and_events(tmp_path):
    store = prepare_soundscapes(SIZES, 5, tmp_path / "store", num_workers=1)
    assert {name: len(split) for name, split in store.splits.items()} == SIZES
    assert store.classes == DCASE2017_CLASSES
    assert store.splits["training"].events is None
    split = store.splits["testing"]
    clip = soundscapes.soundscape(4 * 5 + 2, 1, balanced=True)
    expected = store.front_end(clip.waveform).astype(np.float16)
    np.testing.assert_array_equal(split.rows([1])[0], expected)
    assert split.events is not None
    assert split.events[split.clip_ids[1]] == tuple(
        (onset, offset, name) for onset, offset, name, *_ in clip.events
    )
    names = {name for _, _, name, *_ in clip.events}
    tagged = {DCASE2017_CLASSES.names[k] for k in np.flatnonzero(split.weak_label[1])}
    assert tagged == names


def test_no_two_splits_or_seeds_share_a_clip(tmp_path):
    clips = []
    for seed in (0, 1):
        store = prepare_soundscapes(SIZES, seed, tmp_path / str(seed), num_workers=1)
        for split in store.splits.values():
            clips += [row.tobytes() for row in split.rows(range(len(split)))]
    assert len(set(clips)) == len(clips) == 18


def test_a_store_that_is_there_is_opened_unless_more_clips_are_wanted(tmp_path):
    prepare_soundscapes(SIZES, 0, tmp_path, num_workers=1)
    card = tmp_path / "card.json"
    before = card.stat().st_mtime_ns
    prepare_soundscapes(SIZES, 0, tmp_path, num_workers=1)
    assert card.stat().st_mtime_ns == before
    more = prepare_soundscapes({**SIZES, "training": 5}, 0, tmp_path, num_workers=1)
    assert len(more.splits["training"]) == 5


def test_another_split_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="'dev'"):
        prepare_soundscapes({"dev": 1}, 0, tmp_path)
