"""The map in gcrnn_jax/__init__.py is complete, and imports follow it."""

import ast
import re
from pathlib import Path

import gcrnn_jax

PACKAGE = Path(gcrnn_jax.__file__).parent
ROOMS = re.findall(r"^    (\w+)  ", gcrnn_jax.__doc__, re.M)


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
            if parts[0] == "gcrnn_jax" and len(parts) > 1:
                yield parts[1]


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


def test_no_file_is_longer_than_one_can_hold_in_mind():
    folders = [PACKAGE, *(PACKAGE.parent / f for f in ("configs", "launch"))]
    long = {
        path.name: lines
        for folder in folders
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 320
    }
    assert not long
