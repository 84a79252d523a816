import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training.loss import Loss, weak_label_loss

B, T, K = 3, 5, 2


def example():
    rng = np.random.default_rng(0)
    mask = np.arange(T) < np.array([[5], [3], [1]])
    posteriors = Posteriors(
        rng.uniform(0.05, 0.95, (B, K)),
        rng.uniform(0.05, 0.95, (B, T, K)),
        rng.uniform(0.05, 0.95, (B, T, K)),
        mask,
    )
    return jax.tree.map(jnp.asarray, posteriors), rng.integers(0, 2, (B, K)) * 1.0


def frames_by_loops(posteriors, label, shares, attended, power):
    """The frame term, one frame of one class after the other."""
    mean = np.mean(shares)
    total = 0.0
    for b in range(B):
        frames = int(posteriors.frame_mask[b].sum())
        for k in range(K):
            attention = np.asarray(posteriors.attention)[b, :frames, k]
            weight = np.ones(frames)
            if attended:
                weight = attention / attention.mean()
            odds = mean * (1 - mean) / (shares[k] * (1 - shares[k]))
            for t in range(frames):
                p, y = float(posteriors.frame[b, t, k]), label[b, k]
                present = -y * np.log(p) * weight[t] * odds**power
                total += (present - (1 - y) * np.log(1 - p)) / frames
    return total / (B * K)


@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("power", [0.0, 0.3])
def test_the_loss_of_frames_is_its_version_by_loops(attended, power):
    posteriors, label = example()
    shares = np.array([0.1, 0.4])
    loss = Loss(clip=0.0, frame=1.0, attended=attended, rarity_power=power)
    expected = frames_by_loops(posteriors, label, shares, attended, power)
    np.testing.assert_allclose(loss(posteriors, label, shares), expected, rtol=1e-5)


def test_the_terms_are_weighted():
    posteriors, label = example()
    clip = weak_label_loss(posteriors.clip, label)
    frame = Loss(clip=0.0, frame=1.0)(posteriors, label)
    both = Loss(clip=2.0, frame=0.5)(posteriors, label)
    np.testing.assert_allclose(both, 2 * clip + 0.5 * frame, rtol=1e-6)
    np.testing.assert_array_equal(Loss()(posteriors, label), clip)


def test_attention_that_weights_frames_is_not_learnt_from():
    posteriors, label = example()

    def loss(attention):
        return Loss(frame=1.0, attended=True)(
            posteriors._replace(attention=attention), label
        )

    assert not np.any(jax.grad(loss)(posteriors.attention))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"clip": -1.0}, "clip"),
        ({"frame": float("nan")}, "frame"),
        ({"rarity_power": -0.1}, "rarity_power"),
        ({"clip": 0.0}, "nothing to learn"),
    ],
)
def test_weights_that_cannot_be_are_named(fields, named):
    with pytest.raises(ValueError, match=named):
        Loss(**fields)
