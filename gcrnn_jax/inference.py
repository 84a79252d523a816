"""Posteriors of the models of runs, for the commands that score or fuse them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import PosteriorSet, Predictor
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.prepare import prepare
from gcrnn_jax.system import (
    Config,
    make_model,
    make_scaler,
    open_store,
    postprocessing_of,
)
from gcrnn_jax.training import parallel
from gcrnn_jax.training.checkpoints import Model, load_model, model_path, model_steps

# The splits that scores are reported on, the first that a data set has.
REPORTED = ("testing", "validation", "evaluation")


def make_predictor(card: Mapping[str, Any], mesh: Mesh) -> Callable[..., PosteriorSet]:
    """A function (variables, split) -> posteriors for models with this card."""
    scaler = make_scaler(card["scaler"]["mean"], card["scaler"]["std"])
    names = card["classes"]["names"]
    model = make_model(card["config"]["model"], len(names))
    batch_size = card["config"]["sampling"]["batch_size"]
    predictor = Predictor(model, scaler, mesh, batch_size)

    def predict(variables, split) -> PosteriorSet:
        return predictor(variables, split, names, card["hop_s"])

    return predict


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
    found, split = [], store.splits[split_name]
    for epoch in epochs:
        path = posteriors_path(workdir, split_name, epoch)
        if not parallel.as_first_says(_is_of(path, split)):
            model = load_epoch(workdir, config, epoch)
            posteriors = predict(model.variables, split)
            if jax.process_index() == 0:
                posteriors.save(path)
            parallel.barrier(str(path))
        found.append(PosteriorSet.load(path))
    return found


def _is_of(path: Path, split: Split) -> bool:
    """Whether posteriors on disk are of these clips: recordings may have been added."""
    try:
        return PosteriorSet.load(path).clip_ids == tuple(split.clip_ids)
    except DataError:  # not there, or damaged
        return False


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
