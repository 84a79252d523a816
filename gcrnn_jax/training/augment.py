"""What a batch goes through before the network sees it: scaling and augmentation.

Everything random depends on (key, row of the global batch) alone, so any number of
devices trains on the same clips.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gcrnn_jax.training.parallel import AXIS

# streams of random numbers
_SHIFT, _MASK, _MIX, _PARTNER = range(4)


class Scaler(NamedTuple):
    """Mean and standard deviation of every feature bin over the training clips."""

    mean: np.ndarray  # [F]
    std: np.ndarray  # [F]


class Inputs(NamedTuple):
    """What the network is trained on."""

    features: jax.Array  # float32 [B, T, F]
    frame_mask: jax.Array  # bool [B, T], False on padding
    weak_label: jax.Array  # float32 [B, K]


def standardize(features, num_frames, scaler: Scaler):
    """Scales features to zero mean and unit variance per bin; padding becomes 0.

    Args:
        features: [B, T, F] of any float type.
        num_frames: int [B], real frames of each clip.
        scaler: Statistics of the training clips.

    Returns:
        float32 [B, T, F] and the bool frame mask [B, T].
    """
    frame_mask = jnp.arange(features.shape[1])[None] < num_frames[:, None]
    scaled = (features - scaler.mean[None, None]) / scaler.std[None, None]
    return jnp.where(frame_mask[..., None], scaled, 0.0), frame_mask


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Time shift, SpecAugment and mixup, computed on the device; 0 switches one off.

    Source: Park et al., "SpecAugment", Interspeech 2019; Zhang et al., "mixup",
    ICLR 2018.
    Differs: the paper trains without any; it has 51,172 clips. Mixing is of log-mels
    and keeps the larger share first, so that a clip is never outweighed by its
    partner.
    """

    max_shift_frames: int = 0  # circular, in both directions
    time_masks: int = 0  # stretches of up to max_time_mask_frames set to the mean
    max_time_mask_frames: int = 0
    frequency_masks: int = 0  # bands of up to max_frequency_mask_bins
    max_frequency_mask_bins: int = 0
    mixup_alpha: float = 0.0  # of the Beta distribution; the share is max(b, 1 - b)

    def __post_init__(self):
        """Raises ValueError for a field below 0."""
        for field in dataclasses.fields(self):
            if not (value := getattr(self, field.name)) >= 0:
                raise ValueError(f"{field.name} must be 0 or more, got {value}")

    def check(self, num_frames: int, num_bins: int) -> None:
        """Raises ValueError for masks longer than clips of these frames and bins."""
        for name, size in (
            ("max_time_mask_frames", num_frames),
            ("max_frequency_mask_bins", num_bins),
        ):
            if (value := getattr(self, name)) > size:
                raise ValueError(f"{name} {value} is more than the {size} of a clip")

    def __call__(self, key: jax.Array, inputs: Inputs) -> Inputs:
        """Returns augmented inputs; to be called within the mapped axis AXIS."""
        size = len(inputs.features)
        rows = lax.axis_index(AXIS) * size + jnp.arange(size)
        if self.max_shift_frames:
            inputs = self._shift(jax.random.fold_in(key, _SHIFT), rows, inputs)
        if self.mixup_alpha:
            inputs = self._mix(key, rows, inputs)
        if self.time_masks or self.frequency_masks:
            inputs = self._mask(jax.random.fold_in(key, _MASK), rows, inputs)
        return inputs

    def _shift(self, key, rows, inputs: Inputs) -> Inputs:
        limit = self.max_shift_frames

        def shift(row, features, frame_mask):
            amount = jax.random.randint(
                jax.random.fold_in(key, row), (), -limit, limit + 1
            )
            return jnp.roll(features, amount, 0), jnp.roll(frame_mask, amount, 0)

        features, frame_mask = jax.vmap(shift)(rows, inputs.features, inputs.frame_mask)
        return inputs._replace(features=features, frame_mask=frame_mask)

    def _mix(self, key, rows, inputs: Inputs) -> Inputs:
        """Mixes every clip with another of the global batch, wherever that lies."""
        everywhere = lax.all_gather(inputs, AXIS, tiled=True)
        partner = jax.random.permutation(
            jax.random.fold_in(key, _PARTNER), len(everywhere.features)
        )[rows]
        other = jax.tree.map(lambda x: x[partner], everywhere)
        share_key = jax.random.fold_in(key, _MIX)

        def draw(row):
            share = jax.random.beta(
                jax.random.fold_in(share_key, row), self.mixup_alpha, self.mixup_alpha
            )
            return jnp.maximum(share, 1 - share)

        share = jax.vmap(draw)(rows).astype(inputs.features.dtype)

        def mixed(a, b, share):
            return share * a + (1 - share) * b

        return Inputs(
            mixed(inputs.features, other.features, share[:, None, None]),
            inputs.frame_mask | other.frame_mask,
            mixed(inputs.weak_label, other.weak_label, share[:, None]),
        )

    def _mask(self, key, rows, inputs: Inputs) -> Inputs:
        _, num_frames, num_bins = inputs.features.shape
        widths = (
            (self.time_masks, self.max_time_mask_frames, num_frames),
            (self.frequency_masks, self.max_frequency_mask_bins, num_bins),
        )

        def mask(row, features):
            key_of_row = jax.random.fold_in(key, row)
            for axis, (count, longest, size) in enumerate(widths):
                for n in range(count):
                    width_key, start_key = jax.random.split(
                        jax.random.fold_in(key_of_row, 1000 * axis + n)
                    )
                    width = jax.random.randint(width_key, (), 0, longest + 1)
                    start = jax.random.randint(start_key, (), 0, size - width + 1)
                    place = jnp.arange(size)
                    hidden = (place >= start) & (place < start + width)
                    hidden = jnp.expand_dims(hidden, 1 - axis)
                    features = jnp.where(hidden, 0.0, features)
            return features

        return inputs._replace(features=jax.vmap(mask)(rows, inputs.features))
