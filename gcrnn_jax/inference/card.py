"""The card of a model: all that predicting needs beside the weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.config import Config
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection.calibration import Probabilities
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError, GcrnnError
from gcrnn_jax.fields import convert
from gcrnn_jax.models.network import variable_shapes
from gcrnn_jax.training.augment import Scaler

_FORMAT, EXPORTED_FORMAT = "gcrnn_jax model 1", "gcrnn_jax exported model 1"
_MAX_CLASSES, _MAX_MESSAGE = 65536, 1000
# what a value of another type than expected ends in
WRONG_TYPES = (AttributeError, TypeError, ValueError, OverflowError, IndexError)


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What a model was trained as, and how its posteriors are decided.

    Attributes:
        config: Of the run that trained it.
        front_end: Of its features.
        classes: K.
        scaler: Mean and standard deviation of the training features, [F] each.
        postprocessing: Its thresholds, and its way from posteriors to events.
        step: Optimizer steps that it took.
        averaged: The steps whose weights it is the mean of, if it is.
        probabilities: From its posteriors to probabilities; None: never fitted.
    """

    config: Config
    front_end: FrontEnd
    classes: ClassList
    scaler: Scaler
    postprocessing: Postprocessing
    step: int = 0
    averaged: tuple[int, ...] = ()
    probabilities: Probabilities | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return tuple(self.classes.names)

    @property
    def hop_s(self) -> float:
        """Seconds a frame of posteriors."""
        return self.front_end.hop_s * self.config.model.time_reduction

    def __post_init__(self):
        """Raises ValueError for sizes that do not fit, or what is not finite."""
        num_bins, num_classes = self.front_end.num_bins, len(self.classes)
        for name, values in self.scaler._asdict().items():
            if values.shape != (num_bins,) or not np.isfinite(values).all():
                raise ValueError(
                    f"scaler.{name}: expected {num_bins} finite numbers, one a bin of "
                    f"the front end, got {values.tolist()}"
                )
        if not (self.scaler.std > 0).all():
            raise ValueError(
                f"scaler.std: expected positive numbers, got {min(self.scaler.std)}"
            )
        for name in ("tag_threshold", "event_threshold", "median_s"):
            thresholds = getattr(self.postprocessing, name)
            if isinstance(thresholds, tuple) and len(thresholds) != num_classes:
                raise ValueError(
                    f"postprocessing.{name}: expected one for each of the "
                    f"{num_classes} classes, got {len(thresholds)}"
                )
        if self.probabilities and len(self.probabilities.clip.bias) != num_classes:
            raise ValueError(
                f"probabilities: expected those of {num_classes} classes, got "
                f"{len(self.probabilities.clip.bias)}"
            )

    @classmethod
    def from_run(cls, config: Config, store: FeatureStore) -> "ModelCard":
        """The card of models that a run trains on the features of a store."""
        scaler = Scaler(*(np.asarray(x, np.float32) for x in (store.mean, store.std)))
        front_end = store.front_end
        if config.front_end == front_end:  # which also knows where its files are
            front_end = config.front_end
        return cls(config, front_end, store.classes, scaler, config.postprocessing)

    def found_near(self, folder: Path) -> "ModelCard":
        """The card of a model in a folder, where files of its front end may be, too."""
        path = self.config.front_end.config_fields()["path"]
        front_end = self.front_end.found_near(folder, path)
        return dataclasses.replace(self, front_end=front_end)

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON, which `from_dict` reads."""
        ids, names = list(self.classes.ids), list(self.classes.names)
        card = {
            "format": _FORMAT,
            "config": self.config.to_dict(),
            "front_end": self.front_end.as_dict(),
            "classes": {"ids": ids, "names": names},
            "scaler": {n: x.tolist() for n, x in self.scaler._asdict().items()},
            "hop_s": self.front_end.hop_s,
            "postprocessing": dataclasses.asdict(self.postprocessing),
            "step": self.step,
        }
        if self.averaged:
            card["averaged"] = list(self.averaged)
        if self.probabilities:
            card["probabilities"] = dataclasses.asdict(self.probabilities)
        return card

    @classmethod
    def from_dict(cls, card: Any, where: object) -> "ModelCard":
        """Reads and checks the card of a model.

        Args:
            card: As JSON gives it.
            where: The model's path, for messages.

        Raises:
            DataError: It is no card, lacks a field, or has one of another type, size
                or range.
        """
        formats = (_FORMAT, EXPORTED_FORMAT)
        if not isinstance(card, Mapping) or card.get("format") not in formats:
            raise DataError(f"{where}: its card has not the format {_FORMAT!r}")
        try:
            scaler, probabilities = card["scaler"], card.get("probabilities")
            return cls(
                Config.from_dict(card["config"]),
                FrontEnd.from_dict(card["front_end"]),
                ClassList(*(_texts(card["classes"], n) for n in ("ids", "names"))),
                Scaler(*(np.asarray(scaler[n], np.float32) for n in Scaler._fields)),
                Postprocessing.from_dict(card["postprocessing"]),
                convert(card.get("step", 0), int, "step"),
                convert(card.get("averaged", ()), tuple[int, ...], "averaged"),
                probabilities and Probabilities.from_dict(probabilities),
            )
        except KeyError as error:
            raise DataError(f"{where}: its card lacks {error}") from error
        except (GcrnnError, *WRONG_TYPES) as error:
            what = f"{where}: its card is wrong: {str(error)[:_MAX_MESSAGE]}"
            raise DataError(what) from error


def _texts(section: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = convert(section[name], tuple[str, ...], name)
    if not 0 < len(texts) <= _MAX_CLASSES:
        raise ValueError(f"{name}: expected 1 to {_MAX_CLASSES}, got {len(texts)}")
    return texts


def check_variables(card: ModelCard, variables: Any, where: object) -> None:
    """Checks that weights are those of the card's network.

    Args:
        card: Of the model.
        variables: {"params": ..., "batch_stats": ...}.
        where: The model's path, for messages.

    Raises:
        DataError: An array is missing, left over or of another shape or type; names it.
    """
    network = card.config.model.clone(num_classes=len(card.classes))
    size = (card.front_end.num_frames, card.front_end.num_bins)
    try:
        expected = _shapes_by_name(variable_shapes(network, *size))
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
        detail = f"{where}: its network cannot be: {str(error)[:_MAX_MESSAGE]}"
        raise DataError(detail) from error
    shapes = _shapes_by_name(variables)
    for name in sorted({*expected, *shapes}):
        if expected.get(name) != shapes.get(name):
            raise DataError(
                f"{where}: its weights are not of the network of its card: {name} is "
                f"{shapes.get(name, 'missing')}, expected "
                f"{expected.get(name, 'no such array')}"
            )


def check_values(variables: Any, where: object) -> None:
    """Checks that weights and statistics are numbers that a network can have.

    Raises:
        DataError: One is not finite, or a variance is negative; names the array.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        name, values = jax.tree_util.keystr(path), np.asarray(leaf)
        if not np.isfinite(values).all():
            raise DataError(f"{where}: its weights are damaged: {name} is not finite")
        if name.endswith("['var']") and (values < 0).any():
            raise DataError(f"{where}: its weights are damaged: {name} is negative")


def _shapes_by_name(variables: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {
        jax.tree_util.keystr(path): f"{tuple(leaf.shape)}"
        + ("" if leaf.dtype == np.float32 else f" {leaf.dtype}")
        for path, leaf in leaves
    }
