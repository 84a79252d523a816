"""Counts of a class as the threshold falls, by recording: sparse matrices."""

from typing import Any, NamedTuple

import numpy as np

Columns = tuple[np.ndarray, ...]  # of n changes of counts
_BLOCK = 32  # rows


class Steps(NamedTuple):
    """Counts of one class as the threshold falls below P scores, by recording.

    There are the scores where an event is found or lost, S of them, and below the first
    of these the ones where false positives are fewest: between them they only rise or
    only fall, and no figure gains by more of them.

    Attributes:
        score: [P], falling.
        found: int [S], steps where events are found or lost; the first is 0.
        true: Sparse [S, N], reference events found, what each recording adds.
        false: Sparse [P, N], the same of false positives.
        crosses: Sparse [P, Q], of detections in events of another class, Q pairs of
            recording and other class; see `Counted.pairs`.
    """

    score: np.ndarray
    found: np.ndarray
    true: Any
    false: Any
    crosses: Any

    def hits(self, weights: np.ndarray) -> np.ndarray:
        """Events found at all steps where recordings count so often, [P]."""
        sums = np.append(0.0, np.cumsum(self.true @ weights))
        steps = np.arange(len(self.score))
        return sums[np.searchsorted(self.found, steps, "right")]


def running_sums(changes: np.ndarray) -> np.ndarray:
    """Sums of the rows up to each, [P, B], in float64.

    As `cumsum`, in blocks whose rows are added at once, which is some times as fast.

    Example:
        >>> running_sums(np.array([[1, 0], [2, 5]], np.float32)).tolist()
        [[1.0, 0.0], [3.0, 5.0]]
    """
    size = _BLOCK if len(changes) > _BLOCK else 1
    num = -(-len(changes) // size)
    sums = np.zeros((num, size, changes.shape[1]))
    sums.reshape(-1, changes.shape[1])[: len(changes)] = changes
    for i in range(1, size):
        sums[:, i] += sums[:, i - 1]
    sums[1:] += np.cumsum(sums[:-1, -1], 0)[:, None]
    return sums.reshape(-1, changes.shape[1])[: len(changes)]


def by_class(parts: list[Columns], num_classes: int) -> list[Columns]:
    """Changes of each class, without the class's own column; empties the list."""
    columns = [np.concatenate(one) for one in zip(*parts, strict=True)]
    parts.clear()
    k = columns.pop(0).astype(np.min_scalar_type(num_classes))  # sorted much faster
    order = np.argsort(k, kind="stable")
    ends = np.searchsorted(k[order], np.arange(num_classes + 1))
    for i, column in enumerate(columns):
        columns[i] = column[order]
    return [
        tuple(column[first:end] for column in columns)
        for first, end in zip(ends, ends[1:], strict=False)
    ]


def steps_of(
    own: Columns, without: Columns, floor: float, place: np.ndarray, num_pairs: int
) -> Steps:
    """Of one class, from its changes in recordings with and without an event of it."""
    kept = without[0] > floor
    num = int(kept.sum())
    score, false, row = (
        np.concatenate([mine, its[kept]])
        for mine, its in zip((own[0], own[2], own[5]), without, strict=True)
    )
    nothing = np.zeros(num, np.int32)
    true, other, crosses = (np.append(own[i], nothing) for i in (1, 3, 4))
    order = np.argsort(-score, kind="stable")
    columns = (c[order] for c in (score, row, true, false, other, crosses))
    score, row, true, false, other, crosses = columns
    first = np.append(True, score[1:] != score[:-1])[: len(score)]
    group = np.cumsum(first) - 1
    is_found, is_step = np.zeros((2, int(group[-1]) + 1 if len(group) else 0), bool)
    is_found[group[true != 0]] = True
    is_step[group[(false < 0) | (crosses < 0)]] = True
    # Where the next ones fall, too, that one alone.
    rises = np.zeros_like(is_step)
    rises[group[(false > 0) | (crosses > 0)]] = True
    is_step[:-1] &= (rises | is_found | ~is_step)[1:]
    is_step &= np.cumsum(is_found) > 0  # before, nothing is found
    is_step |= is_found
    # A change counts from the first step at or below its score on.
    step = np.append(0, np.cumsum(is_step))[group]
    found = np.flatnonzero(is_found[is_step])
    num = int(is_step.sum())
    changes = (
        (np.searchsorted(found, step), row, true, (len(found), len(place))),
        (step, row, false, (num, len(place))),
        (step, place[row, other], crosses, (num, num_pairs)),
    )
    return Steps(score[first][is_step], found, *(_sparse(*one) for one in changes))


def _sparse(
    step: np.ndarray, column: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> Any:
    """Changes as a sparse matrix of float32: whole numbers, each exact."""
    from scipy.sparse import csr_array

    kept = (values != 0) & (step < shape[0])
    step, column, values = step[kept], column[kept], values[kept]
    ends = np.searchsorted(step, np.arange(shape[0] + 1)).astype(np.int32)
    return csr_array((values.astype(np.float32), column.astype(np.int32), ends), shape)
