"""Active frames of many clips as runs: few numbers where most frames are silent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Runs:
    """A roll, bool [N, T, K], that holds the runs of its active frames alone.

    `runs[n]` is the roll of a clip, bool [T, K], and `np.asarray(runs)` the whole one,
    which takes N * T * K bytes. Runs are in the order of clips, then of classes, then
    of time; no two of one class touch.

    Attributes:
        shape: (N, T, K).
        clips: int32 [R], the clip of each run.
        classes: int32 [R], its class.
        first: int32 [R], its first frame.
        end: int32 [R], the frame after its last.

    Example:
        >>> roll = np.array([[[0], [1], [1], [0], [1]]], bool)
        >>> runs = Runs.from_roll(roll)
        >>> runs.first.tolist(), runs.end.tolist()
        ([1, 4], [3, 5])
        >>> bool((runs[0] == roll[0]).all())
        True
    """

    shape: tuple[int, int, int]
    clips: np.ndarray
    classes: np.ndarray
    first: np.ndarray
    end: np.ndarray

    @classmethod
    def from_roll(cls, roll: np.ndarray) -> "Runs":
        """The runs of a roll, bool [N, T, K], clip by clip."""
        parts = [_runs_of_clip(n, of_clip) for n, of_clip in enumerate(roll)]
        return cls.joined(roll.shape, parts)

    @classmethod
    def joined(
        cls, shape: tuple[int, ...], parts: Sequence[Sequence[np.ndarray]]
    ) -> "Runs":
        """Of (clips, classes, first, end) of several parts, in the order of runs."""
        nothing = np.zeros(0, np.int32)
        columns = zip(*parts, strict=True) if parts else [[nothing]] * 4
        of_all = (np.concatenate(c).astype(np.int32, copy=False) for c in columns)
        num_clips, num_frames, num_classes = shape
        return cls((num_clips, num_frames, num_classes), *of_all)

    @classmethod
    def of_tags(cls, tags: np.ndarray, num_frames: int) -> "Runs":
        """Every tag, bool [N, K], as one run of all frames."""
        clips, classes = np.nonzero(tags)
        ends = np.zeros(len(clips), int), np.full(len(clips), num_frames)
        shape = len(tags), num_frames, tags.shape[1]
        return cls.joined(shape, [(clips, classes, *ends)])

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[n] for n in range(len(self)))

    def __getitem__(self, index: Any) -> np.ndarray:
        if not isinstance(index, int | np.integer):
            return np.asarray(self)[index]
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self._roll(int(index) % len(self), 1)[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self._roll(0, len(self)).astype(dtype or bool, copy=False)

    def in_order(self) -> "Runs":
        """The same runs, which were in another order."""
        order = np.lexsort((self.first, self.classes, self.clips))
        columns = self.clips, self.classes, self.first, self.end
        return Runs(self.shape, *(column[order] for column in columns))

    def within(self, first: int, end: int) -> slice:
        """Which runs are of the clips [first, end)."""
        return slice(*np.searchsorted(self.clips, [first, end]).tolist())

    def _roll(self, first: int, count: int) -> np.ndarray:
        """The roll of some clips, bool [count, T, K]."""
        runs, (_, num_frames, num_classes) = (
            self.within(first, first + count),
            self.shape,
        )
        steps = np.zeros((count, num_frames + 1, num_classes), np.int8)
        places = self.clips[runs] - first, self.classes[runs]
        steps[places[0], self.first[runs], places[1]] = 1
        steps[places[0], self.end[runs], places[1]] = -1
        return np.cumsum(steps[:, :-1], axis=1, dtype=np.int8).astype(bool)


def _runs_of_clip(clip: int, roll: np.ndarray) -> tuple[np.ndarray, ...]:
    silent = np.zeros((1, roll.shape[1]), np.int8)
    steps = np.diff(roll.astype(np.int8), axis=0, prepend=silent, append=silent)
    classes, first = np.nonzero(steps.T == 1)
    _, end = np.nonzero(steps.T == -1)  # pairs with first: both go class by class
    return np.full(len(classes), clip), classes, first, end
