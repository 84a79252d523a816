"""The hash of a data set follows what is in it, and nothing else."""

import hashlib
import json
import os

import pytest
import soundfile

from gcrnn_jax.check import check
from gcrnn_jax.data.data_hash import clip_content_hash
from gcrnn_jax.data.soundscape_source import SoundscapeSource
from tests import defaults
from tests.defaults import prepare
from tests.defaults import soundscapes as prepare_soundscapes

STRONG = "groundtruth_strong_label_validation_set.csv"


@pytest.fixture
def root(data_folder):
    root = data_folder(training=4, validation=3)
    (root / STRONG).write_text(
        "validation0_0.000_10.000.wav\t0.1\t0.2\tCar\n"
        "validation0_0.000_10.000.wav\t0.15\t0.3\tTrain\n"
        "validation1_0.000_10.000.wav\t0\t0\tAir horn, truck horn\n"
    )
    return root


def recording(root, index=0, split="training"):
    return root / f"audio/{split}/Y{split}{index}_0.000_10.000.wav"


def hash_of(root) -> str:
    """As `check` has it."""
    return check(root, num_workers=1).card["data_sha256"]


def sha256(content) -> str:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return hashlib.sha256(content).hexdigest()


def test_the_hash_is_that_of_a_plain_loop(root):
    names = ["Car", "Air horn, truck horn", "Train"]
    lines = [json.dumps([["/m/1", "/m/2", "/m/3"], names])]
    for split, size in (("training", 4), ("validation", 3)):
        clips = []
        for i in range(size):
            labels = [[0], [1], [0, 2]][i % 3]
            events = [[0.1, 0.2, "Car"], [0.15, 0.3, "Train"]] if i == 0 else []
            content = sha256(recording(root, i, split).read_bytes())
            clip_id = f"{split}{i}_0.000_10.000"
            timed = events if split == "validation" else None
            clips.append(sha256([clip_id, labels, timed, content]))
        lines += [split, *sorted(clips)]
    assert hash_of(root) == sha256("\n".join(lines).encode())


def test_the_hash_is_the_same_elsewhere_later_and_however_lists_are_written(root):
    before = hash_of(root)
    for number, path in enumerate(root.rglob("*.wav")):
        os.utime(path, (number, number))
    moved = root.rename(root.with_name("moved"))
    (moved / "audio/training").rename(moved / "audio/train")
    for name in ("training_set.csv", STRONG):
        rows = (moved / name).read_text().splitlines()
        (moved / name).write_text("\n".join(["", *rows[::-1]]), newline="")
    (moved / "audio/train/unlisted.wav").write_bytes(b"x")
    assert hash_of(moved) == before


def a_label(root):
    path = root / "training_set.csv"
    path.write_text(path.read_text().replace("/m/2", "/m/3"))


def a_class_name(root):
    path = root / "sound_event_list_3_classes.txt"
    path.write_text(path.read_text().replace("Train\n", "Tram\n"))


def a_time(root):
    path = root / STRONG
    path.write_text(path.read_text().replace("0.15", "0.151"))


def a_sample(root):
    samples, rate = soundfile.read(recording(root), dtype="int16")
    samples[-1] ^= 1
    soundfile.write(recording(root), samples, rate)


def a_recording_lost(root):
    recording(root, 2).unlink()


def a_clip_less(root):
    path = root / "validation_set.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def no_strong_list(root):
    (root / STRONG).unlink()


def another_split(root):
    """The same clips, lists and recordings under another name."""
    for path in root.glob("*validation_set.csv"):
        path.rename(path.with_name(path.name.replace("validation", "testing")))


@pytest.mark.parametrize(
    "change",
    [
        a_label,
        a_class_name,
        a_time,
        a_sample,
        a_recording_lost,
        a_clip_less,
        no_strong_list,
        another_split,
    ],
)
def test_whatever_changes_the_data_changes_the_hash(root, change):
    before = hash_of(root)
    change(root)
    assert hash_of(root) != before


def test_a_store_has_the_hash_of_its_folder_whatever_its_front_end(root, tmp_path):
    """Of broken and missing recordings too, in one process or two, and afterwards."""
    recording(root, 1).write_bytes(b"<html>")
    recording(root, 2).write_bytes(b"")
    recording(root, 3).unlink()
    options = {"max_bad_fraction": 1.0, "num_workers": 2}
    store = prepare(root, tmp_path / "one", defaults.front_end(clip_s=1.0), **options)
    assert len(store.splits["training"]) == 1
    assert store.content_hash == hash_of(root)
    mfcc = defaults.front_end(kind="mfcc", clip_s=0.5)
    other = prepare(root, tmp_path / "two", mfcc, max_bad_fraction=1.0, num_workers=1)
    assert other.content_hash == store.content_hash

    a_sample(root)
    again = prepare(root, tmp_path / "one", defaults.front_end(clip_s=1.0), **options)
    assert again.content_hash == hash_of(root) != store.content_hash


def test_the_parts_of_a_split_are_of_the_same_data(root, tmp_path):
    store = prepare(
        root, tmp_path / "one", defaults.front_end(clip_s=1.0), num_workers=1
    )
    store.hold_out(0.5, seed=0)
    assert {split.data_content_hash for split in store.splits.values()} == {
        hash_of(root)
    }


def test_a_clip_is_hashed_by_all_that_is_known_of_it():
    known = {
        "clip_id": "a",
        "labels": (0, 2),
        "events": [(0.0, 1.0, "Car"), (0.5, 0.7, "Bus")],
        "recording": "00",
    }
    others = [
        {**known, **other}
        for other in (
            {},
            {"clip_id": "b"},
            {"labels": (0,)},
            {"events": []},
            {"events": None},
            {"recording": None},
        )
    ]
    assert len({clip_content_hash(**clip) for clip in others}) == len(others)
    turned = {**known, "events": known["events"][::-1]}
    assert clip_content_hash(**turned) == clip_content_hash(**known)


def test_soundscapes_are_hashed_by_what_makes_them(tmp_path):
    def made(name, sizes=(2, 1), seed=0, **options):
        sizes = dict(zip(("training", "testing"), sizes, strict=True))
        front_end = defaults.front_end(**options)
        store = prepare_soundscapes(
            sizes, seed, tmp_path / name, front_end, num_workers=1
        )
        return store.content_hash

    known = made("first")
    assert made("again", clip_s=1.0) == known
    assert len({known, made("seed", seed=1), made("size", (2, 2))}) == 3


@pytest.mark.parametrize("change", [{"balanced": True}, {"has_events": True}])
def test_other_kinds_of_soundscapes_have_other_hashes(change):
    kind = {"balanced": False, "has_events": False}
    sources = [
        SoundscapeSource("training", 0, 1, **options)
        for options in (kind, {**kind, **change})
    ]
    assert len({source.content_hash(0) for source in sources}) == 2
