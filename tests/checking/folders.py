"""A small set in which all is well, ways to spoil it, and what a check finds."""

import os
import shutil
from pathlib import Path

import numpy as np
import soundfile

from gcrnn_jax.check import check, main
from gcrnn_jax.checking.text import summary

CLASSES = "/m/1\tCar\n/m/2\tAir horn, truck horn\n/m/3\tTrain\n"
NAMES = ("Car", "Air horn, truck horn", "Train")
SIZES = {"training": 4, "validation": 3}


def clip(split, index) -> str:
    return f"{split[0]}{index}_20.000_21.000"


def recording(root, split, index) -> Path:
    return root / "audio" / split / f"Y{clip(split, index)}.wav"


def noise(seed, num_samples=16000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(num_samples)


def strong_list(root) -> Path:
    return root / "groundtruth_strong_label_validation_set.csv"


def append(path, text):
    with open(path, "a", newline="") as file:
        file.write(text)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def found(root, **options) -> set[tuple[str, str, int]]:
    """Code, file and line of every finding."""
    report = check(root, num_workers=1, **options)
    assert "Traceback" not in summary(report)
    return {
        (code.name, finding.path, finding.line)
        for code, group in report.groups.items()
        for finding in group
    }


def run(*argv) -> int:
    try:
        main([str(value) for value in argv])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


TRAINING, VALIDATION = "training_set.csv", "validation_set.csv"
WEAK = "groundtruth_weak_label_training_set.csv"
STRONG = "groundtruth_strong_label_validation_set.csv"
V0 = "v0_20.000_21.000.wav"


def cut(path):
    path.write_bytes(path.read_bytes()[:16000])


def put(samples, rate_hz=16000, **options):
    return lambda path: soundfile.write(path, samples, rate_hz, **options)


def nan(path):
    samples = noise(0).astype(np.float32)
    samples[7] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")


def copy_of(split, index):
    return lambda path: shutil.copy(
        recording(path.parents[2], split, index), path, follow_symlinks=True
    )


AUDIO = {
    "MISSING": lambda path: path.unlink(),
    "EMPTY": lambda path: path.write_bytes(b""),
    "FORMAT": lambda path: path.write_bytes(b"<html>"),
    "TRUNCATED": cut,
    "NONFINITE": nan,
    "LEVEL": put(32768 * noise(0), subtype="FLOAT"),
    "CANCELLED": put(np.stack([noise(0), -noise(0)], 1)),
    "RATE": put(noise(0, 2000), 2000),
    "CHANNELS": put(np.zeros((16000, 33))),
    "NOT_REGULAR": lambda path: (path.unlink(), os.mkfifo(path)),
    "SILENT": put(9e-4 * np.sign(noise(0))),
    "CLIPPED": put(np.clip(12 * noise(0), -1, 1)),
    "SHORT_RECORDING": put(noise(0, 7000)),
    "LONG_RECORDING": put(noise(0, 25000)),
    "SAME_AUDIO": copy_of("training", 3),
    "SAME_AUDIO_OTHER_LABELS": copy_of("training", 1),
    "SHARED_AUDIO": copy_of("validation", 0),
}
