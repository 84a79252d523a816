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

from gcrnn_jax.fields import check
from gcrnn_jax.training.distortions import between, drawn_bins, drawn_times
from gcrnn_jax.training.replica_rows import ReplicaRows

# streams of random numbers
_SHIFT, _MASK, _MIX, _PARTNER, _BINS, _FILTER, _ADD, _SPEED, _PITCH = range(9)

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
    # float32 [B], 0 on rows that only fill up a device, of mean 1 over all devices;
    # None: all rows count the same
    row_weight: jax.Array | None = None
    # int8 [B], UNLABELLED, WEAK or STRONG; None: weak labels are known of every clip
    known: jax.Array | None = None
    # Where `known` is there, float32 [B] each: 0, or else of one value, so that the
    # mean over all clips of what they weight is the mean over the clips
    weak_weight: jax.Array | None = None  # whose weak labels are known
    held_weight: jax.Array | None = None  # of which nothing else is
    strong_weight: jax.Array | None = None  # whose strong labels are known
    # [B, T, F], the teacher's view of the clips, where there is one
    teacher_features: jax.Array | None = None


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
    return _scaled(features, frame_mask, scaler), frame_mask


def _scaled(features, frame_mask, scaler: Scaler) -> jax.Array:
    scaled = (features - scaler.mean[None, None]) / scaler.std[None, None]
    return jnp.where(frame_mask[..., None], scaled, 0.0)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Clips changed at random on the device, in the order of the fields; 0: off.

    Speeds and shifts in time move strong labels. Adding keeps the labels of both clips
    (their union); mixup interpolates labels. Both take a partner of which as much is
    known: labels of neither clip are lost.

    Source: random filters, Nam, Kim, Park, "FilterAugment", ICASSP 2022; Park et al.,
    "SpecAugment", Interspeech 2019; Zhang et al., "mixup", ICLR 2018.
    Differs: the paper trains without any; it has 51,172 clips. Mixup is of log-mels
    and keeps the larger share first, so that a clip is never outweighed by its
    partner.
    """

    max_speed: float  # quarters of a clip, up to so much faster or slower; 0.2: 20 %
    max_shift_frames: int  # circular, in both directions
    max_pitch: float  # bins up or down by up to this factor - 1; log-mel only
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
        check(self, "0 or more", *(field.name for field in dataclasses.fields(self)))
        check(self, "1 or less", "added_fraction")
        check(self, "2 or more", "filter_points")

    def check(self, num_frames: int, num_bins: int, *, is_log_magnitude: bool) -> None:
        """Raises ValueError for augmentation that the features do not allow.

        Args:
            num_frames: Of a clip.
            num_bins: Of a frame.
            is_log_magnitude: Whether the features are logarithms of magnitudes: neither
                MFCC nor of powers.
        """
        limits = {
            "max_time_mask_frames": num_frames,
            "max_frequency_mask_bins": num_bins,
            "max_shift_bins": num_bins,
        }
        for name, size in limits.items():
            if (value := getattr(self, name)) > size:
                raise ValueError(f"{name} {value} is more than the {size} of a clip")
        for name in ("max_pitch", "max_shift_bins", "filter_db", "added_fraction"):
            if not is_log_magnitude and (value := getattr(self, name)):
                raise ValueError(
                    f"{name} {value} is for log_mel of power 1 only: neither for mfcc "
                    "nor for another power"
                )

    def __call__(
        self,
        key: jax.Array,
        inputs: Inputs,
        scaler: Scaler,
        rows: ReplicaRows | None = None,
        *,
        view_key: jax.Array | None = None,
    ) -> Inputs:
        """Returns augmented inputs; to be called within the mapped axis AXIS.

        Args:
            key: Of the step.
            inputs: Of a replica.
            scaler: By which they were standardized.
            rows: Of the global batch, that they are; None: every row of it is a clip.
            view_key: Of what changes no label (shifts in frequency, filters, masks):
                another gives another view of the same clips. None: `key`.
        """
        rows = rows or ReplicaRows(len(inputs.features))
        view = key if view_key is None else view_key
        steps = (
            (self.max_speed, key, _SPEED, self._play),  # of masks not yet shifted
            (self.max_shift_frames, key, _SHIFT, self._shift),
            (self.max_pitch, view, _PITCH, self._transpose),
            (self.max_shift_bins, view, _BINS, self._shift_bins),
            (self.filter_db, view, _FILTER, self._filter),
            (self.added_fraction, key, _ADD, self._add),
        )
        for is_on, of_step, stream, change in steps:
            if is_on:
                of_change = jax.random.fold_in(of_step, stream)
                inputs = change(of_change, inputs, scaler, rows)
        if self.mixup_alpha:
            inputs = self._mix(key, inputs, rows)
        if self.time_masks or self.frequency_masks:
            inputs = self._mask(jax.random.fold_in(view, _MASK), inputs, rows)
        return inputs

    def _shift(self, key, inputs: Inputs, _, rows) -> Inputs:
        def shift(key, frames):
            amount = _draw_shift(key, self.max_shift_frames)
            return jax.tree.map(lambda x: jnp.roll(x, amount, 0), frames)

        of_frames = inputs._replace(weak_label=None, known=None)
        frames = jax.vmap(shift)(rows.keys(key), of_frames)
        return frames._replace(weak_label=inputs.weak_label, known=inputs.known)

    def _play(self, key, inputs: Inputs, _, rows) -> Inputs:
        """Features between frames, labels of the nearest one."""

        def play(key, features, frame_mask, label):
            times = drawn_times(key, frame_mask, self.max_speed)
            features = jnp.where(frame_mask[:, None], between(features, times), 0)
            if label is not None:
                nearest = label[jnp.floor(times + 0.5).astype(int)]
                label = jnp.where(frame_mask[:, None], nearest, label)
            return features, label

        features, label = jax.vmap(play)(
            rows.keys(key), *inputs[:2], inputs.strong_label
        )
        return inputs._replace(features=features, strong_label=label)

    def _transpose(self, key, inputs: Inputs, _, rows) -> Inputs:
        def transpose(key, features):
            places = drawn_bins(key, features.shape[1], self.max_pitch)
            return between(features.T, places).T

        features = jax.vmap(transpose)(rows.keys(key), inputs.features)
        return inputs._replace(features=features)

    def _shift_bins(self, key, inputs: Inputs, _, rows) -> Inputs:
        num_bins = inputs.features.shape[2]

        def shift(key, features):
            places = jnp.arange(num_bins) - _draw_shift(key, self.max_shift_bins)
            return features[:, jnp.clip(places, 0, num_bins - 1)]

        features = jax.vmap(shift)(rows.keys(key), inputs.features)
        return inputs._replace(features=features)

    def _filter(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        """Amplifies and damps: as another room, distance or microphone would."""
        num_bins, points = inputs.features.shape[2], self.filter_points
        places = jnp.linspace(0, points - 1, num_bins)

        def filtered(key, features, frame_mask):
            gains = jax.random.uniform(key, (points,), minval=-1.0, maxval=1.0)
            gains = jnp.interp(places, jnp.arange(points), gains * self.filter_db)
            moved = (_LOG_OF_DB * gains / scaler.std).astype(features.dtype)
            return jnp.where(frame_mask[:, None], features + moved[None], 0.0)

        keys = rows.keys(key)
        features = jax.vmap(filtered)(keys, inputs.features, inputs.frame_mask)
        return inputs._replace(features=features)

    def _add(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        """Adds the power of another clip of the global batch, and its labels."""
        partner_key, key = jax.random.split(key)
        other = rows.partners(partner_key, inputs, inputs.known)
        loudest = self.max_added_db

        def draw(key):
            chosen, gain = jax.random.split(key)
            gain = jax.random.uniform(gain, minval=-loudest, maxval=loudest)
            return jax.random.uniform(chosen) < self.added_fraction, gain

        is_chosen, gain = jax.vmap(draw)(rows.keys(key))

        def log_magnitude(x: Inputs) -> jax.Array:
            unscaled = x.features * scaler.std[None, None] + scaler.mean[None, None]
            return jnp.where(x.frame_mask[..., None], unscaled, _SILENCE)

        gain = (_LOG_OF_DB * gain).astype(inputs.features.dtype)[:, None, None]
        one, two = log_magnitude(inputs), log_magnitude(other) + gain
        both = jnp.logaddexp(2 * one, 2 * two) / 2  # powers add
        added = jax.tree.map(jnp.maximum, inputs, other)  # union of masks and labels
        both = _scaled(both, added.frame_mask, scaler).astype(inputs.features.dtype)

        def choose(changed, unchanged):
            return jnp.where(_rows_like(is_chosen, changed), changed, unchanged)

        return jax.tree.map(choose, added._replace(features=both), inputs)

    def _mix(self, key, inputs: Inputs, rows) -> Inputs:
        """Mixes every clip with another of the global batch."""
        known, inputs = inputs.known, inputs._replace(known=None)
        partner_key = jax.random.fold_in(key, _PARTNER)
        other = rows.partners(partner_key, inputs, known)

        def draw(key):
            share = jax.random.beta(key, self.mixup_alpha, self.mixup_alpha)
            return jnp.maximum(share, 1 - share)

        share = jax.vmap(draw)(rows.keys(jax.random.fold_in(key, _MIX)))
        share = share.astype(inputs.features.dtype)

        def mix(a, b):
            shares = _rows_like(share, a)
            return shares * a + (1 - shares) * b

        frame_mask = inputs.frame_mask | other.frame_mask
        mixed = jax.tree.map(mix, inputs, other)
        return mixed._replace(frame_mask=frame_mask, known=known)

    def _mask(self, key, inputs: Inputs, rows) -> Inputs:
        _, num_frames, num_bins = inputs.features.shape
        widths = (
            (self.time_masks, self.max_time_mask_frames, num_frames),
            (self.frequency_masks, self.max_frequency_mask_bins, num_bins),
        )

        def mask(key, features):
            for axis, (count, longest, size) in enumerate(widths):
                for n in range(count):
                    stretch_key = jax.random.fold_in(key, 1000 * axis + n)
                    width_key, start_key = jax.random.split(stretch_key)
                    width = jax.random.randint(width_key, (), 0, longest + 1)
                    start = jax.random.randint(start_key, (), 0, size - width + 1)
                    place = jnp.arange(size)
                    hidden = (place >= start) & (place < start + width)
                    hidden = jnp.expand_dims(hidden, 1 - axis)
                    features = jnp.where(hidden, 0.0, features)
            return features

        features = jax.vmap(mask)(rows.keys(key), inputs.features)
        return inputs._replace(features=features)


def _draw_shift(key: jax.Array, limit: int) -> jax.Array:
    return jax.random.randint(key, (), -limit, limit + 1)


def _rows_like(values: jax.Array, x: jax.Array) -> jax.Array:
    """One value a clip, [B], with the dimensions of x [B, ...]."""
    return values.reshape(-1, *[1] * (x.ndim - 1))
