"""A small data set of one-second recordings, in the layout of DCASE 2017 Task 4."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

CLASSES = "/m/1\tCar\n/m/2\tAir horn, truck horn\n/m/3\tTrain\n"


def make_folder(root: Path, sizes: dict[str, int], extension: str = "wav") -> Path:
    """Writes lists and recordings; clip i of a split has class i % 3, every third two.

    Clips named `clip<i>` last between 0.3 and 1.2 s.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "sound_event_list_3_classes.txt").write_text(CLASSES)
    random = np.random.default_rng(0)
    for split, size in sizes.items():
        folder = root / "audio" / split
        folder.mkdir(parents=True)
        rows = []
        for index in range(size):
            ids = f"/m/{index % 3 + 1}" + (",/m/1" if index % 3 == 2 else "")
            rows.append(f'{split}{index},0.000,10.000,"names","{ids}"\r\n')
            noise = 0.1 * random.standard_normal(
                round(16000 * random.uniform(0.3, 1.2))
            )
            path = folder / f"Y{split}{index}_0.000_10.000.{extension}"
            soundfile.write(path, noise, 16000)
        (root / f"{split}_set.csv").write_text("".join(rows), newline="")
    return root


@pytest.fixture
def data_folder(tmp_path) -> Callable[..., Path]:
    """Makes a folder with so many clips a split, as of `data_folder(training=9)`."""
    return lambda **sizes: make_folder(tmp_path / "data", sizes)
