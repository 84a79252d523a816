"""The baseline of DCASE 2017: one frame and its neighbours in, posteriors out."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from gcrnn_jax.fields import check
from gcrnn_jax.models.layers import dropout
from gcrnn_jax.models.network import Network, Posteriors


class Mlp(Network):
    """Two hidden layers on a few neighbouring frames; has no longer context.

    A class is tagged where it has an event: the posterior of a clip is the greatest
    of its frames' running median, which passes a threshold where the median of the
    decisions does.

    Source: Heittola et al., DCASE2017-baseline-system, task 4; 13,467 parameters with
    40 mels and 17 classes.
    """

    kind: ClassVar[str] = "mlp"
    unrolled: ClassVar[tuple[str, ...]] = ("context_frames", "median_frames")

    hidden: tuple[int, ...]
    context_frames: int  # odd; the clip's first and last frame are repeated
    dropout: float
    median_frames: int  # odd

    def __post_init__(self):
        """Raises ValueError for a field that is out of range."""
        super().__post_init__()
        check(self, "odd and 1 or more", "context_frames", "median_frames")
        check(self, "in [0, 1)", "dropout")
        check(self, "1 or more each", "hidden")

    @nn.compact
    def compute(self, features, frame_mask, train, clip_keys) -> Posteriors:
        """See `Network`."""
        x = _with_context(features, frame_mask, self.context_frames)
        for layer, size in enumerate(self.hidden):
            x = nn.relu(nn.Dense(size, kernel_init=_uniform, name=f"hidden_{layer}")(x))
            x = dropout(x, clip_keys, self.dropout, layer)
        x = nn.Dense(self.num_classes, kernel_init=_uniform, name="detection")(x)
        frame = nn.sigmoid(x)
        real = frame * frame_mask[:, :, None]
        clip = _running_median(real, self.median_frames).max(1)
        return Posteriors(clip, frame, jnp.ones_like(frame), frame_mask)


def _uniform(key, shape, dtype=jnp.float32):
    """The initial kernels of Keras' "uniform"."""
    return jax.random.uniform(key, shape, dtype, -0.05, 0.05)


def _with_context(x: jax.Array, frame_mask: jax.Array, frames: int) -> jax.Array:
    """Puts each frame's neighbours beside it: [B, T, F] -> [B, T, frames * F]."""
    num_clips, num_frames, _ = x.shape
    first = frame_mask.argmax(1)[:, None, None]
    last = num_frames - 1 - jnp.flip(frame_mask, 1).argmax(1)[:, None, None]
    reach = frames // 2
    places = jnp.arange(num_frames)[:, None] + jnp.arange(-reach, reach + 1)[None]
    places = jnp.clip(places[None], first, last)  # [B, T, frames]
    neighbours = jax.vmap(lambda clip, place: clip[place])(x, places)
    return neighbours.reshape(num_clips, num_frames, -1)


def _running_median(x: jax.Array, frames: int) -> jax.Array:
    """The median of each frame's surroundings [B, T, K], zeros beyond both ends."""
    num_frames, reach = x.shape[1], frames // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0)))
    windows = jnp.stack([padded[:, i : i + num_frames] for i in range(frames)], -1)
    return jnp.sort(windows, axis=-1)[..., reach]
