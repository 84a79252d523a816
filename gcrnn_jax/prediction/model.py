"""A trained model, ready for waveforms: what `predict` and Python programs call."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from gcrnn_jax.system import postprocessing_of

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.frames import stream_log_mel
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.exporting.stablehlo import OF_FEATURES, is_exported, load_exported
from gcrnn_jax.inference import compile_predictor
from gcrnn_jax.prediction.track import Track
from gcrnn_jax.prediction.windows import cross_fade, cut_windows
from gcrnn_jax.training import parallel
from gcrnn_jax.training.checkpoints import load_model

# A recording: given a rate in Hz, its waveform in blocks, or `Rejected`.
Recording = Callable[[int], Iterable[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """One network with its weights and all that goes with them.

    Attributes:
        front_end: How it hears.
        class_names: K.
        hop_s: Seconds a frame of its posteriors.
        time_reduction: Frames of features in one of posteriors.
        postprocessing: Its thresholds, and its way to events.
        digest: Of weights and card: two models with one digest say the same.
        batch_size: Windows that are computed at once.
        min_input_frames: Fewest frames of features that the network takes.
        of_batch: (features float16 [B, W, F], num_frames int32 [B]) -> posteriors of
            the clips [B, K] and the frames [B, T, K], on the devices; if that is asked
            for also attention [B, T, K].
    """

    front_end: FrontEnd
    class_names: tuple[str, ...]
    hop_s: float
    time_reduction: int
    postprocessing: Postprocessing
    digest: str
    batch_size: int
    of_batch: Callable
    min_input_frames: int = 1


def load_trained(
    path: Path, batch_size: int, *, with_attention: bool = False
) -> TrainedModel:
    """Loads a model for prediction.

    Args:
        path: Of an averaged model, of an epoch or of an exported model; or of a run's
            folder, which stands for its averaged model, or for its newest epoch until
            there is one.
        batch_size: Windows to compute at once; rounded up to a multiple of devices.
        with_attention: Whether attention is asked for. An exported model has none.

    Raises:
        DataError: There is no model at path, or it cannot be read.
    """
    if is_exported(path):
        return _load_exported(path, batch_size)
    card, variables = load_model(path)
    mesh = parallel.make_mesh()
    predictor = compile_predictor(card, mesh, batch_size)
    on_devices = parallel.put_state(variables, mesh)

    def of_batch(features, num_frames):
        rows = {"features": features, "num_frames": num_frames}
        said = predictor.of_batch(on_devices, parallel.put_batch(rows, mesh))
        return said if with_attention else said[:2]

    arrays = [np.ascontiguousarray(x).data for x in jax.tree.leaves(variables)]
    return TrainedModel(
        FrontEnd.from_dict(card["front_end"]),
        tuple(card["classes"]["names"]),
        card["hop_s"] * predictor.model.time_reduction,
        predictor.model.time_reduction,
        postprocessing_of(card),
        _digest(card, arrays),
        predictor.batch_size,
        of_batch,
    )


def _load_exported(path: Path, batch_size: int) -> TrainedModel:
    card, predict = load_exported(path)
    front_end, hop_s = FrontEnd.from_dict(card["front_end"]), card["hop_s"]

    def of_batch(features, num_frames):
        clip, frame = map(np.array, predict(features))
        # The program takes all frames for real, so what is no whole window goes alone.
        for row in np.flatnonzero(num_frames < features.shape[1]):
            alone = predict(features[row : row + 1, : num_frames[row]])
            clip[row], frame[row] = alone[0][0], 0
            frame[row, : alone[1].shape[1]] = alone[1][0]
        return clip, frame

    return TrainedModel(
        front_end,
        tuple(card["classes"]["names"]),
        card["exported"]["frame_hop_s"],
        round(card["exported"]["frame_hop_s"] / hop_s),
        postprocessing_of(card),
        _digest(card, [(path / OF_FEATURES).read_bytes()]),
        batch_size,
        of_batch,
        card["exported"]["min_frames"],
    )


def _digest(card, contents: Iterable[Any]) -> str:
    digest = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


class _Window(NamedTuple):
    """A window of a recording on its way to the network; without features, its end."""

    recording: int
    start: int  # in frames of features
    features: np.ndarray | None  # [<= W, F]
    duration_s: float = 0.0
    error: Rejected | None = None


def tracks_of(
    model: TrainedModel, recordings: Iterable[Recording]
) -> Iterator[Track | Rejected]:
    """What a model says of recordings, one after the other.

    Windows of several recordings are computed together where they are short; so a
    recording is read while the windows of those before it are computed.

    Yields:
        In the order of the recordings; Rejected for one that could not be read.
    """
    windows = itertools.chain.from_iterable(
        _windows(model, number, recording)
        for number, recording in enumerate(recordings)
    )
    said = _posteriors(model, windows)
    for _, of_one in itertools.groupby(said, key=lambda pair: pair[0].recording):
        yield _track(model, of_one)


def _windows(
    model: TrainedModel, number: int, recording: Recording
) -> Iterator[_Window]:
    front_end, num_samples, is_heard = model.front_end, 0, False
    rate_hz = front_end.sample_rate_hz

    def counted() -> Iterator[np.ndarray]:
        nonlocal num_samples
        for block in recording(rate_hz):
            num_samples += len(block)
            yield block

    error = None
    try:
        frames = stream_log_mel(counted(), front_end)
        for start, window in cut_windows(
            frames, front_end.num_frames, model.time_reduction
        ):
            if len(window) >= model.min_input_frames:
                is_heard = True
                yield _Window(number, start, front_end.features_from_log_mel(window))
        if not is_heard:
            hops = (model.min_input_frames - 1) * front_end.hop_length
            raise Rejected(
                "TOO_SHORT",
                f"{num_samples} samples at {rate_hz} Hz, "
                f"expected {front_end.min_length + hops} or more",
            )
    except Rejected as rejected:
        error = rejected
    yield _Window(number, 0, None, num_samples / rate_hz, error)


def _posteriors(
    model: TrainedModel, windows: Iterable[_Window]
) -> Iterator[tuple[_Window, np.ndarray | None]]:
    """Adds to each window what the network says of it; to the end of a recording None.

    The next batch is put together while the devices compute the last one.
    """
    waiting: list[_Window] = []
    num_waiting, begun = 0, None
    for window in windows:
        waiting.append(window)
        num_waiting += window.features is not None
        if num_waiting == model.batch_size:
            next_begun = _begin(model, waiting)
            if begun:
                yield from _fetch(model, *begun)
            waiting, num_waiting, begun = [], 0, next_begun
    if begun:
        yield from _fetch(model, *begun)
    yield from _fetch(model, *_begin(model, waiting))


def _begin(model: TrainedModel, windows: list[_Window]):
    """Sends a batch to the devices, filled up to the size that is compiled."""
    front_end = model.front_end
    shape = (model.batch_size, front_end.num_frames, front_end.num_bins)
    features = np.zeros(shape, np.float16)  # as the clips that were trained on
    num_frames = np.full(model.batch_size, front_end.num_frames, np.int32)
    real = [window.features for window in windows if window.features is not None]
    for row, of_window in enumerate(real):
        features[row, : len(of_window)] = of_window
        num_frames[row] = len(of_window)
    return windows, model.of_batch(features, num_frames) if real else None


def _fetch(
    model: TrainedModel, windows: list[_Window], posteriors
) -> Iterator[tuple[_Window, np.ndarray | None]]:
    rows = zip(*parallel.to_host(posteriors), strict=True) if posteriors else iter(())
    for window in windows:
        if window.features is None:
            yield window, None
            continue
        clip, *of_frames = next(rows)
        num_frames = -(-len(window.features) // model.time_reduction)
        of_frames = [values[:num_frames] for values in of_frames]
        clip = np.broadcast_to(clip, of_frames[0].shape)
        yield window, np.stack([clip, *of_frames], axis=1)


def _track(
    model: TrainedModel, said: Iterable[tuple[_Window, np.ndarray | None]]
) -> Track | Rejected:
    track = Track(len(model.class_names), model.hop_s)
    ends: list[_Window] = []

    def until_end() -> Iterator[tuple[int, np.ndarray]]:
        for window, values in said:
            if values is None:
                ends.append(window)
            else:
                flat = values.reshape(len(values), -1)
                yield window.start // model.time_reduction, flat

    for block in cross_fade(until_end()):
        track.append(block.reshape(len(block), -1, track.num_classes))
    (end,) = ends
    track.duration_s = end.duration_s
    return end.error or track
