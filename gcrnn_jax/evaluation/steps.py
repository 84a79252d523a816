"""Counts of a class as the threshold falls, by recording: sparse matrices."""

from typing import Any, NamedTuple

import numpy as np

Columns = tuple[np.ndarray, ...]  # of n changes of counts


class Steps(NamedTuple):
    """Counts of one class as the threshold falls below P scores, by recording.

    There are the scores where something is found or lost, or false positives become
    fewer: between them they only rise, which no figure gains by.

    Attributes:
        score: [P], falling.
        true: Sparse [P, N], reference events found, what each recording adds.
        false: Sparse [P, N], the same of false positives.
        crosses: Sparse [P, Q], of detections in events of another class, Q pairs of
            recording and other class; see `Counted.pairs`.
    """

    score: np.ndarray
    true: Any
    false: Any
    crosses: Any


def by_class(parts: list[Columns], num_classes: int) -> list[Columns]:
    """Changes of each class, without the class's own column; empties the list."""
    columns = [np.concatenate(one) for one in zip(*parts, strict=True)]
    parts.clear()
    k = columns.pop(0)
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
    matters = (true != 0) | (false < 0) | (crosses < 0)
    is_step = np.zeros(int(group[-1]) + 1 if len(group) else 0, bool)
    is_step[group[matters]] = True
    # A change counts from the first step at or below its score on.
    step = np.append(0, np.cumsum(is_step))[group]
    pair = place[row, other]
    return Steps(
        score[first][is_step],
        *(
            _sparse(step, column, values, (int(is_step.sum()), width))
            for column, values, width in (
                (row, true, len(place)),
                (row, false, len(place)),
                (pair, crosses, num_pairs),
            )
        ),
    )


def _sparse(
    step: np.ndarray, column: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> Any:
    """Changes as a sparse matrix of float32: whole numbers, each exact."""
    from scipy.sparse import csr_array

    kept = (values != 0) & (step < shape[0])
    step, column, values = step[kept], column[kept], values[kept]
    ends = np.searchsorted(step, np.arange(shape[0] + 1)).astype(np.int32)
    return csr_array((values.astype(np.float32), column.astype(np.int32), ends), shape)
