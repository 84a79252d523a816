"""What tests of a store share: small ones of a folder, and changed recordings."""

import os

import soundfile

from gcrnn_jax.data.build_store import build_store
from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.recording_source import recording_sources
from tests import defaults

FRONT_END = defaults.front_end(clip_s=1.0)


def build(root, path, *, front_end=FRONT_END, num_workers=1, **options):
    dataset = find_splits(root)
    sources, _ = recording_sources(dataset, front_end)
    return build_store(
        path,
        sources,
        front_end,
        dataset.classes,
        num_workers=num_workers,
        clips_per_shard=4,
        **options,
    )


def times(path) -> dict:
    return {file: file.stat().st_mtime_ns for file in path.rglob("shard-*.npy")}


def recording(root, index, split="training"):
    return root / f"audio/{split}/Y{split}{index}_0.000_10.000.wav"


def change_samples(path):
    """Turns a recording round; its size stays, its date does not."""
    date = path.stat().st_mtime_ns
    samples, rate_hz = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], rate_hz)
    os.utime(path, ns=(date + 10**9, date + 10**9))
