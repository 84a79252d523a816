"""Score tables of several systems, of any kind, averaged and written as they came.

Each frame of the mean is within one frame of every system, so that no system's frames
are brought to others: its score is the weighted mean of theirs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gcrnn_jax.data.atomic_files import atomic_folder
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.evaluation.names import Names, first_of, nearest
from gcrnn_jax.evaluation.reference import Reference, read_reference
from gcrnn_jax.evaluation.systems import PosteriorTables
from gcrnn_jax.metrics.score_tables import (
    ScoreFolder,
    ScoreTable,
    is_score_folder,
    read_score_table,
)
from gcrnn_jax.metrics.tables import text_table

NUM_ROUNDS = 20  # members of the largest ensemble that weights are taken from


@dataclass(frozen=True, eq=False)
class Members:
    """Score tables of M systems, of the same recordings and classes.

    Attributes:
        paths: Of the systems.
        names: Of the recordings, as the first system has them.
        class_names: In the order of the first system.
    """

    paths: Sequence[Path]
    names: Sequence[str]
    class_names: tuple[str, ...]
    readers: Sequence["Reader"]

    def tables(self, name: str) -> list[ScoreTable]:
        """Those of one recording."""
        return [read.table(name, self.class_names) for read in self.readers]


class Reader:
    """The tables of one system, by the names of the first system."""

    def __init__(self, path: Path, names: Names | None):
        if path.suffix == ".npz":
            self._posteriors = PosteriorTables(PosteriorSet.load(path))
            own = list(self._posteriors.posteriors.clip_ids)
            self._place = {clip_id: n for n, clip_id in enumerate(own)}
        else:
            self._files = {one.stem: one for one in ScoreFolder(path).paths}
            own = list(self._files)
        self.path, self._own = path, {name: name for name in own}
        self.names = names or Names(own, path)
        if names is not None:
            found = names.find_all(own, path)
            self._own = {name: one for one, name in found.items()}
            if missing := [n for n in names.names if n not in self._own]:
                raise DataError(
                    f"{path}: {len(missing)} of {len(names.names)} recordings of the "
                    f"first system are not in it: {first_of(missing)}"
                )
            if unknown := [one for one in own if one not in found]:
                raise DataError(
                    f"{path}: {len(unknown)} recordings are not in the first system: "
                    f"{first_of(unknown)}{nearest(unknown[0], names.names)}"
                )

    def table(self, name: str, class_names: Sequence[str]) -> ScoreTable:
        """That of a recording, with classes in this order; none: as they are."""
        table = self._read(self._own[name])
        scores = table.scores
        if not (scores.min() >= 0 and scores.max() <= 1):
            raise DataError(
                f"{self.path}: {table.clip_id}: expected scores in [0, 1], whose mean "
                f"says something, got {scores.min():g} to {scores.max():g}"
            )
        classes = class_names or table.class_names
        if lacking := sorted({*classes} ^ {*table.class_names}):
            raise DataError(
                f"{self.path}: {table.clip_id}: expected the classes of the first "
                f"system, got others: {first_of(lacking)}"
            )
        columns = [table.class_names.index(one) for one in classes]
        return ScoreTable(name, tuple(classes), table.times, scores[:, columns])

    def _read(self, own: str) -> ScoreTable:
        if self.path.suffix != ".npz":
            return read_score_table(self._files[own])
        return self._posteriors.table(self._place[own])


def is_of_scores(paths: Iterable[Path]) -> bool:
    """Whether one of several systems is a folder of score tables."""
    return any(path.is_dir() and is_score_folder(path) for path in paths)


def open_members(paths: Sequence[Path]) -> Members:
    """The systems, whose recordings must be the same up to their names.

    Raises:
        ConfigError: A system is neither a score folder nor posteriors.
        DataError: They cannot be read, or are of other recordings.
    """
    readers: list[Reader] = []
    for path in dict.fromkeys(paths):
        if path.suffix != ".npz" and not (path.is_dir() and is_score_folder(path)):
            raise ConfigError(f"{path}: expected a folder of score tables, or an .npz")
        readers.append(Reader(path, readers[0].names if readers else None))
    names = readers[0].names.names
    class_names = readers[0].table(names[0], ()).class_names
    return Members(list(dict.fromkeys(paths)), names, class_names, readers)


def counted_weights(paths: Sequence[Path], members: Members) -> np.ndarray:
    """Weights by how often each system is named, [M, K]."""
    counts = np.array([list(paths).count(path) for path in members.paths], float)
    return np.repeat(counts[:, None] / len(paths), len(members.class_names), 1)


def found_weights(members: Members, labelled: Path) -> np.ndarray:
    """Weights of every class, [M, K], that fit labelled recordings best.

    For each class the system that raises its average precision over frames most is
    added, again and again; weights are those of the best ensemble on the way, to which
    equal weights belong. Where a list has labels without times, precision is over
    recordings. A class without a label there has equal weights.

    Args:
        members: The systems.
        labelled: What is there, of some of their recordings.

    Raises:
        DataError: The list cannot be read, or has none of the recordings.

    Source: Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries
    of models", ICML 2004.
    """
    reference = read_reference(labelled)
    own = reference.names.find_all(members.names, members.paths[0])
    parts = [_labelled_frames(members.tables(n), reference, own[n]) for n in own]
    scores = np.concatenate([part[0] for part in parts], 1)  # [M, F, K]
    label, seconds = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    weights = np.full((len(scores), scores.shape[2]), 1 / len(scores))
    for k in range(scores.shape[2]):
        if label[:, k].any():
            weights[:, k] = _weights_of(scores[:, :, k], label[:, k], seconds)
    return weights


def write_fused(members: Members, weights: np.ndarray, output: Path) -> None:
    """Writes a score table for each recording, and the weights beside them.

    Args:
        members: The systems.
        weights: [M, K], of each class; they sum to 1.
        output: A folder that is not there, or one that fuse wrote.

    Raises:
        ConfigError: There is another folder or a file at `output`.
        DataError: Tables of one recording are not of one length.
        StorageError: The disk is full or fails.
    """
    if output.exists() and not (output / "weights.csv").is_file():
        raise ConfigError(f"--output: {output} is there, and not of fuse: not replaced")
    with atomic_folder(output) as folder:
        for name in members.names:
            table = fused_table(members.tables(name), weights)
            (folder / f"{name}.tsv").write_text(table_text(table), "utf-8")
        (folder / "weights.csv").write_text(_weights_csv(members, weights), "utf-8")


def fused_table(tables: Sequence[ScoreTable], weights: np.ndarray) -> ScoreTable:
    """The weighted mean of tables of one recording, [M, K] weights.

    One that ends up to a frame before the others goes on with its last frame.

    Raises:
        DataError: Lengths differ by more than the longest frame.

    Example:
        >>> one = ScoreTable("a", ("Car",), np.array([0, 1.0]), np.array([[0.2]]))
        >>> two = ScoreTable("a", ("Car",), np.arange(3) / 2, np.array([[0.4], [1.0]]))
        >>> fused_table([one, two], np.full((2, 1), 0.5)).scores.round(6).tolist()
        [[0.3], [0.6]]
    """
    times, scores = _on_one_grid(tables)
    mean = np.einsum("mtk,mk->tk", scores, weights)
    return ScoreTable(tables[0].clip_id, tables[0].class_names, times, mean)


def table_text(table: ScoreTable) -> str:
    """A score table as `read_score_table` reads it.

    Example:
        >>> table = ScoreTable("a", ("Car",), np.arange(2), np.ones((1, 1)))
        >>> table_text(table).split()
        ['onset', 'offset', 'Car', '0.000000', '1.000000', '1']
    """
    lines = ["\t".join(["onset", "offset", *table.class_names])]
    for n, scores in enumerate(table.scores):
        times = (f"{second:.6f}" for second in table.times[n : n + 2])
        lines.append("\t".join([*times, *(f"{score:.9g}" for score in scores)]))
    return "\n".join(lines) + "\n"


def weights_table(members: Members, weights: np.ndarray) -> str:
    """Weights as text, a row a class."""
    header = ["class", *map(str, members.paths)]
    rows = zip(members.class_names, weights.T.tolist(), strict=True)
    return text_table(header, [[name, *of_class] for name, of_class in rows])


def _weights_csv(members: Members, weights: np.ndarray) -> str:
    lines = ["class,system,weight"]
    for name, of_class in zip(members.class_names, weights.T, strict=True):
        for path, weight in zip(members.paths, of_class, strict=True):
            lines.append(f'"{name}","{path}",{weight:.6g}')
    return "\n".join(lines) + "\n"


def _on_one_grid(tables: Sequence[ScoreTable]) -> tuple[np.ndarray, np.ndarray]:
    """Times of frames that are within a frame of each table, and scores [M, T, K]."""
    ends = [float(table.times[-1]) for table in tables]
    longest = max(float(np.diff(table.times).max()) for table in tables)
    if max(ends) - min(ends) > longest + 1e-6:
        raise DataError(
            f"{tables[0].clip_id}: expected tables of one length, got "
            f"{min(ends):g} s and {max(ends):g} s"
        )
    times = np.unique(np.concatenate([table.times for table in tables]).round(6))
    middle = (times[:-1] + times[1:]) / 2
    scores = []
    for table in tables:
        place = np.searchsorted(table.times, middle, "right") - 1
        scores.append(table.scores[np.clip(place, 0, len(table.scores) - 1)])
    return times, np.stack(scores)


def _labelled_frames(
    tables: Sequence[ScoreTable], reference: Reference, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [M, F, K], labels [F, K] and seconds [F]; of weak labels F is 1."""
    times, scores = _on_one_grid(tables)
    column = {label: k for k, label in enumerate(tables[0].class_names)}
    events = [event for event in reference.events[name] if event[2] in column]
    if not events and reference.labels[name]:
        label = np.zeros((1, len(column)), bool)
        own = [column[one] for one in reference.labels[name] if one in column]
        label[0, own] = True
        return scores.max(1, keepdims=True), label, np.ones(1)
    label = np.zeros((len(times) - 1, len(column)), bool)
    middle = (times[:-1] + times[1:]) / 2
    for onset, offset, of_class in events:
        label[(middle >= onset) & (middle < offset), column[of_class]] = True
    return scores, label, np.diff(times)


def _weights_of(
    scores: np.ndarray, label: np.ndarray, seconds: np.ndarray
) -> np.ndarray:
    """Of one class, [M], from scores [M, F]."""
    counts = np.zeros(len(scores))
    best = np.full(len(scores), 1 / len(scores))
    best_precision = _precision(best @ scores, label, seconds)
    for number in range(1, NUM_ROUNDS + 1):
        trials = [_precision(counts @ scores + one, label, seconds) for one in scores]
        counts[int(np.argmax(trials))] += 1
        if max(trials) > best_precision + 1e-9:
            best, best_precision = counts / number, max(trials)
    return best


def _precision(score: np.ndarray, label: np.ndarray, seconds: np.ndarray) -> float:
    """Average precision of frames, each as much as it is long."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum((label * seconds)[order])[last]
    above = np.cumsum(seconds[order])[last]
    return float((np.diff(hits, prepend=0) * (hits / above)).sum() / hits[-1])
