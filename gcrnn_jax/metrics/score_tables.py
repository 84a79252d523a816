"""Score tables: the scores of every frame of a recording, as any system gives them.

The form of sed_scores_eval, which DCASE asks for since 2023: one `CLIP.tsv` for each
recording, with a header `onset offset CLASS...` and a row for each frame; frames tile
the recording. A class is active where its score is above a threshold, strictly.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.data.lists.text import check_utf8, read_lines
from gcrnn_jax.errors import DataError

_LABELS = {"event_label", "label"}  # columns of a list of events, not of scores


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of one recording.

    Attributes:
        clip_id: The name of the recording without its ending.
        class_names: K names.
        times: [T + 1] seconds, rising: frame t is [times[t], times[t + 1]).
        scores: float [T, K], not nan; any scale, as long as more is surer.
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
        self.paths = sorted(Path(folder).glob("*.tsv"))
        if not self.paths:
            raise DataError(f"{folder}: expected a score table a clip, found no .tsv")

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[ScoreTable]:
        return map(read_score_table, self.paths)


def is_score_folder(folder: Path) -> bool:
    """Whether the first .tsv of a folder is a score table."""
    path = min(folder.glob("*.tsv"), default=None)
    if path is None:
        return False
    columns = next(iter(read_lines(path)), "").split("\t")
    return columns[:2] == ["onset", "offset"] and not _LABELS & {*columns[2:]}


def read_score_table(path: str | Path) -> ScoreTable:
    """Reads a table of sed_scores_eval's form; scores are float64.

    Raises:
        DataError: It cannot be read, has no frames, a row of another length, what is no
            number, or frames that do not tile the recording.
    """
    lines = read_lines(path)
    check_utf8(path, lines)
    header, *rows = [line for line in lines if line.strip()] or [""]
    columns = header.split("\t")
    if columns[:2] != ["onset", "offset"] or len(columns) < 3 or not rows:
        expected = "a header `onset offset CLASS...`, tab-separated, and frames below"
        raise DataError(f"{path}: expected {expected}, got {header[:60]!r}")
    try:
        table = np.loadtxt(rows, delimiter="\t", ndmin=2, comments=None)
    except ValueError:
        table = np.zeros((0, 0))
    if table.shape != (len(rows), len(columns)) or np.isnan(table.min()):
        raise DataError(_first_fault(path, lines, len(columns)))
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
    return ScoreTable(Path(path).stem, tuple(columns[2:]), times, table[:, 2:])


def _row_lines(lines: Iterable[str]) -> list[int]:
    """The lines of a table's rows, counted from 1; those of spaces alone are none."""
    return [n for n, line in enumerate(lines, start=1) if line.strip()][1:]


def _first_fault(path: str | Path, lines: Iterable[str], num_columns: int) -> str:
    """Which line of a table is no row of numbers, and why."""
    lines = list(lines)
    for number in _row_lines(lines):
        columns = lines[number - 1].split("\t")
        if len(columns) != num_columns:
            expected = f"expected {num_columns} columns as in the header"
            return f"{path}:{number}: {expected}, got {len(columns)}"
        for column in columns:
            if not _is_number(column):
                return f"{path}:{number}: expected a number, got {column[:60]!r}"
    return f"{path}: expected rows of {num_columns} numbers"


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
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
