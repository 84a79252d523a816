import functools

import jax
import jax.numpy as jnp
import numpy as np

from gcrnn_jax.training import parallel
from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler, standardize
from tests.defaults import build

B, T, F, K = 8, 40, 12, 3
SCALER = Scaler(np.linspace(-9, -4, F, dtype="f4"), np.linspace(1, 3, F, dtype="f4"))
SNR = {"min_snr_db": 3.0, "max_snr_db": 9.0}
IN_ORDER = {  # in which they are applied
    "speed": {"max_speed": 0.5},
    "shift": {"max_shift_frames": 2},
    "pitch": {"max_pitch": 0.25},
    "bins": {"max_shift_bins": 2},
    "filter": {"filter_db": 6.0, "filter_points": 3},
    "added": {"added_fraction": 0.5, "max_added_db": 6.0},
    "noise": {"noise_fraction": 0.75, **SNR},
    "background": {"background_fraction": 0.5, **SNR},
    "cut": {"max_cut_bins": 3},
    "gain": {"max_gain_db": 6.0},
    "mixup": {"mixup_alpha": 0.5},
    "masks": {
        "time_masks": 1,
        "max_time_mask_frames": 6,
        "frequency_masks": 1,
        "max_frequency_mask_bins": 3,
    },
}
DECIBEL = np.log(10) / 20  # natural logarithm of a magnitude


def make_inputs():
    rng = np.random.default_rng(0)
    mask = np.arange(T) < rng.integers(T // 2, T + 1, B)[:, None]
    features = np.where(mask[..., None], 1 + rng.random((B, T, F)), 0)
    weak_label = (rng.random((B, K)) < 0.5).astype(np.float32)
    strong_label = (rng.random((B, T, K)) < 0.5).astype(np.float32)
    return Inputs(features.astype(np.float32), mask, weak_label, strong_label)


@functools.cache
def compiled(augmentation, num_devices):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])

    def apply(key_data, inputs):
        return augmentation(jax.random.wrap_key_data(key_data), inputs, SCALER)

    return mesh, parallel.data_parallel(apply, mesh, out_axes=parallel.AXIS)


def augmented(fields, inputs, seed=0, num_devices=4):
    augmentation = build(Augmentation, "augmentation", **fields)
    mesh, mapped = compiled(augmentation, num_devices)
    key_data = jax.random.key_data(jax.random.key(seed))
    out = mapped(key_data, parallel.put_batch(inputs, mesh))
    return jax.tree.map(np.asarray, out)


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


def test_shifting_rolls_each_clip_its_mask_and_strong_labels_by_one_amount():
    inputs, amounts = make_inputs(), set()
    for seed in range(3):
        shifted = augmented(IN_ORDER["shift"], inputs, seed)
        np.testing.assert_array_equal(shifted.weak_label, inputs.weak_label)
        for clip in range(B):
            fits = [
                amount
                for amount in range(-5, 6)
                if all(
                    np.array_equal(np.roll(before[clip], amount, 0), after[clip])
                    for before, after in (
                        (inputs.features, shifted.features),
                        (inputs.frame_mask, shifted.frame_mask),
                        (inputs.strong_label, shifted.strong_label),
                    )
                )
            ]
            assert len(fits) == 1
            amounts.add(fits[0])
    assert amounts == {-2, -1, 0, 1, 2}


def test_masks_hide_whole_stretches_and_bands_no_wider_than_asked():
    inputs = make_inputs()._replace(features=np.ones((B, T, F), np.float32))
    masked = augmented(IN_ORDER["masks"], inputs)
    hidden = masked.features == 0
    frames, bins = hidden.all(2), hidden.all(1)
    np.testing.assert_array_equal(hidden, frames[..., None] | bins[:, None])
    for rows, longest in ((frames, 6), (bins, 3)):
        widths = rows.sum(1)
        assert widths.max() <= longest and len(set(widths.tolist())) > 1
        for row in rows:
            places = np.flatnonzero(row)
            assert not len(places) or places[-1] - places[0] + 1 == len(places)


def test_shifted_bins_repeat_the_outermost_one():
    inputs, amounts = make_inputs(), set()
    for seed in range(3):
        shifted = augmented(IN_ORDER["bins"], inputs, seed)
        for clip in range(B):
            padded = np.pad(inputs.features[clip], ((0, 0), (4, 4)), mode="edge")
            fits = [
                amount
                for amount in range(-4, 5)
                if np.array_equal(
                    padded[:, 4 - amount : 4 - amount + F], shifted.features[clip]
                )
            ]
            assert len(fits) == 1
            amounts.add(fits[0])
    assert amounts == {-2, -1, 0, 1, 2}


def test_a_clip_played_at_other_speeds_is_whole_and_its_labels_go_along():
    inputs = make_inputs()
    # each frame's feature is its place, so that features say where frames come from
    places = np.broadcast_to(np.arange(T, dtype="f4")[:, None], (B, T, F))
    features = np.where(inputs.frame_mask[..., None], places, 0)
    played = augmented(IN_ORDER["speed"], inputs._replace(features=features))
    np.testing.assert_array_equal(played.weak_label, inputs.weak_label)
    np.testing.assert_array_equal(played.frame_mask, inputs.frame_mask)
    seen = []
    for clip, count in enumerate(inputs.frame_mask.sum(1)):
        times = played.features[clip, :count, 0].astype(int)
        assert not played.features[clip, count:].any()
        assert times[0] == 0 and times[-1] == count - 1  # whole
        assert {*np.diff(times)} <= {0, 1, 2}
        for quarter in range(4):  # of one speed each
            at = np.arange(count) + 0.5
            inside = times[
                (at > quarter * count / 4) & (at < (quarter + 1) * count / 4)
            ]
            steps = len(inside) - 1
            speed = (inside[-1] - inside[0]) / steps
            assert 1 / 1.5 - 1 / steps < speed < 1.5 + 1 / steps  # of whole frames
            seen.append(speed)
        np.testing.assert_array_equal(
            played.strong_label[clip, :count], inputs.strong_label[clip][times]
        )
    assert min(seen) < 0.85 and max(seen) > 1.15


def test_bins_are_moved_by_one_factor():
    inputs, factors = make_inputs(), []
    ramp = np.broadcast_to(np.arange(F, dtype="f4"), (B, T, F))
    moved = augmented(IN_ORDER["pitch"], inputs._replace(features=ramp))
    for clip in range(B):
        places = moved.features[clip, 0]
        np.testing.assert_array_equal(moved.features[clip], np.tile(places, (T, 1)))
        tried = np.linspace(0.8, 1.25, 1000)
        expected = np.floor(np.arange(F) * tried[:, None] + 0.5).clip(0, F - 1)
        fits = tried[(expected == places).all(1)]
        assert len(fits)
        factors.append(fits.mean())
    assert min(factors) < 0.95 and max(factors) > 1.05


def test_a_filter_is_one_curve_of_straight_lines_for_all_frames_of_a_clip():
    inputs = make_inputs()
    filtered = augmented(IN_ORDER["filter"], inputs)
    steepest = []
    for clip in range(B):
        mask = inputs.frame_mask[clip]
        moved = (filtered.features[clip] - inputs.features[clip])[mask] * SCALER.std
        decibels = 20 * moved / np.log(10)
        np.testing.assert_allclose(
            decibels, np.tile(decibels[0], (mask.sum(), 1)), atol=1e-4
        )
        assert np.abs(decibels).max() <= 6 + 1e-4
        places = np.linspace(0, 2, F)
        middle = np.interp(1, places, decibels[0])  # between bins 5 and 6
        line = np.interp(places[:6], [0, places[5]], [decibels[0, 0], decibels[0, 5]])
        np.testing.assert_allclose(decibels[0, :6], line, atol=1e-3)
        steepest.append(abs(middle - decibels[0, 0]))
        assert not filtered.features[clip][~mask].any()
    assert max(steepest) > 1


def test_an_added_clip_adds_its_power_and_its_labels():
    inputs = make_inputs()
    mixed = augmented(IN_ORDER["added"], inputs)

    def power(features, mask):
        return mask[:, None] * np.exp(2 * (features * SCALER.std + SCALER.mean))

    changed = [c for c in range(B) if not np.array_equal(mixed[0][c], inputs[0][c])]
    assert 0 < len(changed) < B
    pairs = set()
    for clip in changed:
        real = mixed.frame_mask[clip]
        own = power(inputs.features[clip], inputs.frame_mask[clip])
        added = power(mixed.features[clip], real) - own
        fits = []
        for other in range(B):
            theirs = power(inputs.features[other], inputs.frame_mask[other])
            gain = (added * theirs).sum() / (theirs**2).sum()
            fits.append(
                (np.abs(added - gain * theirs).max() / theirs.max(), gain, other)
            )
        error, gain, other = min(fits)
        assert error < 1e-4
        assert abs(10 * np.log10(gain)) <= 6 + 1e-3
        labels = np.maximum(inputs.weak_label[clip], inputs.weak_label[other])
        np.testing.assert_array_equal(mixed.weak_label[clip], labels)
        labels = np.maximum(inputs.strong_label[clip], inputs.strong_label[other])
        np.testing.assert_array_equal(mixed.strong_label[clip], labels)
        np.testing.assert_array_equal(
            real, inputs.frame_mask[clip] | inputs.frame_mask[other]
        )
        pairs.add((clip, other))
    # each of the four devices holds two clips: partners come from other devices too
    assert any(clip // 2 != other // 2 for clip, other in pairs)


def log_magnitude(features, mask):
    return (features * SCALER.std + SCALER.mean)[mask]


def added_noise(before, after, clip):
    """The logarithms of the magnitudes of what was added, and what to [T, F] each."""
    mask = before.frame_mask[clip]
    own = log_magnitude(before.features[clip], mask).astype(float)
    power = np.exp(2 * log_magnitude(after.features[clip], mask).astype(float))
    np.testing.assert_array_equal(after.features[clip][~mask], 0)
    for one, other in zip(before[1:4], after[1:4], strict=True):
        np.testing.assert_array_equal(one, other)  # mask and labels
    return np.log(power - np.exp(2 * own)) / 2, own


def test_noise_is_stationary_and_of_a_random_spectrum_about_the_mean_one():
    inputs = make_inputs()
    noisy = augmented(IN_ORDER["noise"], inputs)
    changed = [c for c in range(B) if (noisy.features[c] != inputs.features[c]).any()]
    assert 0 < len(changed) < B
    spectra = []
    for clip in changed:
        noise, own = added_noise(inputs, noisy, clip)
        spectrum = noise.mean(0)
        # no trend in time: the deviation of a normal one, frame by frame
        assert 0.2 < noise.std(0).mean() < 0.4
        # the fluctuation of 0.3 adds exp(2 * 0.3^2) to its power
        snr = np.log(np.exp(2 * own).mean() / np.exp(2 * spectrum).mean()) / 2 / DECIBEL
        assert 3 - 0.5 < snr < 9 + 0.5
        off = (spectrum - SCALER.mean) / DECIBEL
        assert np.ptp(off) < 24 + 2 * 2
        spectra.append(off - off.mean())
    assert np.abs(spectra[0] - spectra[1]).max() > 3


def test_the_background_of_another_clip_is_that_of_its_quietest_frames():
    inputs = make_inputs()
    loud = np.random.default_rng(1).random((B, T, 1)) < 0.75
    colors = np.random.default_rng(2).normal(0, 0.4, (B, 1, F))
    features = inputs.features + np.where(loud, 1, colors)
    features = np.where(inputs.frame_mask[..., None], features, 0).astype("f4")
    inputs = inputs._replace(features=features)
    fields = {"background_fraction": 1.0, "min_snr_db": 0.0, "max_snr_db": 0.0}
    noisy = augmented(fields, inputs)
    quiet = []
    for features, mask in zip(inputs.features, inputs.frame_mask, strict=True):
        clip = log_magnitude(features, mask)
        quietest = np.argsort(clip.mean(1))[: int(0.2 * (len(clip) - 1)) + 1]
        quiet.append(clip[quietest].mean(0))
    partners = []
    for clip in range(B):
        spectrum = added_noise(inputs, noisy, clip)[0].mean(0)
        off = [(spectrum - other) - (spectrum - other).mean() for other in quiet]
        partners.append(int(np.argmin(np.abs(off).max(1))))
        assert np.abs(off[partners[-1]]).max() < 0.3
    assert sorted(partners) == [*range(B)]  # a clip is the partner of one


def test_bins_beyond_a_band_are_damped_and_a_gain_is_of_the_whole_clip():
    inputs = make_inputs()
    mask = inputs.frame_mask[..., None]
    cut = augmented(IN_ORDER["cut"], inputs).features - inputs.features
    cuts = set()
    for gains in cut[:, 0] * SCALER.std / DECIBEL:
        damped = np.isclose(gains, -40, atol=1e-3)
        assert (damped | np.isclose(gains, 0, atol=1e-3)).all()
        inside = np.flatnonzero(~damped)
        assert len(inside) == np.ptp(inside) + 1
        cuts |= {("low", int(inside[0])), ("high", F - 1 - int(inside[-1]))}
    assert {("low", 3), ("high", 3)} <= cuts and {n for _, n in cuts} == {*range(4)}
    np.testing.assert_allclose(cut, np.where(mask, cut[:, :1], 0), atol=1e-5)
    louder = augmented(IN_ORDER["gain"], inputs).features - inputs.features
    gains = louder[:, 0] * SCALER.std / DECIBEL
    np.testing.assert_allclose(gains, np.tile(gains[:, :1], (1, F)), atol=1e-3)
    np.testing.assert_allclose(louder, np.where(mask, louder[:, :1], 0), atol=1e-5)
    assert 3 < np.abs(gains).max() <= 6 and gains.min() < 0 < gains.max()


def test_mixing_adds_another_clip_and_its_labels_in_one_share_of_half_or_more():
    inputs = make_inputs()
    mixed = augmented(IN_ORDER["mixup"], inputs)
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
        labels = share * inputs.strong_label[clip]
        labels = labels + (1 - share) * inputs.strong_label[other]
        np.testing.assert_allclose(mixed.strong_label[clip], labels, atol=1e-4)
        real = inputs.frame_mask[clip] | inputs.frame_mask[other]
        np.testing.assert_array_equal(mixed.frame_mask[clip], real)
        partners.append((clip, other))
    assert len(partners) >= B // 2
    # each of the four devices holds two clips: partners come from other devices too
    assert any(clip // 2 != other // 2 for clip, other in partners)


def test_one_device_changes_all_as_four_do_one_by_one_and_another_key_otherwise():
    """So that no change draws what another does, nor depends on the devices."""
    everything = {k: v for fields in IN_ORDER.values() for k, v in fields.items()}
    one = augmented(everything, make_inputs(), num_devices=1)
    four = make_inputs()
    for fields in IN_ORDER.values():
        four = augmented(fields, four)
    for a, b in zip(*map(jax.tree.leaves, (one, four)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    other = augmented(everything, make_inputs(), seed=1, num_devices=1)
    assert (one.features != other.features).any()


def test_nothing_switched_on_changes_nothing():
    inputs = make_inputs()
    same = augmented({}, inputs)
    for a, b in zip(inputs, same, strict=True):
        np.testing.assert_array_equal(a, b)
