"""The names of a configuration's fields; one that is misspelt -> the nearest."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.audio.front_end import KINDS
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import fields_of, nearest
from gcrnn_jax.models import NETWORKS

_GIVEN = ("num_classes", "axis_name")  # by the data and the devices, in no file
_HOW_TO_BEGIN = (
    "Begin with sed.get_config(), after `from gcrnn_jax.configs import sed`: it has "
    "every field; then change what differs"
)


@dataclasses.dataclass(frozen=True)
class FieldNames:
    """The sections and fields of a configuration.

    Attributes:
        types: Annotations by dotted name, that of the seed without a dot.
        needed: Fields by section, those that a configuration must have.
        network: Kind of its network; None: there is no such, and nothing is known of
            the section `model` but its kind.
    """

    types: dict[str, Any]
    needed: dict[str, list[str]]
    network: str | None

    @classmethod
    def of(
        cls, values: Mapping[str, Any], sections: Mapping[str, type]
    ) -> "FieldNames":
        """Those of a configuration.

        Args:
            values: Its sections, which say of what kind front end and network are.
            sections: The classes of all the other sections.
        """
        of_kind = {"front_end": KINDS, "model": NETWORKS}
        kinds = {name: _kind(values.get(name), of_kind[name]) for name in of_kind}
        chosen = {name: of_kind[name][kind] for name, kind in kinds.items() if kind}
        chosen.setdefault("front_end", next(iter(KINDS.values())))
        types: dict[str, Any] = {"seed": int}
        for section, classes in of_kind.items():
            types[f"{section}.kind"] = typing.Literal[tuple(classes)]
        every = [*sections.items(), *chosen.items()]
        # fields of the other front ends may be there, and count for nothing
        for section, one in [*(("front_end", kind) for kind in KINDS.values()), *every]:
            hints = typing.get_type_hints(one)
            names = fields_of(one, *_GIVEN)
            types |= {f"{section}.{name}": hints[name] for name in names}
        needed = {name: ["kind"] for name in of_kind}
        for section, one in every:
            fields = fields_of(one, *_GIVEN, *getattr(one, "found", ())).items()
            names = [name for name, is_needed in fields if is_needed]
            needed[section] = [*needed.get(section, ()), *names]
        return cls(types, needed, kinds["model"])

    def unknown(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Yields what a configuration has, sections and dotted fields, and must not."""
        for name, section in values.items():
            if name != "seed" and name not in self.needed:
                yield name
            elif isinstance(section, Mapping):
                names = [f"{name}.{field}" for field in section]
                is_known = name != "model" or self.network
                yield from (one for one in names if one not in self.types and is_known)

    def error(self, name: str, prefix: str = "") -> ConfigError:
        """The error for a section or field that there is not, with the nearest one.

        Args:
            name: Dotted, of a field.
            prefix: Of all names, such as "--config.".
        """
        section, _, field = name.rpartition(".")
        known = self.needed.get(section, ())
        networks = NETWORKS.items()
        kinds = [name for name, one in networks if field in fields_of(one, *_GIVEN)]
        if section == "model" and kinds and self.network:
            return ConfigError(
                f"{prefix}{name}: of a network of kind {' or '.join(kinds)}; this one "
                f"is {self.network}, with {', '.join(known)}"
            )
        sections = ["seed", *self.needed]
        found = {f"front_end.{name}" for one in KINDS.values() for name in one.found}
        fields = [name for name in self.types if name not in found]
        names = [*([] if section else sections), *fields]
        hint = nearest(name, names, prefix)
        hint = hint or f"known: {', '.join(known or sections)}"
        what = "field" if section else "field or section"
        return ConfigError(f"{prefix}{name}: unknown {what}; {hint}")

    def check_file(self, values: Mapping[str, Any], path: Path) -> None:
        """Checks that a file has all sections and fields, and no others.

        Raises:
            ConfigError: It has not; names all that is missing, and how to begin.
        """
        for name in self.unknown(values):
            raise ConfigError(f"{path}: {self.error(name)}")
        missing = [] if "seed" in values else ["  seed"]
        for section, fields in self.needed.items():
            found = values.get(section, {})
            if not isinstance(found, Mapping):
                raise ConfigError(f"{path}: {section}: expected a section, got {found}")
            if names := [name for name in fields if name not in found]:
                what = "fields of section" if found else "section"
                missing.append(f"  {what} {section}: {', '.join(names)}")
        if missing:
            raise ConfigError(f"{path} lacks", *missing, _HOW_TO_BEGIN)


def _kind(section: Any, classes: Mapping[str, type]) -> str | None:
    kind = section.get("kind") if isinstance(section, Mapping) else None
    return kind if isinstance(kind, str) and kind in classes else None
