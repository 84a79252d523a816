"""Sections of a configuration, and flags, -> typed objects; mistakes are named."""

import argparse
import dataclasses
import difflib
import json
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gcrnn_jax.errors import ConfigError

T = typing.TypeVar("T")
_NOT_FIELDS = ("parent", "name")  # that flax adds to every module
_WRONG = object()
_NEAR = 0.5  # similarity from which on one name may have been meant for another
_RULES: dict[str, Callable[[Any], bool]] = {  # False for a NaN, too
    "-1 or more": lambda x: x >= -1,
    "0 or more": lambda x: x >= 0,
    "1 or more": lambda x: x >= 1,
    "1 or more each": lambda x: x >= 1,
    "65536 or less": lambda x: x <= 65536,
    "1000 or less": lambda x: x <= 1000,
    "1000000 or less": lambda x: x <= 1_000_000,
    "2 or more": lambda x: x >= 2,
    "1 or less": lambda x: x <= 1,
    "greater than 0": lambda x: x > 0,
    "in [0, 1)": lambda x: 0 <= x < 1,
    "in [0.25, 4]": lambda x: 0.25 <= x <= 4,
    "in [0, 1]": lambda x: 0 <= x <= 1,
    "odd and 1 or more": lambda x: x >= 1 and x % 2 == 1,
}


def command_parser(
    module: str, doc: str | None, epilog: str = "", **options: Any
) -> argparse.ArgumentParser:
    """A parser of `python -m MODULE`, whose help shows its texts as they are."""
    how = argparse.RawDescriptionHelpFormatter
    names = {"prog": f"python -m {module}", "description": doc, "epilog": epilog}
    parser = argparse.ArgumentParser(**names, formatter_class=how, **options)
    parser.register("action", None, _Store)
    return parser


class _Store(argparse.Action):
    """Stores a flag; of one with several values no second list replaces the first."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Raises ArgumentError for the second."""
        before = getattr(namespace, self.dest, self.default)
        if self.nargs not in (None, "?") and before is not self.default:
            raise argparse.ArgumentError(
                self, "given twice, expected once, with all its values"
            )
        setattr(namespace, self.dest, values)


def user_path(text: str) -> Path:
    """A path that a flag or a field names, with ~ replaced.

    Shells leave it behind `=`, and a folder named ~ is what nobody wants.

    Raises:
        ConfigError: It is empty, or of the user's home, and no home is known.
    """
    if not text:
        raise ConfigError("expected a path, got an empty one")
    path = Path(os.path.expanduser(text))
    if path.parts[:1] == ("~",):
        raise ConfigError(f"{text}: no home folder is known, set HOME or name it whole")
    return path


def add_layout_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say how a folder is read: fields of the section `data`."""
    parser.add_argument(
        "--layout",
        help="of the folder, such as class_folders (default: the one that is found)",
    )
    parser.add_argument(
        "--negatives",
        nargs="+",
        metavar="NAME",
        help="folders or labels that mean none of the classes, such as background",
    )
    parser.add_argument(
        "--clip_hop_s",
        type=float,
        help="seconds from clip to clip of a long recording (default: no overlap)",
    )
    parser.add_argument(
        "--split_fractions",
        type=float,
        nargs=3,
        metavar=("TRAINING", "VALIDATION", "TESTING"),
        help="of recordings, where the folder states no splits (default: 0.7 0.15 "
        "0.15)",
    )
    parser.add_argument("--split_seed", type=int, help="of that division (default: 0)")


def layout_fields(flags: argparse.Namespace) -> dict[str, Any]:
    """The fields of the section `data` that `add_layout_flags` were given for."""
    names = "layout", "negatives", "clip_hop_s", "split_fractions", "split_seed"
    values = {name: getattr(flags, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def at_least_one(text: str) -> int:
    """A flag's number of 1 or more; argparse.ArgumentTypeError for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


def construct(cls: type[T], values: Mapping[str, Any], section: str, **given: Any) -> T:
    """Builds a dataclass, or a flax module, from the values of a section.

    Args:
        cls: Its annotations say which types are accepted: int, float (an int is one),
            bool, str, Literal, tuples (a list is one) and unions of them.
        values: Plain values by field name; every field without a default is expected.
        section: Name of the section, for messages.
        given: Fields that are no part of the section.

    Raises:
        ConfigError: A field is unknown, missing, ill-typed or not finite, or the
            constructor refuses its value.

    Example:
        >>> Point = dataclasses.make_dataclass("Point", [("x", float), ("y", float)])
        >>> construct(Point, {"x": 1, "y": 2.5}, "point")
        Point(x=1.0, y=2.5)
        >>> construct(Point, {"x": 1, "yy": 2.5}, "point")
        Traceback (most recent call last):
        gcrnn_jax.errors.ConfigError: point.yy: unknown field; did you mean y?
    """
    hints = typing.get_type_hints(cls)
    fields = fields_of(cls, *given)
    for name in values:
        if name not in fields:
            raise unknown_field(name, fields, section)
    for name, is_needed in fields.items():
        if is_needed and name not in values:
            raise ConfigError(f"{section}.{name}: missing")
    typed = {
        name: convert(value, hints[name], f"{section}.{name}")
        for name, value in values.items()
    }
    try:
        return cls(**given, **typed)
    except ValueError as error:
        raise ConfigError(f"{section}: {error}") from error


def fields_of(cls: type, *left_out: str) -> dict[str, bool]:
    """The fields of a section's class, and whether each must be given."""
    return {
        field.name: field.default is field.default_factory  # both are MISSING
        for field in dataclasses.fields(typing.cast(Any, cls))
        if field.init and field.name not in {*_NOT_FIELDS, *left_out}
    }


def check(owner: object, rule: str, *names: str) -> None:
    """Raises ValueError for a field, or an item of it, that breaks a rule."""
    for name in names:
        value = getattr(owner, name)
        items = value if isinstance(value, tuple | list) else (value,)
        if not all(map(_RULES[rule], items)):
            raise ValueError(f"{name} must be {rule}, got {value}")


def unknown_field(name: str, known: Iterable[str], section: str) -> ConfigError:
    """The error for a field that a section has not, with the nearest one that it has.

    Args:
        name: Of the field.
        known: The fields of the section.
        section: Its name.
    """
    hint = nearest(name, known) or f"known: {', '.join(known)}"
    return ConfigError(f"{section}.{name}: unknown field; {hint}")


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """The question whether another name was meant; "" where none is near.

    Args:
        name: That there is not.
        known: Those that there are, of fields of other sections too.
        prefix: Of the names, in the question.

    Example:
        >>> known = ["model.filters", "optimizer.learning_rate", "training.num_epochs"]
        >>> nearest("filtrs", known)
        'did you mean model.filters?'
        >>> nearest("model.lr", known, prefix="--config.")
        'did you mean --config.optimizer.learning_rate?'
        >>> nearest("xyz", known)
        ''
    """
    scores = {one: _similarity(name, one) for one in known}
    best = max(scores.values(), default=0.0)
    names = [prefix + one for one, score in scores.items() if score >= best - 1e-9]
    if best < _NEAR or len(names) > 3:
        return ""
    return f"did you mean {' or '.join(names)}?"


def _similarity(name: str, known: str) -> float:
    """In [0, 1], of two names of fields; each may have its section before it."""
    (section, _, field), (of_known, _, known) = (
        one.lower().rpartition(".") for one in (name, known)
    )
    words = known.split("_") + known.removesuffix("s").split("_")
    score = difflib.SequenceMatcher(None, field, known).ratio()
    initials = "".join(word[:1] for word in known.split("_"))
    if field in (*words, initials):  # epochs, lr
        score = max(score, 0.8 + 0.1 * len(field) / len(known))
    if section and score >= _NEAR:
        of_sections = difflib.SequenceMatcher(None, section, of_known).ratio()
        score = 0.75 * score + 0.25 * of_sections
    return score


def convert(value: Any, hint: Any, where: str) -> Any:
    """A value in the type that an annotation asks for: 10 as 10.0, a list as a tuple.

    Raises:
        ConfigError: It has another type, or is not finite; `where` names it.
    """
    converted = _convert(value, hint)
    if converted is _WRONG:
        raise ConfigError(f"{where}: expected {describe(hint)}, got {value!r}")
    return converted


def _convert(value: Any, hint: Any) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        converted = (_convert(value, option) for option in options)
        return next((one for one in converted if one is not _WRONG), _WRONG)
    if origin is typing.Literal:
        return value if value in options else _WRONG
    if origin is tuple:
        return _convert_items(value, options)
    is_bool = isinstance(value, bool)
    if hint is float and isinstance(value, int) and not is_bool:
        value = float(value) if abs(value) < 2**1023 else math.inf
    is_right = isinstance(value, hint) and is_bool == (hint is bool)
    is_finite = not isinstance(value, float) or math.isfinite(value)
    return value if is_right and is_finite else _WRONG


def _convert_items(value: Any, hints: tuple[Any, ...]) -> Any:
    if not isinstance(value, list | tuple):
        return _WRONG
    if hints[1:] == (...,):
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        return _WRONG
    items = tuple(_convert(*pair) for pair in zip(value, hints, strict=True))
    return _WRONG if any(item is _WRONG for item in items) else items


def describe(hint: Any) -> str:
    """An annotation as a user reads it."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(describe, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return _describe_items(*typing.get_args(hint))
    if hint is types.NoneType:
        return "None"
    return "a finite number" if hint is float else f"{hint.__name__}"


def _describe_items(item: Any, *rest: Any) -> str:
    if rest == (...,):
        return f"a list of {describe(item)}"
    if {*rest} == {item}:
        return f"a list of {1 + len(rest)} {describe(item)}"
    return f"a list of {1 + len(rest)}: {', '.join(map(describe, (item, *rest)))}"


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
