"""One tiny network with random weights for all tests, waveforms, recordings."""

import csv
import dataclasses
import os

import jax
import numpy as np
import pytest
import soundfile

from configs import sed
from gcrnn_jax import predict
from gcrnn_jax.config import Config
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.errors import run_command
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.prediction import predict_recordings
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.model_files import write_model

NAMES = ("Car", "Bus", "Train")
SMALL = {
    "blocks": (1, 1),
    "time_pooling": (2, 1),
    "frequency_pooling": (4, 4),
    "filters": 4,
    "last_filters": 8,
    "rnn_units": 4,
}
BATCH_SIZE = 4  # the one shape that is compiled


def save_random(path, seed=0, model=None, **front_end):
    """Writes a small network whose random weights are large enough to matter."""
    sections = sed.get_config().to_dict()
    sections["model"] = model or {**sections["model"], **SMALL}
    sections["front_end"] |= front_end
    config = Config.from_dict(sections)
    bins, network = config.front_end.num_bins, config.model.clone(num_classes=3)
    features = np.zeros((1, config.front_end.num_frames, bins), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), features)
    random = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), shapes["params"]
    )
    statistics = jax.tree.map(
        lambda x: np.ones(x.shape, np.float32), shapes.get("batch_stats", {})
    )
    card = ModelCard(
        config,
        config.front_end,
        ClassList(("/m/1", "/m/2", "/m/3"), NAMES),
        Scaler(np.full(bins, -8.0, np.float32), np.full(bins, 4.0, np.float32)),
        dataclasses.replace(config.postprocessing, at_least_one_tag=True),
    )
    write_model(path, card.to_dict(), {"params": params, "batch_stats": statistics})
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a run: a checkpoint of an epoch, and another, averaged model."""
    folder = tmp_path_factory.mktemp("model") / "run"
    save_random(folder / "checkpoints/2", seed=1)
    save_random(folder / "averaged")
    return folder


@pytest.fixture(scope="session")
def ensemble(run):
    """Of the averaged model alone, compiled once."""
    return load_model(run, batch_size=BATCH_SIZE, with_attention=True)


def sounds(seconds, seed=0):
    """Noise whose loudness and colour change every few tenths of a second."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * 16000:
        noise = rng.standard_normal(rng.integers(2000, 12000))
        kernel = rng.standard_normal(8) * 10 ** rng.uniform(-3, -1)
        parts.append(np.convolve(noise, kernel, mode="same"))
    return np.concatenate(parts)[: round(seconds * 16000)].astype(np.float32)


def write(path, seconds=1.0, seed=0, rate=16000):
    """Writes a recording of noise in the format that the path ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(round(rate * seconds))
    kind = path.suffix[1:].upper()
    soundfile.write(os.fsencode(path), noise, rate, format=kind)


@pytest.fixture
def command(run, capfd, monkeypatch):
    """The command in this process: its exit code, and what it prints."""
    monkeypatch.setattr(parallel, "configure_jax", lambda batch_size: None)

    def run_main(*arguments, model=run):
        line = [model, *arguments, "--batch_size", BATCH_SIZE]
        code = 0
        try:
            run_command(lambda: predict.main([str(part) for part in line]))
        except SystemExit as error:
            code = error.code
        return code, *capfd.readouterr()

    return run_main


@pytest.fixture
def predict_to(ensemble, capfd):
    """Predicts with the one ensemble; returns what is printed."""

    def run(path, output, formats="events,tags", ensemble=ensemble):
        predict_recordings(ensemble, [os.fspath(path)], output, formats.split(","))
        return capfd.readouterr().out

    return run


def rows(path):
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))
