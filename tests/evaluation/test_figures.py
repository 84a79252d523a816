"""Intervals stay where a figure, or a difference of two, can be."""

import numpy as np

from gcrnn_jax.evaluation.figures import Drawn, differences
from gcrnn_jax.evaluation.measure import Scored


def drawn(value, draws):
    key = "tagging_f1", "micro"
    return Drawn((), *(Scored({key: np.array(one)}, {}) for one in ([value], draws)))


def test_differences_of_shares_are_within_minus_one_and_one():
    own, other = drawn(1.0, [1.0] * 39 + [0.9]), drawn(0.0, [0.0, 0.2] * 20)
    for pair, sign in (((own, other), 1), ((other, own), -1)):
        [figure] = differences(*pair, {})
        low, high = sorted(sign * end for end in figure.estimate.interval)
        assert figure.estimate.value == sign and (low, high) != (0, 1)
        assert 0.8 < low < high == 1  # 1.1 before it is brought back
