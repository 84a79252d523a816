"""Posteriors of the models of runs, for the commands that score or fuse them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.loader import evaluation_batches
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.models.network import Network
from gcrnn_jax.system import (
    Config,
    make_model,
    make_scaler,
    open_store,
    postprocessing_of,
)
from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Scaler, standardize
from gcrnn_jax.training.checkpoints import Model, load_model, model_path, model_steps
from gcrnn_jax.training.parallel import AXIS, data_parallel, put_batch, to_host

# The splits that scores are reported on, the first that a data set has.
REPORTED = ("testing", "validation", "evaluation")


class Predictor:
    """A network compiled once, to predict with the weights of many epochs."""

    def __init__(self, model: Network, scaler: Scaler, mesh: Mesh, batch_size: int):
        """The batch is rounded up to a multiple of the devices."""
        devices = mesh.devices.size
        self.mesh, self.model = mesh, model
        self.batch_size = -(-batch_size // devices) * devices
        predict = functools.partial(_predict, model=model, scaler=scaler)
        self.of_batch = data_parallel(predict, mesh, out_axes=AXIS)

    def __call__(
        self,
        variables,
        split: Split,
        hop_s: float,
        postprocessing: Postprocessing,
    ) -> PosteriorSet:
        """Predicts all clips of a split.

        Args:
            variables: {"params": ..., "batch_stats": ...}, on any device or none.
            split: Of a feature store made by the model's front end.
            hop_s: Seconds a frame of the features; merged frames are accounted for.
            postprocessing: To be kept with the posteriors.
        """
        clips, frames = [], []
        for output, count in self._outputs(variables, split):
            clip, frame = to_host(output[:2])  # attention stays on the devices
            clips.append(clip[:count])
            frames.append(frame[:count])
        clip, frame = np.concatenate(clips), np.concatenate(frames)
        return PosteriorSet(
            tuple(split.clip_ids),
            tuple(split.class_names),
            hop_s * self.model.time_reduction,
            clip,
            frame,
            postprocessing,
        )

    def attention(self, variables, split: Split) -> np.ndarray:
        """How much each frame counts for each class, float32 [N, T, K], 0 if padded.

        Args:
            variables: As of a call.
            split: As of a call.
        """
        found = [np.zeros((0, 0, len(split.class_names)), np.float32)]
        for output, count in self._outputs(variables, split):
            found.append(to_host(output[2])[:count])
        return np.concatenate(found[1:] or found)  # none of no clips

    def _outputs(self, variables, split: Split):
        """Posteriors and attention of every batch, and how many of its rows count."""
        rows = self._rows_of_this_process()
        for batch, count in evaluation_batches(split, self.batch_size):
            local = {k: batch[k][rows] for k in ("features", "num_frames")}
            yield self.of_batch(variables, put_batch(local, self.mesh)), count

    def _rows_of_this_process(self) -> slice:
        size = self.batch_size // jax.process_count()
        return slice(jax.process_index() * size, (jax.process_index() + 1) * size)


def _predict(variables, batch, *, model: Network, scaler: Scaler):
    features, frame_mask = standardize(batch["features"], batch["num_frames"], scaler)
    posteriors: Any = model.apply(variables, features, frame_mask)
    # padding holds no sound: what the network says of it counts for nothing
    is_real = posteriors.frame_mask[:, :, None]
    return posteriors.clip, posteriors.frame * is_real, posteriors.attention * is_real


@dataclasses.dataclass(frozen=True)
class CardPredictor:
    """What models with one card say of splits; called with (variables, split)."""

    predictor: Predictor
    hop_s: float
    postprocessing: Postprocessing

    def __call__(self, variables, split: Split) -> PosteriorSet:
        """Posteriors of all clips of a split."""
        return self.predictor(variables, split, self.hop_s, self.postprocessing)

    def attention(self, variables, split: Split) -> np.ndarray:
        """How much each frame counts for each class, float32 [N, T, K]."""
        return self.predictor.attention(variables, split)


def make_predictor(card: Mapping[str, Any], mesh: Mesh) -> CardPredictor:
    """A function (variables, split) -> posteriors for models with this card."""
    predictor = compile_predictor(card, mesh, card["config"]["sampling"]["batch_size"])
    return CardPredictor(predictor, card["hop_s"], postprocessing_of(card))


def compile_predictor(
    card: Mapping[str, Any], mesh: Mesh, batch_size: int
) -> Predictor:
    """The network of models with this card, for batches of so many clips."""
    scaler = make_scaler(card["scaler"]["mean"], card["scaler"]["std"])
    model = make_model(card["config"]["model"], len(card["classes"]["names"]))
    return Predictor(model, scaler, mesh, batch_size)


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
    split: Split,
    predict: Callable[..., PosteriorSet],
) -> list[PosteriorSet]:
    """Posteriors of chosen epochs of a run, computed where they are not yet on disk."""
    postprocessing, sets = postprocessing_of(config), []
    for epoch in epochs:
        path = posteriors_path(workdir, split, epoch)
        found = _load_if_whole(path)
        if parallel.broadcast_from_first(found is not None):
            found = PosteriorSet.load(path) if found is None else found
        else:
            found = predict(load_epoch(workdir, config, epoch).variables, split)
            if jax.process_index() == 0:
                found.save(path)
        sets.append(dataclasses.replace(found, postprocessing=postprocessing))
    return sets


def _load_if_whole(path: Path) -> PosteriorSet | None:
    try:
        return PosteriorSet.load(path)
    except DataError:  # not there, or damaged
        return None


def posteriors_path(workdir: Path, split: Split, epoch: int) -> Path:
    """Where the posteriors of one epoch lie; elsewhere once the clips have changed."""
    name = f"{split.name}-{split.content_hash[:8]}"
    return workdir / "posteriors" / name / f"epoch-{epoch}.npz"


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


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Posteriors and the split that holds the labels of their clips.

    Attributes:
        posteriors: Of all clips of the split.
        split: With their labels.
        store: That the split is of.
        config: Of the model; None: posteriors of a file, whose model is not known.
        attention: The model's attention in a split, [N, T, K]; None: as config.
    """

    posteriors: PosteriorSet
    split: Split
    store: FeatureStore
    config: Config | None = None
    attention: Callable[[Split], np.ndarray] | None = None


def predict_splits(
    path: Path, names: Sequence[str | None], *, store: Path | None, root: Path | None
) -> list[Labelled]:
    """Posteriors of a model for splits of its data, or of other data.

    Args:
        path: Of a model, or of a run's folder.
        names: Of splits; None: the one that is reported.
        store: Features of other data; None: see root.
        root: Recordings of other data; None: the data that the model was trained on.

    Raises:
        ConfigError: A split is not there.
        DataError: The features are not such as the model was trained on.
    """
    card, variables = load_model(path)
    features = _features_of(card, store, root)
    _check_front_end(card, features)
    predict = make_predictor(card, parallel.make_mesh())
    splits = [find_split(features, name) for name in names]
    known = {
        "store": features,
        "config": _config_of(card, root),
        "attention": functools.partial(predict.attention, variables),
    }
    return [Labelled(predict(variables, split), split, **known) for split in splits]


def find_split(store: FeatureStore, name: str | None) -> Split:
    """A split of a store by its name; None: the one that is reported.

    Raises:
        ConfigError: There is none of this name.
    """
    name = name or reported_split(store)
    if name not in store.splits:
        names = ", ".join(store.splits)
        raise ConfigError(f"no split {name} in {store.path}: it has {names}")
    return store.splits[name]


def find_fit_split(store: FeatureStore, scored: Split) -> Split | None:
    """The split to find thresholds on for scoring another; None: there is no other."""
    found = store.splits.get("validation")
    return None if found is scored else found


def load_labelled(path: Path, store: FeatureStore) -> Labelled:
    """Posteriors of a file, and the split of a store that they are of.

    Raises:
        DataError: The file cannot be read, or its clips are those of no split.
    """
    posteriors = PosteriorSet.load(path)
    for split in store.splits.values():
        if split.clip_ids == posteriors.clip_ids:
            return Labelled(posteriors, split, store)
    raise DataError(
        f"{path}: its {len(posteriors.clip_ids)} clips, {posteriors.clip_ids[0]!r} "
        f"first, are those of no split of {store.path}, which has "
        + ", ".join(f"{name} ({len(one)})" for name, one in store.splits.items())
    )


def _features_of(card, store: Path | None, root: Path | None) -> FeatureStore:
    if store is not None:
        return FeatureStore.open(store)
    return open_store(_config_of(card, root))


def _config_of(card, root: Path | None) -> Config:
    """The configuration of a model, of other data if a root is given."""
    config = dict(card["config"])
    if root is not None:
        other = {"root": str(root), "store": "", "held_out": 0.0}
        config["data"] = {**config["data"], **other}
    return config


def _check_front_end(card, features: FeatureStore) -> None:
    if FrontEnd.from_dict(card["front_end"]) != features.front_end:
        raise DataError(
            f"{features.path} was computed by another front end than the model's: "
            f"{features.front_end.as_dict()} instead of {card['front_end']}"
        )
    if card["classes"]["ids"] != list(features.classes.ids):
        raise DataError(f"{features.path} has other classes than the model")
