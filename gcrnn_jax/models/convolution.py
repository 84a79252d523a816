"""A 2-D convolution whose gradients are fast on CPUs as well as on GPUs."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

# Positions (time x frequency) in one matrix product of the kernel gradient: enough
# to fill a core, few enough that a tile of inputs and gradients stays in its cache.
_TILE_POSITIONS = 1280


def convolution(x: jax.Array, kernel: jax.Array, dtype=None) -> jax.Array:
    """Convolves with stride 1 and zero padding that keeps time and frequency.

    Args:
        x: [B, T, F, C] input.
        kernel: [height, width, C, O], both sizes odd.
        dtype: What is multiplied; None: that of x.

    Returns:
        [B, T, F, O] in `activation_dtype(dtype)`.

    Raises:
        ValueError: A kernel size is even, so that "same" has no middle.

    Differs: on CPUs the gradient of the kernel is computed as matrix products over
    tiles of time rows, because the convolution that XLA derives for it runs at a
    hundredth of the speed of its matrix product. The values are those of autodiff.
    Only these products gain by bfloat16 there: the convolutions stay float32.
    """
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel sizes must be odd, got {kernel.shape[:2]}")
    dtype = jnp.dtype(x.dtype if dtype is None else dtype)
    stored = activation_dtype(dtype)
    x, kernel = x.astype(stored), kernel.astype(stored)
    if jax.default_backend() == "cpu":
        return _convolution_with_tiled_gradient(x, kernel, dtype)
    return _convolve(x, kernel)


def activation_dtype(dtype) -> jnp.dtype:
    """In what layers hand on what they compute with products of a dtype.

    That dtype itself, but float32 for bfloat16 on CPUs, which have products of
    bfloat16 and nothing else: all other operations would convert there and back.
    """
    on_cpu = jax.default_backend() == "cpu"
    return _at_least_float32(dtype) if on_cpu else jnp.dtype(dtype)


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolution_with_tiled_gradient(x, kernel, product_dtype):
    return _convolve(x, kernel)


def _forward(x, kernel, product_dtype):
    return _convolve(x, kernel), (x, kernel)


def _backward(product_dtype, residuals, grad):
    x, kernel = residuals
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    of_kernel = kernel_gradient(x, grad, kernel.shape, product_dtype)
    return _convolve(grad, flipped), of_kernel.astype(kernel.dtype)


_convolution_with_tiled_gradient.defvjp(_forward, _backward)


def kernel_gradient(
    x: jax.Array, grad: jax.Array, kernel_shape, dtype=None
) -> jax.Array:
    """Sums x shifted by each kernel position times grad, tile by tile.

        gradient[i, j] = sum over b, t, f of x[b, t + i - h, f + j - w]^T grad[b, t, f]

    Args:
        x: [B, T, F, C] input of the convolution.
        grad: [B, T, F, O] gradient of its output.
        kernel_shape: (height, width, C, O).
        dtype: What is multiplied; None: that of x.

    Returns:
        The kernel's gradient, accumulated in at least float32 and not rounded.
    """
    height, width, channels_in, channels_out = kernel_shape
    num_clips, num_frames, num_bins, _ = x.shape
    dtype = x.dtype if dtype is None else dtype
    # tiles of a clip as even as they can be; zeros fill what the last one lacks
    tiles = -(-num_frames // max(1, _TILE_POSITIONS // num_bins))
    rows = -(-num_frames // tiles)
    missing = tiles * rows - num_frames
    rim = (height // 2, height // 2 + missing), (width // 2, width // 2)
    x = jnp.pad(x, ((0, 0), *rim, (0, 0)))
    grad = jnp.pad(grad, ((0, 0), (0, missing), (0, 0), (0, 0)))

    def add_tile(total, tile):
        place = (tile // tiles, (tile % tiles) * rows, 0, 0)
        shape = (1, rows + height - 1, *x.shape[2:])
        inputs = lax.dynamic_slice(x, place, shape)[0].astype(dtype)
        outputs = lax.dynamic_slice(grad, place, (1, rows, *grad.shape[2:]))
        outputs = outputs.astype(dtype).reshape(-1, channels_out)
        # channels first: the product then reads both of its sides in order
        inputs = inputs.transpose(2, 0, 1)
        shifted = [
            inputs[:, i : i + rows, j : j + num_bins].reshape(channels_in, -1)
            for i in range(height)
            for j in range(width)
        ]
        product = jnp.matmul(
            jnp.concatenate(shifted), outputs, preferred_element_type=total.dtype
        )
        return total + product, None

    shape = (height * width * channels_in, channels_out)
    total = jnp.zeros(shape, _at_least_float32(dtype))
    total, _ = lax.scan(add_tile, total, jnp.arange(num_clips * tiles))
    return total.reshape(kernel_shape)


def _at_least_float32(dtype) -> jnp.dtype:
    return jnp.promote_types(dtype, jnp.float32)
