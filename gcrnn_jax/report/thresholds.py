"""What a page needs to score again at other thresholds, exactly as Python does.

Posteriors travel as ranks: how many of a list of cuts a posterior exceeds. The cuts
are all values that a threshold, or its share by hysteresis, can be set to. So "is the
posterior greater than cut i" is "is the rank greater than i", to the last bit, and a
posterior takes one byte.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.events import frame_times, segment_roll
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.thresholds import TAG_GRID
from gcrnn_jax.metrics.decisions import reference_events

MAX_BYTES = 6_000_000  # of ranks, of either kind; a page stays one that can be sent


def tag_content(
    posteriors: PosteriorSet, split: Split, postprocessing: Postprocessing
) -> dict[str, Any]:
    """What tags are decided from and scored against, for the page's script.

    Args:
        posteriors: Of the split.
        split: With weak labels.
        postprocessing: Whose thresholds the page begins with.

    Returns:
        Plain values; arrays in base64. "clips" is how many of them there are: all, or
        as many as `MAX_BYTES` hold.
    """
    clips = shared_clips(len(split), len(posteriors.class_names))
    clip = posteriors.clip[clips]
    sliders = _sliders(postprocessing.tag_threshold, 1.0, clip.shape[-1])
    return {
        "clips": len(clips),
        "sliders": sliders,
        "ranks": _base64(_ranks(clip, sliders)),
        "greatest": clip.argmax(-1).tolist(),
        "labels": _base64(split.weak_label[clips]),
        "atLeastOne": postprocessing.at_least_one_tag,
    }


def event_content(
    posteriors: PosteriorSet, split: Split, postprocessing: Postprocessing
) -> dict[str, Any] | None:
    """What events are decided from and scored against, as `tag_content`.

    Returns:
        None where the split has no strong labels.
    """
    if split.events is None:
        return None
    num_frames, num_classes = posteriors.frame.shape[1:]
    hop_s = posteriors.hop_s
    clips = shared_clips(len(split), num_frames * num_classes)
    hysteresis = postprocessing.hysteresis
    sliders = _sliders(postprocessing.event_threshold, hysteresis, num_classes)
    tag_sliders = _sliders(postprocessing.tag_threshold, 1.0, num_classes)
    edges = frame_times(np.arange(num_frames + 1), hop_s)
    reference = reference_events(split)
    last_s = max([e.offset for clip in reference.values() for e in clip], default=0.0)
    num_segments = int(np.ceil(max(edges[-1], last_s)))
    rolls = [
        segment_roll(reference[split.clip_ids[n]], num_segments, split.class_names)
        for n in clips
    ]
    clip = posteriors.clip[clips]
    counts = postprocessing.frame_counts(hop_s)
    return {
        "clips": len(clips),
        "frames": num_frames,
        "segments": num_segments,
        "sliders": sliders,
        "ranks": _base64(_ranks(posteriors.frame[clips], sliders)),
        "tagRanks": _base64(_ranks(clip, tag_sliders)),  # the gate's, of these clips
        "greatest": clip.argmax(-1).tolist(),
        "reference": _base64(np.stack(rolls)),
        "firstSegment": np.floor(edges[:-1]).astype(int).tolist(),
        "endSegment": np.ceil(edges[1:]).astype(int).tolist(),
        "gated": postprocessing.require_clip_tag,
        "hysteresis": hysteresis < 1,
        "median": counts.median,
        "maxGap": counts.max_gap,
        "minEvent": counts.min_event,
    }


def shared_clips(num_clips: int, bytes_a_clip: int) -> np.ndarray:
    """The clips that a page can hold, ascending: all, or a fixed random part."""
    count = min(num_clips, max(1, MAX_BYTES // bytes_a_clip))
    return np.sort(np.random.default_rng(0).permutation(num_clips)[:count])


def _sliders(
    threshold: float | Sequence[float], share: float, num_classes: int
) -> list[dict[str, Any]]:
    """Of each class the values it can be set to, their cuts, and where it begins."""
    sliders = []
    for own in np.broadcast_to(np.asarray(threshold, float), num_classes).tolist():
        values = sorted({*TAG_GRID, own})
        low = (share * np.array(values)).tolist()
        cuts = sorted({*values, *low})
        place = {cut: i for i, cut in enumerate(cuts)}
        sliders.append(
            {
                "values": values,
                "start": values.index(own),
                "cut": [place[value] for value in values],
                "lowCut": [place[value] for value in low],
                "cuts": cuts,
            }
        )
    return sliders


def _ranks(posteriors: np.ndarray, sliders: Sequence[dict[str, Any]]) -> np.ndarray:
    """How many cuts of its class each posterior exceeds, uint8 [..., K]."""
    ranks = np.empty(posteriors.shape, np.uint8)  # at most 200 cuts
    for k, slider in enumerate(sliders):
        exact = posteriors[..., k].astype(np.float64)
        ranks[..., k] = np.searchsorted(slider["cuts"], exact, side="left")
    return ranks


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.astype(np.uint8).tobytes()).decode("ascii")
