"""The networks that the paper's is compared with, against short NumPy versions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import median_filter

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models.layers import dropout
from tests.defaults import network

K = 3
MLP = network(K, "mlp", hidden=(6, 5), median_frames=3)
ATTENTION = network(K, "embeddings", hidden=(6,), dropout=0.5)
WINDOWS = network(K, "window_cnn", window_frames=8, filters=(3, 4), units=1)
FRAMES = network(
    K,
    "frame_cnn",
    filters=(4, 5, 6),
    time_pooling=(1, 2, 2),
    tagging_units=(7,),
    dropout=0.5,
)
BLOCKS = network(
    K,
    "vgg_cnn",
    filters=(4, 5),
    units=1,
    time_pooling=(3, 2),
    frequency_pooling=(2, 1),
)


def features(num_clips=2, num_frames=24, num_bins=10, seed=0):
    shape = (num_clips, num_frames, num_bins)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@functools.cache
def compiled(model):
    return jax.jit(model.apply, static_argnames=("train", "mutable"))


def apply(model, variables, *inputs):
    return compiled(model)(variables, *inputs)


def apply_in_training(model, variables, *inputs):
    return compiled(model)(variables, *inputs, train=True, mutable=("batch_stats",))[0]


@functools.cache
def random_variables(model):
    """Of both collections, so that no scale is 1 and no mean 0."""
    variables = jax.jit(model.init)(jax.random.key(0), features())
    rng = np.random.default_rng(1)

    def fill(leaf):
        return jnp.asarray(rng.uniform(0.2, 1.0, leaf.shape), jnp.float32)

    return jax.tree.map(lambda leaf: fill(leaf) if leaf.ndim == 1 else leaf, variables)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(
    "model", [MLP, WINDOWS, FRAMES], ids=lambda m: type(m).__name__
)
def test_a_padded_clip_gives_what_the_clip_alone_gives(model):
    x = features()
    variables = random_variables(model)
    mask = np.arange(24) < np.array([[24], [16]])
    padded = apply(model, variables, np.where(mask[..., None], x, 7), mask)
    alone = apply(model, variables, x[1:, :16])
    frames = 16 // model.time_reduction
    np.testing.assert_allclose(padded.clip[1], alone.clip[0], atol=1e-6)
    np.testing.assert_allclose(
        padded.frame[1, :frames], alone.frame[0, :frames], atol=1e-6
    )
    np.testing.assert_array_equal(
        padded.frame_mask[1], np.arange(padded.frame.shape[1]) < frames
    )


@pytest.mark.parametrize("model", [MLP, WINDOWS])
def test_a_clip_shifted_around_its_end_is_found_where_it_is(model):
    x = features(num_clips=1, num_frames=16)
    variables = random_variables(model)
    mask = np.zeros((2, 24), bool)
    mask[:, 8:] = True
    shifted = np.full((2, 24, 10), 7.0, np.float32)
    shifted[:, 8:] = x
    if model is MLP:
        alone = apply(model, variables, x)
        moved = apply(model, variables, shifted, mask)
        np.testing.assert_allclose(moved.frame[:1, 8:], alone.frame, rtol=1e-5)
    train = apply_in_training(model, variables, shifted, mask)
    step = 24 // train.frame.shape[1]
    np.testing.assert_array_equal(train.frame_mask, mask[:, ::step])


def test_padding_beside_the_loudest_frame_does_not_count_for_the_mlp():
    """A median of three drops a frame that stands alone, at the end of a clip too."""
    variables = jax.tree.map(jnp.abs, random_variables(MLP))  # more in, more out
    x = np.full((2, 24, 10), -1.0, np.float32)
    x[:, 15] = 0.2
    mask = np.arange(24) < np.array([[24], [16]])
    padded = apply(MLP, variables, x, mask)
    alone = apply(MLP, variables, x[1:, :16])
    # the last two frames have the loud one in their context three times, and twice
    assert (alone.frame[0, 15] > alone.clip[0] + 1e-4).all()
    np.testing.assert_allclose(padded.clip[1], alone.clip[0], atol=1e-6)


def test_the_mlp_is_its_numpy_version():
    x = features()
    variables = random_variables(MLP)
    posteriors = apply(MLP, variables, x)
    edges = np.pad(x, ((0, 0), (2, 2), (0, 0)), mode="edge")
    h = np.concatenate([edges[:, d : d + 24] for d in range(5)], -1)
    params = jax.tree.map(np.asarray, variables["params"])
    for name in ("hidden_0", "hidden_1"):
        h = np.maximum(h @ params[name]["kernel"] + params[name]["bias"], 0)
    last = params["detection"]
    expected = sigmoid(h @ last["kernel"] + last["bias"])
    np.testing.assert_allclose(posteriors.frame, expected, rtol=1e-5, atol=1e-6)
    medians = median_filter(expected, (1, 3, 1), mode="constant")
    np.testing.assert_allclose(posteriors.clip, medians.max(1), rtol=1e-5, atol=1e-6)


def test_the_attention_mlp_is_its_numpy_version():
    """With padding, and with dropout in training alone."""
    x, count = features(), np.array([24, 7])
    mask = np.arange(24) < count[:, None]
    variables = random_variables(ATTENTION)
    posteriors = apply(ATTENTION, variables, x, mask)
    params = jax.tree.map(np.asarray, variables["params"])
    first, last = params["hidden_0"], params["detection"]
    for clip, length in enumerate(count):
        h = np.maximum(x[clip, :length] @ first["kernel"] + first["bias"], 0)
        frame = sigmoid(h @ last["kernel"] + last["bias"])
        weight = np.exp(h @ params["attention"]["kernel"])
        weight /= weight.sum(0)
        attention = posteriors.attention[clip, :length]
        np.testing.assert_allclose(attention, weight, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(posteriors.frame[clip, :length], frame, rtol=1e-5)
        expected = (weight * frame).sum(0)
        np.testing.assert_allclose(posteriors.clip[clip], expected, rtol=1e-5)
    keys = jax.random.split(jax.random.key(0), 2)
    train = ATTENTION.apply(variables, x, mask, train=True, clip_keys=keys)
    assert (train.frame != posteriors.frame).any()


def test_nothing_but_padding_gives_finite_attention_and_gradients():
    """As of rows that fill up a batch."""
    variables, mask = random_variables(ATTENTION), np.zeros((2, 24), bool)

    def total(variables):
        posteriors = ATTENTION.apply(variables, features(), mask)
        return posteriors.clip.sum() + posteriors.attention.sum()

    value, gradient = jax.value_and_grad(total)(variables)
    assert value == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_frame_of_the_window_cnn_is_the_mean_of_the_windows_that_cover_it():
    x = features()
    variables = random_variables(WINDOWS)
    starts = range(0, 17, 4)
    windows = np.stack([x[0, start : start + 8] for start in starts])
    alone = apply(WINDOWS, variables, windows).clip
    means = [(a + b) / 2 for a, b in zip(alone[:-1], alone[1:], strict=True)]
    one = apply(WINDOWS, variables, x)
    np.testing.assert_allclose(one.frame[0], [alone[0], *means, alone[-1]], rtol=1e-5)
    np.testing.assert_allclose(one.clip[0], np.max(alone, 0), rtol=1e-5)
    mean = apply(WINDOWS.clone(clip_pooling="mean"), variables, x)
    np.testing.assert_allclose(mean.clip[0], np.mean(alone, 0), rtol=1e-5)


def test_the_window_cnn_learns_from_windows_side_by_side():
    mask = np.arange(24) < np.array([[24], [12]])
    train = apply_in_training(WINDOWS, random_variables(WINDOWS), features(), mask)
    assert train.frame.shape == (2, 3, K)
    np.testing.assert_array_equal(train.frame_mask, [[1, 1, 1], [1, 1, 0]])


def test_windows_longer_than_what_the_pooling_leaves_are_no_error():
    model = network(K, "window_cnn", window_frames=2, filters=(3, 3, 3), units=1)
    x = features(num_bins=3)
    posteriors, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert posteriors.frame.shape == (2, 24, K)


def frame_cnn_by_numpy(x, variables):
    """One clip [T, F] in prediction."""
    params = jax.tree.map(np.asarray, variables["params"])
    stats = jax.tree.map(np.asarray, variables["batch_stats"])

    def norm(name, h):
        scale = params[name]["scale"] / np.sqrt(stats[name]["var"] + 1e-5)
        return (h - stats[name]["mean"]) * scale + params[name]["bias"]

    def convolve(name, h):
        kernel, padded = params[name]["kernel"][:, 0], np.pad(h, ((1, 1), (0, 0)))
        out = sum(padded[i : i + len(h)] @ kernel[i] for i in range(3))
        return out + params[name]["bias"]

    def dense(name, h):
        return h @ params[name]["kernel"] + params[name]["bias"]

    h = x
    for block, time in enumerate(FRAMES.time_pooling):
        h = norm(f"block_{block}_norm", h)
        h = np.maximum(h, 0) if block else h
        h = convolve(f"block_{block}", h)
        h = h.reshape(-1, time, h.shape[-1]).max(1)
    h = np.maximum(norm("last_norm", h), 0)
    detection = convolve("detection", h)
    attention = softmax(softmax(convolve("attention", h), 0).sum(1), 0)
    tagged = np.maximum(norm("tagging_0_norm", dense("tagging_0", h.mean(0))), 0)
    logits = dense("tagging", tagged) + attention @ detection
    return sigmoid(logits / 2), sigmoid(detection), attention


def test_the_frame_cnn_is_its_numpy_version():
    x = features()
    variables = random_variables(FRAMES)
    actual = apply(FRAMES, variables, x)
    clip, frame, attention = frame_cnn_by_numpy(x[1], variables)
    np.testing.assert_allclose(actual.clip[1], clip, rtol=1e-4)
    np.testing.assert_allclose(actual.frame[1], frame, rtol=1e-4)
    np.testing.assert_allclose(actual.attention[1, :, 0], attention, rtol=1e-4)


def vgg_cnn_by_numpy(x, variables):
    """Frame posteriors and attention logits of one clip [T, F] in prediction."""
    params, stats = (
        jax.tree.map(np.asarray, variables[name]) for name in ("params", "batch_stats")
    )

    def norm(params, stats, h, epsilon):
        scale = params["scale"] / np.sqrt(stats["var"] + epsilon)
        return (h - stats["mean"]) * scale + params["bias"]

    h = norm(params["input_norm"], stats["input_norm"], x, 1e-5)[..., None]
    for block, (time, bins) in enumerate(((3, 2), (2, 1))):
        name = f"block_{block}_unit_0"
        kernel, (length, size, _) = params[name]["conv"]["kernel"], h.shape
        padded = np.pad(h, ((1, 1), (1, 1), (0, 0)))
        h = sum(
            padded[i : i + length, j : j + size] @ kernel[i, j]
            for i, j in np.ndindex(3, 3)
        )
        h = np.maximum(norm(params[name]["norm"], stats[name]["norm"], h, 1e-3), 0)
        h = h.reshape(length, size // bins, bins, -1).mean(2)
        h = np.stack([h[t : t + time].mean(0) for t in range(0, length, time)])
    h = h.mean(1)
    heads = (params[name] for name in ("detection", "attention"))
    frame, logits = (h @ head["kernel"] + head["bias"] for head in heads)
    return sigmoid(frame), logits


@functools.cache
def variables_of_blocks():
    """Frames with anything in them have lower posteriors than those of zeros."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(BLOCKS.init, jax.random.key(0), features())

    def draw(leaf):
        values = random.uniform(0.2, 1, leaf.shape)
        signs = np.sign(random.normal(size=leaf.shape)) if leaf.ndim > 1 else 1
        return jnp.asarray(values * signs, jnp.float32)

    variables = jax.tree.map(draw, shapes)
    heads = variables["params"]
    heads["detection"]["kernel"] = -jnp.abs(heads["detection"]["kernel"]) / 10
    heads["attention"]["kernel"] *= 10  # beyond what a logit may be
    return variables


@pytest.mark.parametrize("pooling", ["attention", "mean", "max"])
def test_the_vgg_cnn_is_its_numpy_version(pooling):
    """With padding, which has the greatest posteriors, and a last block not full."""
    x, lengths = features(), (24, 16)
    mask = np.arange(24) < np.array(lengths)[:, None]
    model, variables = BLOCKS.clone(clip_pooling=pooling), variables_of_blocks()
    actual = apply(model, variables, np.where(mask[..., None], x, 7), mask)
    for clip, length in enumerate(lengths):
        frame, logits = vgg_cnn_by_numpy(x[clip, :length], variables)
        assert actual.frame_mask[clip].sum() == len(frame) == -(-length // 6)
        np.testing.assert_allclose(actual.frame[clip, : len(frame)], frame, rtol=1e-4)
        attention = softmax(np.clip(logits, -10, 10), 0)
        if pooling == "attention":
            assert np.abs(logits).max() > 10
            of_frames = actual.attention[clip, : len(frame)]
            np.testing.assert_allclose(of_frames, attention, rtol=1e-3, atol=1e-6)
        attended = (attention * frame).sum(0)
        pooled = {"attention": attended, "mean": frame.mean(0), "max": frame.max(0)}
        np.testing.assert_allclose(actual.clip[clip], pooled[pooling], rtol=1e-4)


def test_the_vgg_cnn_has_the_statistics_of_the_clips_of_all_devices():
    """Each of two has a clip, and a row without a frame that fills it up."""
    x, mask = features(), np.arange(24) < np.array([[24], [16]])
    rows, masks = (np.stack([one, 0 * one], 1) for one in (x, mask.astype(int)))

    def train(model, x, frame_mask):
        options = {"train": True, "mutable": ["batch_stats"]}
        posteriors, new = model.apply(variables_of_blocks(), x, frame_mask, **options)
        return posteriors.clip, new["batch_stats"]

    clip, stats = jax.jit(functools.partial(train, BLOCKS))(x, mask)
    on_devices = functools.partial(train, BLOCKS.clone(axis_name="devices"))
    mapped = jax.jit(jax.vmap(on_devices, axis_name="devices"))
    clips, all_stats = mapped(rows, masks.astype(bool))
    np.testing.assert_allclose(clips[:, 0], clip, rtol=1e-4)
    for one, other in zip(*map(jax.tree.leaves, (stats, all_stats)), strict=True):
        np.testing.assert_allclose(other, np.stack([one, one]), rtol=1e-4)


def test_dropout_drops_its_share_by_the_clips_own_key():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jnp.ones((3, 4000))
    dropped = dropout(x, keys, 0.2, layer=0)
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.8)}
    np.testing.assert_allclose((dropped == 0).mean(1), 0.2, atol=0.03)
    np.testing.assert_array_equal(dropout(x[1:], keys[1:], 0.2, layer=0), dropped[1:])
    assert (dropout(x, keys, 0.2, layer=1) != dropped).any()
    np.testing.assert_array_equal(dropout(x, None, 0.2, layer=0), x)


def test_whole_channels_are_dropped_in_all_of_a_clip_or_nowhere():
    keys = jax.random.split(jax.random.key(0), 3)
    x = jnp.ones((3, 2, 4, 1000))
    dropped = dropout(x, keys, 0.2, layer=0, whole_channels=True)
    of_channels = dropped[:, 0, 0]
    np.testing.assert_array_equal(dropped, x * of_channels[:, None, None])
    assert set(np.unique(of_channels)) == {0, np.float32(1 / 0.8)}
    np.testing.assert_allclose((of_channels == 0).mean(1), 0.2, atol=0.05)


@pytest.mark.parametrize(
    ("config", "fields", "named"),
    [
        ("mlp", {"context_frames": 4}, "context_frames"),
        ("mlp", {"median_frames": 0}, "median_frames"),
        ("mlp", {"dropout": 1.0}, "dropout"),
        ("mlp", {"hidden": (0,)}, "hidden"),
        ("embeddings", {"dropout": 1.0}, "dropout"),
        ("embeddings", {"hidden": (0,)}, "hidden"),
        ("window_cnn", {"window_frames": 7}, "window_frames"),
        ("window_cnn", {"filters": ()}, "filters"),
        ("window_cnn", {"units": 0}, "units"),
        ("window_cnn", {"clip_pooling": "sum"}, "clip_pooling"),
        ("frame_cnn", {"filters": (1,)}, "time_pooling"),
        ("frame_cnn", {"tagging_units": (0,)}, "tagging_units"),
        ("frame_cnn", {"dropout": -0.1}, "dropout"),
        ("frame_cnn", {"activation": "gelu"}, "activation"),
        ("vgg_cnn", {"filters": ()}, "one length and not empty"),
        ("vgg_cnn", {"time_pooling": (2, 2)}, "one length"),
        ("vgg_cnn", {"frequency_pooling": (2, 2, 0, 1)}, "frequency_pooling"),
        ("vgg_cnn", {"units": 0}, "units"),
        ("vgg_cnn", {"clip_pooling": "sum"}, "clip_pooling"),
    ],
)
def test_a_field_that_cannot_be_is_named(config, fields, named):
    with pytest.raises(ConfigError, match=f"model.*{named}"):
        network(K, config, **fields)
