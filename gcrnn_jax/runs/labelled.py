"""Posteriors beside the split that holds the labels of their clips."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from absl import logging

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.config import Config
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.folder import read_folder
from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import DataError
from gcrnn_jax.fields import construct
from gcrnn_jax.inference import TrainedModel
from gcrnn_jax.runs.features import open_store
from gcrnn_jax.runs.loading import load_model
from gcrnn_jax.runs.run import Run


@dataclasses.dataclass(frozen=True)
class LabelledPosteriors:
    """Posteriors and the split that holds the labels of their clips.

    Attributes:
        posteriors: Of all clips of the split.
        split: With their labels.
        store: That the split is of.
        model: That predicted them; None: they are those of a file.
        config: Of the data; None: not known.
    """

    posteriors: PosteriorSet
    split: Split
    store: FeatureStore
    model: TrainedModel | None = None
    config: Config | None = None

    @property
    def clips(self) -> str:
        """Of which clips scores are, for the user."""
        split = self.split
        number, total = len(split), len(self.store.originals(split.name))
        if number == total:
            return f"{split.name}: {number} clips"
        which = "weak labels" if split.events is None else "strong labels"
        return f"{split.name}: {number} of its {total} clips, those with {which}"


def predict_splits(
    path: Path,
    names: Sequence[str | None],
    *,
    store: Path | None = None,
    root: Path | None = None,
    layout: Mapping[str, Any] = MappingProxyType({}),
) -> list[LabelledPosteriors]:
    """Posteriors of a model on splits of its own data, or of others.

    Args:
        path: Of a model, or a run's folder.
        names: Of the splits; None: the one that is reported.
        store: Features of other data, made by the model's front end.
        root: Recordings of other data; None: the data that the model was trained on.
        layout: How these are read, fields of `data`; else as the model's data were,
            in the layout that is found, with those of its negatives that occur.

    Raises:
        ConfigError: A split is not there.
        DataError: The features are not such as the model was trained on.
    """
    model = load_model(path)
    config = model.card.config
    if root is not None:
        changes = {"root": str(root), "store": "", "held_out_fraction": 0.0}
        changes |= {"layout": "", **layout}
        data = construct(DataOptions, dataclasses.asdict(config.data) | changes, "data")
        if data.negatives and "negatives" not in layout:
            negatives = _negatives_in(root, data, config.front_end)
            data = dataclasses.replace(data, negatives=negatives)
        config = dataclasses.replace(config, data=data)
    features = open_store(config) if store is None else FeatureStore.open(store)
    model.check_features(features)
    if store is None and root is None and (run := find_run(path)):
        try:
            run.check_data(features)
        except DataError as error:
            logging.warning("scoring goes on, but %s", error)
    splits = [features.find_split(name) for name in names]
    return [
        LabelledPosteriors(model.predict(split), split, features, model, config)
        for split in splits
    ]


def _negatives_in(
    root: Path, data: DataOptions, front_end: FrontEnd
) -> tuple[str, ...]:
    """The negatives of a model's data that are labels or folders of other data, too."""
    options = dataclasses.replace(data.layout_options(front_end), negatives=("",))
    dataset, _ = read_folder(root, options)
    return tuple(name for name in data.negatives if name in dataset.classes.names)


def load_labelled(path: Path, store: FeatureStore) -> LabelledPosteriors:
    """Posteriors of a file, and the split of a store that they are of.

    Raises:
        DataError: The file cannot be read, or its clips are those of no split.
    """
    posteriors = PosteriorSet.load(path)
    for split in store.scored_splits():
        if split.clip_ids == posteriors.clip_ids:
            return LabelledPosteriors(posteriors, split, store)
    raise DataError(
        f"{path}: its {len(posteriors.clip_ids)} clips, {posteriors.clip_ids[0]!r} "
        f"first, are those of no split of {store.path}, which has "
        + ", ".join(f"{name} ({len(one)})" for name, one in store.splits.items())
    )


def find_run(model: Path) -> Run | None:
    """The run of a model: a folder's, a checkpoint's or an averaged one's, if any."""
    for folder in [model, *model.resolve().parents[:2]]:
        if (folder / "config.json").is_file() and (folder / "metrics.jsonl").exists():
            return Run.open(folder)
    return None
