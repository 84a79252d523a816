"""A convolution whose kernel is another at each frequency of each clip."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gcrnn_jax.models.batch_norm import BatchNorm
from gcrnn_jax.models.convolution import Convolution, convolution

# Of the softmax over kernels: at first all count, so that all are learnt.
TEMPERATURE = 31.0


class FrequencyDynamicConvolution(nn.Module):
    """A 3 x 3 convolution of several kernels, weighted by clip and frequency bin.

        y[t, f] = sum over k of weight[f, k] * (x * W[k])[t, f]

    The weights are a softmax over the kernels; two small convolutions along frequency
    make them of the mean of x over time. So a pattern is not the same wherever it
    stands in frequency, as it is to a convolution.

    Source: Nam, Kim, Ko, Park, "Frequency Dynamic Convolution: Frequency-Adaptive
    Pattern Recognition for Sound Event Detection", Interspeech 2022; the temperature
    and a quarter of the channels, but 4 at least, in between are theirs.
    Differs: kernels begin as those of Glorot and Bengio.
    """

    filters: int
    kernels: int
    momentum: float = 0.99
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, frame_mask: jax.Array | None = None
    ) -> jax.Array:
        """Returns [B, T, F, filters], in at least float32, for x [B, T, F, C].

        Frame_mask is [B, T] bool; padding of x is 0.
        """
        weights = self._weights(x, train, frame_mask)
        shape = (3, 3, x.shape[-1], self.kernels * self.filters)
        kernel = self.param("kernel", side_by_side(self.kernels), shape)
        x = convolution(x, kernel, self.dtype)
        x = x.reshape(*x.shape[:3], self.kernels, self.filters)
        return (weights[..., None] * x).sum(3)

    def _weights(self, x, train, frame_mask) -> jax.Array:
        """How much each kernel counts, [B, 1, F, kernels], of sum 1."""
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        is_clip = None
        if frame_mask is None:
            x = x.mean(1, keepdims=True)
        else:
            count = frame_mask.sum(1, dtype=x.dtype)[:, None, None, None]
            x = x.sum(1, keepdims=True) / jnp.maximum(count, 1)
            is_clip = frame_mask.any(1, keepdims=True)
        hidden, along = max(x.shape[-1] // 4, 4), (1, 3)
        x = Convolution(hidden, along, use_bias=False, dtype=x.dtype, name="hidden")(x)
        norm = BatchNorm(self.momentum, axis_name=self.axis_name, name="norm")
        x = nn.relu(norm(x, train=train, frame_mask=is_clip))
        x = Convolution(self.kernels, (1, 1), dtype=x.dtype, name="weights")(x)
        return nn.softmax(x / TEMPERATURE, axis=-1)


def side_by_side(count: int):
    """Initializes kernels [3, 3, C, count * filters] each as if it were alone."""

    def init(key, shape):
        one = (*shape[:3], shape[3] // count)
        glorot = nn.initializers.glorot_uniform()
        keys = jax.random.split(key, count)
        return jnp.concatenate([glorot(k, one) for k in keys], axis=-1)

    return init
