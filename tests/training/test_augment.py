import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler, standardize

B, T, F, K = 8, 40, 12, 3


def make_inputs():
    rng = np.random.default_rng(0)
    mask = np.arange(T) < rng.integers(T // 2, T + 1, B)[:, None]
    features = np.where(mask[..., None], 1 + rng.random((B, T, F)), 0)
    label = (rng.random((B, K)) < 0.5).astype(np.float32)
    return Inputs(features.astype(np.float32), mask, label)


def augmented(augmentation, inputs, seed=0, num_devices=4):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])

    def apply(key_data, inputs):
        return augmentation(jax.random.wrap_key_data(key_data), inputs)

    mapped = parallel.pmapped(apply, mesh, out_axes=parallel.AXIS)
    key_data = jax.random.key_data(jax.random.key(seed))
    out = mapped(key_data, parallel.put_batch(inputs, mesh))
    return Inputs(*map(np.asarray, out))


def test_scaling_gives_mean_zero_and_variance_one_and_padding_zero():
    rng = np.random.default_rng(0)
    raw = rng.normal(3, 2, (B, T, F)).astype(np.float16)
    num_frames = np.array([T] * (B - 1) + [T // 2], np.int32)
    real = np.concatenate([raw[:-1].reshape(-1, F), raw[-1, : T // 2]]).astype(float)
    scaler = Scaler(jnp.asarray(real.mean(0)), jnp.asarray(real.std(0)))
    features, mask = standardize(raw, num_frames, scaler)
    assert not features[-1, T // 2 :].any() and not mask[-1, T // 2 :].any()
    np.testing.assert_allclose(features[mask].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(features[mask].std(0), 1, atol=1e-4)


def test_shifting_rolls_each_clip_and_its_mask_by_one_amount_within_the_limit():
    inputs = make_inputs()
    shifted = augmented(Augmentation(max_shift_frames=5), inputs)
    amounts = set()
    for clip in range(B):
        fits = [
            amount
            for amount in range(-5, 6)
            if np.array_equal(
                np.roll(inputs.features[clip], amount, 0), shifted.features[clip]
            )
            and np.array_equal(
                np.roll(inputs.frame_mask[clip], amount), shifted.frame_mask[clip]
            )
        ]
        assert len(fits) == 1
        amounts.add(fits[0])
    assert len(amounts) > 1


def test_masks_hide_whole_stretches_and_bands_no_wider_than_asked():
    inputs = make_inputs()._replace(features=np.ones((B, T, F), np.float32))
    masked = augmented(
        Augmentation(
            time_masks=1,
            max_time_mask_frames=6,
            frequency_masks=1,
            max_frequency_mask_bins=3,
        ),
        inputs,
    )
    hidden = masked.features == 0
    frames, bins = hidden.all(2), hidden.all(1)
    np.testing.assert_array_equal(hidden, frames[..., None] | bins[:, None])
    for rows, longest in ((frames, 6), (bins, 3)):
        widths = rows.sum(1)
        assert widths.max() <= longest and len(set(widths.tolist())) > 1
        for row in rows:
            places = np.flatnonzero(row)
            assert not len(places) or places[-1] - places[0] + 1 == len(places)


def test_mixing_adds_another_clip_and_its_labels_in_one_share_of_half_or_more():
    inputs = make_inputs()
    mixed = augmented(Augmentation(mixup_alpha=0.5), inputs)
    partners = []
    for clip in range(B):
        a, fits = inputs.features[clip], []
        for other in set(range(B)) - {clip}:
            b = inputs.features[other]
            difference = (a - b).ravel()
            share = (mixed.features[clip] - b).ravel() @ difference
            share /= difference @ difference
            error = np.abs(share * a + (1 - share) * b - mixed.features[clip]).max()
            fits.append((error, share, other))
        error, share, other = min(fits)
        assert error < 1e-5
        if share > 0.999:  # mixed with itself, or with next to nothing of another
            continue
        assert share >= 0.5
        labels = share * inputs.weak_label[clip]
        labels = labels + (1 - share) * inputs.weak_label[other]
        np.testing.assert_allclose(mixed.weak_label[clip], labels, atol=1e-4)
        real = inputs.frame_mask[clip] | inputs.frame_mask[other]
        np.testing.assert_array_equal(mixed.frame_mask[clip], real)
        partners.append((clip, other))
    assert len(partners) >= B // 2
    # each of the four devices holds two clips: partners come from other devices too
    assert any(clip // 2 != other // 2 for clip, other in partners)


def test_one_device_augments_as_four_do_and_another_key_otherwise():
    augmentation = Augmentation(5, 1, 6, 1, 3, 0.5)
    inputs = make_inputs()
    one, four = (augmented(augmentation, inputs, num_devices=n) for n in (1, 4))
    np.testing.assert_allclose(one.features, four.features, atol=1e-6)
    other = augmented(augmentation, inputs, seed=1)
    assert (one.features != other.features).any()


def test_nothing_switched_on_changes_nothing():
    inputs = make_inputs()
    same = augmented(Augmentation(), inputs)
    for a, b in zip(inputs, same, strict=True):
        np.testing.assert_array_equal(a, b)
