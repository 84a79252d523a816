"""A member of the CNN ensemble: windows of one length, each tagged for itself."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.core import max_dim  # of lengths that an exported network leaves open, too

from gcrnn_jax.models.layers import GatedConv
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.models.pooling import max_pool, pool_mask


class WindowCnn(Network):
    """A CNN on windows of `window_frames`, each assumed to hold the sounds of its clip.

    Each window is tagged with the labels of its clip. It learns from windows side by
    side, and predicts with windows that overlap by half: a frame's posterior is the
    mean over the windows that cover it, a clip's the greatest or the mean of its
    windows. Long windows tag better, short ones place better; several members and
    their fusion are the system.

    Source: Lee, Lee, Nam, Kim, Park, DCASE 2017: "ensemble of convolutional neural
    networks ... using various analysis windows".
    Differs: neither their code nor their sizes are public; the sizes are ours.
    """

    kind: ClassVar[str] = "window_cnn"
    unrolled: ClassVar[tuple[str, ...]] = ("units",)

    window_frames: int  # even, or as long as the clip
    filters: tuple[int, ...]  # of the blocks, each pooled by 2 x 2
    units: int  # convolutions a block
    clip_pooling: Literal["max", "mean"]  # over windows
    batch_norm_momentum: float

    def __post_init__(self):
        """Raises ValueError for a field that is out of range."""
        super().__post_init__()
        if self.window_frames < 2 or self.window_frames % 2:
            raise ValueError(
                f"window_frames must be even and 2 or more, got {self.window_frames}"
            )
        if not self.filters or min(*self.filters, self.units) < 1:
            raise ValueError(
                "filters and units must be 1 or more, got "
                f"{self.filters} and {self.units}"
            )

    @property
    def time_reduction(self) -> int:
        """The step between windows in prediction."""
        return self.window_frames // 2

    @property
    def training_reduction(self) -> int:
        """Windows are side by side in training."""
        return self.window_frames

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys) -> Posteriors:
        """See `Network`; T counts windows in training."""
        num_clips, num_frames, num_bins = features.shape
        size = self.window_frames
        step = size if train else size // 2
        count = max_dim(1, -(-(num_frames - size) // step) + 1)
        missing = max_dim(0, (count - 1) * step + size - num_frames)
        features = jnp.pad(features, ((0, 0), (0, missing), (0, 0)))
        frame_mask = jnp.pad(frame_mask, ((0, 0), (0, missing)))
        places = jnp.arange(count)[:, None] * step + jnp.arange(size)[None]
        windows = features[:, places].reshape(-1, size, num_bins)
        masks = frame_mask[:, places].reshape(-1, size)
        window = self._tag(windows, masks, train)
        window = window.reshape(num_clips, count, self.num_classes)
        # a window that adds nothing but padding to the one before does not count
        is_real = masks.reshape(num_clips, count, size)[:, :, size - step :].any(-1)
        is_real = is_real.at[:, 0].set(is_real[:, 0] | ~is_real.any(1))
        clip = _pool(window, is_real, self.clip_pooling)
        if train:
            return Posteriors(clip, window, jnp.ones_like(window), is_real)
        frame = _mean_of_covering(window, is_real)
        real = frame_mask.reshape(num_clips, count + 1, step).any(-1)
        return Posteriors(clip, frame, jnp.ones_like(frame), real)

    def _tag(self, x: jax.Array, frame_mask: jax.Array, train: bool) -> jax.Array:
        """Posteriors [N, K] of windows [N, frames, F]."""
        x = x[..., None]
        for block, filters in enumerate(self.filters):
            for unit in range(self.units):
                x = GatedConv(
                    filters,
                    gated=False,
                    momentum=self.batch_norm_momentum,
                    axis_name=self.axis_name,
                    name=f"block_{block}_unit_{unit}",
                )(x, train=train, frame_mask=frame_mask)
            # a window of few frames is pooled as far as it goes
            time, frequency = min(2, x.shape[1]), min(2, x.shape[2])
            filled = x.shape[1] // time * time
            x = max_pool(x[:, :filled], time, frequency)
            frame_mask = pool_mask(frame_mask[:, :filled], time)
        count = jnp.maximum(frame_mask.sum(1), 1) * x.shape[2]
        x = x.sum((1, 2)) / count[:, None]  # padding is 0
        return nn.sigmoid(nn.Dense(self.num_classes, name="tagging")(x))


def _pool(window: jax.Array, is_real: jax.Array, pooling: str) -> jax.Array:
    """Posteriors of clips [B, K] from those of their windows [B, N, K]."""
    counted = is_real[:, :, None].astype(window.dtype)
    if pooling == "max":
        return (window * counted).max(1)
    return (window * counted).sum(1) / jnp.maximum(counted.sum(1), 1)


def _mean_of_covering(window: jax.Array, is_real: jax.Array) -> jax.Array:
    """Posteriors of the steps between windows, [B, N + 1, K].

    Step s is the second half of window s - 1 and the first half of window s.
    """
    counted = jnp.broadcast_to(is_real[:, :, None], window.shape).astype(window.dtype)
    after, before = ((0, 0), (0, 1), (0, 0)), ((0, 0), (1, 0), (0, 0))
    total = jnp.pad(window * counted, after) + jnp.pad(window * counted, before)
    covering = jnp.pad(counted, after) + jnp.pad(counted, before)
    return total / jnp.maximum(covering, 1)
