import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.gated_crnn import GatedCrnn

AUTHORS = {"gru_gate": "hard_sigmoid", "gru_candidates": ("linear", "sigmoid")}
AT = {**AUTHORS, "time_pooling": (2, 2, 2, 1), "pooling": "mean"}
SED = {**AUTHORS, "attention_over": "classes", "attention_reads": "detection"}
BASELINE = {
    "gated": False,
    "ungated_activation": "linear",
    "time_pooling": (2, 2, 2, 1),
    "frequency_pooling": (2, 2, 2, 3),
    "last_frequency_pooling": 2,
    "gru_candidates": ("relu",),
    "pooling": "mean",
}
SMALL = {"filters": 4, "last_filters": 8, "rnn_units": 4}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("fields", "parameters", "statistics"),
    [(AT, 1_188_753, 1_792), (SED, 1_189_059, 1_792), (BASELINE, 670_417, 896)],
)
def test_the_authors_networks_have_their_parameter_counts(
    fields, parameters, statistics
):
    model = GatedCrnn(17, **fields)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 240, 64)))
    assert count(shapes["params"]) == parameters
    assert count(shapes["batch_stats"]) == statistics


def test_a_padded_clip_gives_what_the_clip_alone_gives():
    model = GatedCrnn(3, **SMALL, time_pooling=(2, 1, 1, 1))
    x = np.random.default_rng(0).normal(size=(2, 24, 64)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    mask = np.arange(24) < np.array([[24], [16]])
    x = np.where(mask[..., None], x, 0)
    short = model.apply(variables, x[1:, :16])
    padded = model.apply(variables, x, mask)
    np.testing.assert_allclose(padded.clip[1], short.clip[0], atol=1e-6)
    np.testing.assert_allclose(padded.frame[1, :8], short.frame[0], atol=1e-6)


def test_bfloat16_agrees_with_float32_and_returns_float32():
    x = np.random.default_rng(0).normal(size=(2, 24, 64)).astype(np.float32)
    plain, half = GatedCrnn(3, **SMALL), GatedCrnn(3, **SMALL, dtype="bfloat16")
    variables = plain.init(jax.random.key(0), x)
    assert half.apply(variables, x).frame.dtype == jnp.float32
    np.testing.assert_allclose(
        half.apply(variables, x).clip, plain.apply(variables, x).clip, atol=0.02
    )


def test_poolings_that_leave_no_bin_are_refused():
    model = GatedCrnn(3, **SMALL, last_frequency_pooling=8)
    with pytest.raises(ValueError, match="leaves 4"):
        model.init(jax.random.key(0), jnp.zeros((1, 24, 64)))
