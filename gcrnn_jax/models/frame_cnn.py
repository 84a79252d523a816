"""The Frame-CNN: convolutions over time, taught by frames as well as by clips."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from gcrnn_jax.fields import check
from gcrnn_jax.models.layers import (
    ACTIVATIONS,
    Activation,
    BatchNorm,
    Convolution,
    dropout,
    mask_padding,
)
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.models.pooling import max_pool, pool_mask

_xavier = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # gain sqrt(2)


class FrameCnn(Network):
    """Convolutions over time with the mel bins as channels, and two heads.

    One head tags the clip from the mean over its frames; the other tags every frame,
    and an attention that all classes share sums these. A clip's logit is the mean of
    both. Training it takes the frame term of the loss (`loss.frame_weight`).

    Source: Chou, Jang, Yang, DCASE 2017, and their `FrameCNN_1D`; 2,816,162
    parameters with 128 mels and 17 classes.
    Differs: that code computes a ReLU in every block and does not use it
    (`activation="linear"`). It has 896 frames in 10 s, ours 897. Their frames are
    weighted by attention that sums to 1 over a clip; our loss scales it to a mean of 1,
    so that present and absent classes count alike.
    """

    kind: ClassVar[str] = "frame_cnn"

    filters: tuple[int, ...]  # of the blocks
    time_pooling: tuple[int, ...]  # frames merged after each
    tagging_units: tuple[int, ...]
    dropout: float
    activation: Activation
    batch_norm_momentum: float

    def __post_init__(self):
        """Raises ValueError for a field that is out of range."""
        super().__post_init__()
        if not self.filters or len(self.filters) != len(self.time_pooling):
            raise ValueError(
                "filters and time_pooling must be of one length and not empty, got "
                f"{self.filters} and {self.time_pooling}"
            )
        check(self, "1 or more each", "filters", "time_pooling", "tagging_units")
        check(self, "in [0, 1)", "dropout")

    @property
    def time_reduction(self) -> int:
        """Frames of features in one frame of posteriors."""
        return math.prod(self.time_pooling)

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys) -> Posteriors:
        """See `Network`."""
        num_clips, num_frames, _ = features.shape
        x = features[:, :, None, :]  # [B, T, 1, F]: bins are channels
        x, frame_mask = self._convolve(x, frame_mask, train)
        x = nn.relu(self._norm("last_norm", x, frame_mask, train))
        x = mask_padding(x, frame_mask)
        detection = self._convolution("detection", self.num_classes, x)[:, :, 0]
        attention = self._attend(x, frame_mask)
        tagged = self._tag(x, frame_mask, train, clip_keys)
        attended = (detection * attention[:, :, None]).sum(1)
        clip = nn.sigmoid((tagged + attended) / 2)
        attention = jnp.broadcast_to(attention[:, :, None], detection.shape)
        return Posteriors(clip, nn.sigmoid(detection), attention, frame_mask)

    def _convolve(self, x, frame_mask, train):
        for block, (filters, time) in enumerate(
            zip(self.filters, self.time_pooling, strict=True)
        ):
            x = self._norm(f"block_{block}_norm", x, frame_mask, train)
            if block:  # what comes in is normalised only
                x = ACTIVATIONS[self.activation](x)
            x = self._convolution(
                f"block_{block}", filters, mask_padding(x, frame_mask)
            )
            x = max_pool(mask_padding(x, frame_mask), time, 1, frame_mask)
            frame_mask = pool_mask(frame_mask, time)
        return x, frame_mask

    def _attend(self, x: jax.Array, frame_mask: jax.Array) -> jax.Array:
        """How much each frame counts, [B, T], of sum 1."""
        logits = self._convolution("attention", self.filters[-1], x)[:, :, 0]
        of_channels = nn.softmax(logits, axis=1, where=frame_mask[:, :, None])
        return nn.softmax(of_channels.sum(-1), axis=1, where=frame_mask)

    def _tag(self, x, frame_mask, train, clip_keys) -> jax.Array:
        """Logits [B, K] from the mean over real frames."""
        count = jnp.maximum(frame_mask.sum(1), 1)[:, None]
        x = x[:, :, 0].sum(1) / count  # padding is 0
        is_clip = self.clip_mask()
        clip_mask = None if is_clip is None else is_clip[:, None]
        for layer, units in enumerate(self.tagging_units):
            x = nn.Dense(units, kernel_init=_xavier, name=f"tagging_{layer}")(x)
            x = self._norm(f"tagging_{layer}_norm", x[:, None, None], clip_mask, train)
            x = dropout(nn.relu(x[:, 0, 0]), clip_keys, self.dropout, layer)
        return nn.Dense(self.num_classes, kernel_init=_xavier, name="tagging")(x)

    def _norm(self, name: str, x, frame_mask, train) -> jax.Array:
        norm = BatchNorm(
            momentum=self.batch_norm_momentum,
            epsilon=1e-5,
            axis_name=self.axis_name,
            name=name,
        )
        return norm(x, train=train, frame_mask=frame_mask)

    def _convolution(self, name: str, filters: int, x: jax.Array) -> jax.Array:
        return Convolution(filters, (3, 1), kernel_init=_xavier, name=name)(x)
