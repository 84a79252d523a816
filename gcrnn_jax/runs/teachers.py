"""What teachers find in the training clips: soft strong labels of a run.

Each teacher was trained without a part of the clips, and is asked about that part
alone: of clips that it was trained on it would know the labels, and not the sounds. A
class that the labels of a clip do not name is in none of its frames.

Source: frame posteriors of a first training as strong labels, arXiv 2501.03740 (2025).
Here they are of systems that have not heard the clip.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcrnn_jax.data.atomic_files import atomic_file
from gcrnn_jax.data.split import STRONG, UNLABELLED, Split, map_array
from gcrnn_jax.detection.posteriors import PosteriorSet

if TYPE_CHECKING:  # whose labels they are
    from gcrnn_jax.runs.run import Run


class FoundFrames:
    """Posteriors of training clips, indexed as strong labels [N, T, K] are.

    They stay in their file, one for each frame of the network; each stands for as many
    frames of features as that merges.
    """

    def __init__(
        self,
        posteriors: np.ndarray,
        weak_label: np.ndarray,
        num_frames: int,
        reduction: int,
        own: tuple[np.ndarray, Any] | None,
    ):
        """Of the training clips.

        Args:
            posteriors: [N, T', K].
            weak_label: Bool [N, K].
            num_frames: T of features.
            reduction: Frames of features in one of posteriors.
            own: Which clips have strong labels, bool [N], and those of all; None: none.
        """
        self.shape = len(posteriors), num_frames, posteriors.shape[2]
        self._posteriors, self._weak_label = posteriors, weak_label
        self._reduction, self._own = reduction, own

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, clips: np.ndarray) -> np.ndarray:
        """Returns float32 [n, T, K] in [0, 1] for int [n]."""
        found = self._posteriors[clips].astype(np.float32)
        found *= self._weak_label[clips][:, None]
        label = np.repeat(found, self._reduction, axis=1)[:, : self.shape[1]]
        if self._own is not None:
            is_strong, strong_label = self._own
            rows = np.flatnonzero(is_strong[clips])
            label[rows] = strong_label[clips[rows]]
        return label


def write_found(run: "Run", split: Split, sets: Sequence[PosteriorSet]) -> None:
    """Keeps the posteriors of all teachers with the run, in its order of the clips.

    Args:
        run: That learns from them.
        split: Its training clips.
        sets: Of the clips that each teacher was not trained on, together all.
    """
    rows = {clip_id: row for row, clip_id in enumerate(split.clip_ids)}
    found = np.zeros((len(split), *sets[0].frame.shape[1:]), np.float16)
    for posteriors in sets:
        found[[rows[clip_id] for clip_id in posteriors.clip_ids]] = posteriors.frame
    with atomic_file(run.found_frames, shared=True) as file:
        np.save(file, found)


def with_found(run: "Run", split: Split) -> Split:
    """The training clips with what teachers found as strong labels.

    Strong labels that a clip has stay, and clips without labels are without.

    Args:
        run: That learns from them.
        split: With what its loss learns from, as of `supervision.supervised`.

    Raises:
        DataError: The file of the posteriors is damaged.
    """
    num_frames, reduction = split.frame_shape[0], run.config.model.time_reduction
    shape = len(split), -(-num_frames // reduction), len(split.class_names)
    path = run.found_frames
    posteriors = map_array(path, "posteriors of teachers", np.float16, shape)
    kinds = split.kinds
    own = None
    if split.strong_label is not None:
        own = kinds == STRONG, split.strong_label
    label = FoundFrames(posteriors, split.weak_label, num_frames, reduction, own)
    known = np.where(kinds == UNLABELLED, UNLABELLED, STRONG).astype(np.int8)
    return dataclasses.replace(split, strong_label=label, known=known)
