"""Sections of a configuration -> typed objects; every mistake names its field."""

import dataclasses
import math
from typing import Literal

import pytest
from flax import linen as nn

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import (
    command_parser,
    construct,
    convert,
    describe,
    user_path,
)


@dataclasses.dataclass(frozen=True)
class Section:
    count: int
    rate: float
    is_on: bool
    label: str
    kind: Literal["adam", "sgd"]
    sizes: tuple[int, ...]
    pair: tuple[int, float]
    threshold: float | tuple[float, ...]
    end: int | None = None

    def __post_init__(self):
        if self.count < 0:
            raise ValueError(f"count must be 0 or more, got {self.count}")


VALUES = {
    "count": 3,
    "rate": 0.5,
    "is_on": True,
    "label": "a",
    "kind": "sgd",
    "sizes": (1, 2),
    "pair": (1, 0.5),
    "threshold": 0.3,
}


def built(**changes):
    return construct(Section, {**VALUES, **changes}, "part")


def test_values_of_the_right_types_become_the_object():
    assert built() == Section(**VALUES)
    assert built(end=4).end == 4
    assert built(end=None).end is None


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("rate", 1, 1.0),
        ("sizes", [1, 2, 3], (1, 2, 3)),
        ("sizes", (), ()),
        ("pair", [2, 3], (2, 3.0)),
        ("threshold", [1, 0.5], (1.0, 0.5)),
        ("threshold", 1, 1.0),
    ],
)
def test_near_types_are_converted(field, value, expected):
    result = getattr(built(**{field: value}), field)
    assert result == expected and type(result) is type(expected)
    if isinstance(expected, tuple):
        assert [type(x) for x in result] == [type(x) for x in expected]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("count", True, "int"),
        ("count", 1.0, "int"),
        ("count", "1", "int"),
        ("count", None, "int"),
        ("rate", True, "a finite number"),
        ("rate", math.nan, "a finite number"),
        ("rate", math.inf, "a finite number"),
        ("rate", -math.inf, "a finite number"),
        ("is_on", 1, "bool"),
        ("label", 1, "str"),
        ("kind", "lion", "'adam' or 'sgd'"),
        ("kind", 0, "'adam' or 'sgd'"),
        ("kind", ["sgd"], "'adam' or 'sgd'"),
        ("sizes", 1, "a list of int"),
        ("sizes", (1, 2.0), "a list of int"),
        ("sizes", "12", "a list of int"),
        ("pair", (1,), "a list of 2"),
        ("pair", (1, 2, 3), "a list of 2"),
        ("pair", (1.5, 2), "a list of 2"),
        ("threshold", [0.5, math.nan], "a finite number or a list of a finite number"),
        ("threshold", "0.5", "a finite number or a list of a finite number"),
        ("end", 1.0, "int or None"),
    ],
)
def test_a_value_of_another_type_names_field_and_type(field, value, expected):
    with pytest.raises(ConfigError) as error:
        built(**{field: value})
    start = f"part.{field}: expected {expected}"
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(f"got {value!r}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("treshold", "did you mean threshold?"),
        ("size", "did you mean sizes?"),
        ("Rate", "did you mean rate?"),
        ("xyz", "known: count, rate, is_on, label, kind, sizes, pair, threshold, end"),
    ],
)
def test_an_unknown_field_names_the_nearest(name, hint):
    with pytest.raises(ConfigError) as error:
        built(**{name: 1})
    assert str(error.value) == f"part.{name}: unknown field; {hint}"


@pytest.mark.parametrize("name", VALUES)
def test_a_missing_field_is_named(name):
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(ConfigError, match=f"^part.{name}: missing$"):
        construct(Section, values, "part")


def test_a_value_out_of_range_names_the_section():
    with pytest.raises(ConfigError, match=r"^part: count must be 0 or more, got -1$"):
        built(count=-1)


def test_a_field_from_elsewhere_is_no_part_of_the_section():
    values = {key: value for key, value in VALUES.items() if key != "count"}
    assert construct(Section, values, "part", count=7).count == 7
    with pytest.raises(ConfigError, match=r"part.count: unknown field"):
        construct(Section, VALUES, "part", count=7)


def test_what_flax_adds_to_a_module_is_no_field():
    class Layer(nn.Module):
        size: int

    assert construct(Layer, {"size": 3}, "layer").size == 3
    for name in ("parent", "name"):
        with pytest.raises(ConfigError, match=f"layer.{name}: unknown field"):
            construct(Layer, {"size": 3, name: "x"}, "layer")


def test_a_dataclass_without_values_is_built_of_its_defaults():
    @dataclasses.dataclass
    class Defaults:
        one: int = 1
        many: list = dataclasses.field(default_factory=list)
        derived: int = dataclasses.field(default=2, init=False)

    assert construct(Defaults, {}, "part") == Defaults()
    with pytest.raises(ConfigError, match=r"part.derived: unknown field"):
        construct(Defaults, {"derived": 3}, "part")


def test_the_first_type_of_a_union_that_fits_is_taken():
    assert convert(1, int | float, "x") == 1
    assert type(convert(1, int | float, "x")) is int
    assert convert((1, 2), Literal["a"] | tuple[int, ...], "x") == (1, 2)
    with pytest.raises(ConfigError, match=r"^x: expected 'a' or a list of int, got 3$"):
        convert(3, Literal["a"] | tuple[int, ...], "x")


def test_lists_are_described_as_a_user_reads_them():
    assert describe(tuple[int, int, int]) == "a list of 3 int"
    assert describe(tuple[str, ...]) == "a list of str"


def test_a_path_of_the_users_home_is_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a/b") == tmp_path / "a/b" and user_path("~") == tmp_path
    assert str(user_path("a/~/b")) == "a/~/b"
    assert str(user_path("~no_such_user.wav")) == "~no_such_user.wav"
    with pytest.raises(ConfigError, match="empty"):
        user_path("")
    monkeypatch.setattr("os.path.expanduser", lambda text: text)
    with pytest.raises(ConfigError, match="no home folder is known"):
        user_path("~/a")


def test_a_list_of_a_flag_does_not_replace_another(capsys):
    parser = command_parser("module", "doc")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--names", nargs="+", default=["none"])
    parser.add_argument_group("group").add_argument("--range", nargs=2, type=float)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args("a b --names c d --range 1 2 --seed 1 --seed 2".split())
    assert (flags.files, flags.names, flags.range) == (["a", "b"], ["c", "d"], [1, 2])
    assert flags.seed == 2  # so that a script may state one before those it is given
    assert parser.parse_args([]).names == ["none"]
    for twice in ("--names c --names d", "--range 1 2 --range 1 2"):
        with pytest.raises(SystemExit):
            parser.parse_args(twice.split())
        flag = twice.split()[0]
        assert f"argument {flag}: given twice, expected once" in capsys.readouterr().err
