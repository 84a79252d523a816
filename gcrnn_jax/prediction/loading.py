"""Trained and exported models, one or several, loaded for prediction."""

import dataclasses
from pathlib import Path

from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.exporting.exported_model import ExportedModel
from gcrnn_jax.exporting.stablehlo import CARD
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.prediction.ensemble import Ensemble
from gcrnn_jax.runs import loading


def load_model(
    *paths: str | Path, batch_size: int = 8, with_attention: bool = False
) -> Ensemble:
    """Loads a trained model, or several that are fused, for waveforms.

    The rule that every clip has a tag (`at_least_one_tag`) is that of the task, whose
    clips all have a label; it is off here, since a recording may hold nothing.

    Args:
        paths: Each a run's folder (its averaged model, or the newest epoch where there
            is none yet; of an ensemble those of all members), an averaged or exported
            model, or a checkpoint of an epoch.
        batch_size: Windows to compute at once. It changes speed and memory only.
        with_attention: Whether to predict attention too, which exported models lack.

    Raises:
        ConfigError: There is no path, or batch_size < 1.
        DataError: There is no model at a path, or the models differ in their classes.
    """
    if not paths or batch_size < 1:
        raise ConfigError(
            "expected models and a batch_size of 1 or more, "
            f"got {list(paths)}, {batch_size}"
        )
    places = [Path(path) for path in paths]
    found = [one for path in places for one in loading.member_folders(path) or [path]]
    models = tuple(_load_one(path, batch_size) for path in found)
    for path, model in zip(found, models, strict=True):
        if model.class_names != models[0].class_names:
            raise DataError(
                f"{path} has other classes than {found[0]}: "
                f"{model.class_names}, expected {models[0].class_names}"
            )
    rules = dataclasses.replace(models[0].postprocessing, at_least_one_tag=False)
    return Ensemble(models, rules, with_attention)


def _load_one(path: Path, batch_size: int) -> TrainedModel | ExportedModel:
    if (path / CARD).exists():
        return ExportedModel.load(path, batch_size)
    return loading.load_model(path, batch_size=batch_size)
