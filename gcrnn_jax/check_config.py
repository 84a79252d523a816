"""Mistakes in a configuration, found before anything is computed for it."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.system import Config, make_model, parse_epochs
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import make_optimizer

_AT_LEAST = {
    "seed": 0,
    "data.num_workers": 0,
    "parallel.cpu_devices": 0,
    "sampling.batch_size": 1,
    "training.num_epochs": 1,
    "training.steps_per_epoch": 1,
}


def check_config(config: Config) -> None:
    """Checks what needs neither data nor a device.

    Raises:
        ConfigError: A field has a value that cannot be, or a section does not fit its
            constructor; names both.
    """
    for name, least in _AT_LEAST.items():
        if (value := _field(config, name)) < least:
            raise ConfigError(f"{name}: expected {least} or more, got {value}")
    for name in (
        "data.held_out",
        "data.max_bad_fraction",
        "parallel.resident_fraction",
    ):
        if not 0 <= (value := _field(config, name)) <= 1:
            raise ConfigError(f"{name}: expected 0 to 1, got {value}")
    sizes = config["data"]["soundscapes"]
    if len(sizes) != 3 or min(sizes) < 1:
        raise ConfigError(
            "data.soundscapes: expected clips to train, to validate and to test on, "
            f"each 1 or more, got {tuple(sizes)}"
        )
    batch_size, processes = config["sampling"]["batch_size"], parallel.num_processes()
    if batch_size % processes:
        raise ConfigError(
            f"sampling.batch_size: {batch_size} clips do not divide among {processes} "
            "processes"
        )
    steps = [0, *config["sampling"]["size_steps"]]
    if any(one >= other for one, other in itertools.pairwise(steps)):
        raise ConfigError(
            f"sampling.size_steps: expected growing numbers over 0, got {steps[1:]}"
        )
    last = config["training"]["num_epochs"]
    constructors: dict[str, Callable[..., Any]] = {
        "front_end": FrontEnd,
        "model": lambda **fields: make_model(fields, 1),
        "augmentation": Augmentation,
        "optimizer": functools.partial(make_optimizer, total_steps=1),
        "loss": Loss,
        "postprocessing": lambda **fields: Postprocessing.from_dict(fields),
        "fusion": functools.partial(parse_epochs, last=last),
    }
    for section, construct in constructors.items():
        try:
            construct(**config[section])
        except (TypeError, ValueError, ConfigError) as error:
            raise ConfigError(f"{section}: {error}") from error


def check_shapes(config: Config, num_devices: int) -> None:
    """Checks that batch, features and network fit each other and the devices.

    Raises:
        ConfigError: They do not; names the section.
    """
    batch_size = config["sampling"]["batch_size"]
    if batch_size % num_devices:
        raise ConfigError(
            f"sampling.batch_size: {batch_size} clips do not divide among "
            f"{num_devices} devices"
        )
    front_end = FrontEnd(**config["front_end"])
    shape = (1, front_end.num_frames, front_end.num_bins)
    try:
        Augmentation(**config["augmentation"]).check(
            *shape[1:],
            of_magnitudes=front_end.kind == "log_mel" and front_end.power == 1,
        )
    except ValueError as error:
        raise ConfigError(f"augmentation: {error}") from error
    model = make_model(config["model"], 1)
    features = jax.ShapeDtypeStruct(shape, jnp.float32)
    try:
        jax.eval_shape(model.init, jax.random.key(0), features)
    except ValueError as error:  # poolings that leave nothing
        raise ConfigError(f"model: {error}") from error


def _field(config: Config, name: str) -> Any:
    for part in name.split("."):
        config = config[part]
    return config
