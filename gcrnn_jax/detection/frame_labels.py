"""Strong labels of many clips at the rate of frames, made when they are asked for."""

from collections.abc import Mapping, Sequence

import numpy as np

from gcrnn_jax.data.split import EventTuple
from gcrnn_jax.detection.events import active_frames, class_numbers


class FrameLabels:
    """Which frames of each clip a class is active in; indexed as bool [N, T, K] is.

    It keeps two frames and a class an event: 100,000 clips of 240 frames and 500
    classes would take 12 GB.

    Example:
        >>> events = {"b": [(0.04, 0.08, "Car")]}
        >>> labels = FrameLabels(["a", "b"], events, 5, 0.02, ["Car"])
        >>> labels[np.array([1, 0])][..., 0].astype(int).tolist()
        [[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]
    """

    def __init__(
        self,
        clip_ids: Sequence[str],
        events: Mapping[str, Sequence[EventTuple]],
        num_frames: int,
        hop_s: float,
        class_names: Sequence[str],
    ):
        """Of the clips of a split, of which some may have no events.

        Args:
            clip_ids: N ids.
            events: Of clips that have any.
            num_frames: T.
            hop_s: Seconds a frame.
            class_names: K names.

        Raises:
            DataError: The label of an event is not a class name.
        """
        self.shape = len(clip_ids), num_frames, len(class_names)
        of_clips = [events.get(clip_id, ()) for clip_id in clip_ids]
        flat = [event for of_clip in of_clips for event in of_clip]
        self._ends = np.cumsum([0, *map(len, of_clips)])
        self._classes = class_numbers((label for *_, label in flat), class_names)
        frames = [active_frames(onset, offset, hop_s) for onset, offset, _ in flat]
        self._frames = np.array(frames, int).reshape(-1, 2)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, clips: np.ndarray) -> np.ndarray:
        """Returns bool [n, T, K] for int [n]."""
        rolls = np.zeros((len(clips), *self.shape[1:]), bool)
        for roll, clip in zip(rolls, clips, strict=True):
            rows = slice(self._ends[clip], self._ends[clip + 1])
            places = zip(self._frames[rows], self._classes[rows], strict=True)
            for (first, end), k in places:
                roll[first:end, k] = True
        return rolls
