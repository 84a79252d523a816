"""A 2-D convolution whose gradients are fast on CPUs as well as on GPUs."""

import jax
import jax.numpy as jnp
from jax import lax

# Positions (time x frequency) in one matrix product of the kernel gradient: enough
# to fill the cores, few enough that a tile of inputs and gradients stays in cache.
_TILE_POSITIONS = 2560


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with stride 1 and zero padding that keeps time and frequency.

    Args:
        x: [B, T, F, C] input.
        kernel: [height, width, C, O], both sizes odd.

    Returns:
        [B, T, F, O] in the dtype of x.

    Raises:
        ValueError: A kernel size is even, so that "same" has no middle.

    Differs: on CPUs the gradient of the kernel is computed as matrix products over
    tiles of time rows, because the convolution that XLA derives for it runs at a
    hundredth of the speed of its matrix product. The values are those of autodiff.
    """
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel sizes must be odd, got {kernel.shape[:2]}")
    if jax.default_backend() == "cpu":
        return _convolution_with_tiled_gradient(x, kernel)
    return _convolve(x, kernel)


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@jax.custom_vjp
def _convolution_with_tiled_gradient(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _convolve(x, kernel)


def _forward(x, kernel):
    return _convolve(x, kernel), (x, kernel)


def _backward(residuals, grad):
    x, kernel = residuals
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _convolve(grad, flipped), kernel_gradient(x, grad, kernel.shape)


_convolution_with_tiled_gradient.defvjp(_forward, _backward)


def kernel_gradient(x: jax.Array, grad: jax.Array, kernel_shape) -> jax.Array:
    """Sums x shifted by each kernel position times grad, tile by tile.

        gradient[i, j] = sum over b, t, f of x[b, t + i - h, f + j - w]^T grad[b, t, f]

    Args:
        x: [B, T, F, C] input of the convolution.
        grad: [B, T, F, O] gradient of its output.
        kernel_shape: (height, width, C, O).

    Returns:
        The kernel's gradient, in the dtype of x, accumulated in at least float32.
    """
    height, width, channels_in, channels_out = kernel_shape
    num_clips, num_frames, num_bins, _ = x.shape
    rows = max(1, min(num_frames, _TILE_POSITIONS // num_bins))
    tiles = -(-num_frames // rows)
    missing = tiles * rows - num_frames  # rows of zeros that complete the last tile
    half_height, half_width = height // 2, width // 2
    x = jnp.pad(
        x,
        (
            (0, 0),
            (half_height, half_height + missing),
            (half_width, half_width),
            (0, 0),
        ),
    )
    grad = jnp.pad(grad, ((0, 0), (0, missing), (0, 0), (0, 0)))
    dtype = jnp.promote_types(x.dtype, jnp.float32)

    def add_tile(total, tile):
        clip, row = tile // tiles, (tile % tiles) * rows
        inputs = lax.dynamic_slice(
            x,
            (clip, row, 0, 0),
            (1, rows + height - 1, num_bins + width - 1, channels_in),
        )[0]
        outputs = lax.dynamic_slice(
            grad, (clip, row, 0, 0), (1, rows, num_bins, channels_out)
        ).reshape(rows * num_bins, channels_out)
        products = [
            lax.dot_general(
                inputs[i : i + rows, j : j + num_bins].reshape(-1, channels_in),
                outputs,
                (((0,), (0,)), ((), ())),
                preferred_element_type=dtype,
            )
            for i in range(height)
            for j in range(width)
        ]
        return total + jnp.stack(products), None

    total = jnp.zeros((height * width, channels_in, channels_out), dtype)
    total, _ = lax.scan(add_tile, total, jnp.arange(num_clips * tiles))
    return total.reshape(kernel_shape).astype(x.dtype)
