import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from configs import sed
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.models import make_network, network_fields
from tests.defaults import network

AUTHORS = {"gru_gate": "hard_sigmoid", "gru_candidates": ("linear", "sigmoid")}
AT = {**AUTHORS, "time_pooling": (2, 2, 2, 1), "clip_pooling": "mean"}
SED = {**AUTHORS, "attention_over": "classes", "attention_reads": "detection"}
BASELINE = {
    "gated_convolution": False,
    "ungated_activation": "linear",
    "time_pooling": (2, 2, 2, 1),
    "frequency_pooling": (2, 2, 2, 3),
    "last_frequency_pooling": 2,
    "gru_candidates": ("relu",),
    "clip_pooling": "mean",
}
SMALL = {
    "blocks": (1, 1),
    "filters": 3,
    "time_pooling": (2, 1),
    "frequency_pooling": (4, 4),
    "last_filters": 4,
    "rnn_units": 3,
}
ONE_BLOCK = SMALL | {"blocks": (1,), "time_pooling": (2,), "frequency_pooling": (2,)}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("fields", "parameters", "statistics"),
    [(AT, 1_188_753, 1_792), (SED, 1_189_059, 1_792), (BASELINE, 670_417, 896)],
)
def test_the_authors_networks_have_their_parameter_counts(
    fields, parameters, statistics
):
    model = network(17, **fields)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 240, 64)))
    assert count(shapes["params"]) == parameters
    assert count(shapes["batch_stats"]) == statistics


def test_blocks_of_more_channels_than_the_first():
    model = network(3, **SMALL | {"filter_multiples": (1, 4)})
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 24, 64)))
    kernels = {
        name: layer["conv"]["kernel"].shape
        for name, layer in shapes["params"].items()
        if name.startswith("block")
    }  # as wide again for the gates
    assert kernels == {
        "block_0_unit_0": (3, 3, 1, 2 * 3),
        "block_1_unit_0": (3, 3, 3, 2 * 12),
    }


def init(model, x):
    return jax.jit(model.init)(jax.random.key(0), x)


def random_variables(model, x):
    """Without the program that draws initial ones, which takes long to compile."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)

    def draw(leaf):
        return jnp.asarray(random.uniform(-0.3, 0.6, leaf.shape), jnp.float32)

    variables = jax.tree.map(draw, shapes)
    variables["batch_stats"] = jax.tree.map(jnp.abs, variables["batch_stats"])
    return variables


def test_a_padded_clip_gives_what_the_clip_alone_gives():
    """With plain convolutions it is tested at every length."""
    model = network(3, **SMALL, frequency_kernels=2)
    apply = jax.jit(model.apply)
    x = np.random.default_rng(0).normal(size=(2, 24, 64)).astype(np.float32)
    variables = init(model, x)
    mask = np.arange(24) < np.array([[24], [16]])
    x = np.where(mask[..., None], x, 0)
    short = apply(variables, x[1:, :16])
    padded = apply(variables, x, mask)
    np.testing.assert_allclose(padded.clip[1], short.clip[0], atol=1e-6)
    np.testing.assert_allclose(padded.frame[1, :8], short.frame[0], atol=1e-6)
    np.testing.assert_allclose(padded.attention[1, :8], short.attention[0], atol=1e-6)
    np.testing.assert_allclose(padded.attention.sum(1), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def heard():
    """What detection and attention make of two clips, one of them padded.

    Returns:
        A function from fields to posteriors, and the real frames [2, 12]. The factors
        of AutoPool are 0.5, 1 and 3.
    """
    x = np.random.default_rng(0).normal(0, 2, (2, 24, 8)).astype(np.float32)
    mask = np.arange(24) < np.array([[24], [16]])
    variables = random_variables(network(3, **ONE_BLOCK), x)
    variables["params"]["auto_pool"] = jnp.array([0.5, 1.0, 3.0])

    def posteriors(**fields):
        model = network(3, **ONE_BLOCK, **fields)
        return jax.jit(model.apply)(variables, x, mask)

    return posteriors, mask[:, ::2, None]


@pytest.mark.parametrize(
    ("pooling", "weigh"),
    [
        ("linear_softmax", lambda p: p),
        ("auto", lambda p: np.exp(p * [0.5, 1.0, 3.0])),
    ],
)
def test_frames_are_pooled_by_their_own_posteriors(heard, pooling, weigh):
    posteriors, is_real = heard
    actual = posteriors(clip_pooling=pooling)
    weight = is_real * weigh(np.asarray(actual.frame))
    expected = (weight * actual.frame).sum(1) / weight.sum(1)
    np.testing.assert_allclose(actual.clip, expected, rtol=1e-5)


def test_a_temperature_makes_attention_more_even(heard):
    posteriors, is_real = heard
    plain, warm = posteriors().attention, posteriors(attention_temperature=3.0)
    expected = is_real * np.asarray(plain, float) ** (1 / 3)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(warm.attention * is_real, expected, rtol=1e-5)


def read_by(name, model, variables, x, clip_keys):
    """What a layer of a network reads of features, in training."""
    read = {}

    def note(call, args, kwargs, context):
        if context.module.name == name:
            read["x"] = args[0]
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        model.apply(variables, x, train=True, clip_keys=clip_keys, mutable=True)
    return read["x"]


@pytest.mark.parametrize(
    ("field", "layer"), [("block_dropout", "last"), ("dropout", "detection")]
)
def test_dropout_is_behind_blocks_and_before_the_heads(field, layer):
    x = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    model = network(3, **ONE_BLOCK, **{field: 0.5})
    variables, keys = random_variables(model, x), jax.random.split(jax.random.key(1), 4)
    read = jax.jit(functools.partial(read_by, layer, model))
    whole, dropped = read(variables, x, None), read(variables, x, keys)
    is_kept = np.asarray(dropped != 0)
    assert 0.2 < is_kept.mean() < 0.8
    np.testing.assert_allclose(dropped, np.where(is_kept, 2 * whole, 0), rtol=1e-6)
    if field == "block_dropout":  # whole channels
        np.testing.assert_array_equal(is_kept, is_kept[:, :1, :1] & (whole != 0))


def test_bfloat16_agrees_with_float32_and_returns_float32(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 24, 64)).astype(np.float32)
    fields = SMALL | {"frequency_kernels": 2}
    plain, half = network(3, **fields), network(3, **fields, dtype="bfloat16")
    variables = init(plain, x)
    one, other = (jax.jit(model.apply)(variables, x) for model in (plain, half))
    np.testing.assert_array_equal(other.clip, one.clip)  # on CPUs, but for gradients
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    other = jax.jit(half.apply)(variables, x)
    assert other.frame.dtype == jnp.float32
    np.testing.assert_allclose(other.clip, one.clip, atol=0.02)
    assert np.any(other.clip != one.clip)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"blocks": ()}, "blocks must be one or more, got none"),
        ({"gru_candidates": ()}, "gru_candidates must be one or more, got none"),
        ({"time_pooling": (1, 1)}, "must be of one length"),
        ({"frequency_pooling": (2, 2)}, "must be of one length"),
        ({"filters": 0}, "filters must be 1 or more, got 0"),
        ({"filter_multiples": (1, 2, 0, 1)}, "filter_multiples must be 1 or more"),
        (
            {"filter_multiples": (1, 2)},
            r"filter_multiples must be \(\) or one for each of the 4 blocks, got",
        ),
        ({"time_pooling": (1, 0, 1, 1)}, "time_pooling must be 1 or more"),
        ({"gru_unroll": 0}, "gru_unroll must be 1 or more"),
        ({"gru_gate": "step"}, "gru_gate: expected 'linear' or"),
        ({"gru_candidates": ("step",)}, "gru_candidates: expected a list of 'linear'"),
        ({"clip_pooling": "max"}, "'attention' or 'mean' or .* got 'max'"),
        ({"frequency_kernels": 1}, "frequency_kernels must be 0, or 2 or more, got 1"),
        ({"frequency_kernels": -2}, "frequency_kernels must be 0, or 2 or more, got"),
        ({"block_dropout": 1.0}, r"block_dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
        ({"attention_temperature": 0.0}, "attention_temperature must be greater than"),
        (
            {"attention_temperature": 2.0, "clip_pooling": "mean"},
            "attention_temperature 2.0 is for clip_pooling \"attention\", got 'mean'",
        ),
        ({"attention_over": "frames"}, "attention_over"),
        ({"attention_reads": "clip"}, "attention_reads"),
        ({"dtype": "float8"}, "dtype"),
        ({"heads": 3}, "heads: unknown field"),
        ({"num_classes": 3}, "num_classes: unknown field"),
        ({"kind": "crnn"}, "expected 'gated_crnn' or 'mlp' or .*, got 'crnn'"),
    ],
)
def test_a_field_that_fits_nothing_is_named(fields, named):
    section = sed.get_config().model.to_dict()
    with pytest.raises(ConfigError, match=f"^model.*{named}"):
        make_network({**section, **fields}, 3)


def test_a_network_without_its_kind_or_a_field_is_refused():
    fields = sed.get_config().model.to_dict()
    with pytest.raises(ConfigError, match=r"model.filters: missing"):
        make_network({k: v for k, v in fields.items() if k != "filters"})
    del fields["kind"]
    with pytest.raises(ConfigError, match="model.kind: expected .* got None"):
        make_network(fields)


@pytest.mark.parametrize(
    "config", ["sed", "mlp", "window_cnn", "frame_cnn", "embeddings", "vgg_cnn"]
)
def test_the_fields_of_a_network_make_it_again(config):
    model = network(5, config)
    fields = network_fields(model.clone(axis_name="data"))
    assert make_network(fields, 5) == model
    assert {"num_classes", "axis_name", "name", "parent"}.isdisjoint(fields)


def test_poolings_that_leave_no_bin_are_refused():
    model = network(3, last_frequency_pooling=8)
    with pytest.raises(ValueError, match="leaves 4"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 24, 64)))
    model = network(3, frequency_pooling=(8, 8, 2, 1))
    with pytest.raises(ValueError, match="leaves nothing of 1 bins in block 2"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 24, 64)))
