"""Recordings through one model: windows, batches, posteriors of each recording."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.frames import stream_log_mel
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import PARTIAL, Rejected
from gcrnn_jax.detection.posteriors import is_probability
from gcrnn_jax.prediction.posteriors import ATTENTION, FRAME, RecordingPosteriors
from gcrnn_jax.prediction.windows import cross_fade, cut_windows

if TYPE_CHECKING:  # which bring JAX
    from gcrnn_jax.exporting.exported_model import ExportedModel
    from gcrnn_jax.inference.model import TrainedModel

    Model = TrainedModel | ExportedModel

# Rate in Hz -> blocks of a recording's waveform, float [samples]; may raise Rejected.
OpenWaveform = Callable[[int], Iterable[np.ndarray]]


class _Window(NamedTuple):
    """A window of a recording; without features, the end of the recording."""

    posteriors: RecordingPosteriors  # of its recording, to be filled
    start: int  # in frames of features
    features: np.ndarray | None  # [<= W, F]
    error: Rejected | None = None


_Output = tuple[_Window, np.ndarray | None]  # posteriors, [T, P * K]


def stream_posteriors(
    model: "Model",
    recordings: Iterable[OpenWaveform],
    *,
    with_attention: bool = False,
    folder: Path | None = None,
) -> Iterator[RecordingPosteriors | Rejected]:
    """Predicts recordings one after the other.

    Windows of several short recordings are computed together; so a recording is read
    while the windows of those before it are computed. Posteriors lie in `folder`, or
    among temporary files.

    Yields:
        In the order of the recordings; Rejected for one that could not be read. One
        that ends early has posteriors of what is there, and its `fault`. They have the
        part `ATTENTION` if it is asked for and the model gives it.
    """
    windows = (window for one in recordings for window in _windows(model, one, folder))
    outputs = _predict_windows(model, windows, ATTENTION + with_attention)
    for posteriors, group in itertools.groupby(outputs, lambda x: x[0].posteriors):
        yield _join(posteriors, group, model.time_reduction)


def _windows(
    model: "Model", open_waveform: OpenWaveform, folder: Path | None
) -> Iterator[_Window]:
    posteriors = RecordingPosteriors(model.class_names, model.hop_s, folder)
    front_end, num_samples = model.front_end, 0
    rate_hz = front_end.sample_rate_hz

    def counted() -> Iterator[np.ndarray]:
        nonlocal num_samples
        for block in open_waveform(rate_hz):
            num_samples += len(block)
            yield block

    error, faults = None, []
    try:
        least = (model.min_input_frames - 1) * front_end.hop_samples
        blocks = until_fault(counted(), front_end.min_length + least, faults)
        for start, features in feature_windows(front_end, blocks, model.time_reduction):
            yield _Window(posteriors, start, features)
        if num_samples == 0:
            raise faults[0] if faults else Rejected("EMPTY", "holds no samples")
    except Rejected as rejected:
        error = rejected
    posteriors.duration_s = num_samples / rate_hz
    posteriors.fault = faults[0] if faults else None
    yield _Window(posteriors, 0, None, error)


def feature_windows(
    front_end: FrontEnd, blocks: Iterable[np.ndarray], multiple: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number of the first frame, features [<= T, F]) of a recording's windows.

    Args:
        front_end: Of the model.
        blocks: Waveforms [S] of any lengths, one after the other.
        multiple: Windows start at multiples of so many frames.
    """
    if front_end.of_waveforms:  # each window as a clip of its own
        hop = front_end.hop_samples
        for start, window in cut_windows(blocks, front_end.clip_length, hop * multiple):
            yield start // hop, front_end(window)
        return
    frames = stream_log_mel(blocks, front_end)
    for start, window in cut_windows(frames, front_end.num_frames, multiple):
        yield start, front_end.features_from_log_mel(window)


def until_fault(
    blocks: Iterable[np.ndarray], least: int, faults: list[Rejected]
) -> Iterator[np.ndarray]:
    """Yields the blocks of a waveform, and zeros if they are too few for a window.

    Args:
        blocks: float32 [samples] each.
        least: Samples; a shorter waveform is filled up, one without a sample is not.
        faults: Where the fault goes that ends a waveform early; others are raised.
    """
    count = 0
    try:
        for block in blocks:
            count += len(block)
            yield block
    except Rejected as rejected:
        if rejected.code not in PARTIAL:
            raise
        faults.append(rejected)
    if 0 < count < least:
        yield np.zeros(least - count, np.float32)


def _predict_windows(
    model: "Model", windows: Iterable[_Window], num_parts: int
) -> Iterator[_Output]:
    """Adds posteriors; a batch is put together while the devices compute the last."""
    batches = _batches(windows, model.batch_size)
    started = ((batch, _start(model, batch)[:num_parts]) for batch in batches)
    computed = next(started)
    for following in started:
        yield from _fetch(*computed, model.time_reduction)
        computed = following
    yield from _fetch(*computed, model.time_reduction)


def _batches(windows: Iterable[_Window], batch_size: int) -> Iterator[list[_Window]]:
    """Yields so many windows that have features, with ends between; fewer at last."""
    batch: list[_Window] = []
    num_rows = 0
    for window in windows:
        batch.append(window)
        num_rows += window.features is not None
        if num_rows == batch_size:
            yield batch
            batch, num_rows = [], 0
    yield batch


def _start(model: "Model", batch: list[_Window]) -> tuple[Any, ...]:
    """Sends a batch to the devices, padded to the size that is compiled."""
    front_end = model.front_end
    shape = (model.batch_size, front_end.num_frames, front_end.num_bins)
    features = np.zeros(shape, np.float16)  # the type of the clips in training
    num_frames = np.full(model.batch_size, front_end.num_frames, np.int32)
    rows = [window.features for window in batch if window.features is not None]
    for row, values in enumerate(rows):
        features[row, : len(values)] = values
        num_frames[row] = len(values)
    return tuple(model.predict_batch(features, num_frames)) if rows else ()


def _fetch(
    batch: list[_Window], outputs: tuple[Any, ...], time_reduction: int
) -> Iterator[_Output]:
    arrays = [np.asarray(part) for part in outputs if part is not None]
    rows = zip(*arrays, strict=True)
    for window in batch:
        if window.features is None:
            yield window, None
            continue
        num_frames = -(-len(window.features) // time_reduction)
        clip, *per_frame = next(rows)
        per_frame = [values[:num_frames] for values in per_frame]
        clip = np.broadcast_to(clip, per_frame[0].shape)
        yield window, np.hstack([clip, *per_frame])


def _join(
    posteriors: RecordingPosteriors, outputs: Iterable[_Output], time_reduction: int
) -> RecordingPosteriors | Rejected:
    error = None
    num_probabilities = (FRAME + 1) * len(posteriors.class_names)

    def until_end() -> Iterator[tuple[int, np.ndarray]]:
        nonlocal error
        for window, values in outputs:
            if values is None:
                error = window.error or error
            elif is_probability(probabilities := values[:, :num_probabilities]):
                np.clip(probabilities, 0, 1, out=probabilities)  # 1 + rounding
                yield window.start // time_reduction, values
            else:  # no number that is none reaches a file
                error = Rejected("POSTERIORS", "the model's are not all in [0, 1]")

    for block in cross_fade(until_end()):
        posteriors.append(block.reshape(len(block), -1, len(posteriors.class_names)))
    return error or posteriors
