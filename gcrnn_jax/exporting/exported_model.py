"""An exported program of features, to predict with like a trained model."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.exporting.stablehlo import FEATURES_PROGRAM, Predict, load_exported
from gcrnn_jax.inference.card import ModelCard


@dataclasses.dataclass(frozen=True)
class ExportedModel:
    """A program with the attributes of a `TrainedModel` that prediction asks for.

    Attributes:
        card: Of the model that was exported.
        program: Features [B, T, F], all frames real -> clip [B, K], frame [B, T', K].
        batch_size: Windows computed at once.
        hop_s: Seconds a frame of its posteriors.
        min_input_frames: Fewest frames of features that the program takes.
        content_hash: SHA-256 of program and card.
    """

    card: ModelCard
    program: Predict
    batch_size: int
    hop_s: float
    min_input_frames: int
    content_hash: str

    @classmethod
    def load(cls, path: Path, batch_size: int) -> "ExportedModel":
        """Opens a folder that `python -m gcrnn_jax.export` wrote.

        Raises:
            ConfigError: A package that reads programs is not installed.
            DataError: The folder or its program cannot be read.
        """
        card, program = load_exported(path)
        content_hash = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
        content_hash.update((path / FEATURES_PROGRAM).read_bytes())
        exported = card["exported"]
        return cls(
            ModelCard.from_dict(card, path),
            program,
            batch_size,
            exported["frame_hop_s"],
            exported["min_frames"],
            content_hash.hexdigest(),
        )

    @property
    def front_end(self) -> FrontEnd:
        """From waveforms to features."""
        return self.card.front_end

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.card.class_names

    @property
    def postprocessing(self) -> Postprocessing:
        """Its thresholds, and its way from posteriors to events."""
        return self.card.postprocessing

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return round(self.hop_s / self.front_end.hop_s)

    def predict_batch(
        self, features: np.ndarray, num_frames: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, None]:
        """Clip and frame posteriors of a batch, and no attention.

        The program takes all frames as real, so rows with padding go alone, without it.

        Args:
            features: [B, T, F].
            num_frames: int [B], real frames of each row.
        """
        clip, frame = map(np.array, self.program(features))
        for row in np.flatnonzero(num_frames < features.shape[1]):
            row_clip, row_frame = self.program(
                features[row : row + 1, : num_frames[row]]
            )
            clip[row], frame[row] = row_clip[0], 0
            frame[row, : row_frame.shape[1]] = row_frame[0]
        return clip, frame, None
