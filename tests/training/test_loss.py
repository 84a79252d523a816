import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gcrnn_jax.models.network import Posteriors
from gcrnn_jax.training.augment import Inputs
from gcrnn_jax.training.loss import Loss, weak_label_loss
from tests.defaults import build

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


def loss_of(posteriors, label, shares=None, **fields):
    inputs = Inputs(posteriors.frame, posteriors.frame_mask, jnp.asarray(label))
    return build(Loss, "loss", **fields)(posteriors, inputs, shares)


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
    actual = loss_of(
        posteriors,
        label,
        shares,
        clip_weight=0.0,
        frame_weight=1.0,
        frame_attention=attended,
        class_balance_power=power,
    )
    expected = frames_by_loops(posteriors, label, shares, attended, power)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_terms_are_weighted():
    posteriors, label = example()
    clip = weak_label_loss(posteriors.clip, label)
    frame = loss_of(posteriors, label, clip_weight=0.0, frame_weight=1.0)
    both = loss_of(posteriors, label, clip_weight=2.0, frame_weight=0.5)
    np.testing.assert_allclose(both, 2 * clip + 0.5 * frame, rtol=1e-6)
    np.testing.assert_array_equal(loss_of(posteriors, label), clip)


def test_attention_that_weights_frames_is_not_learnt_from():
    posteriors, label = example()

    def loss(attention):
        return loss_of(
            posteriors._replace(attention=attention),
            label,
            frame_weight=1.0,
            frame_attention=True,
        )

    assert not np.any(jax.grad(loss)(posteriors.attention))


def test_a_sure_mistake_costs_what_it_must_and_is_finite():
    present = jnp.ones((1, 1))
    costs = [float(weak_label_loss(jnp.array([[p]]), present)) for p in (1e-5, 0.0)]
    np.testing.assert_allclose(costs, -np.log([1e-5, 1e-7]), rtol=1e-5)
    costs = weak_label_loss(jnp.array([[1.0]]), jnp.zeros((1, 1)))
    np.testing.assert_allclose(costs, -np.log(1e-7), rtol=0.02)  # of float32 near 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"clip_weight": -1.0}, "clip_weight"),
        ({"frame_weight": float("nan")}, "frame_weight"),
        ({"class_balance_power": -0.1}, "class_balance_power"),
        ({"clip_weight": 0.0}, "nothing to learn"),
    ],
)
def test_weights_out_of_range_are_named(fields, named):
    defaults = {"clip_weight": 1.0, "frame_weight": 0.0}
    defaults |= {"frame_attention": False, "class_balance_power": 0.0}
    defaults |= {"strong_weight": 0.0}
    defaults |= {"consistency_weight": 0.0, "consistency_ramp_steps": 0}
    with pytest.raises(ValueError, match=named):
        Loss(**defaults | fields)
