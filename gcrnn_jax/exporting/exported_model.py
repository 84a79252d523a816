"""An exported program of features, to predict with like a trained model."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.detection.calibration import Probabilities
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting.stablehlo import (
    CARD,
    FEATURES_PROGRAM,
    Predict,
    load_exported,
)
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.inference.model import hash_model


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """A program with the attributes of a `TrainedModel` that prediction asks for.

    Attributes:
        front_end: From waveforms to features.
        class_names: Names of the K classes.
        postprocessing: Its thresholds, and its way from posteriors to events.
        program: Features [B, T, F], all frames real -> clip [B, K], frame [B, T', K].
        batch_size: Windows computed at once.
        hop_s: Seconds a frame of its posteriors.
        min_input_frames: Fewest frames of features that the program takes.
        content_hash: SHA-256 of program and card.
        probabilities: From its posteriors to probabilities, where its card has them.
    """

    front_end: FrontEnd
    class_names: tuple[str, ...]
    postprocessing: Postprocessing
    program: Predict
    batch_size: int
    hop_s: float
    min_input_frames: int
    content_hash: str
    probabilities: Probabilities | None = None

    @classmethod
    def load(cls, path: Path, batch_size: int) -> "ExportedModel":
        """Opens a folder that `python -m gcrnn_jax.export` wrote.

        Raises:
            ConfigError: A package that reads programs is not installed.
            DataError: The folder or its program cannot be read.
        """
        content, program = load_exported(path)
        card = ModelCard.from_dict(content, path).found_near(path)
        hop_s, min_frames = _read_exported(card, content.get("exported"), path)
        return cls(
            card.front_end,
            card.class_names,
            card.postprocessing,
            program,
            batch_size,
            hop_s,
            min_frames,
            hash_model(content, [(path / FEATURES_PROGRAM).read_bytes()]),
            card.probabilities,
        )

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return round(self.hop_s / self.front_end.hop_s)

    def predict_batch(
        self, features: np.ndarray, num_frames: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, None]:
        """Clip and frame posteriors of features [B, T, F], and no attention.

        The program takes all frames as real, so rows with padding, which have only
        `num_frames`, int [B], go alone, without it.
        """
        clip, frame = map(np.array, self.program(features))
        for row in np.flatnonzero(num_frames < features.shape[1]):
            (row_clip,), (real,) = self.program(features[[row], : num_frames[row]])
            clip[row], frame[row] = row_clip, 0
            frame[row, : len(real)] = real
        return clip, frame, None


def _read_exported(card: ModelCard, exported: Any, path: Path) -> tuple[float, int]:
    """Seconds a frame and fewest frames of a program, as its card has them."""
    fields = exported if isinstance(exported, dict) else {}
    hop_s, min_frames = fields.get("frame_hop_s"), fields.get("min_frames")
    expected, most = card.hop_s, card.front_end.num_frames
    if not isinstance(hop_s, float) or not math.isclose(hop_s, expected):
        what = f"frame_hop_s: expected {expected}, got {hop_s!r}"
    elif type(min_frames) is not int or not 1 <= min_frames <= most:
        what = f"min_frames: expected 1 to {most}, got {min_frames!r}"
    else:
        return hop_s, min_frames
    raise DataError(f"{path / CARD}: exported.{what[:200]}")
