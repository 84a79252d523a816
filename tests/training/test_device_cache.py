"""Which clips are put into the memory of devices, and that they arrive there."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from gcrnn_jax.data.loader import gather
from gcrnn_jax.training import device_cache, parallel

N, T, F, K = 23, 5, 4, 3


class MemorySplit:
    """Clip n holds n in every place; it takes 40 bytes, its length 4, its labels 12."""

    strong_label = known = None

    num_frames = np.arange(N) % T + 1
    weak_label = np.random.default_rng(0).random((N, K)) < 0.5

    def __len__(self):
        return N

    def rows(self, indices):
        rows = np.broadcast_to(np.asarray(indices)[:, None, None], (len(indices), T, F))
        return rows.astype(np.float16)


@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("chunk", [7, 23, 4096])
def test_every_device_holds_every_clip(num_devices, chunk, monkeypatch):
    monkeypatch.setattr(device_cache, "_CHUNK", chunk)
    split = MemorySplit()
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    held, loaded = device_cache.put_split(split, mesh), gather(split, np.arange(2))
    for name, expected in (
        ("features", split.rows(np.arange(N))),
        ("num_frames", split.num_frames),
        ("weak_label", split.weak_label),
    ):
        shards = held[name].addressable_shards
        assert len(shards) == num_devices
        assert held[name].dtype == loaded[name].dtype
        for shard in shards:
            np.testing.assert_array_equal(shard.data, expected)


def devices(*limits):
    """A mesh of devices with so much memory; None, {}: they do not say."""
    stats = [{"bytes_limit": limit} if limit else limit for limit in limits]
    return SimpleNamespace(
        local_devices=[SimpleNamespace(memory_stats=lambda s=s: s) for s in stats]
    )


@pytest.mark.parametrize(
    ("limits", "fraction", "expected"),
    [
        ((2 * N * 56,), 0.5, True),
        ((2 * N * 56 - 1,), 0.5, False),
        ((10**9, N * 55), 1.0, False),
        ((10**9, 10**9), 0.0, False),
        ((None,), 1.0, False),
        (({},), 1.0, False),
    ],
)
def test_a_split_fits_where_every_device_has_room(limits, fraction, expected):
    fits = device_cache.fits_on_devices(MemorySplit(), devices(*limits), fraction)
    assert fits is expected
