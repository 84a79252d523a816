import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.normalization import normalized_clips

B, T, F = 3, 12, 4
COUNTS = (12, 7, 0)


def clips():
    mask = np.arange(T) < np.array(COUNTS)[:, None]
    features = np.random.default_rng(0).normal(2, 3, (B, T, F))
    return np.where(mask[..., None], features, 0).astype("f4"), jnp.asarray(mask)


@pytest.mark.parametrize("kind", ["mean", "mean_and_std"])
def test_each_bin_is_normalized_over_the_real_frames_of_its_clip(kind):
    features, mask = clips()
    out = np.asarray(normalized_clips(jnp.asarray(features), mask, kind))
    assert np.isfinite(out).all() and out.dtype == np.float32
    for clip, count in enumerate(COUNTS):
        assert not out[clip, count:].any()
        if real := list(features[clip, :count].astype(float)):
            expected = real - np.mean(real, 0)
            if kind == "mean_and_std":
                expected /= np.sqrt(np.var(real, 0) + 0.01)
            np.testing.assert_allclose(out[clip, :count], expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "is_same"), [("mean", True), ("none", False)])
def test_a_filter_that_does_not_change_in_time_makes_no_difference(kind, is_same):
    features, mask = clips()
    filters = np.random.default_rng(1).normal(0, 2, (B, 1, F)).astype("f4")
    filtered = np.where(mask[..., None], features + filters, 0)
    one, other = (
        normalized_clips(jnp.asarray(x), mask, kind) for x in (features, filtered)
    )
    assert np.allclose(one, other, atol=1e-5) == is_same
