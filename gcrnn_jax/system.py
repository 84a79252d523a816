"""A configuration made real: its data opened, its network built and trained.

Every command that needs a network goes through here, so that there is one way from
a configuration, or from the card of a model, to a network.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.frame_cnn import FrameCnn
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.models.mlp import Mlp
from gcrnn_jax.models.network import Network
from gcrnn_jax.models.window_cnn import WindowCnn
from gcrnn_jax.prepare import cache_folder, prepare, prepare_soundscapes
from gcrnn_jax.training import parallel, resident
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.checkpoints import Checkpoints
from gcrnn_jax.training.loop import train
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import initial_state, make_optimizer, make_train_step

Config = Mapping[str, Any]

_NETWORKS: dict[str, type[Network]] = {
    "gated_crnn": GatedCrnn,
    "mlp": Mlp,
    "window_cnn": WindowCnn,
    "frame_cnn": FrameCnn,
}


def configure_jax(batch_size: int | None = None, cpu_devices: int = 0) -> None:
    """Settles devices and the cache of compiled programs; first of all commands."""
    parallel.use_compilation_cache(cache_folder() / "compiled")
    parallel.use_cpu_cores(batch_size, cpu_devices)
    parallel.initialize()


def open_store(config: Config) -> FeatureStore:
    """The features of the configured data, computed by the first process if need be."""
    first = jax.process_index() == 0
    if first:
        store = _prepare(config)
    parallel.barrier("features are ready")
    store = store if first else _prepare(config)
    if fraction := config["data"]["held_out"]:
        store.hold_out(fraction, config["seed"])
    return store


def _prepare(config: Config) -> FeatureStore:
    data, front_end = config["data"], FrontEnd(**config["front_end"])
    workers = data["num_workers"] or -1
    output = data["store"] or None
    if data["root"]:
        return prepare(
            data["root"],
            output,
            front_end,
            num_workers=workers,
            max_bad_fraction=data["max_bad_fraction"],
        )
    names = ("training", "validation", "testing")
    sizes: dict[str, int] = dict(zip(names, data["soundscapes"], strict=True))
    return prepare_soundscapes(
        sizes, config["seed"], output, front_end, num_workers=workers
    )


def make_model(
    fields: Config, num_classes: int, axis_name: str | None = None
) -> Network:
    """The network that the config section `model` describes.

    Raises:
        ValueError: It names no network, or a field does not fit it.
    """
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    name = fields.pop("network")
    if name not in _NETWORKS:
        raise ValueError(f"network must be one of {tuple(_NETWORKS)}, got {name!r}")
    return _NETWORKS[name](num_classes, axis_name=axis_name, **fields)


def make_loss(config: Config, split: Split) -> Callable:
    """What training on a split minimises, of posteriors and weak labels."""
    class_shares = split.weak_label.mean(0)
    return functools.partial(Loss(**config["loss"]), class_shares=class_shares)


def make_card(config: Config, store: FeatureStore) -> dict[str, Any]:
    """All that predicting needs beside the weights, as JSON."""
    return {
        "format": "gcrnn_jax model 1",
        "config": config,
        "front_end": store.front_end.as_dict(),
        "classes": {"ids": list(store.classes.ids), "names": list(store.classes.names)},
        "scaler": {"mean": store.mean.tolist(), "std": store.std.tolist()},
        "hop_s": store.front_end.hop_s,
        "postprocessing": config["postprocessing"],
    }


def make_scaler(mean, std) -> Scaler:
    """Statistics of the training features, [F] each, as float32."""
    return Scaler(np.asarray(mean, np.float32), np.asarray(std, np.float32))


def postprocessing_of(config: Config) -> Postprocessing:
    """The thresholds and post-processing of a configuration, or of a model's card."""
    return Postprocessing(**config["postprocessing"])


def parse_epochs(epochs: str, last: int) -> list[int]:
    """Epochs, counted from 1, that "first:last:step" or "first:last" or "n" names.

    Those after the run's last epoch are left out.

    Raises:
        ConfigError: It has another form, or names no epoch that there is.

    Example:
        >>> parse_epochs("20:80:10", last=80)
        [20, 30, 40, 50, 60, 70, 80]
    """
    try:
        first, *rest = [int(part) for part in str(epochs).split(":")]
        end = rest[0] if rest else first
        numbers = list(range(first, end + 1, rest[1] if len(rest) > 1 else 1))
        assert first >= 1 and len(rest) <= 2
    except (ValueError, AssertionError):
        raise ConfigError(
            f'epochs must read "first:last:step" and count from 1, got {epochs!r}'
        ) from None
    numbers = [number for number in numbers if number <= last]
    if not numbers:
        raise ConfigError(f"epochs {epochs!r}: the run has {last}, none of these")
    return numbers


def _sampling(section: Config) -> Sampling:
    sizes = tuple(section["size_steps"])
    return Sampling(section["batch_size"], section["balanced"], sizes)


def train_run(
    config: Config,
    store: FeatureStore,
    workdir: Path,
    mesh: Mesh,
    on_epoch: Callable[[int, Any], str | None],
) -> bool:
    """Trains a run to its last epoch, from where an earlier start left it.

    Returns:
        False if there was nothing left to do.
    """
    training, sampling = config["training"], config["sampling"]
    total_steps = training["num_epochs"] * training["steps_per_epoch"]
    split, seed = store.splits["training"], config["seed"]
    if missing := np.array(split.class_names)[~split.weak_label.any(0)].tolist():
        logging.warning("no training clip of %s: never learnt", ", ".join(missing))
    axis_name = parallel.AXIS if config["parallel"]["sync_batch_norm"] else None
    model = make_model(config["model"], len(store.classes), axis_name)
    optimizer = make_optimizer(total_steps=total_steps, **config["optimizer"])
    checkpoints = Checkpoints(workdir, make_card(config, store))
    try:
        state = initial_state(
            model,
            optimizer,
            num_frames=store.front_end.num_frames,
            num_bins=store.front_end.num_bins,
            seed=seed,
        )
        if jax.process_index() == 0:
            count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            print(f"{config['model']['network']}: {count:,} parameters", flush=True)
        state = checkpoints.restore(state, mesh) or parallel.put_state(state, mesh)
        if (start := int(state.step)) >= total_steps:
            return False
        if start and jax.process_index() == 0:
            print(f"continuing {workdir} after step {start} of {total_steps}")
        scaler = make_scaler(store.mean, store.std)
        step = make_train_step(
            model,
            optimizer,
            augmentation=Augmentation(**config["augmentation"]),
            scaler=scaler,
            loss=make_loss(config, split),
            seed=seed,
        )
        held, fraction = None, config["parallel"]["resident_fraction"]
        if resident.fits(split, mesh, fraction):
            held, step = resident.put_split(split, mesh), resident.with_look_up(step)
        batches = training_batches(
            split if held is None else None,
            _sampling(sampling).make_sampler(split.weak_label, seed),
            start_step=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        train(
            state,
            parallel.data_parallel(step, mesh, shared=held, donate=True),
            batches,
            mesh=mesh,
            checkpoints=checkpoints,
            workdir=workdir,
            batch_size=sampling["batch_size"],
            on_epoch=on_epoch,
            **training,
        )
    finally:
        checkpoints.close()
    return True
