"""How low thresholds need to go, where many false positives are of no interest.

Memory is for the changes of counts above a floor alone. It is low at first and rises
while recordings are gone through, never above a threshold that may matter in the end.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np


class Floors:
    """For each class a score below which it certainly has too many false positives.

    A clip without an event of the class has at least one detection, and all are false,
    at every threshold below its highest score. That holds for clips to come; of those
    gone through the false positives themselves are known.
    """

    def __init__(
        self,
        num_classes: int,
        most: float = math.inf,
        clip_ids: Sequence[str] = (),
        highest: np.ndarray | None = None,
        spare: float = 0.0,
    ):
        """Starts with what all clips have to come.

        Args:
            num_classes: K.
            most: False positives that are of interest; inf: all thresholds are.
            clip_ids: N.
            highest: [N, K], highest score of each clip and class; -inf where the clip
                has an event of the class.
            spare: Standard deviations by which draws of the clips may have fewer false
                positives, as where a clip is not drawn all of its own are missing.
        """
        self.floor = np.full(num_classes, -np.inf)
        self._most, self._spare = most, spare
        self._row = {clip_id: n for n, clip_id in enumerate(clip_ids)}
        self._highest = np.zeros((0, num_classes)) if highest is None else highest
        self._to_come = np.ones(len(self._highest), bool)
        # Of n clips with one each the standard deviation is the root of n at most.
        root = (spare + math.sqrt(spare**2 + 4 * most)) / 2
        if len(self._highest) > root**2:
            place = -1 - int(root**2)
            self.floor = np.partition(self._highest, place, 0)[place].astype(np.float64)

    def highest_of(self, rows: Mapping[str, int]) -> np.ndarray:
        """[N, K], highest scores in the order of rows; -inf where none are known."""
        found = np.full((len(rows), len(self.floor)), -np.inf)
        for clip_id, place in self._row.items():
            found[rows[clip_id]] = self._highest[place]
        return found

    def pass_by(self, clip_id: str) -> None:
        """The changes of a clip are all known now."""
        if self._row:
            self._to_come[self._row[clip_id]] = False

    def num_above(
        self,
        k: int,
        score: np.ndarray,
        change: np.ndarray,
        row: np.ndarray | None = None,
    ) -> int:
        """How many of the known changes of a class are needed; raises its floor.

        Args:
            k: The class.
            score: Where false positives of the clips gone through change, falling.
            change: By how many.
            row: In which clip, a whole number of 0 or more; needed with `spare`.
        """
        to_come = np.sort(-self._highest[self._to_come, k])
        num_to_come = np.searchsorted(to_come, -score, "right")
        least = np.cumsum(change, dtype=int) + num_to_come
        if row is not None and self._spare:
            squares = np.cumsum(_changes_of_squares(change, row)) + num_to_come
            least = least - self._spare * np.sqrt(squares)
        needed = np.flatnonzero(least <= self._most)
        num_above = int(needed[-1]) + 1 if len(needed) else 0
        if num_above < len(score):
            self.floor[k] = score[num_above]
        return num_above


def _changes_of_squares(change: np.ndarray, row: np.ndarray) -> np.ndarray:
    """By how much the sum over clips of their squared false positives changes, [n]."""
    kind = np.min_scalar_type(row.max(initial=0))  # few bits are sorted much faster
    order = np.argsort(row.astype(kind), kind="stable")
    step, row = change[order].astype(int), row[order]
    first = np.append(True, row[1:] != row[:-1])[: len(row)]
    number = np.cumsum(step)
    number -= (number - step)[first][np.cumsum(first) - 1]  # each clip's own
    squares = np.empty_like(number)
    squares[order] = step * (2 * number - step)
    return squares
