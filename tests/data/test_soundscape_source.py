"""Soundscapes become a store like any other recordings."""

import numpy as np
import pytest

from gcrnn_jax.audio import soundscapes
from gcrnn_jax.data import soundscape_source
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.soundscape_source import SoundscapeSource
from gcrnn_jax.errors import ConfigError
from tests.defaults import soundscapes as prepare_soundscapes

SIZES = {"training": 4, "validation": 2, "testing": 3}


def test_a_store_of_soundscapes_has_their_features_labels_and_events(tmp_path):
    store = prepare_soundscapes(SIZES, 5, tmp_path / "store", num_workers=1)
    assert {name: len(split) for name, split in store.splits.items()} == SIZES
    assert store.classes == DCASE2017_CLASSES
    assert store.splits["training"].events is None
    split = store.splits["testing"]
    for index in range(3):
        clip = soundscapes.soundscape(4 * 5 + 2, index, balanced=True)
        expected = store.front_end(clip.waveform).astype(np.float16)
        np.testing.assert_array_equal(split.rows([index])[0], expected)
        assert split.events is not None
        assert split.clip_ids[index] == f"testing_00000{index}"
        assert split.events[split.clip_ids[index]] == tuple(
            (onset, offset, name) for onset, offset, name, _ in clip.events
        )
        tags = np.flatnonzero(split.weak_label[index])
        names = {name for _, _, name, _ in clip.events}
        assert {DCASE2017_CLASSES.names[k] for k in tags} == names


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


def test_clips_of_another_version_are_other_clips(tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path))

    def hashes(version):
        monkeypatch.setattr(soundscapes, "VERSION", version)
        monkeypatch.setattr(soundscape_source, "VERSION", version)
        source = SoundscapeSource("testing", 0, 1, balanced=True, has_events=True)
        stores = [
            prepare_soundscapes({"training": 1}, 0, output, num_workers=1)
            for output in (None, tmp_path / "a")
        ]
        store_hashes = {str(stores[0].path), stores[1].content_hash}
        return {source.cache_key(0), source.content_hash(0), *store_hashes}

    assert len(hashes(1) | hashes(2)) == 8


def test_clips_come_at_any_rate():
    def load(rate):
        kind = {"balanced": False, "has_events": False, "sample_rate_hz": rate}
        return SoundscapeSource("training", 0, 1, **kind).load(0)

    original, resampled = load(16000).waveform, load(32000).waveform
    assert (len(original), len(resampled)) == (160000, 320000)
    np.testing.assert_allclose(resampled[::2][100:-100], original[100:-100], atol=0.01)
    assert load(16000).events is None


def test_another_split_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="'dev'"):
        prepare_soundscapes({"dev": 1}, 0, tmp_path)
