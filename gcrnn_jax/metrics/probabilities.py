"""How posteriors of a system become probabilities, by the labels of a split."""

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.calibration import LogitCounts, Probabilities, calibrate
from gcrnn_jax.detection.frame_labels import FrameLabels
from gcrnn_jax.detection.posteriors import PosteriorSet, as_bool
from gcrnn_jax.metrics.decisions import check_same_clips

_MOST_FRAMES = 50_000_000  # of all classes that are counted; neighbours are alike


def fit_probabilities(posteriors: PosteriorSet, split: Split) -> Probabilities:
    """Calibrates clip posteriors by weak labels, frame posteriors by strong ones.

    Of very many frames every second, third ... is counted.

    Raises:
        DataError: The posteriors are of other clips or classes than the split.
    """
    check_same_clips(posteriors, split)
    clip = calibrate(posteriors.clip, as_bool(split.weak_label))
    if split.events is None:
        return Probabilities(clip, None)
    num_clips, num_frames, num_classes = posteriors.frame.shape
    labels = FrameLabels(
        posteriors.clip_ids,
        split.events,
        num_frames,
        posteriors.hop_s,
        posteriors.class_names,
    )
    counts = LogitCounts(num_classes)
    step = max(1, -(-posteriors.frame.size // _MOST_FRAMES))
    for clips, frame in posteriors.blocks():
        active = labels[np.arange(num_clips)[clips]]
        counts.add(frame[:, ::step], active[:, ::step])
    return Probabilities(clip, counts.fit())
