import numpy as np
import pytest

from gcrnn_jax.data.batch_shares import BatchShares
from gcrnn_jax.data.loader import evaluation_batches, training_batches
from gcrnn_jax.data.sampling import Sampling

N, T, F, K = 30, 5, 4, 3


class MemorySplit:
    """Clip n holds n in every place."""

    strong_label = known = None

    def __init__(self):
        self.num_frames = np.arange(N) % T + 1
        self.weak_label = np.random.default_rng(0).random((N, K)) < 0.5

    def __len__(self):
        return N

    def rows(self, indices):
        return np.ones((1, T, F), np.float16) * np.asarray(indices)[:, None, None]


def sampler(batch_size=12):
    return Sampling(batch_size, True, (12,), 0, 0.1, 0).make_sampler(
        MemorySplit().weak_label, 3
    )


def first(count, **options):
    batches = training_batches(MemorySplit(), sampler(), **options)
    return [next(batches) for _ in range(count)]


def test_batches_hold_what_the_sampler_says_clip_by_clip():
    split = MemorySplit()
    for step, batch in enumerate(first(5)):
        clips = sampler().batch(step)
        np.testing.assert_array_equal(batch["features"][:, 0, 0], clips)
        np.testing.assert_array_equal(batch["num_frames"], split.num_frames[clips])
        np.testing.assert_array_equal(batch["weak_label"], split.weak_label[clips])
        assert batch["weak_label"].dtype == np.float32


def test_starting_late_gives_what_comes_then():
    for late, batch in zip(first(3, start_step=4), first(7)[4:], strict=True):
        np.testing.assert_array_equal(late["features"], batch["features"])


@pytest.mark.parametrize("process_count", [2, 4])
def test_the_rows_of_all_processes_are_the_global_batch(process_count):
    parts = [
        first(4, process_index=p, process_count=process_count)
        for p in range(process_count)
    ]
    for step, whole in enumerate(first(4)):
        for name, rows in whole.items():
            joined = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(joined, rows)


@pytest.mark.parametrize(("process_count", "num_shares"), [(5, None), (2, 8), (4, 16)])
def test_a_batch_that_does_not_divide_is_filled_up_share_by_share(
    process_count, num_shares
):
    shares = BatchShares(12, num_shares or process_count)
    options = {"process_count": process_count, "num_shares": num_shares}
    parts = [first(2, process_index=p, **options) for p in range(process_count)]
    for step, whole in enumerate(first(2)):
        for name, rows in whole.items():
            joined = np.concatenate([part[step][name] for part in parts])
            assert len(joined) == shares.rows.size > len(rows)
            np.testing.assert_array_equal(joined[shares.is_real.ravel()], rows)
            assert {x.tobytes() for x in joined} <= {x.tobytes() for x in rows}


def test_evaluation_sees_every_clip_once_in_order_and_fills_up_the_last_batch():
    seen = []
    for batch, count in evaluation_batches(MemorySplit(), 8):
        assert len(batch["features"]) == 8
        seen += batch["features"][:count, 0, 0].tolist()
    assert seen == list(range(N))
