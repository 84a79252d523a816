"""Calibrated probabilities against an optimiser of another library, and labels."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.optimize import minimize

from gcrnn_jax.detection.calibration import (
    MIN_SLOPE,
    SPREAD,
    Calibrator,
    calibrate,
    fit_calibration,
    logistic,
    logit,
)
from gcrnn_jax.errors import ConfigError

LOGITS = np.linspace(-6, 6, 25)


def minimum(logits, right, total, center, deviations):
    """The bias and slope that scipy finds most likely."""

    def loss(values):
        scores = values[0] + values[1] * logits
        cross_entropy = (total * np.logaddexp(0, scores) - right * scores).sum()
        return cross_entropy + 0.5 * (((values - center) / deviations) ** 2).sum()

    found = minimize(loss, center, method="Nelder-Mead", options={"xatol": 1e-7})
    return found.x


def counts_of(rng, bias, slope, number):
    total = rng.multinomial(number, np.full(len(LOGITS), 1 / len(LOGITS)))
    return rng.binomial(total, logistic(bias + slope * LOGITS)), total


def test_bias_and_slope_are_the_most_likely_ones():
    rng = np.random.default_rng(0)
    truth = ((-1.0, 0.5, 3000), (0.5, 1.5, 300), (2.0, 0.8, 20), (0.0, 1.0, 0))
    right, total = map(np.array, zip(*(counts_of(rng, *t) for t in truth), strict=True))
    found = fit_calibration(LOGITS, right, total)
    pooled = right.sum(0), total.sum(0)
    common = minimum(LOGITS, *pooled, np.array([0.0, 1.0]), np.array([10.0, 10.0]))
    for k in range(4):
        expected = minimum(LOGITS, right[k], total[k], common, SPREAD)
        got = found.bias[k], found.slope[k]
        np.testing.assert_allclose(got, expected, atol=2e-5)
    # many clips find their truth, none at all have what all classes have together
    np.testing.assert_allclose((found.bias[0], found.slope[0]), truth[0][:2], atol=0.15)
    np.testing.assert_allclose((found.bias[3], found.slope[3]), common, atol=2e-5)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_any_number_of_clips_is_fitted_even_where_classes_are_separable(scale):
    right = np.stack([LOGITS > 0, LOGITS < 0, LOGITS > -9, LOGITS > 9]) * scale
    found = fit_calibration(LOGITS, right, np.full(right.shape, scale))
    slopes = np.array(found.slope)
    assert np.isfinite(found.bias).all() and (slopes >= MIN_SLOPE).all()
    if scale == 1e6:
        assert slopes[0] > 5 and slopes[1] == MIN_SLOPE  # not falling
        probability = found.probabilities(np.full(4, 0.5))
        np.testing.assert_allclose(probability[1:], [0.5, 1, 0], atol=0.05)


def test_posteriors_of_classes_on_other_scales_get_the_same_meaning():
    rng = np.random.default_rng(1)
    truth = np.array([[-2.0, -0.5, 1.0], [0.6, 0.8, 1.2]])
    logits = rng.normal(0, 2, (20_000, 3))
    label = rng.random(logits.shape) < logistic(truth[0] + truth[1] * logits)
    posterior = logistic(logits).astype(np.float32)
    found = calibrate(posterior, label)
    probability = found.probabilities(posterior)
    for k in range(3):
        for low in (0.2, 0.5, 0.7):
            some = np.abs(probability[:, k] - low - 0.05) < 0.05
            noise = 0.5 / np.sqrt(some.sum())
            difference = label[some, k].mean() - probability[some, k].mean()
            assert abs(difference) < 3 * noise < 0.2
    order = posterior.argsort(0)
    assert (np.diff(np.take_along_axis(probability, order, 0), axis=0) >= 0).all()


def test_posteriors_of_a_probability_are_the_inverse():
    found = Calibrator(bias=(-1.0, 2.0), slope=(0.5, 3.0))
    posterior = found.posteriors(np.array([0.1, 0.5, 0.9]))
    probability = found.probabilities(posterior)
    np.testing.assert_allclose(probability, [[0.1] * 2, [0.5] * 2, [0.9] * 2])
    ends = found.probabilities(np.array([[0, 1], [1, 0]], np.float32))
    assert np.isfinite(ends).all() and (ends >= 0).all() and (ends <= 1).all()


def test_logits_of_any_posterior_are_finite():
    assert logit(np.array([0.0, 0.5, 1.0])).tolist() == [-16.0, 0.0, 16.0]


def test_what_is_no_calibration_is_an_error():
    good = {"bias": [0.0, 1.0], "slope": [1.0, 2.0]}
    assert asdict(Calibrator.from_dict(good)) == {
        name: tuple(values) for name, values in good.items()
    }
    for changes in ({"slope": [1.0]}, {"slope": [1.0, 0.0]}):
        with pytest.raises(ValueError, match="a finite bias and a slope over 0"):
            Calibrator.from_dict({**good, **changes})
    with pytest.raises(ConfigError, match="bias: expected a list of a finite number"):
        Calibrator.from_dict({**good, "bias": [0.0, np.inf]})
