"""Shares of a batch are of one shape, hold every clip once and differ by one clip."""

import numpy as np
import pytest

from gcrnn_jax.data.batch_shares import BatchShares


@pytest.mark.parametrize("batch_size", [1, 7, 10, 44, 45])
@pytest.mark.parametrize("num_shares", [1, 2, 3, 8, 44, 64])
def test_every_clip_is_in_one_share_and_shares_differ_by_one_at_most(
    batch_size, num_shares
):
    shares = BatchShares(batch_size, num_shares)
    assert shares.rows.shape == shares.is_real.shape == (num_shares, shares.size)
    assert shares.rows[shares.is_real].tolist() == list(range(batch_size))
    assert shares.rows.max() == batch_size - 1  # what fills up is a clip, too
    counts = shares.is_real.sum(1)
    assert np.ptp(counts) <= 1 and counts.max() == shares.size
    assert (np.diff(counts) <= 0).all()  # the first ones have the most
    assert shares.is_even == shares.is_real.all()
