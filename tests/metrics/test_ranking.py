"""Rankings and calibration against their definitions, in loops, and worked by hand."""

import math

import numpy as np
import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import calibration, d_prime, ranking_scores
from gcrnn_jax.metrics.ranking import label_precisions


def slow_lwlrap(label, posterior):
    """Of each label, labels at least as high over classes at least as high."""
    shares = [
        (own & (scores >= scores[k])).sum() / (scores >= scores[k]).sum()
        for own, scores in zip(label, posterior, strict=True)
        for k in np.flatnonzero(own)
    ]
    return np.mean(shares)


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_those_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    label = rng.random((30, 4)) < 0.3
    posterior = rng.random((30, 4)).round(1)  # with many ties
    scores = ranking_scores(label, posterior, list("abcd"))
    assert scores.lwlrap == pytest.approx(slow_lwlrap(label, posterior), abs=1e-12)
    for k, name in enumerate("abcd"):
        own, others = posterior[label[:, k], k], posterior[~label[:, k], k]
        wins = np.sign(own[:, None] - others).mean() / 2 + 0.5
        ours = scores.per_class[name]
        assert ours.auc == pytest.approx(wins, abs=1e-12)
        # d': the area below a normal curve up to d' / sqrt(2)
        area = (1 + math.erf(ours.d_prime / math.sqrt(2) / math.sqrt(2))) / 2
        assert area == pytest.approx(wins, abs=1e-12)
    weights = label.sum(0) / label.sum()
    classes = [weights[k] * scores.per_class[n].lwlrap for k, n in enumerate("abcd")]
    assert sum(classes) == pytest.approx(scores.lwlrap, abs=1e-12)


def test_classes_that_have_no_score_are_left_out_of_means():
    label = np.array([[1, 0, 1], [0, 0, 1]])
    scores = ranking_scores(label, np.array([[0.9, 0.5, 0.2], [0.1, 0.5, 0.2]]), "abc")
    assert math.isnan(scores.per_class["b"].average_precision)
    assert math.isnan(scores.per_class["b"].lwlrap)
    assert math.isnan(scores.per_class["c"].auc)
    assert math.isnan(scores.per_class["c"].d_prime)
    assert (scores.mean_auc, scores.mean_average_precision) == (1, 1)
    assert scores.per_class["a"].d_prime == math.inf
    nothing = ranking_scores(np.zeros((2, 1)), np.zeros((2, 1)), "a")
    assert math.isnan(nothing.lwlrap) and math.isnan(nothing.mean_auc)
    with pytest.raises(DataError, match=r"must be \[N, 2\]"):
        ranking_scores(label, np.zeros((2, 3)), "ab")


@pytest.mark.parametrize(
    ("area", "expected"), [(0.5, 0), (0, -math.inf), (1, math.inf), (0.75, 0.953873)]
)
def test_d_prime_of_an_area(area, expected):
    assert d_prime(area) == pytest.approx(expected, abs=1e-6)
    assert math.isnan(d_prime(math.nan))


def test_ties_rank_a_label_below_what_it_ties_with():
    label, posterior = np.array([[1, 0, 0], [1, 1, 1]]), np.full((2, 3), 0.5)
    assert label_precisions(label, posterior).tolist() == [[1 / 3, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("num_bins", [1, 7, 15])
def test_a_reliability_curve_is_that_of_each_bin_alone(num_bins):
    rng = np.random.default_rng(num_bins)
    posterior = np.append(rng.random(500), [0.0, 1.0, 1.0])
    label = rng.random(503) < posterior**2
    found = calibration(label, posterior, num_bins)
    error = 0.0
    for b in range(num_bins):
        is_last = b == num_bins - 1
        low, high = b / num_bins, 2 if is_last else (b + 1) / num_bins
        inside = (posterior >= low) & (posterior < high)
        assert found.counts[b] == inside.sum()
        assert found.posterior[b] == pytest.approx(posterior[inside].mean())
        assert found.labelled[b] == pytest.approx(label[inside].mean())
        error += abs(posterior[inside].sum() - label[inside].sum()) / 503
    assert found.expected_error == pytest.approx(error, abs=1e-12)
    gaps = np.abs(found.posterior - found.labelled)
    assert found.max_error == pytest.approx(gaps.max())
    assert found.brier == pytest.approx(np.mean((posterior - label) ** 2))


def test_the_border_of_two_bins_is_in_the_upper_one():
    found = calibration(np.array([0, 1, 1]), np.array([0.2, 0.5, 1.0]), 2)
    assert found.counts.tolist() == [1, 2]
    assert math.isnan(calibration(np.array([1]), np.array([0.9]), 2).posterior[0])


def test_a_certain_mistake_costs_a_finite_logarithm():
    assert calibration(np.array([1]), np.array([0.0])).log_loss == pytest.approx(
        -math.log(1e-7)
    )
    assert calibration(np.array([1]), np.array([0.5])).log_loss == math.log(2)
    certain = calibration(np.array([1]), np.array([1.0])).log_loss
    assert certain == pytest.approx(1e-7, rel=1e-6)


def test_calibration_of_nothing_and_of_no_probabilities():
    nothing = calibration(np.zeros(0, bool), np.zeros(0))
    assert math.isnan(nothing.expected_error) and math.isnan(nothing.log_loss)
    with pytest.raises(DataError, match=r"in \[0, 1\], got -1.0 to 0.5"):
        calibration(np.array([0, 1]), np.array([-1.0, 0.5]))
    with pytest.raises(DataError, match="of one shape"):
        calibration(np.zeros((2, 1)), np.zeros(2))
