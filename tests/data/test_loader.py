import numpy as np
import pytest

from gcrnn_jax.data.loader import evaluation_batches, training_batches
from gcrnn_jax.data.sampling import Sampling

N, T, F, K = 30, 5, 4, 3


class MemorySplit:
    """Clip n holds n in every place."""

    strong_label = None

    strong_label = None

    def __init__(self):
        self.num_frames = np.arange(N) % T + 1
        self.weak_label = np.random.default_rng(0).random((N, K)) < 0.5

    def __len__(self):
        return N

    def rows(self, indices):
        return np.ones((1, T, F), np.float16) * np.asarray(indices)[:, None, None]


def sampler(batch_size=12):
    return Sampling(batch_size, True, (12,)).make_sampler(MemorySplit().weak_label, 3)


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


def test_a_batch_that_does_not_divide_among_processes_is_refused():
    with pytest.raises(ValueError, match="12 does not divide among 5"):
        first(1, process_count=5)


def test_evaluation_sees_every_clip_once_in_order_and_fills_up_the_last_batch():
    seen = []
    for batch, count in evaluation_batches(MemorySplit(), 8):
        assert len(batch["features"]) == 8
        seen += batch["features"][:count, 0, 0].tolist()
    assert seen == list(range(N))
