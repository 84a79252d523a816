"""A clip alone and the same clip padded, at every length."""

import jax
import numpy as np
import pytest

from tests.defaults import network

GATED = {
    "blocks": (1, 1),
    "filters": 3,
    "time_pooling": (2, 2),
    "frequency_pooling": (2, 2),
    "last_filters": 4,
    "last_frequency_pooling": 1,
    "rnn_units": 3,
}
NETWORKS = {
    "gated_crnn": network(3, **GATED, clip_normalization="mean_and_std"),
    "attention_mlp": network(3, "embeddings", hidden=(6,)),
    "mlp": network(3, "mlp", hidden=(6,), median_frames=3),
    "window_cnn": network(3, "window_cnn", window_frames=4, filters=(3, 4), units=1),
    "frame_cnn": network(
        3, "frame_cnn", filters=(4, 5), time_pooling=(3, 2), tagging_units=(7,)
    ),
}
LENGTHS = np.arange(1, 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_clip_gives_alone_what_it_gives_padded_at_every_length(name):
    model, longest = NETWORKS[name], len(LENGTHS) + 3
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 1, (len(LENGTHS), longest, 10)).astype(np.float32)
    mask = np.arange(longest) < LENGTHS[:, None]
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(-0.3, 0.6, leaf.shape).astype(np.float32), shapes
    )
    variables["batch_stats"] = jax.tree.map(np.abs, variables.get("batch_stats", {}))
    apply = jax.jit(model.apply)
    padded = apply(variables, np.where(mask[..., None], x, 7), mask)
    reduction = model.time_reduction
    for row, length in enumerate(LENGTHS):
        alone = apply(variables, x[row : row + 1, :length])
        count = -(-length // reduction)
        np.testing.assert_allclose(padded.clip[row], alone.clip[0], atol=2e-6)
        for one, other in zip(padded[1:3], alone[1:3], strict=True):
            np.testing.assert_allclose(
                one[row, :count], other[0, :count], atol=2e-6, err_msg=str(length)
            )
        real = np.arange(padded.frame.shape[1]) < count
        np.testing.assert_array_equal(padded.frame_mask[row], real)
