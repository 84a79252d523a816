"""A configuration: one typed object for each section, built once, at the start.

Defaults are those of `configs/sed.py`. What version 0.1 wrote has the names of today.
"""

import dataclasses
import importlib.util
import math
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from gcrnn_jax.audio.front_end import FrontEnd, make_front_end
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.threshold_options import ThresholdOptions
from gcrnn_jax.errors import ConfigError, message_of
from gcrnn_jax.field_names import FieldNames
from gcrnn_jax.fields import (  # noqa: F401 - flatten has been a name of this module
    as_json_lists,
    construct,
    flatten,
)
from gcrnn_jax.models import Network, make_network, network_fields
from gcrnn_jax.models.network import variable_shapes
from gcrnn_jax.models.shifted_inputs import ShiftedInputs
from gcrnn_jax.old_names import with_todays_names
from gcrnn_jax.training.augment import Augmentation
from gcrnn_jax.training.earlier import soundscape_fields, teacher_fields
from gcrnn_jax.training.frozen import check_frozen
from gcrnn_jax.training.fusion import Fusion
from gcrnn_jax.training.loop import TrainingLength
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.members import EnsembleOptions
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.parallel import Parallelism


@dataclasses.dataclass(frozen=True)
class Config:
    """All that says how a system is trained and scored."""

    seed: int
    data: DataOptions
    front_end: FrontEnd
    model: Network  # of one class, until the data are known
    sampling: Sampling
    augmentation: Augmentation
    loss: Loss
    optimizer: Optimizer
    training: TrainingLength
    parallel: Parallelism
    prediction: ShiftedInputs
    postprocessing: Postprocessing
    thresholds: ThresholdOptions
    fusion: Fusion
    ensemble: EnsembleOptions

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Builds every section of a configuration, as of `configs/sed.py`.

        Raises:
            ConfigError: A field is unknown, missing or has a value that it cannot have;
                names it, and the nearest one that there is.
        """
        values = with_todays_names(values)
        names = field_names(values)
        for name in names.unknown(values):
            raise names.error(name)
        for name in [field.name for field in dataclasses.fields(cls)]:
            is_section = name == "seed" or isinstance(values.get(name), Mapping)
            if name not in values or not is_section:
                raise ConfigError(f"{name}: expected a section, got {values.get(name)}")
        built = {
            name: construct(section, values[name], name)
            for name, section in _SECTIONS.items()
        }
        batch_size = built["sampling"].batch_size
        try:
            built["training"] = built["training"].of_batches(batch_size)
        except ValueError as error:  # too many steps
            raise ConfigError(f"training.clips_per_epoch: {error}") from error
        config = cls(
            seed=_check_seed(values["seed"]),
            front_end=_front_end(values["front_end"], built["training"].start_from),
            model=make_network(values["model"]),
            **built,
        )
        config.fusion.epochs(config.training.num_epochs)
        if config.loss.consistency_weight and not config.training.weight_average:
            raise ConfigError(
                "loss.consistency_weight: its teacher is the running mean of the "
                "weights: expected training.weight_average over 0 too, such as 0.999"
            )
        config.earlier()
        config.ensemble.check_first(flatten(config.to_dict()))
        config._check_members()
        return config

    def _check_members(self) -> None:
        """Raises ConfigError for members that cannot be, or not beside each other."""
        count = self.ensemble.num_different
        members = [self.member(number) for number in range(1, count + 1)]
        kinds = sorted({one.model.kind for one in members})
        if self.training.start_from and len(kinds) > 1:
            raise ConfigError(
                "ensemble.differing: model: all members have the kind of the model "
                f"that they start from, training.start_from, got {kinds}"
            )
        features = [(one.front_end, one.data.speeds) for one in members]
        if self.data.store and any(one != features[0] for one in features):
            raise ConfigError(
                "data.store: members differ in their features, which no one folder can "
                "hold: expected none, and they go to the user's cache (GCRNN_CACHE)"
            )

    @property
    def training_seed(self) -> int:
        """The seed of weights, batches and augmentation; `seed` alone is the data's."""
        return self.seed + self.training.seed_offset

    def member(self, number: int) -> "Config":
        """That of a member of the ensemble, counted from 1: a system of its own.

        Raises:
            ConfigError: A field that differs is unknown, or has a value that it cannot
                have; names the member.
        """
        values = self.ensemble.sections_of(number, self.to_dict())
        values["ensemble"] = {"members": 1, "differing": ()}
        values["training"]["seed_offset"] += number - 1
        try:
            return Config.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"ensemble.differing: member {number}: {error}") from None

    def soundscape_start(self) -> "Config | None":
        """That of the system on soundscapes that it starts from; None: of none."""
        if not (self.training.soundscape_epochs and self.data.root):
            return None  # or the clips are soundscapes anyway
        return Config.from_dict(soundscape_fields(self.to_dict()))

    def teachers(self) -> "list[Config]":
        """Those of the systems whose posteriors it learns from; maybe none."""
        parts = range(self.training.teachers)
        return [Config.from_dict(teacher_fields(self.to_dict(), n)) for n in parts]

    def earlier(self) -> "list[Config | None]":
        """Those of all that the same command trains before it."""
        return [self.soundscape_start(), *self.teachers()]

    def members(self) -> "list[Config]":
        """Those of all members of the ensemble; of a single system, none."""
        count = self.ensemble.members
        return [self.member(n) for n in range(1, count + 1)] if count > 1 else []

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and values, which `from_dict` reads."""
        values: dict[str, Any] = {
            name: dataclasses.asdict(getattr(self, name)) for name in _SECTIONS
        }
        values |= {
            "seed": self.seed,
            "front_end": {**self.front_end.as_dict(), **self.front_end.config_fields()},
            "model": network_fields(self.model),
        }
        return {field.name: values[field.name] for field in dataclasses.fields(self)}

    def check_shapes(self) -> None:
        """Checks that batch, features, network and what is frozen fit each other.

        Raises:
            ConfigError: They do not; names the section.
        """
        parts, batch_size = self.optimizer.accumulate_steps, self.sampling.batch_size
        if parts > batch_size:
            raise ConfigError(
                f"optimizer.accumulate_steps: {parts} parts of a batch of {batch_size} "
                "clips, expected no more than it has (sampling.batch_size)"
            )
        shape = (self.front_end.num_frames, self.front_end.num_bins)
        is_log_magnitude = self.front_end.is_log_magnitude
        try:
            self.augmentation.check(*shape, is_log_magnitude=is_log_magnitude)
        except ValueError as error:
            raise ConfigError(f"augmentation: {error}") from error
        try:
            self.prediction.check(shape[1], is_log_magnitude=is_log_magnitude)
        except ValueError as error:
            raise ConfigError(f"prediction: {error}") from error
        merged = math.prod(getattr(self.model, "time_pooling", ()))
        if merged > shape[0]:
            raise ConfigError(
                f"model: time_pooling merges {merged} frames, of which a clip has "
                f"{shape[0]}"
            )
        try:
            shapes = variable_shapes(self.model, *shape)
        except ValueError as error:  # poolings that leave nothing
            raise ConfigError(f"model: {error}") from error
        check_frozen(self.training.frozen, shapes["params"])


_SECTIONS: dict[str, type] = {
    "data": DataOptions,
    "sampling": Sampling,
    "augmentation": Augmentation,
    "loss": Loss,
    "optimizer": Optimizer,
    "training": TrainingLength,
    "parallel": Parallelism,
    "prediction": ShiftedInputs,
    "postprocessing": Postprocessing,
    "thresholds": ThresholdOptions,
    "fusion": Fusion,
    "ensemble": EnsembleOptions,
}


def field_names(values: Mapping[str, Any]) -> FieldNames:
    """The names and types of the fields of a configuration with these sections."""
    return FieldNames.of(values, _SECTIONS)


def _front_end(values: Mapping[str, Any], start_from: str) -> FrontEnd:
    """The front end; log-mel where it is of the model that training starts from.

    That model's takes its place: `runs.start.configure_start`.
    """
    if start_from and values.get("kind") == "onnx" and not values.get("path"):
        if "sha256" not in values:  # as that of a run, which knows what it is
            values = {**values, "kind": "log_mel"}
    return make_front_end(values)


def _check_seed(seed: Any) -> int:
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed: expected 0 or more, got {seed!r}")
    return seed


def load_config(name: str | Path, **changes: Any) -> Config:
    """Builds a configuration of the package, or of a file of one's own.

    Args:
        name: As "sed", or the path of a file with a `get_config`.
        changes: Dotted names, such as `**{"model.filters": 16}`.

    Raises:
        ConfigError: There is no such configuration, or a field does not fit it.
    """
    values = read_config_file(find_config(str(name)))
    for name_of_field, value in changes.items():
        section, _, field = name_of_field.rpartition(".")
        if section and not isinstance(values.get(section), dict):
            raise field_names(values).error(name_of_field)
        (values[section] if section else values)[field] = value
    return Config.from_dict(values)


def find_config(name: str) -> Path:
    """The file of a configuration: a path, or the name of one of the package.

    `configs/sed.py`, where the current folder has no such file, is the package's.

    Raises:
        ConfigError: There is none.
    """
    if not name:
        raise ConfigError("--config is empty, expected such as --config=sed")
    path, packaged = Path(name).expanduser(), Path(__file__).parent / "configs"
    if path.is_file():
        return path
    is_name = path.parent in (Path("."), Path("configs"))
    if is_name and (packaged / f"{path.stem}.py").is_file():
        return packaged / f"{path.stem}.py"
    names = sorted(p.stem for p in packaged.glob("[a-z]*.py"))
    raise ConfigError(
        f"--config: no file {name}, and no configuration of the package of this name: "
        + ", ".join(names)
    )


def read_config_file(path: Path) -> dict[str, Any]:
    """The sections that `get_config` of a file returns, as plain values.

    Raises:
        ConfigError: The file cannot be run, or returns no configuration; a section or
            field is unknown or missing.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not (spec and spec.loader):
        raise ConfigError(f"{path}: expected a Python file that defines get_config")
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config()
        is_config = isinstance(config, ConfigDict)
        values = as_json_lists(config.to_dict()) if is_config else {}
    except Exception as error:  # a user's program may raise anything
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == spec.origin
        ]
        lines += [error.lineno] if isinstance(error, SyntaxError) else []
        where = f"{path}:{lines[-1]}" if lines else f"{path}"
        name = type(error).__name__
        raise ConfigError(f"{where}: {name}: {message_of(error)}") from error
    if not is_config:
        kind = type(config).__name__
        raise ConfigError(f"{path}: get_config: expected a ConfigDict, got {kind}")
    today = with_todays_names(values)
    field_names(today).check_file(today, path)
    return values
