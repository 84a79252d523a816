"""The map in gcrnn_jax/__init__.py is complete, and imports follow it."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import gcrnn_jax

PACKAGE = Path(gcrnn_jax.__file__).parent
ROOMS = re.findall(r"^    (\w+)  ", gcrnn_jax.__doc__, re.M)


LINES = re.findall(r"^    (\w+)  +(.*)$", gcrnn_jax.__doc__, re.M)
COMMANDS = [room for room, line in LINES if line.startswith("command: ")]
FOLDERS = [room for room in ROOMS if (PACKAGE / room).is_dir()]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """Rooms that a file imports anywhere, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "gcrnn_jax" and parts[1:] not in ([], ["__version__"]):
                yield gcrnn_jax._PLACES.get(parts[1], parts[1])


def test_every_room_is_on_the_map_and_every_name_on_it_is_a_room():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert sorted(rooms) == sorted(ROOMS)


def test_no_file_imports_from_a_room_below_its_own():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in PACKAGE.rglob("*.py")
        if room_of(path) in ROOMS
        for room in imported_rooms(path)
        if ROOMS.index(room) > ROOMS.index(room_of(path))
    ]
    assert not wrong


def test_no_room_imports_a_command():
    assert "main" in COMMANDS and "predict" in COMMANDS and "runs" not in COMMANDS
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in PACKAGE.rglob("*.py")
        if room_of(path) in ROOMS and room_of(path) not in (*COMMANDS, "cli")
        for room in imported_rooms(path)
        if room in COMMANDS
    ]
    assert not wrong


def imports_within_functions(path):
    """Lines of functions that import the package; FFmpeg is installed on some only."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                names = []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                if any(re.match(r"gcrnn_jax\b(?!.*ffmpeg)", name) for name in names):
                    yield node.lineno


def test_what_a_file_imports_stands_at_its_top():
    """Commands alone wait with it, so that their --help and mistakes come at once."""
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if room_of(path) not in (*COMMANDS, "cli", "__init__")
        for line in imports_within_functions(path)
    ]
    assert not wrong


@pytest.mark.parametrize("room", FOLDERS)
def test_a_room_says_what_it_is_for_and_names_what_others_use(room):
    module = importlib.import_module(f"gcrnn_jax.{room}")
    assert module.__file__, f"{room} has no __init__.py"
    assert module.__doc__ and dict(LINES)[room]
    assert module.__all__ == sorted(module.__all__, key=order)
    for name in module.__all__:
        assert getattr(module, name) is not None


def order(name):
    """Constants, classes, functions: as ruff sorts `__all__`."""
    return (not name.isupper(), not name[0].isupper(), name)


def test_the_public_names_of_the_package_are_there():
    for name in gcrnn_jax.__all__:
        assert getattr(gcrnn_jax, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Recognizer'"):
        gcrnn_jax.Recognizer  # noqa: B018
    assert re.fullmatch(r"\d+\.\d+\.\d+", gcrnn_jax.__version__)


def test_no_file_is_longer_than_one_can_hold_in_mind():
    folders = [PACKAGE, *(PACKAGE.parent / f for f in ("configs", "launch"))]
    long = {
        path.name: lines
        for folder in folders
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 320
    }
    assert not long
