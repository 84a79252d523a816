"""What teachers find in the training clips: soft strong labels of a run.

Each teacher was trained without a part of the clips, and is asked about that part
alone: of clips that it was trained on it would know the labels, and not the sounds. A
class that the labels of a clip do not name is in none of its frames. Clips with a class
that their teacher has never heard have weak labels alone.

Source: frame posteriors of a first training as strong labels, arXiv 2501.03740 (2025).
Here they are of systems that have not heard the clip.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gcrnn_jax.data.atomic_files import atomic_file
from gcrnn_jax.data.split import STRONG, WEAK, Split, map_array
from gcrnn_jax.detection.posteriors import PosteriorSet

if TYPE_CHECKING:  # whose labels they are
    from gcrnn_jax.runs.run import Run

_BLOCK = 1000  # clips written at a time
_NOT_FOUND = -1  # in place of posteriors


@dataclasses.dataclass(frozen=True)
class Found:
    """What one teacher found.

    Attributes:
        posteriors: Of the clips that it was not trained on.
        heard: Bool [K], the classes that it was trained on.
    """

    posteriors: PosteriorSet
    heard: np.ndarray


class FoundFrames:
    """Posteriors of training clips, indexed as strong labels [N, T, K] are.

    They stay in their file, one for each frame of the network; each stands for as many
    frames of features as that merges. Where these are shifted by fewer, the larger of
    two neighbours counts. Strong labels that a clip has stay.
    """

    def __init__(self, posteriors: np.ndarray, split: Split, reduction: int):
        """Of the training clips.

        Args:
            posteriors: [N, T', K].
            split: With the strong labels that clips have.
            reduction: Frames of features in one of posteriors.
        """
        self.shape = len(split), split.frame_shape[0], len(split.class_names)
        self._posteriors, self._reduction = posteriors, reduction
        self._weak_label, self._own = split.weak_label, split.strong_label
        self._is_strong = split.kinds == STRONG

    def __getitem__(self, clips: np.ndarray) -> np.ndarray:
        """Returns float32 [n, T, K] in [0, 1] for int [n]."""
        found = self._posteriors[clips].astype(np.float32)
        found *= self._weak_label[clips][:, None]
        label = np.repeat(found, self._reduction, axis=1)[:, : self.shape[1]]
        if self._own is not None:
            rows = np.flatnonzero(self._is_strong[clips])
            label[rows] = self._own[clips[rows]]
        return label


def write_found(run: "Run", split: Split, found: Sequence[Found]) -> None:
    """Keeps the posteriors of all teachers with the run, in its order of the clips.

    Args:
        run: That learns from them.
        split: Its training clips.
        found: In parts of them, together all.
    """
    places = {
        clip_id: (teacher, row)
        for teacher, of_part in enumerate(found)
        for row, clip_id in enumerate(of_part.posteriors.clip_ids)
    }
    shape = _shape(run, split)

    def frames_of(clip: int) -> np.ndarray:
        teacher, row = places[split.clip_ids[clip]]
        if (split.weak_label[clip] & ~found[teacher].heard).any():
            return np.full(shape[1:], _NOT_FOUND)
        return found[teacher].posteriors.frame[row, : shape[1]]

    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    with atomic_file(run.found_frames) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(split), _BLOCK):
            clips = range(start, min(start + _BLOCK, len(split)))
            file.write(np.stack([*map(frames_of, clips)]).astype("<f2").tobytes())


def with_found(run: "Run", split: Split) -> Split:
    """The training clips with what teachers found as strong labels.

    Args:
        run: That learns from them.
        split: With what its loss learns from, as of `supervision.supervised`.

    Raises:
        DataError: The file of the posteriors is damaged.
    """
    what = "posteriors of teachers"
    shape = _shape(run, split)
    posteriors = map_array(run.found_frames, what, np.float16, shape)
    label = FoundFrames(posteriors, split, run.config.model.time_reduction)
    is_found = (split.kinds == WEAK) & (posteriors[:, 0, 0] != _NOT_FOUND)
    known = np.where(is_found, STRONG, split.kinds).astype(np.int8)
    return dataclasses.replace(split, strong_label=label, known=known)


def _shape(run: "Run", split: Split) -> tuple[int, int, int]:
    num_frames = -(-split.frame_shape[0] // run.config.model.time_reduction)
    return len(split), num_frames, len(split.class_names)
