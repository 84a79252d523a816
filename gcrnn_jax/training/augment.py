"""Augmentation of batches, on the devices.

Everything random depends on (key, row of the global batch) alone, so any number of
devices trains on the same clips.
"""

import dataclasses

import jax
import jax.numpy as jnp

from gcrnn_jax.fields import check
from gcrnn_jax.training.distortions import (
    LOG_OF_DB,
    background,
    drawn_band,
    drawn_bins,
    drawn_curve,
    drawn_spectrum,
    drawn_times,
    with_masks,
    with_noise,
)
from gcrnn_jax.training.inputs import (
    Inputs,
    Scaler,
    amplified,
    log_magnitude,
    rescaled,
    standardize,  # noqa: F401 - a name of this module
)
from gcrnn_jax.training.replica_rows import ReplicaRows

# streams of random numbers
_SHIFT, _MASK, _MIX, _PARTNER, _BINS, _FILTER, _ADD, _SPEED, _PITCH = range(9)
_NOISE, _BACKGROUND, _BAND, _GAIN = range(9, 13)

_FRACTIONS = ("added_fraction", "noise_fraction", "background_fraction")
_OF_BINS = ("max_pitch", "max_shift_bins", "filter_db", "max_cut_bins", "max_gain_db")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Clips changed at random on the device, in the order of the fields; 0: off.

    Speeds and shifts in time move strong labels. Adding keeps the labels of both clips
    (their union); mixup interpolates labels. Both take a partner of which as much is
    known: labels of neither clip are lost. Noise and backgrounds bring no labels.

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
    noise_fraction: float  # of clips get noise of a random spectrum; log-mel only
    background_fraction: float  # get the quiet parts of another's; log-mel only
    min_snr_db: float  # of clips over either, in mean power
    max_snr_db: float
    max_cut_bins: int  # damped at the lower and at the upper end; log-mel only
    max_gain_db: float  # of whole clips, louder or softer; log-mel only
    mixup_alpha: float  # of the Beta distribution; the share is max(b, 1 - b)
    time_masks: int  # stretches of up to max_time_mask_frames set to the mean
    max_time_mask_frames: int
    frequency_masks: int  # bands of up to max_frequency_mask_bins
    max_frequency_mask_bins: int

    def __post_init__(self):
        check(self, "0 or more", *(field.name for field in dataclasses.fields(self)))
        check(self, "1 or less", *_FRACTIONS)
        check(self, "2 or more", "filter_points")
        if self.min_snr_db > self.max_snr_db:
            limits = f"min_snr_db {self.min_snr_db}, max_snr_db {self.max_snr_db}"
            raise ValueError(f"{limits}: the least is more than the most")

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
            "max_cut_bins": num_bins // 2,
        }
        for name, size in limits.items():
            if (value := getattr(self, name)) > size:
                raise ValueError(f"{name} {value} is more than the {size} of a clip")
        for name in (*_OF_BINS, *_FRACTIONS):
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
            view_key: Of what changes no label (frequencies, filters, noise, masks):
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
            (self.noise_fraction, view, _NOISE, self._add_noise),
            (self.background_fraction, view, _BACKGROUND, self._add_background),
            (self.max_cut_bins, view, _BAND, self._limit),
            (self.max_gain_db, view, _GAIN, self._amplify),
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
        def play(key, frame_mask, of_frames):
            times = drawn_times(key, frame_mask, self.max_speed)
            real = frame_mask[:, None]
            return jax.tree.map(lambda x: jnp.where(real, x[times], x), of_frames)

        of_frames = inputs.features, inputs.strong_label
        played = jax.vmap(play)(rows.keys(key), inputs.frame_mask, of_frames)
        return inputs._replace(features=played[0], strong_label=played[1])

    def _transpose(self, key, inputs: Inputs, _, rows) -> Inputs:
        def transpose(key, features):
            return features[:, drawn_bins(key, features.shape[1], self.max_pitch)]

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

        def draw(key):
            gains = drawn_curve(key, self.filter_points, len(scaler.mean))
            return LOG_OF_DB * self.filter_db * gains

        return amplified(inputs, jax.vmap(draw)(rows.keys(key)), scaler)

    def _limit(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        def draw(key):
            return drawn_band(key, len(scaler.mean), self.max_cut_bins)

        return amplified(inputs, jax.vmap(draw)(rows.keys(key)), scaler)

    def _amplify(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        def draw(key):
            return LOG_OF_DB * _draw_gain(key, self.max_gain_db)[None]

        return amplified(inputs, jax.vmap(draw)(rows.keys(key)), scaler)

    def _add_noise(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        mean = jnp.asarray(scaler.mean, inputs.features.dtype)
        keys = rows.keys(jax.random.fold_in(key, 1))
        spectra = jax.vmap(drawn_spectrum, (0, None))(keys, mean)
        snr_db = self._draw_snr(key, rows, self.noise_fraction)
        return _with_noise(rows.keys(key), inputs, scaler, spectra, snr_db)

    def _add_background(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        """Adds what another clip of the global batch sounds like where it is quiet."""
        magnitudes = log_magnitude(inputs, scaler)
        spectra = jax.vmap(background)(magnitudes, inputs.frame_mask)
        spectra = rows.partners(jax.random.fold_in(key, 1), spectra)
        snr_db = self._draw_snr(key, rows, self.background_fraction)
        return _with_noise(rows.keys(key), inputs, scaler, spectra, snr_db)

    def _draw_snr(self, key, rows, fraction: float) -> jax.Array:
        """Decibels by which clips are over a noise, [B]; infinite without one."""

        def draw(key):
            chosen, loudness = jax.random.split(key)
            least, most = self.min_snr_db, self.max_snr_db
            snr_db = jax.random.uniform(loudness, minval=least, maxval=most)
            return jnp.where(jax.random.uniform(chosen) < fraction, snr_db, jnp.inf)

        return jax.vmap(draw)(rows.keys(jax.random.fold_in(key, 2)))

    def _add(self, key, inputs: Inputs, scaler: Scaler, rows) -> Inputs:
        """Adds the power of another clip of the global batch, and its labels."""
        partner_key, key = jax.random.split(key)
        other = rows.partners(partner_key, inputs, inputs.known)

        def draw(key):
            chosen, gain = jax.random.split(key)
            gain = _draw_gain(gain, self.max_added_db)
            return jax.random.uniform(chosen) < self.added_fraction, gain

        is_chosen, gain = jax.vmap(draw)(rows.keys(key))
        gain = (LOG_OF_DB * gain).astype(inputs.features.dtype)[:, None, None]
        one = log_magnitude(inputs, scaler)
        two = log_magnitude(other, scaler) + gain
        both = jnp.logaddexp(2 * one, 2 * two) / 2  # powers add
        added = jax.tree.map(jnp.maximum, inputs, other)  # union of masks and labels
        both = rescaled(both, added.frame_mask, scaler).astype(inputs.features.dtype)

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
        widths = (
            (self.time_masks, self.max_time_mask_frames),
            (self.frequency_masks, self.max_frequency_mask_bins),
        )

        def mask(key, features):
            return with_masks(key, features, widths)

        features = jax.vmap(mask)(rows.keys(key), inputs.features)
        return inputs._replace(features=features)


def _draw_shift(key: jax.Array, limit: int) -> jax.Array:
    return jax.random.randint(key, (), -limit, limit + 1)


def _draw_gain(key: jax.Array, loudest: float) -> jax.Array:
    return jax.random.uniform(key, minval=-loudest, maxval=loudest)


def _with_noise(keys, inputs: Inputs, scaler: Scaler, spectra, snr_db) -> Inputs:
    magnitudes, mask = log_magnitude(inputs, scaler), inputs.frame_mask
    snr_db = snr_db.astype(magnitudes.dtype)
    noisy = jax.vmap(with_noise)(keys, magnitudes, mask, spectra, snr_db)
    noisy = rescaled(noisy, mask, scaler).astype(inputs.features.dtype)
    noisy = jnp.where(jnp.isfinite(snr_db)[:, None, None], noisy, inputs.features)
    return inputs._replace(features=noisy)


def _rows_like(values: jax.Array, x: jax.Array) -> jax.Array:
    """One value a clip, [B], with the dimensions of x [B, ...]."""
    return values.reshape(-1, *[1] * (x.ndim - 1))
