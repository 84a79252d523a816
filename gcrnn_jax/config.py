"""A configuration: one typed object for each section, built once, at the start.

The defaults are those of `configs/sed.py` alone. What version 0.1 wrote, or its users
wrote for it, is read under the names of today.
"""

import dataclasses
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from gcrnn_jax.audio.front_end import FrontEnd, make_front_end
from gcrnn_jax.data.preparation import DataOptions
from gcrnn_jax.data.sampling import Sampling
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import construct, unknown_field
from gcrnn_jax.models import Network, make_network, network_fields
from gcrnn_jax.training.augment import Augmentation
from gcrnn_jax.training.loop import TrainingLength
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.parallel import Parallelism
from gcrnn_jax.training.state import Optimizer

# Names of version 0.1 -> names of today.
_OLD_NAMES = {
    "data.held_out": "data.held_out_fraction",
    "model.network": "model.kind",
    "model.gated": "model.gated_convolution",
    "model.pooling": "model.clip_pooling",
    "sampling.size_steps": "sampling.class_size_thresholds",
    "loss.clip": "loss.clip_weight",
    "loss.frame": "loss.frame_weight",
    "loss.attended": "loss.frame_attention",
    "loss.rarity_power": "loss.class_balance_power",
    "parallel.resident_fraction": "parallel.device_cache_fraction",
    "postprocessing.gated": "postprocessing.require_clip_tag",
}
_EPOCHS = "fusion.epochs"  # "first:last:every", in version 0.1
_RENAMED = {name.split(".")[0] for name in (*_OLD_NAMES, _EPOCHS, "training.")}


@dataclasses.dataclass(frozen=True)
class ThresholdOptions:
    """How thresholds are fitted.

    Attributes:
        per_class: One for each class, or one for all.
    """

    per_class: bool


@dataclasses.dataclass(frozen=True)
class Fusion:
    """The epochs of a run whose posteriors, or weights, are averaged.

    Attributes:
        first_epoch: Counted from 1.
        last_epoch: Itself one of them.
        every: Epochs from one to the next.

    Example:
        >>> Fusion(first_epoch=20, last_epoch=80, every=10).epochs(num_epochs=70)
        [20, 30, 40, 50, 60, 70]
        >>> str(Fusion.parse("9:12"))
        '9:12:1'
    """

    first_epoch: int
    last_epoch: int
    every: int

    def __post_init__(self):
        """Raises ValueError for numbers that name no epoch."""
        if not 1 <= self.first_epoch <= self.last_epoch:
            raise ValueError(
                "epochs count from 1, the first before the last, got first_epoch "
                f"{self.first_epoch} and last_epoch {self.last_epoch}"
            )
        if self.every < 1:
            raise ValueError(f"every must be 1 or more, got {self.every}")

    @classmethod
    def parse(cls, text: str) -> "Fusion":
        """Reads "first:last:every", "first:last" or "epoch"; the last is included.

        Raises:
            ConfigError: It has another form.
        """
        try:
            first, *rest = [int(part) for part in str(text).split(":")]
            last, every = [*rest, *(first, 1)[len(rest) :]]
            return cls(first, last, every)
        except ValueError:
            raise ConfigError(
                f'epochs: expected "first:last:every", counted from 1, got {text!r}'
            ) from None

    def epochs(self, num_epochs: int) -> list[int]:
        """The epochs, those after the run's last left out.

        Raises:
            ConfigError: None is left.
        """
        last = min(self.last_epoch, num_epochs)
        numbers = list(range(self.first_epoch, last + 1, self.every))
        if not numbers:
            raise ConfigError(
                f"fusion: the run has {num_epochs} epochs, none of them in {self}"
            )
        return numbers

    def __str__(self) -> str:
        return f"{self.first_epoch}:{self.last_epoch}:{self.every}"


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
    postprocessing: Postprocessing
    thresholds: ThresholdOptions
    fusion: Fusion

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Builds every section of a configuration, as of `configs/sed.py`.

        Raises:
            ConfigError: A field is unknown, missing or has a value that it cannot have;
                names it, and the nearest one that there is.
        """
        values = with_todays_names(values)
        sections = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in sections:
                raise unknown_field(name, sections, "config")
        for name in sections:
            is_section = name == "seed" or isinstance(values.get(name), Mapping)
            if name not in values or not is_section:
                raise ConfigError(f"{name}: expected a section, got {values.get(name)}")
        built = {
            name: construct(section, values[name], name)
            for name, section in _SECTIONS.items()
        }
        config = cls(
            seed=_check_seed(values["seed"]),
            front_end=make_front_end(values["front_end"]),
            model=make_network(values["model"]),
            **built,
        )
        config.fusion.epochs(config.training.num_epochs)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and values, which `from_dict` reads."""
        values = {name: dataclasses.asdict(getattr(self, name)) for name in _SECTIONS}
        special = {
            "seed": self.seed,
            "front_end": self.front_end.as_dict(),
            "model": network_fields(self.model),
        }
        names = [field.name for field in dataclasses.fields(self)]
        return {name: {**special, **values}[name] for name in names}

    def check_shapes(self, num_devices: int) -> None:
        """Checks that batch, features and network fit each other and the devices.

        Raises:
            ConfigError: They do not; names the section.
        """
        if self.sampling.batch_size % num_devices:
            raise ConfigError(
                f"sampling.batch_size: {self.sampling.batch_size} clips do not divide "
                f"among {num_devices} devices"
            )
        shape = (self.front_end.num_frames, self.front_end.num_bins)
        is_log_magnitude = self.front_end.is_log_magnitude
        try:
            self.augmentation.check(*shape, is_log_magnitude=is_log_magnitude)
        except ValueError as error:
            raise ConfigError(f"augmentation: {error}") from error
        features = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        try:
            jax.eval_shape(self.model.init, jax.random.key(0), features)
        except ValueError as error:  # poolings that leave nothing
            raise ConfigError(f"model: {error}") from error


_SECTIONS: dict[str, type] = {
    "data": DataOptions,
    "sampling": Sampling,
    "augmentation": Augmentation,
    "loss": Loss,
    "optimizer": Optimizer,
    "training": TrainingLength,
    "parallel": Parallelism,
    "postprocessing": Postprocessing,
    "thresholds": ThresholdOptions,
    "fusion": Fusion,
}


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
    values = _values_of_file(find_config(str(name)))
    for field, value in changes.items():
        *sections, last = field.split(".")
        section = values
        for part in sections:
            section = section[part]
        section[last] = value
    return Config.from_dict(values)


def find_config(name: str) -> Path:
    """The file of a configuration: a path, or the name of one of the package.

    `configs/sed.py`, where the current folder has no such file, is the package's.

    Raises:
        ConfigError: There is none.
    """
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


def _values_of_file(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return as_json_lists(module.get_config().to_dict())


def with_todays_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in which names of version 0.1 are replaced by those of today.

    An old name that is there was set by somebody, so it has precedence.
    """
    if not all(isinstance(values.get(name, {}), Mapping) for name in _RENAMED):
        return dict(values)  # no configuration at all, as `from_dict` will say
    sections = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in values.items()
    }
    if "network" in sections.get("model", ()):  # a whole configuration of version 0.1
        if sections.get("data", {}).get("num_workers") == 0:
            sections["data"]["num_workers"] = -1
        sections.get("training", {}).setdefault("weight_average", 0.0)
    for old, new in _OLD_NAMES.items():
        section, field = old.split(".")
        if field in sections.get(section, ()):
            sections[section][new.split(".")[1]] = sections[section].pop(field)
    if "epochs" in sections.get("fusion", ()):
        sections["fusion"] = dataclasses.asdict(
            Fusion.parse(sections["fusion"]["epochs"])
        )
    return sections


def flags_with_todays_names(arguments: Sequence[str]) -> list[str]:
    """Command line flags in which names of version 0.1 are replaced.

    Example:
        >>> flags_with_todays_names(["--config.loss.clip=1", "--config.seed=2"])
        ['--config.loss.clip_weight=1', '--config.seed=2']
    """
    flags = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        field = re.sub(r"^--?config\.", "", name)
        if field == _EPOCHS and equals:
            fusion = dataclasses.asdict(Fusion.parse(value.strip("'\"")))
            flags += [f"--config.fusion.{key}={n}" for key, n in fusion.items()]
        elif field != name and field in _OLD_NAMES:
            flags.append(f"--config.{_OLD_NAMES[field]}{equals}{value}")
        else:
            flags.append(argument)
    return flags


def as_json_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as JSON gives them back: lists for tuples."""
    return json.loads(json.dumps(values))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names and values of nested sections.

    Example:
        >>> flatten({"model": {"filters": 64}, "seed": 0})
        {'model.filters': 64, 'seed': 0}
    """
    fields = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            fields.update(flatten(value, f"{prefix}{name}."))
        else:
            fields[f"{prefix}{name}"] = value
    return fields
