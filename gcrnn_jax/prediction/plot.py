"""The picture of one recording of any length, as the report has it of its examples."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gcrnn_jax.audio.frames import stream_log_mel
from gcrnn_jax.prediction.model import Recording
from gcrnn_jax.prediction.recognizer import Recognizer
from gcrnn_jax.prediction.track import ATTENTION, FRAME, Found, Track
from gcrnn_jax.report.picture import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 4000  # more do not show, and hours of recording would not fit


def picture_of(
    recognizer: Recognizer,
    recording: Recording,
    track: Track,
    events: Iterable[Found],
    title: str,
) -> "Figure":
    """Spectrogram, frame posteriors, attention and detected events in the same time.

    A long recording is drawn in columns of several frames: of their mean in the
    spectrogram, of the greatest posterior and attention.

    Args:
        recognizer: Whose first model's mels are drawn.
        recording: Read once more, for the spectrogram.
        track: Its posteriors; attention is drawn if the track has it.
        events: Those found in it.
        title: Above the picture.
    """
    front_end = recognizer.models[0].front_end
    blocks = stream_log_mel(recording(front_end.sample_rate_hz), front_end)
    num_frames = max(1, round(track.duration_s / front_end.hop_s))
    merged = -(-num_frames // MAX_COLUMNS)
    features = np.concatenate(list(columns(blocks, merged, np.mean)))
    together = -(-track.num_frames // MAX_COLUMNS)
    values = np.concatenate(list(columns(track.blocks(), together, np.max)))
    return draw(
        features,
        recognizer.class_names,
        values[:, FRAME],
        track.hop_s * together,
        [found.event for found in events],
        thresholds=recognizer.postprocessing.event_threshold,
        attention=values[:, ATTENTION] if track.num_parts > ATTENTION else None,
        feature_hop_s=front_end.hop_s * merged,
        title=title,
    )


def columns(blocks: Iterable[np.ndarray], merged: int, merge) -> Iterable[np.ndarray]:
    """Merges so many frames into one, across blocks; fewer at the end.

    Args:
        blocks: [n, ...] each, one after the other.
        merged: How many frames.
        merge: `np.mean` or `np.max`.

    Yields:
        [n // merged, ...] and what is left over as one more.

    Example:
        >>> blocks = [np.arange(3.0)[:, None], np.arange(3.0, 5.0)[:, None]]
        >>> np.concatenate(list(columns(blocks, 2, np.mean))).ravel().tolist()
        [0.5, 2.5, 4.0]
    """
    rest = None
    for block in blocks:
        rest = block if rest is None else np.concatenate([rest, block])
        whole = len(rest) // merged * merged
        yield merge(rest[:whole].reshape(-1, merged, *rest.shape[1:]), axis=1)
        rest = rest[whole:]
    if rest is not None and len(rest):
        yield merge(rest, axis=0, keepdims=True)
