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
    ):
        """Starts with what all clips have to come.

        Args:
            num_classes: K.
            most: False positives that are of interest; inf: all thresholds are.
            clip_ids: N.
            highest: [N, K], highest score of each clip and class; -inf where the clip
                has an event of the class.
        """
        self.floor = np.full(num_classes, -np.inf)
        self._most = most
        self._row = {clip_id: n for n, clip_id in enumerate(clip_ids)}
        self._highest = np.zeros((0, num_classes)) if highest is None else highest
        self._to_come = np.ones(len(self._highest), bool)
        if len(self._highest) > most:
            ranked = np.partition(self._highest, -1 - int(most), axis=0)
            self.floor = ranked[-1 - int(most)].astype(np.float64)

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

    def num_above(self, k: int, score: np.ndarray, change: np.ndarray) -> int:
        """How many of the known changes of a class are needed; raises its floor.

        Args:
            k: The class.
            score: Where false positives of the clips gone through change, falling.
            change: By how many.
        """
        to_come = np.sort(-self._highest[self._to_come, k])
        least = np.cumsum(change, dtype=int)
        least += np.searchsorted(to_come, -score, "right")
        needed = np.flatnonzero(least <= self._most)
        num_above = int(needed[-1]) + 1 if len(needed) else 0
        if num_above < len(score):
            self.floor[k] = score[num_above]
        return num_above
