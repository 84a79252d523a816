"""Faults at fixed places of a run and its store: each is noticed before it is used."""

import logging
import shutil

import numpy as np
import pytest

from benchmarks.corruption import (
    HARMLESS,
    NOTICED,
    SILENT,
    Fault,
    Subject,
    draw_fault,
    outcome,
)
from gcrnn_jax.runs import Run

FAULTS = [
    ("averaged/card/data.json", "bit", 0.9),
    ("averaged/manifest.json", "byte", 0.4),
    ("averaged/params/_METADATA", "truncated", 0.5),
    ("averaged/params/ocdbt.process_0/d/*", "bit", 0.5),
    ("checkpoints/2/batch_stats/ocdbt.process_0/d/*", "byte", 0.5),
    ("checkpoints/4/params/ocdbt.process_0/d/*", "zeroed", 0.1),
    ("checkpoints/4/manifest.json", "truncated", 0.0),
    ("config.json", "bit", 0.5),
    ("data.json", "byte", 0.5),
    ("run.json", "byte", 0.5),
    ("metrics.jsonl", "byte", 0.3),
    ("metrics.jsonl", "truncated", 0.5),
    ("scores.jsonl", "bit", 0.1),
    ("posteriors/validation-*/epoch-1.npz", "bit", 0.6),
    ("posteriors/testing-*/epoch-2.npz", "truncated", 0.9),
    ("results/testing/posteriors.npz", "byte", 0.2),
    ("store/card.json", "bit", 0.5),
    ("store/training/shard-00000.npy", "bit", 0.01),
    ("store/training/num_frames.npy", "byte", 0.9),
    ("store/validation/clip_ids.json", "byte", 0.5),
    ("store/testing/events.json", "zeroed", 0.3),
]


@pytest.fixture
def subject(own_run, tmp_path):
    store = shutil.copytree(own_run.store, tmp_path / "store")
    return Subject(Run.open(own_run.workdir), store, own_run.workdir / "none")


def first(folder, pattern):
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize(("name", "kind", "place"), FAULTS)
def test_a_fault_is_noticed(subject, name, kind, place):
    is_store = name.startswith("store/")
    folder = subject.store if is_store else subject.run.folder
    path = first(folder, name.removeprefix("store/"))
    [load] = subject.loads(path)
    with Fault(kind, path, place).applied():
        assert outcome(load, "") == NOTICED
    assert outcome(load, "") == SILENT  # sound again, and read without a warning


def test_files_of_two_epochs_that_change_places_are_noticed(subject):
    one = first(subject.run.folder, "posteriors/testing-*/epoch-1.npz")
    other = one.with_name("epoch-2.npz")
    assert one.stat().st_size == other.stat().st_size
    [load] = subject.loads(one)
    with Fault("swapped", one, other=other).applied():
        assert outcome(load, "") == NOTICED


@pytest.mark.parametrize("name", ["manifest.json", "state/_METADATA", "state/d/*"])
def test_training_goes_on_from_the_state_before_a_damaged_one(subject, name, caplog):
    newest = subject.run.states / "4"
    with Fault("bit", first(newest, name), 0.7).applied():
        assert subject.restore().step == 2
    assert any("skipping" in message for message in caplog.messages)
    assert subject.restore().step == 4


def test_faults_are_drawn_of_all_kinds_and_taken_back(tmp_path):
    files = [tmp_path / name for name in "abc"]
    for path, content in zip(files, (b"12345678", b"abcdefgh", b""), strict=True):
        path.write_bytes(content)
    random, seen = np.random.default_rng(0), set()
    for _ in range(40):
        fault = draw_fault(files, random)
        seen.add(fault.kind)
        with fault.applied():
            assert files[0].read_bytes() != b"12345678" or fault.path == files[1]
        assert [p.read_bytes() for p in files] == [b"12345678", b"abcdefgh", b""]
    assert seen == {"bit", "byte", "zeroed", "truncated", "swapped"}


def test_what_loads_equal_is_harmless():
    logging.getLogger().setLevel(logging.WARNING)
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert outcome(lambda: None, expected) == HARMLESS
