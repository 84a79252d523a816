"""A model as it is exported: one pure function, its weights and its scaler inside."""

import dataclasses
from typing import Any

import jax
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.models.network import Network
from gcrnn_jax.system import make_model, make_scaler
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.checkpoints import Model


@dataclasses.dataclass(frozen=True, eq=False)  # by identity, as jax.jit asks
class Exportable:
    """A network that predicts in float32, with all that it needs."""

    card: dict[str, Any]
    front_end: FrontEnd
    network: Network
    variables: Any  # {"params": ..., "batch_stats": ...}, NumPy
    scaler: Scaler

    def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Posteriors of unscaled features [B, T, F], all of whose frames are real.

        Returns:
            Clip [B, K] and frame [B, frames_out, K], float32.
        """
        scaled = (features - self.scaler.mean[None, None]) / self.scaler.std[None, None]
        posteriors: Any = self.network.apply(self.variables, scaled)
        # a window that reaches past the last frame may end in nothing but padding
        real = posteriors.frame_mask[:, :, None].astype(posteriors.frame.dtype)
        return posteriors.clip, posteriors.frame * real

    @property
    def fields(self) -> dict[str, Any]:
        """The config section of the network."""
        return self.card["config"]["model"]

    @property
    def frame_hop_s(self) -> float:
        """Seconds per frame of posteriors."""
        return self.front_end.hop_s * self.network.time_reduction

    @property
    def min_input_frames(self) -> int:
        """Fewest frames of features that the network takes."""
        return self.network.min_input_frames

    @property
    def min_samples(self) -> int:
        """Samples of the shortest waveform that gives enough frames.

        An MFCC needs as many frames as one fit of its derivatives, mirrored ends need
        what they mirror.
        """
        front_end = self.front_end
        frames = max(self.min_input_frames, front_end.min_frames)
        if not front_end.centered:
            return self.samples_of(frames)
        return max(self.samples_of(frames), (front_end.frame_length + 1) // 2 + 1)

    def samples_of(self, num_frames: int) -> int:
        """Fewest samples of a waveform that has so many frames."""
        first = 0 if self.front_end.centered else self.front_end.frame_length
        return first + (num_frames - 1) * self.front_end.hop_length


def exportable(model: Model) -> Exportable:
    """Prepares a model: float32 whatever it was trained in, one frame a scan step.

    Raises:
        ConfigError: The card has another program's front end.
        ValueError: The card has another program's network.
    """
    card, fields = model.card, dict(model.card["config"]["model"])
    if fields["network"] == "gated_crnn":
        # steps taken eight at a time would need so many frames, and hardly pay
        fields |= {"dtype": "float32", "gru_unroll": 1}
    return Exportable(
        card,
        FrontEnd.from_dict(card["front_end"]),
        make_model(fields, len(card["classes"]["names"])),
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), model.variables),
        make_scaler(card["scaler"]["mean"], card["scaler"]["std"]),
    )
