"""A trained model, ready for windows of recordings. A stand-in for `inference`."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.exporting.stablehlo import OF_FEATURES, is_exported, load_exported
from gcrnn_jax.inference import compile_predictor
from gcrnn_jax.system import postprocessing_of
from gcrnn_jax.training import checkpoints, parallel


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """One network with its weights and all that goes with them.

    Attributes:
        front_end: From waveforms to features.
        class_names: K.
        hop_s: Seconds a frame of its posteriors.
        time_reduction: Frames of features in one of posteriors.
        postprocessing: Its thresholds, and its way to events.
        content_hash: Of weights and card: equal for models that predict the same.
        batch_size: Windows that are computed at once.
        predict_batch: (features float16 [B, W, F], num_frames int32 [B]) -> posteriors
            of the clips [B, K] and the frames [B, T, K], and attention [B, T, K] or
            None, on the devices.
        min_input_frames: Fewest frames of features that the network takes.
    """

    front_end: FrontEnd
    class_names: tuple[str, ...]
    hop_s: float
    time_reduction: int
    postprocessing: Postprocessing
    content_hash: str
    batch_size: int
    predict_batch: Callable
    min_input_frames: int = 1


def load_model(path: Path, batch_size: int = 8) -> TrainedModel:
    """Loads a model for prediction.

    Args:
        path: Of an averaged model, of an epoch or of an exported model; or of a run's
            folder, which stands for its averaged model, or for its newest epoch until
            there is one.
        batch_size: Windows to compute at once; rounded up to a multiple of devices.

    Raises:
        DataError: There is no model at path, or it cannot be read.
    """
    if is_exported(path):
        return _load_exported(path, batch_size)
    card, variables = checkpoints.load_model(path)
    mesh = parallel.make_mesh()
    predictor = compile_predictor(card, mesh, batch_size)
    on_devices = parallel.put_state(variables, mesh)

    def predict_batch(features, num_frames):
        rows = {"features": features, "num_frames": num_frames}
        return predictor.of_batch(on_devices, parallel.put_batch(rows, mesh))

    arrays = [np.ascontiguousarray(x).data for x in jax.tree.leaves(variables)]
    return TrainedModel(
        FrontEnd.from_dict(card["front_end"]),
        tuple(card["classes"]["names"]),
        card["hop_s"] * predictor.model.time_reduction,
        predictor.model.time_reduction,
        postprocessing_of(card),
        _content_hash(card, arrays),
        predictor.batch_size,
        predict_batch,
    )


def _load_exported(path: Path, batch_size: int) -> TrainedModel:
    card, predict = load_exported(path)
    front_end, hop_s = FrontEnd.from_dict(card["front_end"]), card["hop_s"]
    return TrainedModel(
        front_end,
        tuple(card["classes"]["names"]),
        card["exported"]["frame_hop_s"],
        round(card["exported"]["frame_hop_s"] / hop_s),
        postprocessing_of(card),
        _content_hash(card, [(path / OF_FEATURES).read_bytes()]),
        batch_size,
        lambda *rows: (*predict_rows(predict, *rows), None),
        card["exported"]["min_frames"],
    )


def predict_rows(
    predict: Callable, features: np.ndarray, num_frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clip and frame posteriors of a batch by a program that knows no padding.

    The program takes all frames as real, so rows with padding go alone, without it.

    Args:
        predict: Features [B, T, F] -> clip [B, K] and frame [B, T', K].
        features: [B, W, F].
        num_frames: int [B], real frames of each row.
    """
    clip, frame = map(np.array, predict(features))
    for row in np.flatnonzero(num_frames < features.shape[1]):
        row_clip, row_frame = predict(features[row : row + 1, : num_frames[row]])
        clip[row], frame[row] = row_clip[0], 0
        frame[row, : row_frame.shape[1]] = row_frame[0]
    return clip, frame


def _content_hash(card, contents: Iterable[Any]) -> str:
    content_hash = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for content in contents:
        content_hash.update(content)
    return content_hash.hexdigest()
