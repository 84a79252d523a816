"""What tests share: strict JAX on four simulated devices, small data, data at hand."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
import soundfile

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "standard")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Tests that compile the same program wait for it once."""
    folder = tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of official lists, goldens and benchmark audio beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the official lists and goldens in {SHARED}")
    return SHARED


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


class Commands:
    """Starts the commands as a user does, on soundscapes as few as they can be."""

    ROOT = Path(__file__).parents[1]
    TINY = (
        "--config=configs/laptop.py",
        "--config.data.soundscapes=(24,12,12)",
        "--config.data.num_workers=1",
        "--config.model.filters=4",
        "--config.model.last_filters=8",
        "--config.model.rnn_units=4",
        "--config.sampling.batch_size=8",
        "--config.training.steps_per_epoch=2",
        "--config.training.num_epochs=2",
        "--config.fusion.epochs=1:2",
        "--config.optimizer.schedule=constant",  # or no run could be prolonged
    )

    def __init__(self, cache: Path):
        self.cache = cache

    def start(self, *arguments, module="gcrnn_jax.main", processes=1, **options):
        """A process that runs a module; `options` are those of Popen."""
        line = [sys.executable, "-m", module, *map(str, arguments)]
        if processes > 1:
            launcher = [sys.executable, "launch/local.py", f"-n{processes}", "--"]
            line = [*launcher, *line]
        environment = {**os.environ, "GCRNN_CACHE": str(self.cache)}
        return subprocess.Popen(
            line,
            cwd=self.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments, **options):
        """The same, to its end; with `returncode`, `stdout` and `stderr`."""
        with self.start(*arguments, **options) as process:
            try:
                output, errors = process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess((), process.returncode, output, errors)

    def main(self, workdir, *fields, **options):
        """Trains a tiny system."""
        return self.run(*self.TINY, f"--workdir={workdir}", *fields, **options)

    def losses(self, workdir: Path) -> list[float]:
        """Of all steps that a run has logged."""
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Commands:
    """The commands, with a cache of their own."""
    return Commands(tmp_path_factory.mktemp("cache"))
