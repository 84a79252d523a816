import numpy as np
import pytest

from gcrnn_jax.prediction.windows import cross_fade, cut_windows


def blocks(frames, size):
    return (frames[i : i + size] for i in range(0, len(frames), size))


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("num_frames", [1, 9, 10, 11, 14, 15, 16, 37, 100])
def test_windows_cover_a_recording_and_do_not_depend_on_its_blocks(
    num_frames, multiple
):
    frames = np.arange(num_frames)[:, None]
    whole = list(cut_windows([frames], 10, multiple))
    starts = [start for start, _ in whole]
    assert starts[0] == 0 and np.all(np.diff(starts) > 0)
    assert not any(start % multiple for start in starts)
    hop = max(1, 5 // multiple) * multiple
    assert np.all(np.diff(starts) <= hop)
    for start, window in whole:
        np.testing.assert_array_equal(
            window[:, 0], np.arange(start, start + len(window))
        )
    lengths = [len(window) for _, window in whole]
    assert starts[-1] + lengths[-1] == num_frames
    assert all(length == 10 for length in lengths[:-1])
    assert lengths[-1] > min(num_frames, 10) - multiple
    for size in (1, 3, 7):
        parts = list(cut_windows(blocks(frames, size), 10, multiple))
        assert [start for start, _ in parts] == starts
        assert [len(window) for _, window in parts] == lengths


def test_no_frames_have_no_window():
    assert list(cut_windows([], 10)) == []
    assert list(cut_windows([np.zeros((0, 3))], 10)) == []


def weighted_mean(windows):
    """The mean of all that is said of each frame, middles of windows count most."""
    end = max(start + len(values) for start, values in windows)
    result = np.zeros((end, windows[0][1].shape[1]))
    for frame in range(end):
        over = [(start, v) for start, v in windows if start <= frame < start + len(v)]
        weights = [min(frame - s + 1, s + len(v) - frame) for s, v in over]
        values = [v[frame - s] for s, v in over]
        result[frame] = np.average(values, axis=0, weights=weights)
    return result


@pytest.mark.parametrize("starts", [(0,), (0, 5), (0, 5, 6), (0, 5, 10, 15, 16, 25)])
def test_cross_fade_is_the_weighted_mean_of_all_windows(starts):
    rng = np.random.default_rng(0)
    windows = [(start, rng.random((10, 3))) for start in starts]
    faded = np.concatenate(list(cross_fade(windows)))
    assert faded.dtype == np.float32
    np.testing.assert_allclose(faded, weighted_mean(windows), atol=1e-7)


def test_frames_come_as_soon_as_no_window_to_come_covers_them():
    fading = cross_fade(iter([(0, np.ones((10, 1))), (5, np.ones((10, 1)))]))
    assert len(next(fading)) == 5


def test_of_no_windows_there_is_nothing():
    assert list(cross_fade([])) == []
