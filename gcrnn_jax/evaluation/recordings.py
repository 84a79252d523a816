"""Lists of recordings: which are scored, how long they are, what belongs together."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

from gcrnn_jax.audio.measure import measure
from gcrnn_jax.audio.recording_files import AUDIO_ENDINGS, walk_files
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.lists.text import (
    FILE_NAMES,
    find_separator,
    read_utf8_lines,
    split_columns,
)
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation.names import Names, first_of
from gcrnn_jax.evaluation.other_forms import check_is_list

_DURATION_NAMES = frozenset("duration duration_s length length_s seconds".split())


def read_names(path: Path) -> list[str]:
    """The first column of a list, without its header.

    Raises:
        DataError: It cannot be read or is empty.
    """
    rows = _read_table(path)
    if rows and rows[0][1][0].lower() in FILE_NAMES:
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path}: expected a recording a line, got none")
    return list(dict.fromkeys(columns[0] for _, columns in rows))


def read_durations(path: Path) -> dict[str, float]:
    """Names and seconds of a list, with or without a header.

    Raises:
        DataError: It cannot be read, a row has no name and seconds, or a recording has
            two lengths.
    """
    rows = _read_table(path)
    name, place = 0, 1
    if rows and not _is_number(rows[0][1][-1]):
        header = [column.lower() for column in rows[0][1]]
        name = next((i for i, c in enumerate(header) if c in FILE_NAMES), 0)
        place = next((i for i, c in enumerate(header) if c in _DURATION_NAMES), 1)
        rows = rows[1:]
    durations: dict[str, float] = {}
    for line, columns in rows:
        text = columns[place] if len(columns) > max(name, place) else ""
        if not _is_number(text) or not 0 < float(text) < math.inf:
            came = " | ".join(columns)
            raise DataError(
                f"{path}:{line}: expected a recording and its seconds, got {came!r}"
            )
        seconds = float(text)
        if durations.setdefault(columns[name], seconds) != seconds:
            raise DataError(
                f"{path}:{line}: expected one length of {columns[name]}, got "
                f"{durations[columns[name]]:g} and {seconds:g} s"
            )
    if not durations:
        raise DataError(f"{path}: expected a recording and its seconds a line, got 0")
    return durations


def measure_durations(folder: Path, names: Names) -> dict[str, float]:
    """The lengths of the recordings of a folder, which are decoded to their ends.

    Raises:
        DataError: A recording is not there or cannot be read.
    """

    def fail(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename}: {error.strerror}")

    paths = [
        path
        for path in walk_files(str(folder), fail)
        if os.path.splitext(path)[1].lower() in AUDIO_ENDINGS
    ]
    if not paths:
        raise DataError(f"{folder}: expected a list of durations, or recordings; got 0")
    own = names.find_all((os.path.relpath(path, folder) for path in paths), folder)
    found = {}
    for path in paths:
        if name := own.get(os.path.relpath(path, folder)):
            try:
                found[name] = measure(path).duration_s
            except Rejected as error:
                raise DataError(f"{path}: {error}") from None
    check_all(found, names, folder)
    return {name: found[name] for name in names.names}


def read_groups(source: str, reference: Path, names: Names) -> list[str]:
    """The group of every recording: of a file of two columns, or a column's name.

    Args:
        source: A file of recordings and their groups, or the name of a column of the
            reference.
        reference: Of its list, which has the column.
        names: Of the recordings.

    Raises:
        DataError: There is neither, or a recording has no group or two.
    """
    path = Path(source)
    rows = _read_table(path if path.is_file() else reference)
    header = [column.lower() for column in rows[0][1]] if rows else []
    name = next((i for i, c in enumerate(header) if c in FILE_NAMES), None)
    place = 1
    if not path.is_file():
        if source.lower() not in header or name is None:
            raise DataError(
                f"--groups: expected a file, or a column of {reference}, whose header "
                f"is {', '.join(header)!r}; got {source!r}"
            )
        place, path = header.index(source.lower()), reference
    rows = rows[1:] if name is not None else rows
    file = name or 0
    pairs = [(c[file], c[place]) for _, c in rows if len(c) > max(file, place)]
    own = names.find_all((file for file, _ in pairs), path)
    groups: dict[str, str] = {}
    for file, group in pairs:
        if file in own and groups.setdefault(own[file], group) != group:
            came = f"{groups[own[file]]!r} and {group!r}"
            raise DataError(f"{path}: {file}: expected one group, got {came}")
    check_all(groups, names, path)
    return [groups[name] for name in names.names]


def check_all(found: Mapping[str, object], names: Names, where: object) -> None:
    """Raises DataError unless all recordings are found."""
    if missing := [name for name in names.names if name not in found]:
        raise DataError(
            f"{where}: {len(missing)} of {len(names.names)} recordings are not in it: "
            f"{first_of(missing)}"
        )


def _read_table(path: Path) -> list[tuple[int, list[str]]]:
    """Lines and columns of a list that is not blank."""
    check_is_list(path)
    lines = read_utf8_lines(path)
    by = find_separator(lines, lambda columns: len(columns) > 1, default="\t")
    rows = []
    for line, text in lines.rows():
        rows.append((line, split_columns(text, by) if by in text else [text.strip()]))
    return rows


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
