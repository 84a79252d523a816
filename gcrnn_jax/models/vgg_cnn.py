"""A wide CNN of VGG blocks: average pooling, and a head on every frame."""

import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from gcrnn_jax.fields import check
from gcrnn_jax.models.layers import BatchNorm, GatedConv, mask_padding
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.models.pooling import attention_pool, check_bins, mean_pool, pool_mask

_GREATEST_LOGIT = 10.0  # of attention, up and down


class VggCnn(Network):
    """Blocks of 3 x 3 convolutions with ReLU, each averaged over time and frequency.

    Each frame is tagged from the mean over what is left of its bins; a clip's posterior
    is the mean of its frames', their maximum, or a mean weighted by attention over
    time.

    Source: Kong, Xu, Wang, Plumbley, "Sound event detection of weakly labelled data
    with CNN-Transformer and automatic threshold optimization", TASLP 2020: their CNN
    without recurrence or transformer behind it, 4,694,993 parameters with 64 mels and
    17 classes, and 8,721 more with attention.
    Differs: the last frames of a clip that fill no block are kept; an epsilon of 1e-3
    in the blocks' BatchNorms. Of attention their code has a BatchNorm more, which it
    does not use, and adds 1e-6 to each weight before they are made to sum to 1.
    """

    kind: ClassVar[str] = "vgg_cnn"
    unrolled: ClassVar[tuple[str, ...]] = ("units",)

    filters: tuple[int, ...]  # of the blocks
    units: int  # convolutions a block
    time_pooling: tuple[int, ...]  # frames a block merges
    frequency_pooling: tuple[int, ...]  # bins a block merges
    clip_pooling: Literal["attention", "mean", "max"]
    batch_norm_momentum: float

    def __post_init__(self):
        """Raises ValueError for a field out of range, or that does not fit others."""
        super().__post_init__()
        of_blocks = (self.filters, self.time_pooling, self.frequency_pooling)
        if not self.filters or len({len(field) for field in of_blocks}) > 1:
            raise ValueError(
                "filters, time_pooling and frequency_pooling must be of one length and "
                f"not empty, got {self.filters}, {self.time_pooling} and "
                f"{self.frequency_pooling}"
            )
        check(self, "1 or more each", "filters", "time_pooling", "frequency_pooling")
        check(self, "1 or more", "units")

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return math.prod(self.time_pooling)

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys) -> Posteriors:
        """See `Network`."""
        x = features[:, :, None, :]  # [B, T, 1, F]: each bin has its own statistics
        norm = BatchNorm(
            self.batch_norm_momentum, 1e-5, self.axis_name, name="input_norm"
        )
        x = mask_padding(norm(x, train=train, frame_mask=frame_mask), frame_mask)
        x, frame_mask = self._convolve(x[:, :, 0, :, None], frame_mask, train)
        x = x.mean(2)  # [B, T, C]
        frame = nn.sigmoid(nn.Dense(self.num_classes, name="detection")(x))
        attention = self._attend(x, frame, frame_mask)
        clip = attention_pool(frame, attention, frame_mask)
        return Posteriors(clip, frame, attention, frame_mask)

    def _convolve(self, x, frame_mask, train):
        poolings = zip(self.time_pooling, self.frequency_pooling, strict=True)
        for block, (time, frequency) in enumerate(poolings):
            for unit in range(self.units):
                x = GatedConv(
                    self.filters[block],
                    gated=False,
                    momentum=self.batch_norm_momentum,
                    axis_name=self.axis_name,
                    name=f"block_{block}_unit_{unit}",
                )(x, train=train, frame_mask=frame_mask)
            check_bins(x, self.frequency_pooling, block)
            x = mean_pool(x, time, frequency, frame_mask)
            frame_mask = pool_mask(frame_mask, time)
        return x, frame_mask

    def _attend(self, x, frame, frame_mask) -> jax.Array:
        """How much each frame counts for each class, [B, T, K]."""
        is_real = frame_mask[:, :, None]
        if self.clip_pooling == "mean":
            return jnp.ones_like(frame)
        if self.clip_pooling == "max":
            greatest = jnp.where(is_real, frame, 0).max(1, keepdims=True)
            return (frame == greatest).astype(frame.dtype)
        logits = nn.Dense(self.num_classes, name="attention")(x)
        logits = jnp.clip(logits, -_GREATEST_LOGIT, _GREATEST_LOGIT)
        return nn.softmax(logits, axis=1, where=is_real)
