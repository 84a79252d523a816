"""A set in which all is well."""

from pathlib import Path

import pytest
import soundfile

from gcrnn_jax.checking import lists
from tests.checking.folders import (
    CLASSES,
    NAMES,
    SIZES,
    clip,
    noise,
    recording,
    strong_list,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lists, "MIN_CLIPS", 1)  # these sets are small


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder in which all is well: clip i has class i % 3."""
    root = tmp_path / "set"
    root.mkdir()
    (root / "sound_event_list_3_classes.txt").write_text(CLASSES)
    for split, size in SIZES.items():
        (root / "audio" / split).mkdir(parents=True)
        rows, weak = [], []
        for i in range(size):
            name, ids = NAMES[i % 3], f"/m/{i % 3 + 1}"
            rows.append(f'{split[0]}{i},20.000,21.000,"{name}","{ids}"\n')
            weak.append(f"{clip(split, i)}.wav\t20.000\t21.000\t{name}\n")
            soundfile.write(
                recording(root, split, i), noise(10 * len(split) + i), 16000
            )
        (root / f"{split}_set.csv").write_text("".join(rows))
        weak_list = root / f"groundtruth_weak_label_{split}_set.csv"
        weak_list.write_text("".join(weak))
    strong_list(root).write_text(
        "".join(
            f"{clip('validation', i)}.wav\t0.100\t0.900\t{NAMES[i]}\n" for i in range(3)
        )
    )
    return root
