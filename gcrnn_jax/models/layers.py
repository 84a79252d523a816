"""The layers that networks are made of.

Axes: B clips, T frames, F frequency bins, C channels, D features, H units, K classes.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gcrnn_jax.models.batch_norm import BatchNorm, mask_padding
from gcrnn_jax.models.convolution import Convolution, activation_dtype
from gcrnn_jax.models.frequency_dynamic import FrequencyDynamicConvolution

Activation = Literal["linear", "relu", "sigmoid", "tanh", "hard_sigmoid"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda x: x,
    "relu": nn.relu,
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    # Keras 2.0, in which the authors trained; jax's own has slope 1/6.
    "hard_sigmoid": lambda x: jnp.clip(0.2 * x + 0.5, 0.0, 1.0),
}


class GatedConv(nn.Module):
    """A convolution whose linear half is gated by the sigmoid of its other half.

        y = BatchNorm(x * W)[..., :filters] * sigmoid(BatchNorm(x * W)[..., filters:])

    Source: Xu et al., ICASSP 2018, eq. 2.
    Differs: as in the authors' code, BatchNorm stands before the gate and its shift
    is the bias of eq. 2; both halves are one convolution of twice the filters.
    `gated=False` is the ungated unit of the paper's baseline: `activation` of the
    normalised convolution ("linear" in the authors' code, "relu" in the text).
    `frequency_kernels` of 2 or more: the convolution is frequency dynamic, of so many
    kernels.
    """

    filters: int
    gated: bool = True
    activation: str = "relu"
    momentum: float = 0.99
    frequency_kernels: int = 0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, frame_mask: jax.Array | None = None
    ) -> jax.Array:
        """Returns [B, T, F, filters] for x [B, T, F, C]; frame_mask is [B, T] bool."""
        filters = 2 * self.filters if self.gated else self.filters
        if self.frequency_kernels:
            x = FrequencyDynamicConvolution(
                filters,
                self.frequency_kernels,
                momentum=self.momentum,
                dtype=self.dtype,
                axis_name=self.axis_name,
                name="conv",
            )(x, train=train, frame_mask=frame_mask)
        else:
            x = Convolution(filters, use_bias=False, dtype=self.dtype, name="conv")(x)
        norm = BatchNorm(self.momentum, axis_name=self.axis_name, name="norm")
        x = norm(x, train=train, frame_mask=frame_mask)
        if self.gated:
            linear, gate = jnp.split(x, 2, axis=-1)
            x = linear * nn.sigmoid(gate)
        else:
            x = ACTIVATIONS[self.activation](x)
        if frame_mask is not None:  # or the next convolution would see the padding
            x = mask_padding(x, frame_mask)
        return x.astype(activation_dtype(self.dtype))


class BidirectionalGru(nn.Module):
    """A GRU over time in both directions, computed by one scan.

        z, r = gate(x W + h U + b)
        n    = candidate(x W + (r * h) U + b)          reset_after=False
        n    = candidate(x W + r * (h U + c) + b)      reset_after=True
        h    = z * h + (1 - z) * n

    Masked frames leave the state as it is, so a clip padded at its end gives on its
    real frames what it gives without padding, in both directions.

    Source: Cho et al., 2014; the two positions of the reset gate are those of
    Keras 2.0 (before) and cuDNN (after).
    """

    units: int
    gate: str = "sigmoid"
    candidate: str = "tanh"
    reset_after: bool = False
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, frame_mask: jax.Array | None = None) -> jax.Array:
        """Returns [B, T, 2 * units], forward units first, for x [B, T, D]."""
        num_clips, num_frames, num_features = x.shape
        units = self.units
        glorot = _per_direction(nn.initializers.glorot_uniform())
        orthogonal = _per_direction(nn.initializers.orthogonal())
        w = self.param("input_kernel", glorot, (num_features, 3 * units))
        u = self.param("recurrent_kernel", orthogonal, (units, 3 * units))
        b = self.param("bias", nn.initializers.zeros, (2, 3 * units))
        c = None
        if self.reset_after:
            c = self.param("recurrent_bias", nn.initializers.zeros, (2, units))
        dtype = activation_dtype(self.dtype)
        both = jnp.stack([x, jnp.flip(x, 1)]).astype(dtype)  # [2, B, T, D]
        projected = jnp.einsum("ibtd,idg->tibg", both, w.astype(dtype))
        # the recurrence is float32 at least: its gradients are sums over all frames
        projected = projected.astype(b.dtype) + b[None, :, None]
        mask = frame_mask
        if mask is None:
            mask = jnp.ones((num_clips, num_frames), bool)
        masks = jnp.stack([mask, jnp.flip(mask, 1)])
        masks = masks.transpose(2, 0, 1)[..., None]  # [T, 2, B, 1]

        def step(state, inputs):
            projection, real = inputs
            new = self._cell(projection, state, u, c)
            state = jnp.where(real, new, state)
            return state, state

        state = jnp.zeros((2, num_clips, units), projected.dtype)
        _, states = lax.scan(step, state, (projected, masks), unroll=self.unroll)
        forward, backward = states[:, 0], jnp.flip(states[:, 1], 0)  # [T, B, H]
        return jnp.concatenate([forward, backward], -1).transpose(1, 0, 2)

    def _cell(self, projection, state, u, c):
        """One step of both directions: [2, B, 3H] and [2, B, H] -> [2, B, H]."""
        units = self.units
        gate, candidate = ACTIVATIONS[self.gate], ACTIVATIONS[self.candidate]
        if self.reset_after:
            recurrent = jnp.einsum("ibh,ihg->ibg", state, u)
            gates = gate(projection[..., : 2 * units] + recurrent[..., : 2 * units])
            z, r = jnp.split(gates, 2, axis=-1)
            new = r * (recurrent[..., 2 * units :] + c[:, None])
        else:
            recurrent = jnp.einsum("ibh,ihg->ibg", state, u[..., : 2 * units])
            z, r = jnp.split(gate(projection[..., : 2 * units] + recurrent), 2, axis=-1)
            new = jnp.einsum("ibh,ihg->ibg", r * state, u[..., 2 * units :])
        new = candidate(projection[..., 2 * units :] + new)
        return z * state + (1 - z) * new


def _per_direction(initializer):
    """Initializes [2, ...] one direction at a time, so that fans are those of one."""

    def init(key, shape):
        return jnp.stack([initializer(k, shape) for k in jax.random.split(key)])

    return init


def dropout(
    x: jax.Array,
    clip_keys: jax.Array | None,
    rate: float,
    layer: int,
    *,
    whole_channels: bool = False,
) -> jax.Array:
    """Sets a share of each clip's values to 0 and scales up the rest.

    Args:
        x: [B, ..., C].
        clip_keys: [B] random keys, so that a clip's values do not depend on what else
            its device holds; None: nothing is dropped.
        rate: The share, in [0, 1).
        layer: Of the network; each draws anew from the keys.
        whole_channels: A channel is dropped in all of a clip, or nowhere in it:
            neighbours in time and frequency tell what single values were.

    Source: Srivastava et al., JMLR 2014; whole channels, Tompson et al., CVPR 2015.
    """
    if clip_keys is None or rate == 0:
        return x
    shape = x.shape[1:]
    if whole_channels:
        shape = (*[1] * (x.ndim - 2), x.shape[-1])

    def kept(key):
        layer_key = jax.random.fold_in(key, layer)
        return jax.random.bernoulli(layer_key, 1 - rate, shape)

    return jnp.where(jax.vmap(kept)(clip_keys), x / (1 - rate), jnp.zeros((), x.dtype))
