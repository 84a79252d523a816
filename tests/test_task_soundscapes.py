"""Soundscapes with the class counts of the task: which clips, lists and labels."""

from collections import Counter

import numpy as np
import pytest

from benchmarks import task_soundscapes
from benchmarks.task_soundscapes import (
    COUNTS,
    choose_clips,
    counts_of,
    is_prepared,
    prepare,
    write_lists,
)
from gcrnn_jax.audio.soundscapes import CLASS_NAMES, plan, soundscape
from gcrnn_jax.config import load_config
from gcrnn_jax.data.labels import DCASE2017_CLASSES
from gcrnn_jax.data.lists.clip_lists import read_weak_list
from gcrnn_jax.errors import ConfigError


def classes_of(seed, number, balanced):
    return {event.class_name for event in plan(seed, number, balanced=balanced)}


def test_the_counts_are_those_of_the_official_lists(goldens):
    sizes = {name: (clips, sum(counts)) for name, (clips, counts) in COUNTS.items()}
    assert sizes == {
        "training": (51172, 56131),
        "validation": (488, 606),
        "testing": (1103, 1350),
    }
    for split, official in (("validation", "testing"), ("testing", "evaluation")):
        path = goldens / f"dcase2017/groundtruth_weak_label_{official}_set.csv"
        rows, _ = read_weak_list(path, DCASE2017_CLASSES)
        tags = Counter(label for row in rows for label in row.labels or ())
        assert COUNTS[split] == (len(rows), tuple(tags[k] for k in range(17)))


@pytest.mark.parametrize(
    ("split", "clips"), [("training", 50), ("training", 700), ("testing", 1103)]
)
def test_chosen_clips_have_the_counts_together(split, clips):
    size, counts = counts_of(split, clips)
    assert size == clips and min(counts) >= 1
    balanced = split != "training"
    chosen = choose_clips(5, size, counts, balanced=balanced)
    assert len(set(chosen)) == size and chosen == sorted(chosen)
    found = [classes_of(5, number, balanced) for number in chosen]
    assert {len(classes) for classes in found} == {1, 2}
    tags = Counter(name for classes in found for name in classes)
    assert [tags[name] for name in CLASS_NAMES] == counts


def test_fewer_clips_are_in_the_tasks_proportions():
    _, counts = counts_of("training", 5117)
    whole = np.array(COUNTS["training"][1])
    assert np.abs(np.array(counts) - whole / 10).max() < 1
    with pytest.raises(ConfigError, match="--clips: expected 50 to 51172, got 49"):
        counts_of("training", 49)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of a training on the lists in tmp_path/data; features of half a second."""
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    changes = {"data.root": str(tmp_path / "data"), "front_end.clip_s": 0.5}
    changes |= {"data.num_workers": 0, "data.held_out_fraction": 0.25}
    return load_config("window_cnn", **changes)


def test_a_training_finds_the_features_by_the_lists_alone(
    tmp_path, config, monkeypatch, capsys
):
    few = {"training": (4, 6), "validation": (2, 2), "testing": (2, 3)}

    def choose(seed, size, counts, *, balanced):
        return [0, 3, 4, 7][:size]

    monkeypatch.setattr(task_soundscapes, "choose_clips", choose)
    monkeypatch.setattr(
        task_soundscapes, "counts_of", lambda split, _: (few[split][0], [])
    )
    write_lists(tmp_path / "data", 4)
    assert not is_prepared(config)
    prepare(tmp_path / "data", config)
    assert is_prepared(config) and "features of" in capsys.readouterr().out
    store = config.data.prepare(config.front_end, config.seed)  # as a training does
    assert "using the features in" in capsys.readouterr().err
    assert {name: len(split) for name, split in store.splits.items()} == {
        "training": 3,
        "held_out": 1,
        "validation": 2,
        "testing": 2,
    }
    for name, seed in (("validation", 1), ("testing", 2)):
        split = store.splits[name]
        for clip_id, row, number in zip(
            split.clip_ids, split.weak_label, (0, 3), strict=True
        ):
            assert clip_id == f"{name}_{number:07}_0.000_10.000"
            found = {DCASE2017_CLASSES.names[k] for k in np.flatnonzero(row)}
            assert found == classes_of(seed, number, True)
            onsets = [event[0] for event in split.events[clip_id]]
            events = plan(seed, number, balanced=True)
            assert onsets == [event.onset for event in events]
    waveform = soundscape(2, 3, balanced=True).waveform[:8000]
    expected = config.front_end(waveform).astype(np.float16)
    assert np.array_equal(store.splits["testing"].rows([1])[0], expected)
    assert store.splits["training"].events is None

    monkeypatch.setattr(task_soundscapes, "build_store", None)  # nothing is made again
    write_lists(tmp_path / "data", 4)
    prepare(tmp_path / "data", config)
    with pytest.raises(ConfigError, match=r"training_set\.csv lists 4 clips, expected"):
        write_lists(tmp_path / "data", 5)
