"""How the members of an ensemble differ from each other."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import check, flatten

Value = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
Section = tuple[tuple[str, Value], ...]  # names and values
# What makes a model; other fields say of what clips, and what is done with posteriors.
_SECTIONS = (
    *("front_end", "model", "sampling", "augmentation"),
    *("loss", "optimizer", "training"),
)
_BESIDES = "data.speeds"  # of copies to train on; the clips are the same
_SAME = ("front_end.clip_s", "training.seed_offset", "training.tensorboard")


@dataclasses.dataclass(frozen=True)
class EnsembleOptions:
    """The config section `ensemble`: systems that one command trains, and fuses.

    Attributes:
        members: How many; 1: a single system.
        differing: Fields, dotted, each with values that the members take in turn; or
            "model" with whole sections, as `tuple(config.model.items())`, of another
            kind of network. Each draws weights and batches of its own, too.

    Example:
        >>> windows = ("front_end.window_length", (1024, 2048))
        >>> EnsembleOptions(3, (windows,)).of_member(2)
        {'front_end.window_length': 2048}
        >>> EnsembleOptions(3, (windows,)).of_member(3)
        {'front_end.window_length': 1024}
    """

    members: int
    differing: tuple[tuple[str, tuple[Value | Section, ...]], ...]

    def __post_init__(self):
        """Raises ValueError for fields that cannot differ, or not among so many."""
        check(self, "1 or more", "members")
        check(self, "1000 or less", "members")
        for name, choices in self.differing:
            _check_values(name, choices)
            if not 2 <= len(choices) <= self.members:
                raise ValueError(
                    f"differing: {len(choices)} values of {name} for {self.members} "
                    "members, expected from 2 to as many"
                )
        names = [name for name, _ in self.differing]
        if len({*names}) < len(names):
            raise ValueError(f"differing: a field is there twice: {', '.join(names)}")
        fields = [name for name in names if name.startswith("model.")]
        if "model" in names and fields:
            raise ValueError(f"differing: expected model or {fields[0]}, not both")

    def of_member(self, number: int) -> dict[str, Any]:
        """The differing fields of a member, counted from 1."""
        return {
            name: choices[(number - 1) % len(choices)]
            for name, choices in self.differing
        }

    def sections_of(self, number: int, sections: Mapping[str, Any]) -> dict[str, Any]:
        """The sections of a configuration, and in them what a member has instead."""
        sections = {**sections}
        for name, value in self.of_member(number).items():
            section, _, field = name.partition(".")
            own = {**sections[section], field: value} if field else dict(value)
            sections[section] = own
        return sections

    @property
    def num_different(self) -> int:
        """How many members, from the first on, have values that none before has."""
        if not self.differing:
            return 0
        counts = (len(choices) for _, choices in self.differing)
        return min(math.lcm(*counts), self.members)

    def check_first(self, fields: Mapping[str, Any]) -> None:
        """Checks that a configuration is that of the first member.

        Args:
            fields: Of it, by dotted name.

        Raises:
            ConfigError: It is not, or starts from a model, and so has its front end.
        """
        first = self.of_member(1)
        first |= flatten({"model": dict(first.pop("model", ()))})
        for name in sorted(first, key="model.kind".__ne__):  # which is named first
            if name in fields and fields[name] != first[name]:
                raise ConfigError(
                    f"ensemble.differing: {name} is {fields[name]!r}, expected that of "
                    f"the first member, {first[name]!r}"
                )
            if name.startswith("front_end.") and fields["training.start_from"]:
                raise ConfigError(
                    f"ensemble.differing: {name}: all members have the front end of "
                    "the model that they start from, training.start_from"
                )


def _check_values(name: str, choices: tuple[Value | Section, ...]) -> None:
    """Raises ValueError for a field that members cannot differ in, or so."""
    section, _, field = name.partition(".")
    if (section not in _SECTIONS or name in _SAME) and name != _BESIDES:
        raise ValueError(
            f"differing: members cannot differ in {name}, expected {_BESIDES} or "
            f"fields of {', '.join(_SECTIONS)}, without {', '.join(_SAME)}"
        )
    if name != "model" and not field:
        raise ValueError(
            f'differing: {name} is a section, expected a field of it, or "model"'
        )
    for value in choices:
        pairs = _pairs(value)
        if (pairs is None) != bool(field):
            expected = "a value" if field else "pairs of names and values"
            raise ValueError(f"differing: {name}: expected {expected}, got {value!r}")
        if pairs and ("kind" not in dict(pairs) or len(dict(pairs)) < len(pairs)):
            raise ValueError("differing: model: expected a kind, and each name once")


def _pairs(value: Any) -> Section | None:
    """A section's names and values; None: it is a value."""
    are_pairs = isinstance(value, tuple) and all(
        isinstance(one, tuple) for one in value
    )
    return value if value and are_pairs else None
