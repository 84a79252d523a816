"""BatchNorm over the real frames of all devices.

Axes: B clips, T frames, F frequency bins, C channels.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

# Of a mean's square: the variance under it is summed anew, around the mean. Above it
# the rounding of E[x^2] - E[x]^2 is under a thousandth of it.
_LOST = 1e-3


class BatchNorm(nn.Module):
    """Normalises each channel by its statistics over clips, frames and bins.

    In training by those of the real frames of the batch, on all devices of
    `axis_name`, and keeps a running mean of them for prediction.

    Source: Ioffe and Szegedy, ICML 2015.
    Differs: flax's own takes the plain mean over devices, which is not that of the
    batch where some devices hold more padding than others.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    axis_name: str | None = None

    def __post_init__(self):
        """Raises ValueError for a momentum outside [0, 1)."""
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(
                "batch_norm_momentum must be at least 0 and less than 1, got "
                f"{self.momentum}"
            )

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, frame_mask: jax.Array | None = None
    ) -> jax.Array:
        """Returns x [B, T, F, C] normalised, in at least float32.

        Frame_mask is [B, T] bool.
        """
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if train:
            mean, var = self._statistics(x, frame_mask)
            if not self.is_initializing():
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * var
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * lax.rsqrt(var + self.epsilon)
        shift = bias - mean * factor
        return x * factor[None, None, None] + shift[None, None, None]

    def _statistics(self, x, frame_mask):
        """Mean and variance of every channel."""
        count = jnp.asarray(x.shape[0] * x.shape[1], x.dtype)
        if frame_mask is not None:
            count = frame_mask.sum(dtype=x.dtype)
        real = x if frame_mask is None else mask_padding(x, frame_mask)
        sums = real.sum((0, 1, 2)), jnp.square(real).sum((0, 1, 2)), count * x.shape[2]
        total, squares, count = self._over_devices(sums)
        if self.axis_name is None and frame_mask is not None:
            count = jnp.maximum(count, 1)  # a device may hold no clip of a small batch
        mean = total / count
        var = squares / count - jnp.square(mean)
        # of a variance far below the square of the mean, float32 has lost most digits
        is_lost = var < _LOST * jnp.square(mean)
        fixed = lax.stop_gradient((x, mean))
        # All devices have the same sums, so all of them take the same branch, and wait
        # for each other in it only then.
        squares = lax.cond(
            is_lost.any(),
            lambda *args: self._over_devices(_squared_deviations(*args)),
            lambda x, m, _: m * 0,
            *fixed,
            frame_mask,
        )
        exact = squares / count
        exact = jnp.where(is_lost, exact, jnp.maximum(var, 0.0))
        return mean, var + lax.stop_gradient(exact - var)

    def _over_devices(self, sums):
        """Sums of this device, added to those of the others."""
        return sums if self.axis_name is None else lax.psum(sums, self.axis_name)


def _squared_deviations(x, mean, frame_mask) -> jax.Array:
    """Sum over the real frames of every channel's squared deviations from its mean."""
    deviations = x - mean[None, None, None]
    if frame_mask is not None:
        deviations = mask_padding(deviations, frame_mask)
    return jnp.square(deviations).sum((0, 1, 2))


def mask_padding(x: jax.Array, frame_mask: jax.Array) -> jax.Array:
    """Sets x [B, T, F, C] to 0 where frame_mask [B, T] is False, on padding."""
    return jnp.where(frame_mask[:, :, None, None], x, jnp.zeros((), x.dtype))
