"""What training and prediction ask of every network."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
from flax import linen as nn


class Posteriors(NamedTuple):
    """What a network says of a batch: probabilities in [0, 1], float32."""

    clip: jax.Array  # [B, K], class k is somewhere in the clip
    frame: jax.Array  # [B, T, K], class k is active in frame t
    attention: jax.Array  # [B, T, K], how much frame t counts for class k
    frame_mask: jax.Array  # bool [B, T], False on padding


class Network(nn.Module):
    """Base of the networks: standardized features in, `Posteriors` out."""

    num_classes: int
    axis_name: str | None = None  # BatchNorm over all devices of this mapped axis

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return 1

    @property
    def min_input_frames(self) -> int:
        """Fewest frames of features that it takes."""
        return self.time_reduction

    def for_export(self) -> Self:
        """The network in the form that is exported: in float32, of any length."""
        return self

    def __call__(
        self,
        features: jax.Array,
        frame_mask: jax.Array | None = None,
        *,
        train: bool = False,
        clip_keys: jax.Array | None = None,
    ) -> Posteriors:
        """Returns posteriors for standardized features.

        Args:
            features: [B, input frames, F], zero mean and unit variance per bin.
            frame_mask: [B, input frames] bool, False on padding; None: all real.
            train: Normalise by the batch and update the running statistics.
            clip_keys: [B] random keys, one a clip, for networks with dropout; None:
                no dropout.

        Returns:
            Posteriors with at least T = input frames // time_reduction; what is beyond
            the last input frame is padding.

        Raises:
            ValueError: The features are too few for the network.
        """
        raise NotImplementedError


def mask_or_ones(frame_mask: jax.Array | None, features: jax.Array) -> jax.Array:
    """The mask [B, T] of the real frames of features [B, T, F]; None: of all."""
    return jnp.ones(features.shape[:2], bool) if frame_mask is None else frame_mask
