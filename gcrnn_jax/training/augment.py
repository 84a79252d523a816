"""Scaling and augmentation of batches, on the devices.

Everything random depends on (key, row of the global batch) alone, so any number of
devices trains on the same clips.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gcrnn_jax.training.parallel import AXIS

# streams of random numbers
_SHIFT, _MASK, _MIX, _PARTNER, _BINS, _FILTER, _ADD = range(7)

_LOG_OF_DB = math.log(10) / 20  # natural logarithm of a magnitude, a decibel
_SILENCE = -100.0  # a natural logarithm too low to add anything


class Scaler(NamedTuple):
    """Mean and standard deviation of every feature bin over the training clips."""

    mean: np.ndarray  # float32 [F]
    std: np.ndarray  # float32 [F]


class Inputs(NamedTuple):
    """Clips and their labels as the network is trained on them."""

    features: jax.Array  # float32 [B, T, F]
    frame_mask: jax.Array  # bool [B, T], False on padding
    weak_label: jax.Array  # float32 [B, K]
    strong_label: jax.Array | None = None  # float32 [B, T, K], where a loss asks for it


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
    """Clips changed at random on the device, in the order of the fields; 0: off.

    A shift in time moves strong labels. Adding keeps the labels of both clips (their
    union); mixup interpolates labels.

    Source: random filters, Nam, Kim, Park, "FilterAugment", ICASSP 2022; Park et al.,
    "SpecAugment", Interspeech 2019; Zhang et al., "mixup", ICLR 2018.
    Differs: the paper trains without any; it has 51,172 clips. Mixup is of log-mels
    and keeps the larger share first, so that a clip is never outweighed by its
    partner.
    """

    max_shift_frames: int  # circular, in both directions
    max_shift_bins: int  # up or down, the outermost bin repeated; log-mel only
    filter_db: float  # gains up to this at filter_points; log-mel only
    filter_points: int  # over all bins, straight lines between them
    added_fraction: float  # of clips get another added; log-mel only
    max_added_db: float  # louder or softer than it is
    mixup_alpha: float  # of the Beta distribution; the share is max(b, 1 - b)
    time_masks: int  # stretches of up to max_time_mask_frames set to the mean
    max_time_mask_frames: int
    frequency_masks: int  # bands of up to max_frequency_mask_bins
    max_frequency_mask_bins: int

    def __post_init__(self):
        """Raises ValueError for a field that is out of range."""
        for field in dataclasses.fields(self):
            if not (value := getattr(self, field.name)) >= 0:
                raise ValueError(f"{field.name} must be 0 or more, got {value}")
        if self.added_fraction > 1:
            raise ValueError(
                f"added_fraction must be 1 or less, got {self.added_fraction}"
            )
        if self.filter_points < 2:
            raise ValueError(
                f"filter_points must be 2 or more, got {self.filter_points}"
            )

    def check(self, num_frames: int, num_bins: int, *, is_log_magnitude: bool) -> None:
        """Raises ValueError for augmentation that the features do not allow.

        Args:
            num_frames: Of a clip.
            num_bins: Of a frame.
            is_log_magnitude: Whether the features are logarithms of magnitudes: neither
                MFCC nor of powers.
        """
        for name, size in (
            ("max_time_mask_frames", num_frames),
            ("max_frequency_mask_bins", num_bins),
            ("max_shift_bins", num_bins),
        ):
            if (value := getattr(self, name)) > size:
                raise ValueError(f"{name} {value} is more than the {size} of a clip")
        for name in ("max_shift_bins", "filter_db", "added_fraction"):
            if not is_log_magnitude and (value := getattr(self, name)):
                raise ValueError(
                    f"{name} {value} is for log_mel of power 1 only: neither for mfcc "
                    "nor for another power"
                )

    def __call__(self, key: jax.Array, inputs: Inputs, scaler: Scaler) -> Inputs:
        """Returns augmented inputs; to be called within the mapped axis AXIS."""
        size = len(inputs.features)
        rows = lax.axis_index(AXIS) * size + jnp.arange(size)
        if self.max_shift_frames:
            inputs = self._shift(jax.random.fold_in(key, _SHIFT), rows, inputs)
        if self.max_shift_bins:
            inputs = self._shift_bins(jax.random.fold_in(key, _BINS), rows, inputs)
        if self.filter_db:
            inputs = self._filter(
                jax.random.fold_in(key, _FILTER), rows, inputs, scaler
            )
        if self.added_fraction:
            inputs = self._add(jax.random.fold_in(key, _ADD), rows, inputs, scaler)
        if self.mixup_alpha:
            inputs = self._mix(key, rows, inputs)
        if self.time_masks or self.frequency_masks:
            inputs = self._mask(jax.random.fold_in(key, _MASK), rows, inputs)
        return inputs

    def _shift(self, key, rows, inputs: Inputs) -> Inputs:
        limit = self.max_shift_frames

        def shift(row, frames):
            amount = jax.random.randint(
                jax.random.fold_in(key, row), (), -limit, limit + 1
            )
            return jax.tree.map(lambda x: jnp.roll(x, amount, 0), frames)

        frames = inputs._replace(weak_label=None)
        frames = jax.vmap(shift)(rows, frames)
        return frames._replace(weak_label=inputs.weak_label)

    def _shift_bins(self, key, rows, inputs: Inputs) -> Inputs:
        num_bins, limit = inputs.features.shape[2], self.max_shift_bins

        def shift(row, features):
            row_key = jax.random.fold_in(key, row)
            amount = jax.random.randint(row_key, (), -limit, limit + 1)
            return features[:, jnp.clip(jnp.arange(num_bins) - amount, 0, num_bins - 1)]

        return inputs._replace(features=jax.vmap(shift)(rows, inputs.features))

    def _filter(self, key, rows, inputs: Inputs, scaler: Scaler) -> Inputs:
        """Amplifies and damps: as another room, distance or microphone would."""
        num_bins, points = inputs.features.shape[2], self.filter_points
        places = jnp.linspace(0, points - 1, num_bins)

        def filtered(row, features, frame_mask):
            row_key = jax.random.fold_in(key, row)
            gains = jax.random.uniform(row_key, (points,), minval=-1.0, maxval=1.0)
            gains = jnp.interp(places, jnp.arange(points), gains * self.filter_db)
            moved = (_LOG_OF_DB * gains / scaler.std).astype(features.dtype)
            return jnp.where(frame_mask[:, None], features + moved[None], 0.0)

        features = jax.vmap(filtered)(rows, inputs.features, inputs.frame_mask)
        return inputs._replace(features=features)

    def _add(self, key, rows, inputs: Inputs, scaler: Scaler) -> Inputs:
        """Adds the power of another clip of the global batch, and its labels."""
        partner_key, key = jax.random.split(key)
        other = _partners(partner_key, rows, inputs)

        def draw(row):
            chosen, gain = jax.random.split(jax.random.fold_in(key, row))
            return jax.random.uniform(chosen) < self.added_fraction, jax.random.uniform(
                gain, minval=-self.max_added_db, maxval=self.max_added_db
            )

        is_chosen, gain = jax.vmap(draw)(rows)

        def log_magnitude(x: Inputs) -> jax.Array:
            unscaled = x.features * scaler.std[None, None] + scaler.mean[None, None]
            return jnp.where(x.frame_mask[..., None], unscaled, _SILENCE)

        gain = (_LOG_OF_DB * gain).astype(inputs.features.dtype)[:, None, None]
        one, two = log_magnitude(inputs), log_magnitude(other) + gain
        both = jnp.logaddexp(2 * one, 2 * two) / 2  # powers add
        both = (both - scaler.mean[None, None]) / scaler.std[None, None]
        frame_mask = inputs.frame_mask | other.frame_mask
        added = jax.tree.map(jnp.maximum, inputs, other)._replace(  # union of labels
            features=jnp.where(frame_mask[..., None], both, 0.0).astype(
                inputs.features.dtype
            ),
            frame_mask=frame_mask,
        )

        def choose(changed, unchanged):
            rows = is_chosen.reshape(-1, *[1] * (changed.ndim - 1))
            return jnp.where(rows, changed, unchanged)

        return jax.tree.map(choose, added, inputs)

    def _mix(self, key, rows, inputs: Inputs) -> Inputs:
        """Mixes every clip with another of the global batch."""
        other = _partners(jax.random.fold_in(key, _PARTNER), rows, inputs)
        share_key = jax.random.fold_in(key, _MIX)

        def draw(row):
            share = jax.random.beta(
                jax.random.fold_in(share_key, row), self.mixup_alpha, self.mixup_alpha
            )
            return jnp.maximum(share, 1 - share)

        share = jax.vmap(draw)(rows).astype(inputs.features.dtype)

        def mix(a, b):
            shares = share.reshape(-1, *[1] * (a.ndim - 1))
            return shares * a + (1 - shares) * b

        frame_mask = inputs.frame_mask | other.frame_mask
        return jax.tree.map(mix, inputs, other)._replace(frame_mask=frame_mask)

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


def _partners(key: jax.Array, rows: jax.Array, inputs: Inputs) -> Inputs:
    """Another clip of the global batch for each, wherever that lies."""
    everywhere = lax.all_gather(inputs, AXIS, tiled=True)
    order = jax.random.permutation(key, len(everywhere.features))
    return jax.tree.map(lambda x: x[order[rows]], everywhere)
