"""Score tables: the scores of every frame of a recording, as any system gives them.

The form of sed_scores_eval, which DCASE asks for since 2023: one `CLIP.tsv` for each
recording, with a header `onset offset CLASS...` and a row for each frame; frames tile
the recording. A class is active where its score is above a threshold, strictly.

Tables separated by commas or semicolons (then with decimal commas, too), as .csv or
.txt, and headers `start end` are read as well.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.data.lists.text import (
    OFFSET_NAMES,
    ONSET_NAMES,
    BadRow,
    check_utf8,
    read_lines,
    split_columns,
)
from gcrnn_jax.errors import DataError

_LABELS = {"event_label", "label"}  # columns of a list of events, not of scores
_ENDINGS = (".tsv", ".csv", ".txt")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of one recording.

    Attributes:
        clip_id: The name of the recording without its ending.
        class_names: K names.
        times: [T + 1] seconds, rising: frame t is [times[t], times[t + 1]).
        scores: float [T, K], not nan; any scale, as long as more is surer. -inf is
            below every threshold.
    """

    clip_id: str
    class_names: tuple[str, ...]
    times: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        wanted = (len(self.times) - 1, len(self.class_names))
        if self.scores.shape != wanted or not self.scores.size:
            raise DataError(
                f"{self.clip_id}: expected scores of {wanted[0]} frames and "
                f"{wanted[1]} classes, got the shape {self.scores.shape}"
            )
        if not (np.diff(self.times) > 0).all():
            raise DataError(f"{self.clip_id}: expected times that rise")
        if np.isnan(self.scores.min()):
            raise DataError(f"{self.clip_id}: expected scores, got nan")

    def in_order(self, class_names: Sequence[str], where: object = "") -> "ScoreTable":
        """The same with the classes in this order.

        Raises:
            DataError: Its classes are others; names `where` it is from.

        Example:
            >>> table = ScoreTable("a", ("x", "y"), np.arange(2), np.array([[1, 2]]))
            >>> table.in_order(("y", "x")).scores
            array([[2, 1]])
        """
        if self.class_names == tuple(class_names):
            return self
        if sorted(self.class_names) != sorted(class_names):
            raise DataError(
                f"{where or self.clip_id}: expected the classes of the tables before, "
                f"{', '.join(class_names[:5])} ..., got {', '.join(self.class_names)}"
            )
        columns = [self.class_names.index(name) for name in class_names]
        scores = self.scores[:, columns]
        return ScoreTable(self.clip_id, tuple(class_names), self.times, scores)

    def events(self, threshold: float | np.ndarray) -> list[Event]:
        """Events where a score is above the threshold, one for all or one a class.

        Example:
            >>> scores = np.array([[0.2], [0.6], [0.7], [0.5]])
            >>> table = ScoreTable("a", ("Car",), np.arange(5) / 10, scores)
            >>> table.events(0.5)
            [Event(onset=0.1, offset=0.3, event_label='Car')]
        """
        silence = np.zeros((1, len(self.class_names)), np.int8)
        # In float64, as scores are counted: 0.6 of a float32 table is above 0.6.
        above = self.scores > np.asarray(threshold, np.float64)
        active = np.concatenate([silence, above, silence])
        edges = np.diff(active, axis=0).T  # [K, T + 1]: 1 at an onset, -1 at an offset
        (k, first), end = np.nonzero(edges > 0), np.nonzero(edges < 0)[1]
        onsets, offsets = self.times[first].tolist(), self.times[end].tolist()
        names = [self.class_names[i] for i in k.tolist()]
        return [Event(*event) for event in zip(onsets, offsets, names, strict=True)]


class ScoreFolder(Iterable[ScoreTable]):
    """The tables of a folder, read one by one each time that they are asked for.

    So a folder may be larger than memory. `ScoreFolder(path)` raises DataError if there
    is no table in it; reading one may too.
    """

    def __init__(self, folder: str | Path):
        self.paths = _tables_in(Path(folder))
        if not self.paths:
            raise DataError(f"{folder}: expected a score table a clip, found no .tsv")

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[ScoreTable]:
        return map(read_score_table, self.paths)


def is_score_folder(folder: Path) -> bool:
    """Whether the first file of a folder that is not empty is a score table."""
    for path in _tables_in(folder):
        rows = (text for _, text in read_lines(path).rows())
        if (header := next(rows, None)) is not None:
            return _is_score_head(header, next(rows, ""))
    return False


def _is_score_head(header: str, row: str) -> bool:
    """Whether the first lines of a file are of a score table: numbers, no labels."""
    if (found := _columns_of(header)) is None:
        return False
    separator, columns = found
    if _LABELS & {column.lower() for column in columns}:
        return False
    return not row or _is_number(_number_text(row, separator).split(separator)[-1])


def _tables_in(folder: Path) -> list[Path]:
    """The files of the first ending that some have, without hidden ones."""
    for ending in _ENDINGS:
        paths = sorted(folder.glob(f"*{ending}"))
        if paths := [path for path in paths if not path.name.startswith(".")]:
            return paths
    return []


def _columns_of(header: str) -> tuple[str, list[str]] | None:
    """Separator and columns of a header of scores; None: it is no such header."""
    for separator in "\t;,":
        try:
            columns = split_columns(header, separator)
        except BadRow:
            continue
        onset, offset = ([name.lower() for name in columns] + ["", ""])[:2]
        if len(columns) > 2 and onset in ONSET_NAMES and offset in OFFSET_NAMES:
            return separator, columns
    return None


def _number_text(row: str, separator: str) -> str:
    """A row with decimal points, also where semicolons and decimal commas are."""
    return row.replace(",", ".") if separator == ";" else row


def read_score_table(path: str | Path, class_names: Sequence[str] = ()) -> ScoreTable:
    """Reads a table of sed_scores_eval's form; scores are float64.

    Args:
        path: Of the table.
        class_names: The order to bring the classes to; none: as they are.

    Raises:
        DataError: It cannot be read, has no frames, a class twice or other classes, a
            row of another length, what is no number, or frames that do not tile the
            recording.
    """
    lines = read_lines(path)
    check_utf8(path, lines)
    header, *rows = [line for line in lines if line.strip()] or [""]
    if (found := _columns_of(header)) is None or not rows:
        expected = "a header `onset offset CLASS...`, tab-separated, and frames below"
        raise DataError(f"{path}: expected {expected}, got {header[:60]!r}")
    separator, columns = found
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise DataError(f"{path}:1: expected each class once, got {twice[0]!r} again")
    rows = [_number_text(row, separator) for row in rows]
    try:
        table = np.loadtxt(rows, delimiter=separator, ndmin=2, comments=None)
    except ValueError:
        table = np.zeros((0, 0))
    is_whole = table.shape == (len(rows), len(columns)) and table.max() < math.inf
    if not is_whole or not np.isfinite(table[:, :2]).all():
        raise DataError(_first_fault(path, lines, len(columns), separator))
    gaps = np.flatnonzero(np.abs(table[1:, 0] - table[:-1, 1]) > 1e-6)
    if len(gaps):
        row = int(gaps[0]) + 1
        raise DataError(
            f"{path}:{_row_lines(lines)[row]}: expected frames that tile the clip, got "
            f"one until {table[row - 1, 1]:g} s before one from {table[row, 0]:g} s"
        )
    times = np.append(table[:, 0], table[-1, 1])
    if len(falls := np.flatnonzero(np.diff(times) <= 0)):
        row = int(falls[0])
        raise DataError(
            f"{path}:{_row_lines(lines)[row]}: expected times that rise, got a frame "
            f"from {times[row]:g} to {times[row + 1]:g} s"
        )
    names = tuple(columns[2:])
    read = ScoreTable(Path(path).stem, names, times, table[:, 2:])
    return read.in_order(class_names or names, path)


def _row_lines(lines: Iterable[str]) -> list[int]:
    """The lines of a table's rows, counted from 1; those of spaces alone are none."""
    return [n for n, line in enumerate(lines, start=1) if line.strip()][1:]


def _first_fault(
    path: str | Path, lines: Iterable[str], num_columns: int, separator: str
) -> str:
    """Which line of a table is no row of numbers, and why."""
    lines = list(lines)
    for number in _row_lines(lines):
        columns = _number_text(lines[number - 1], separator).split(separator)
        if len(columns) != num_columns:
            expected = f"expected {num_columns} columns as in the header"
            return f"{path}:{number}: {expected}, got {len(columns)}"
        for n, column in enumerate(columns):
            if not _is_number(column) or (n < 2 and float(column) == -math.inf):
                return f"{path}:{number}: expected a number, got {column[:60]!r}"
    return f"{path}: expected rows of {num_columns} numbers"


def _is_number(text: str) -> bool:
    """Whether a text is a score: no nan and not infinite, but for -inf."""
    try:
        return float(text) < math.inf
    except ValueError:
        return False


def clip_scores(tables: Iterable[ScoreTable]) -> tuple[list[str], np.ndarray]:
    """The highest score of every class in each clip, for the scores of tags.

    Returns:
        N clip ids and [N, K].
    """
    pairs = [(table.clip_id, table.scores.max(0)) for table in tables]
    return [clip_id for clip_id, _ in pairs], np.stack([scores for _, scores in pairs])


def by_clip_id(
    events: Mapping[str, Sequence[Event]],
) -> dict[str, Sequence[Event]]:
    """Events of files by clip id, which has no ending; two of one name are an error.

    Example:
        >>> by_clip_id({"a.wav": [], "b.wav": []})
        {'a': [], 'b': []}
    """
    found = {clip_id_of_file(file): list_ for file, list_ in events.items()}
    if len(found) != len(events):
        raise DataError("two files of a list have names that differ in their end only")
    return found
