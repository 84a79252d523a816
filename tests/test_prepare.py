"""Preparing says what it could not use, goes on below a fraction, and ends above it."""

import csv
import json
import os

import numpy as np
import pytest
import soundfile

from gcrnn_jax.errors import run_command
from gcrnn_jax.prepare import main
from tests.defaults import prepare

CLASSES = "/m/1\tCar\n/m/2\tTrain\n"


@pytest.fixture
def folder(tmp_path):
    """Twenty training clips: two missing, one each broken, empty and cut, one short."""
    root = tmp_path / "set"
    (root / "audio/train").mkdir(parents=True)
    (root / "sound_event_list_2_classes.txt").write_text(CLASSES)
    rows = [f'c{i},0.000,10.000,"Car","/m/{i % 2 + 1}"\r\n' for i in range(20)]
    rows.insert(4, "c99,0.000,10.000,Tram,/m/9\r\n")
    rows.append("c0,0.000,10.000,Car,/m/1\r\n")
    (root / "training_set.csv").write_text("".join(rows), newline="")
    (root / "groundtruth_strong_label_training_set.csv").write_text(
        "c0_0.000_10.000.wav\t0.1\t0.4\tCar\nelsewhere.wav\t0.1\t0.4\tCar\n"
    )
    for index in range(20):
        noise = 0.1 * np.random.default_rng(index).standard_normal(8000)
        soundfile.write(recording(root, index), noise, 16000)
    recording(root, 2).unlink()
    recording(root, 7).unlink()
    recording(root, 3).write_bytes(b"<html>")
    recording(root, 5).write_bytes(b"")
    soundfile.write(recording(root, 6), np.zeros(1), 16000)
    cut = recording(root, 19)
    cut.write_bytes(cut.read_bytes()[:8000])
    return root


def recording(root, index):
    return root / f"audio/train/Yc{index}_0.000_10.000.wav"


EXPECTED = [
    ("training_set.csv", "5", "UNKNOWN_LABEL"),
    ("training_set.csv", "22", "DUPLICATE"),
    ("groundtruth_strong_label_training_set.csv", "2", "UNKNOWN_CLIP"),
    ("audio/Yc2_0.000_10.000.wav", "3", "MISSING"),
    ("audio/train/Yc3_0.000_10.000.wav", "4", "FORMAT"),
    ("audio/train/Yc5_0.000_10.000.wav", "7", "EMPTY"),
    ("audio/Yc7_0.000_10.000.wav", "9", "MISSING"),
    ("audio/train/Yc19_0.000_10.000.wav", "21", "TRUNCATED"),
]


def rejects(path):
    with open(path / "rejects.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "line", "code", "detail"]
    return rows[1:]


def test_everything_that_is_not_used_is_listed(folder, tmp_path):
    """6 of 21: a clip that is listed twice and an event of no clip lose nothing."""
    store = prepare(folder, tmp_path / "store", max_bad_fraction=6 / 21, num_workers=1)
    assert [tuple(row[:3]) for row in rejects(store.path)] == EXPECTED
    assert all(row[3] for row in rejects(store.path))
    kept = [index for index in range(20) if index not in (2, 3, 5, 7, 19)]
    split = store.splits["training"]
    assert split.clip_ids == tuple(f"c{index}_0.000_10.000" for index in kept)
    assert split.weak_label[0].tolist() == [True, False]
    assert split.events is not None
    assert split.events["c0_0.000_10.000"] == ((0.1, 0.4, "Car"),)
    assert split.rows(range(15)).shape == (15, 240, 64)
    assert split.num_frames[kept.index(6)] == 1  # of a sample, and silence behind it


def run(*argv) -> int:
    try:
        run_command(lambda: main([str(value) for value in argv]))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_more_than_the_fraction_ends_with_65(folder, tmp_path, capsys):
    command = ("--root", folder, "--output", tmp_path / "store", "--workers", 1)
    assert run(*command, "--max_bad_fraction", 0.28) == 65
    message = capsys.readouterr().err
    assert "6 of 21 clips cannot be used" in message
    assert "training_set.csv:5: UNKNOWN_LABEL" in message
    assert str(tmp_path / "store/rejects.csv") in message
    assert "Traceback" not in message
    assert [tuple(row[:3]) for row in rejects(tmp_path / "store")] == EXPECTED
    assert run(*command, "--max_bad_fraction", 0.28) == 65
    assert not (tmp_path / "store/card.json").exists()
    # Nothing is computed again once more is allowed, and then less is refused again.
    shard = tmp_path / "store/training/shard-00000.npy"
    before = shard.stat().st_mtime_ns
    assert run(*command, "--max_bad_fraction", 0.29) == 0
    assert shard.stat().st_mtime_ns == before
    printed = capsys.readouterr().out
    assert "training: 15 clips" in printed
    assert "MISSING 2" in printed
    assert str(tmp_path / "store") in printed
    assert run(*command) == 65


def test_without_an_output_the_store_is_in_the_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    assert run("--root", folder, "--workers", 1, "--max_bad_fraction", 1) == 0
    assert run("--root", folder, "--features", "mfcc", "--max_bad_fraction", 1) == 0
    stores = sorted((tmp_path / "cache").glob("set-*"))
    assert len(stores) == 2
    assert all(store.name.startswith("set-") for store in stores)
    kinds = {
        json.loads((store / "card.json").read_text())["front_end"]["kind"]
        for store in stores
    }
    assert kinds == {"log_mel", "mfcc"}


def test_names_that_are_not_utf8_are_listed_as_the_bytes_they_are(folder, tmp_path):
    parts = os.path.join(os.fsencode(folder), b"audio")
    os.rename(os.path.join(parts, b"train"), os.path.join(parts, b"\xff"))
    store = prepare(folder, tmp_path / "store", max_bad_fraction=1, num_workers=1)
    assert len(store.splits["training"]) == 15
    listed = (store.path / "rejects.csv").read_bytes()
    assert b"audio/\xff/Yc3_0.000_10.000.wav,4,FORMAT," in listed


@pytest.mark.parametrize(
    "argv", [[], ["--root"], ["--root", "x", "--features", "wavelet"], ["--roots", "x"]]
)
def test_bad_flags_end_with_2(argv, capsys):
    assert run(*argv) == 2
    assert "usage" in capsys.readouterr().err


def test_no_data_ends_with_65_and_one_line(tmp_path, capsys):
    assert run("--root", tmp_path / "none") == 65
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_levels_and_crops_are_counted_and_overflow_is_refused(tmp_path, capsys):
    root = tmp_path / "set"
    (root / "audio").mkdir(parents=True)
    (root / "sound_event_list_2_classes.txt").write_text(CLASSES)
    rows = [f'c{i},0.000,10.000,"Car","/m/1"\r\n' for i in range(4)]
    (root / "training_set.csv").write_text("".join(rows), newline="")
    noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
    for index, samples in enumerate(
        (noise, 32768 * noise, 3e38 * np.sign(noise), np.tile(noise, 60))
    ):
        path = root / f"audio/Yc{index}_0.000_10.000.wav"
        soundfile.write(path, samples, 44100 // (1 + index // 3), subtype="FLOAT")
    command = ("--root", root, "--output", tmp_path / "store", "--workers", 1)
    assert run(*command, "--max_bad_fraction", 0.25) == 0  # one of four
    printed = capsys.readouterr().out
    assert "1 of 3 recordings are longer than 10 s" in printed
    assert "CROPPED 1, LEVEL 1, NONFINITE 1" in printed
    codes = [(row[0][7:9], row[2]) for row in rejects(tmp_path / "store")]
    assert codes == [("c1", "LEVEL"), ("c2", "NONFINITE"), ("c3", "CROPPED")]
    assert "divide by 32768?" in rejects(tmp_path / "store")[0][3]
    card = json.loads((tmp_path / "store/card.json").read_text())
    assert np.isfinite([card["scaler"]["mean"], card["scaler"]["std"]]).all()


@pytest.mark.parametrize(
    "damage", [{"sums": [float("nan")] * 64}, {"rejects": [[0, "TOO_SHORT", ""]]}]
)
def test_a_shard_of_an_earlier_version_with_no_finite_sums_is_built_again(
    folder, tmp_path, damage
):
    options = {"max_bad_fraction": 1, "num_workers": 1}
    store = prepare(folder, tmp_path / "store", **options)
    card, ledger = store.path / "card.json", store.path / "training/shard-00000.json"
    before = card.read_bytes()
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | damage))
    card.unlink()
    prepare(folder, tmp_path / "store", **options)
    assert card.read_bytes() == before
