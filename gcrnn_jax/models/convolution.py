"""A 2-D convolution whose gradients are fast on CPUs as well as on GPUs."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

# Positions (time x frequency) in one matrix product: enough to fill a core, few enough
# that a tile of inputs and outputs stays in its cache.
_TILE_POSITIONS = 1280

# With fewer channels XLA's float32 convolution is faster than products of bfloat16.
_FEWEST_CHANNELS = 48


class Convolution(nn.Module):
    """A convolution [B, T, F, C] -> [B, T, F, filters], "same" padding, stride 1."""

    filters: int
    size: tuple[int, int] = (3, 3)  # frames, bins
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.glorot_uniform()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the convolution of x in the activation dtype of `dtype`."""
        shape = (*self.size, x.shape[-1], self.filters)
        kernel = self.param("kernel", self.kernel_init, shape)
        x = convolution(x, kernel, self.dtype)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.filters,))
            x = x + bias.astype(x.dtype)[None, None, None]
        return x


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
    In bfloat16 the convolution and the gradient of its input are such products too,
    summed in float32: XLA has none for CPUs. Those of fewer than 48 channels
    multiply in float32, which is faster there and no less exact.
    """
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel sizes must be odd, got {kernel.shape[:2]}")
    dtype = jnp.dtype(x.dtype if dtype is None else dtype)
    stored = activation_dtype(dtype)
    x, kernel = x.astype(stored), kernel.astype(stored)
    if jax.default_backend() == "cpu":
        return _convolution_on_cpu(x, kernel, dtype)
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
def _convolution_on_cpu(x, kernel, dtype):
    if dtype == jnp.bfloat16 and kernel.shape[2] >= _FEWEST_CHANNELS:
        return tiled_convolution(x, kernel, dtype)
    return _convolve(x, kernel)


def _forward(x, kernel, dtype):
    return _convolution_on_cpu(x, kernel, dtype), (x, kernel)


def _backward(dtype, residuals, grad):
    x, kernel = residuals
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    of_kernel = kernel_gradient(x, grad, kernel.shape, dtype)
    of_input = _convolution_on_cpu(grad, flipped, dtype)
    return of_input, of_kernel.astype(kernel.dtype)


_convolution_on_cpu.defvjp(_forward, _backward)


def tiled_convolution(x: jax.Array, kernel: jax.Array, dtype) -> jax.Array:
    """Multiplies x, shifted by each kernel position, with the kernel, tile by tile.

    Args:
        x: [B, T, F, C] input.
        kernel: [height, width, C, O], both sizes odd.
        dtype: What is multiplied.

    Returns:
        [B, T, F, O], summed in at least float32 and not rounded.
    """
    height, width, _, channels_out = kernel.shape
    num_clips, num_frames, num_bins, _ = x.shape
    dtype = jnp.dtype(dtype)
    tiles, rows = _tiling(num_frames, num_bins)
    x = _padded(_to_bits(x, dtype), (height, width), tiles * rows)
    kernel = kernel.astype(dtype).reshape(height, -1, channels_out)

    def of_tile(tile):
        start = (tile // tiles, (tile % tiles) * rows, 0, 0)
        size = (1, rows + height - 1, *x.shape[2:])
        inputs = lax.dynamic_slice(x, start, size)[0]
        columns = [inputs[:, j : j + num_bins] for j in range(width)]
        columns = jnp.concatenate(columns, -1).reshape(-1, kernel.shape[1])
        # shifted in time they are one piece of memory: in frequency they are copied
        shifted = (columns[i * num_bins :][: rows * num_bins] for i in range(height))
        products = (
            jnp.matmul(
                _from_bits(of_row, dtype),
                kernel[i],
                preferred_element_type=_at_least_float32(dtype),
            )
            for i, of_row in enumerate(shifted)
        )
        return sum(products)

    outputs = lax.map(of_tile, jnp.arange(num_clips * tiles))
    outputs = outputs.reshape(num_clips, tiles * rows, num_bins, channels_out)
    return outputs[:, :num_frames]


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
    dtype = jnp.dtype(x.dtype if dtype is None else dtype)
    tiles, rows = _tiling(num_frames, num_bins)
    missing = tiles * rows - num_frames
    grad = jnp.pad(grad, ((0, 0), (0, missing), (0, 0), (0, 0)))
    # channels first: the product then reads both of its sides in order
    x = _padded(_to_bits(x, dtype), (height, width), tiles * rows)
    x = x.transpose(0, 3, 1, 2)
    columns = jnp.concatenate([x[..., j : j + num_bins] for j in range(width)], 1)
    columns = columns.reshape(num_clips, width * channels_in, -1)

    def add_tile(total, tile):
        clip, row = tile // tiles, (tile % tiles) * rows
        outputs = lax.dynamic_slice(grad, (clip, row, 0, 0), (1, rows, *grad.shape[2:]))
        size = (1, columns.shape[1], rows * num_bins)
        shifted = [
            lax.dynamic_slice(columns, (clip, 0, (row + i) * num_bins), size)[0]
            for i in range(height)
        ]
        product = jnp.matmul(
            _from_bits(jnp.concatenate(shifted), dtype),
            outputs.astype(dtype).reshape(-1, channels_out),
            preferred_element_type=total.dtype,
        )
        return total + product, None

    shape = (height * width * channels_in, channels_out)
    total = jnp.zeros(shape, _at_least_float32(dtype))
    total, _ = lax.scan(add_tile, total, jnp.arange(num_clips * tiles))
    return total.reshape(kernel_shape)


def _tiling(num_frames: int, num_bins: int) -> tuple[int, int]:
    """Tiles of a clip, as even as they can be, and the time rows of one."""
    tiles = -(-num_frames // max(1, _TILE_POSITIONS // num_bins))
    return tiles, -(-num_frames // tiles)


def _padded(x: jax.Array, kernel_size: tuple[int, int], num_rows: int) -> jax.Array:
    """Zeros around x [B, T, F, C] as a kernel reaches, and after it up to num_rows."""
    height, width = kernel_size
    missing = num_rows - x.shape[1]
    rim = (height // 2, height // 2 + missing), (width // 2, width // 2)
    return jnp.pad(x, ((0, 0), *rim, (0, 0)))


def _to_bits(x, dtype) -> jax.Array:
    """X rounded to a dtype, as integers of 16 bits if that is bfloat16.

    XLA moves those as they are. It would convert every piece of bfloat16 that it
    moves to float32 and back.
    """
    x = x.astype(dtype)
    is_half = dtype == jnp.bfloat16
    return lax.bitcast_convert_type(x, jnp.uint16) if is_half else x


def _from_bits(x, dtype) -> jax.Array:
    return lax.bitcast_convert_type(x, dtype) if dtype == jnp.bfloat16 else x


def _at_least_float32(dtype) -> jnp.dtype:
    return jnp.promote_types(dtype, jnp.float32)
