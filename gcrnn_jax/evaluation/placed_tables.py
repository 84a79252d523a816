"""The score tables of the recordings of a reference, and functions over all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.metrics.score_tables import ScoreFolder, ScoreTable, read_score_table

_FILES_A_TASK = 8
_LARGE_BYTES = 100_000_000  # of tables as text, too many to keep in memory


@dataclass(frozen=True, eq=False)
class Placed(Iterable[ScoreTable]):
    """Tables of the recordings of a reference, named by their places, as "0".

    Recordings without one get one without any detection.

    Attributes:
        tables: Of any recordings; they may be gone through several times.
        places: Of clip ids.
        missing: Places of recordings without a table.
        class_names: Of the tables; those of files are brought to this order.
        silence_s: How long recordings without a table are.
    """

    tables: Iterable[ScoreTable]
    places: Mapping[str, int]
    missing: Sequence[int] = ()
    class_names: tuple[str, ...] = ()
    silence_s: float = 1.0

    def __iter__(self) -> Iterator[ScoreTable]:
        if files := self.files():
            yield from _read(files, self.class_names)
        else:
            for table in self.tables:
                if table.clip_id in self.places:
                    yield replace(table, clip_id=str(self.places[table.clip_id]))
        yield from self.silent()

    def silent(self) -> Iterator[ScoreTable]:
        """Those of recordings without a table."""
        nothing = np.full((1, len(self.class_names)), -np.inf)
        times = np.array([0, self.silence_s])
        for place in self.missing:
            yield ScoreTable(str(place), self.class_names, times, nothing)

    def first(self) -> ScoreTable | None:
        """The first of a recording of the reference, by its own name."""
        if files := self.files():
            return read_score_table(files[0][0])
        known = (table for table in self.tables if table.clip_id in self.places)
        return next(known, None)

    def is_large(self) -> bool:
        """Whether they are so many files that they are not to be kept in memory."""
        return sum(path.stat().st_size for path, _ in self.files()) > _LARGE_BYTES

    def files(self) -> list[tuple[Path, int]]:
        """The files to be read, and their places; none if tables are no files."""
        if not isinstance(self.tables, ScoreFolder):
            return []
        paths = ((path, self.places.get(path.stem)) for path in self.tables.paths)
        return [(path, place) for path, place in paths if place is not None]


def over_tables(
    function: Callable[[Any, ScoreTable], Any],
    context: Any,
    tables: Iterable[ScoreTable],
) -> Iterator[Any]:
    """Yields function(context, table) for every table, in their order.

    Large folders are read in as many processes as there are cores: to turn their text
    into numbers takes most of the time. So the function is one of a module.
    """
    if not isinstance(tables, Placed) or not tables.is_large():
        yield from (function(context, table) for table in tables)
        return
    files = tables.files()
    starts = range(0, len(files), _FILES_A_TASK)
    tasks = [files[first : first + _FILES_A_TASK] for first in starts]
    of_all = function, context, tables.class_names
    num = resolve_num_workers(-1, len(files))
    options = {"context": of_all, "num_workers": num, "name": _first_name}
    with closing(ordered_map(_over_files, tasks, **options)) as found:
        for results in found:
            yield from results
    yield from (function(context, table) for table in tables.silent())


def _over_files(
    of_all: tuple[Callable[[Any, ScoreTable], Any], Any, tuple[str, ...]],
    files: Sequence[tuple[Path, int]],
) -> list[Any]:
    function, context, class_names = of_all
    return [function(context, table) for table in _read(files, class_names)]


def _read(
    files: Sequence[tuple[Path, int]], class_names: Sequence[str]
) -> Iterator[ScoreTable]:
    for path, place in files:
        yield replace(read_score_table(path, class_names), clip_id=str(place))


def _first_name(files: Sequence[tuple[Path, int]]) -> str:
    return str(files[0][0])
