"""Small folders of recordings, and what is compared of data sets read from them."""

import dataclasses

import numpy as np
import soundfile

from gcrnn_jax.data.folder import default_options

RATE_HZ = 4000


def options(**changes):
    """How a folder is read: as the configuration has it, but for some fields."""
    return dataclasses.replace(default_options(), **changes)


def write_recordings(root, **seconds):
    """Writes noise of so many seconds; `dog__a_wav` is dog/a.wav."""
    for name, length in seconds.items():
        folder, _, file = name.rpartition("__")
        path = root / folder / file.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(map(ord, name))
        noise = np.random.default_rng(seed).normal(0, 0.1, round(length * RATE_HZ))
        soundfile.write(path, noise, RATE_HZ)
    return root


def content(dataset):
    """What a data set says, whatever the files and lines that said it."""
    return {
        name: [
            (
                row.clip_id,
                row.labels,
                path and path.resolve(),
                span,
                events and events.get(row.clip_id),
                split.is_strong(row.clip_id),
            )
            for (row, path), span in zip(
                split.clips(), split.spans or [None] * len(split.rows), strict=True
            )
        ]
        for name, split in dataset.splits.items()
        for events in [split.clip_events()]
    }
