import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.convolution import (
    convolution,
    kernel_gradient,
    tiled_convolution,
)
from gcrnn_jax.models.layers import BatchNorm, BidirectionalGru, Convolution, GatedConv
from gcrnn_jax.models.pooling import attention_pool, max_pool, mean_pool, pool_mask


def random(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("frames", "bins", "channels"), [(7, 5, 3), (240, 64, 2), (41, 64, 1), (1, 1, 4)]
)
def test_the_tiled_kernel_gradient_is_that_of_autodiff(frames, bins, channels):
    with jax.enable_x64(True):
        x, grad = random(0, 2, frames, bins, channels), random(1, 2, frames, bins, 6)
        kernel = random(2, 3, 3, channels, 6)

        def convolve(w):
            return jax.lax.conv_general_dilated(
                x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        expected = jax.vjp(convolve, jnp.asarray(kernel))[1](jnp.asarray(grad))[0]
        actual = kernel_gradient(jnp.asarray(x), jnp.asarray(grad), kernel.shape)
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def test_products_of_bfloat16_are_summed_in_float32():
    x, grad = random(0, 2, 60, 64, 4), random(1, 2, 60, 64, 6)
    halves = [rounded(a) for a in (x, grad)]
    exact = kernel_gradient(*halves, (3, 3, 4, 6))
    actual = kernel_gradient(*halves, (3, 3, 4, 6), jnp.bfloat16)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, exact, atol=1e-5 * np.abs(exact).max())


def test_the_input_gradient_is_that_of_autodiff():
    with jax.enable_x64(True):
        x, kernel = (
            jnp.asarray(random(0, 2, 9, 7, 3)),
            jnp.asarray(random(1, 3, 5, 3, 4)),
        )

        def plain(x):
            return jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        grad = jnp.asarray(random(2, 2, 9, 7, 4))
        expected = jax.vjp(plain, x)[1](grad)[0]
        actual = jax.vjp(lambda x: convolution(x, kernel), x)[1](grad)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def convolved(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("frames", "bins", "size"),
    [(7, 5, (3, 3)), (240, 64, (3, 3)), (41, 64, (5, 3)), (1, 1, (3, 5))],
)
def test_the_tiled_convolution_is_that_of_xla(frames, bins, size):
    with jax.enable_x64(True):
        x = jnp.asarray(random(0, 2, frames, bins, 2))
        kernel = jnp.asarray(random(1, *size, 2, 4))
        actual = tiled_convolution(x, kernel, x.dtype)
        np.testing.assert_allclose(actual, convolved(x, kernel), rtol=1e-9, atol=1e-9)


def rounded(x):
    return jnp.asarray(x, jnp.bfloat16).astype(jnp.float32)


@pytest.mark.parametrize(("channels", "rounds"), [(48, True), (47, False)])
def test_convolutions_of_many_channels_multiply_in_bfloat16(channels, rounds):
    x = jnp.asarray(random(0, 2, 30, 64, channels), jnp.float32)
    kernel = jnp.asarray(random(1, 3, 3, channels, channels), jnp.float32)
    grad = jnp.asarray(random(2, 2, 30, 64, channels), jnp.float32)
    actual, pull = jax.vjp(lambda x: convolution(x, kernel, jnp.bfloat16), x)
    round_ = rounded if rounds else lambda a: a
    expected, pull_plain = jax.vjp(lambda x: convolved(x, round_(kernel)), round_(x))
    assert actual.dtype == jnp.float32
    of_input, of_input_plain = pull(grad)[0], pull_plain(round_(grad))[0]
    for one, other in ((actual, expected), (of_input, of_input_plain)):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def gated_conv_by_loops(x, kernel, scale, shift):
    """Convolution, BatchNorm over the batch, gate: one output value at a time."""
    num_clips, frames, bins, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.empty((num_clips, frames, bins, kernel.shape[-1]))
    for b, t, f in np.ndindex(num_clips, frames, bins):
        window = padded[b, t : t + 3, f : f + 3]
        y[b, t, f] = np.tensordot(window, kernel, 3)
    y = (y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-3) * scale + shift
    half = y.shape[-1] // 2
    return y[..., :half] * sigmoid(y[..., half:])


def test_a_gated_convolution_is_its_numpy_version():
    x = random(0, 2, 6, 5, 3).astype(np.float32)
    layer = GatedConv(4)
    variables = jax.jit(functools.partial(layer.init, train=False))(
        jax.random.key(0), x
    )
    scale, shift = random(1, 8), random(2, 8)
    params = {
        **variables["params"],
        "norm": {"scale": jnp.asarray(scale, "f4"), "bias": jnp.asarray(shift, "f4")},
    }
    actual, _ = layer.apply(
        {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
    )
    kernel = np.asarray(params["conv"]["kernel"])
    expected = gated_conv_by_loops(x, kernel, scale, shift)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_a_gated_convolution_move_by_its_momentum():
    x, layer = random(0, 2, 6, 5, 3).astype(np.float32), GatedConv(1, momentum=0.5)
    variables = layer.init(jax.random.key(0), x, train=False)
    _, moved = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    kernel = variables["params"]["conv"]["kernel"]
    mean = Convolution(2, use_bias=False).apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(
        moved["batch_stats"]["norm"]["mean"], 0.5 * mean.mean((0, 1, 2)), rtol=1e-5
    )


def test_padding_does_not_move_the_batch_statistics():
    x = random(0, 2, 8, 4, 1).astype(np.float32)
    layer = GatedConv(2)
    variables = jax.jit(functools.partial(layer.init, train=False))(
        jax.random.key(0), x
    )
    mask = np.arange(8) < np.array([[8], [5]])

    def statistics(x):
        x = np.where(mask[:, :, None, None], x, 0)
        return layer.apply(
            variables, x, train=True, frame_mask=mask, mutable=["batch_stats"]
        )[1]["batch_stats"]["norm"]

    kernel = np.asarray(variables["params"]["conv"]["kernel"])
    zeros = np.where(mask[:, :, None, None], x, 0)
    y = jax.lax.conv_general_dilated(
        zeros, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    real = np.concatenate([np.asarray(y[0]), np.asarray(y[1, :5])])
    np.testing.assert_allclose(
        statistics(x)["mean"], 0.01 * real.mean((0, 1)), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("num_devices", [1, 2])
@pytest.mark.parametrize(("mean", "deviation"), [(100, 0.1), (-3e3, 1.0), (1.0, 1.0)])
def test_the_variance_is_right_however_far_the_mean_is(mean, deviation, num_devices):
    x = np.stack([random(0, 4, 9, 5), random(1, 4, 9, 5)], -1)
    x = (mean + deviation * x).astype(np.float32)
    mask = np.arange(9) < np.array([[9], [5], [7], [1]])
    real = x[mask].astype(np.float64)  # [frames, bins, channels]
    norm = BatchNorm(momentum=0.0, axis_name="axis" if num_devices > 1 else None)
    variables = {"params": {"scale": np.ones(2, "f4"), "bias": np.zeros(2, "f4")}}
    variables["batch_stats"] = {"mean": np.zeros(2, "f4"), "var": np.ones(2, "f4")}

    def normalise(x, mask):
        return norm.apply(
            variables, x, train=True, frame_mask=mask, mutable=["batch_stats"]
        )

    shares = [array.reshape(num_devices, -1, *array.shape[1:]) for array in (x, mask)]
    y, updated = jax.vmap(normalise, axis_name="axis")(*shares)
    statistics = updated["batch_stats"]
    for n in range(num_devices):
        np.testing.assert_allclose(statistics["mean"][n], real.mean((0, 1)), rtol=1e-6)
        np.testing.assert_allclose(statistics["var"][n], real.var((0, 1)), rtol=1e-3)
    assert np.asarray(y).reshape(x.shape)[mask].std() == pytest.approx(
        np.sqrt(deviation**2 / (deviation**2 + 1e-3)), rel=0.05
    )


def gru_by_loops(x, w, u, b, c, reset_after):
    """One direction, one clip at a time; c is the candidate's recurrent bias."""
    units = u.shape[0]
    states = np.zeros((*x.shape[:2], units))
    for clip, frames in enumerate(x):
        h = np.zeros(units)
        for t, frame in enumerate(frames):
            p, q = frame @ w + b, h @ u
            z = sigmoid(p[:units] + q[:units])
            r = sigmoid(p[units : 2 * units] + q[units : 2 * units])
            if reset_after:
                n = np.tanh(p[2 * units :] + r * (q[2 * units :] + c))
            else:
                n = np.tanh(p[2 * units :] + (r * h) @ u[:, 2 * units :])
            h = z * h + (1 - z) * n
            states[clip, t] = h
    return states


@pytest.mark.parametrize("reset_after", [False, True])
def test_the_gru_is_its_numpy_version_in_both_directions(reset_after):
    x = random(0, 3, 7, 5)
    layer = BidirectionalGru(4, reset_after=reset_after)
    params = jax.jit(layer.init)(jax.random.key(1), jnp.asarray(x, "f4"))["params"]
    params = {**params, "bias": jnp.asarray(random(2, 2, 12), "f4")}
    if reset_after:
        params["recurrent_bias"] = jnp.asarray(random(3, 2, 4), "f4")
    c = params.get("recurrent_bias", np.zeros((2, 4)))
    w, u, b = (
        np.asarray(params[k], "f8")
        for k in ("input_kernel", "recurrent_kernel", "bias")
    )
    forward = gru_by_loops(x, w[0], u[0], b[0], np.asarray(c[0]), reset_after)
    backward = gru_by_loops(x[:, ::-1], w[1], u[1], b[1], np.asarray(c[1]), reset_after)
    expected = np.concatenate([forward, backward[:, ::-1]], -1)
    actual = jax.jit(layer.apply)({"params": params}, jnp.asarray(x, "f4"))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_the_gru_gives_on_real_frames_what_it_gives_without_padding():
    x = random(0, 1, 9, 5).astype(np.float32)
    layer = BidirectionalGru(4)
    variables = jax.jit(layer.init)(jax.random.key(1), x)
    mask = np.arange(9)[None] < 6
    apply = jax.jit(layer.apply)
    padded = apply(variables, x, mask)[:, :6]
    np.testing.assert_allclose(padded, apply(variables, x[:, :6]), atol=1e-6)


def test_attention_pooling_is_its_numpy_version_and_ignores_padding():
    rng = np.random.default_rng(0)
    detection, attention = rng.random((2, 4, 6, 3))
    mask = np.arange(6) < np.array([6, 4, 1, 6])[:, None]
    expected = np.empty((4, 3))
    for b, k in np.ndindex(4, 3):
        real = mask[b]
        weight = attention[b, real, k]
        expected[b, k] = (weight * detection[b, real, k]).sum() / weight.sum()
    np.testing.assert_allclose(
        attention_pool(jnp.asarray(detection), jnp.asarray(attention), mask),
        expected,
        rtol=1e-5,
    )


def test_a_wholly_masked_clip_is_silent_and_not_nan():
    ones = jnp.ones((1, 3, 2))
    pooled = attention_pool(ones, ones, jnp.zeros((1, 3), bool))
    np.testing.assert_array_equal(pooled, np.zeros((1, 2)))


def test_pooling_two_shapes_is_refused_by_name():
    with pytest.raises(ValueError, match=r"\(1, 2, 3\) and \(1, 2, 4\)"):
        attention_pool(jnp.ones((1, 2, 3)), jnp.ones((1, 2, 4)))


def test_weak_attention_counts_as_strong_does():
    detection = jnp.array([[[1.0], [0.0]]])
    attention = jnp.array([[[3e-6], [1e-6]]])
    np.testing.assert_allclose(attention_pool(detection, attention), 0.75, rtol=1e-5)


@pytest.mark.parametrize(("time", "frequency"), [(3, 2), (1, 3)])
def test_mean_pooling_is_of_the_real_frames_of_each_block(time, frequency):
    x, lengths = random(0, 3, 8, 7, 2).astype(np.float32), (8, 4, 0)
    mask = np.arange(8) < np.array(lengths)[:, None]
    pooled = mean_pool(jnp.asarray(x), time, frequency, jnp.asarray(mask))
    whole = mean_pool(jnp.asarray(x), time, frequency)
    for clip, t, f in np.ndindex(*pooled.shape[:3]):
        bins = slice(f * frequency, (f + 1) * frequency)
        for frames, actual in ((x[clip, : lengths[clip]], pooled), (x[clip], whole)):
            block = frames[t * time : (t + 1) * time, bins]
            expected = block.mean((0, 1)) if block.size else np.zeros(2)
            np.testing.assert_allclose(actual[clip, t, f], expected, atol=1e-6)


def test_max_pooling_keeps_the_last_frames_and_counts_no_padding():
    x = random(0, 2, 7, 5, 3).astype(np.float32) - 9  # less than the zeros of padding
    mask = np.arange(7) < np.array([[7], [3]])
    pooled = max_pool(jnp.asarray(x), 2, 2, mask)
    assert pooled.shape == (2, 4, 2, 3)
    for clip, t, f in np.ndindex(2, 4, 2):
        block = x[clip, 2 * t : (7, 3)[clip], 2 * f : 2 * f + 2][:2]
        expected = block.max((0, 1)) if len(block) else np.zeros(3)
        np.testing.assert_array_equal(pooled[clip, t, f], expected)
    np.testing.assert_array_equal(pool_mask(mask, 2), [[1, 1, 1, 1], [1, 1, 0, 0]])
