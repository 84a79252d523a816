"""A configuration made real: its data, network, training and posteriors.

Every command that needs a network goes through here, so that there is one way from
a configuration, or from the card of a model, to posteriors.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from gcrnn_jax.audio.features import FrontEnd
from gcrnn_jax.data.loader import training_batches
from gcrnn_jax.data.sampling import make_sampler
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.posteriors import PosteriorSet, Predictor
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.prepare import cache_folder, prepare, prepare_soundscapes
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation, Scaler
from gcrnn_jax.training.checkpoints import (
    Checkpoints,
    Model,
    load_model,
    model_path,
    model_steps,
)
from gcrnn_jax.training.loop import train
from gcrnn_jax.training.state import initial_state, make_optimizer, make_train_step

Config = Mapping[str, Any]

# The splits that scores are reported on, the first that a data set has.
REPORTED = ("testing", "validation", "evaluation")


def use_this_machine(batch_size: int | None = None, cpu_devices: int = 0) -> None:
    """Settles devices and the cache of compiled programs; first of all commands."""
    parallel.keep_compiled(cache_folder() / "compiled")
    parallel.use_cpu_cores(batch_size, cpu_devices)
    parallel.initialize()


def check_config(config: Config) -> None:
    """Builds whatever a configuration describes that needs no data.

    Raises:
        ConfigError: A section does not fit its constructor; names it and the field.
    """
    training, sampling = config["training"], config["sampling"]
    for field, value in {
        "training.num_epochs": training["num_epochs"],
        "training.steps_per_epoch": training["steps_per_epoch"],
        "sampling.batch_size": sampling["batch_size"],
    }.items():
        if value < 1:
            raise ConfigError(f"{field}: expected 1 or more, got {value}")
    if sampling["batch_size"] % (processes := parallel.num_processes()):
        raise ConfigError(
            f"sampling.batch_size: {sampling['batch_size']} clips do not divide among "
            f"{processes} processes"
        )
    constructors: dict[str, Callable[..., Any]] = {
        "front_end": FrontEnd,
        "model": lambda **fields: make_model(fields, 1),
        "augmentation": Augmentation,
        "optimizer": functools.partial(make_optimizer, total_steps=1),
        "postprocessing": Postprocessing,
        "fusion": functools.partial(parse_epochs, last=training["num_epochs"]),
    }
    for section, construct in constructors.items():
        try:
            construct(**config[section])
        except (TypeError, ValueError, ConfigError) as error:
            raise ConfigError(f"{section}: {error}") from error


def open_store(config: Config) -> FeatureStore:
    """The features of the configured data, computed by the first process if need be."""
    first = jax.process_index() == 0
    if first:
        store = _prepare(config)
    parallel.barrier("features are ready")
    return store if first else _prepare(config)


def _prepare(config: Config) -> FeatureStore:
    data, front_end = config["data"], FrontEnd(**config["front_end"])
    workers = data["num_workers"] or len(os.sched_getaffinity(0))
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


def make_model(fields: Config, num_classes: int, axis_name: str | None = None):
    """The network that the config section `model` describes."""
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return GatedCrnn(num_classes, **fields, axis_name=axis_name)


def make_card(config: Config, store: FeatureStore) -> dict[str, Any]:
    """All that predicting needs beside the weights, as JSON."""
    return {
        "format": "gcrnn_jax model 1",
        "config": config,
        "front_end": store.front_end.as_dict(),
        "classes": {"ids": list(store.classes.ids), "names": list(store.classes.names)},
        "scaler": {"mean": store.mean.tolist(), "std": store.std.tolist()},
        "hop_s": store.front_end.hop_s,
    }


def make_predictor(card: Mapping[str, Any], mesh: Mesh) -> Callable[..., PosteriorSet]:
    """A function (variables, split) -> posteriors for models with this card."""
    scaler = Scaler(*(_float32(card["scaler"][k]) for k in ("mean", "std")))
    names = card["classes"]["names"]
    model = make_model(card["config"]["model"], len(names))
    batch_size = card["config"]["sampling"]["batch_size"]
    predictor = Predictor(model, scaler, mesh, batch_size)

    def predict(variables, split) -> PosteriorSet:
        return predictor(variables, split, names, card["hop_s"])

    return predict


def _float32(values):
    return jax.numpy.asarray(values, jax.numpy.float32)


def postprocessing_of(config: Config) -> Postprocessing:
    """The fixed thresholds and post-processing of a configuration."""
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


def reported_split(store: FeatureStore) -> str:
    """The split whose scores are reported.

    Raises:
        DataError: The data has nothing but training clips.
    """
    for name in REPORTED:
        if name in store.splits:
            return name
    raise DataError(
        f"{store.path} has no labelled split to score: {list(store.splits)}"
    )


def epoch_posteriors(
    workdir: Path,
    config: Config,
    epochs: Sequence[int],
    *,
    split_name: str,
    store: FeatureStore,
    predict: Callable[..., PosteriorSet],
) -> list[PosteriorSet]:
    """Posteriors of chosen epochs of a run, computed where they are not yet on disk."""
    found = []
    for epoch in epochs:
        path = posteriors_path(workdir, split_name, epoch)
        if not parallel.as_first_says(path.exists()):
            model = load_epoch(workdir, config, epoch)
            posteriors = predict(model.variables, store.splits[split_name])
            if jax.process_index() == 0:
                posteriors.save(path)
            parallel.barrier(str(path))
        found.append(PosteriorSet.load(path))
    return found


def posteriors_path(workdir: Path, split_name: str, epoch: int) -> Path:
    """Where the posteriors of one epoch lie."""
    return workdir / "posteriors" / split_name / f"epoch-{epoch}.npz"


def load_epoch(workdir: Path, config: Config, epoch: int) -> Model:
    """The model of an epoch.

    Raises:
        DataError: The run has no such epoch.
    """
    step = epoch * config["training"]["steps_per_epoch"]
    if step not in (steps := model_steps(workdir)):
        done = [s // config["training"]["steps_per_epoch"] for s in steps]
        raise DataError(f"{workdir} has no epoch {epoch}; it has {done}")
    return load_model(model_path(workdir, step))


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
    axis_name = parallel.AXIS if config["parallel"]["sync_batch_norm"] else None
    model = make_model(config["model"], len(store.classes), axis_name)
    optimizer = make_optimizer(total_steps=total_steps, **config["optimizer"])
    checkpoints = Checkpoints(workdir, make_card(config, store))
    try:
        try:
            state = initial_state(
                model,
                optimizer,
                num_frames=store.front_end.num_frames,
                num_bins=store.front_end.num_bins,
                seed=seed,
            )
        except ValueError as error:  # poolings that leave nothing
            raise ConfigError(f"model: {error}") from error
        state = checkpoints.restore(state, mesh) or parallel.put_state(state, mesh)
        if (start := int(state.step)) >= total_steps:
            return False
        if start and jax.process_index() == 0:
            print(f"continuing {workdir} after step {start} of {total_steps}")
        batches = training_batches(
            split,
            make_sampler(split.weak_label, seed=seed, **sampling),
            start_step=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        scaler = Scaler(_float32(store.mean), _float32(store.std))
        step = make_train_step(
            model, optimizer, Augmentation(**config["augmentation"]), scaler, seed
        )
        train(
            state,
            parallel.pmapped(step, mesh, donate=True),
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


def posteriors_to_score(
    *,
    model: Path | None,
    posteriors: Path | None,
    store: Path | None,
    root: Path | None,
    split_name: str | None,
):
    """What a command line names by its flags, ready to be scored.

    Returns:
        Posteriors, the split they are of, and the post-processing to apply.

    Raises:
        ConfigError: The flags do not say which features, or of which split.
        DataError: The features are not what the model was trained on.
    """
    card, variables = load_model(model) if model else (None, None)
    if store is None and root is None and card is None:
        raise ConfigError(
            "--posteriors needs --store or --root: whose labels to score by"
        )
    features = _features_of(card, store, root)
    name = split_name or reported_split(features)
    if name not in features.splits:
        raise ConfigError(f"--split {name}: the data has {', '.join(features.splits)}")
    split = features.splits[name]
    if card is None:
        assert posteriors is not None
        return PosteriorSet.load(posteriors), split, Postprocessing()
    _check_front_end(card, features)
    predict = make_predictor(card, parallel.make_mesh())
    return predict(variables, split), split, postprocessing_of(card["config"])


def _features_of(card, store: Path | None, root: Path | None) -> FeatureStore:
    if store is not None:
        return FeatureStore.open(store)
    if card is None:
        return prepare(str(root))
    config = dict(card["config"])
    if root is not None:
        config["data"] = {**config["data"], "root": str(root), "store": ""}
    return open_store(config)


def _check_front_end(card, features: FeatureStore) -> None:
    if card["front_end"] != features.front_end.as_dict():
        raise DataError(
            f"{features.path} was computed by another front end than the model's: "
            f"{features.front_end.as_dict()} instead of {card['front_end']}"
        )
    if card["classes"]["ids"] != list(features.classes.ids):
        raise DataError(f"{features.path} has other classes than the model")
