"""Small folders of recordings, and what is compared of data sets read from them."""

import dataclasses
import zlib

import numpy as np
import soundfile

from gcrnn_jax.data.clips.assembly import assemble
from gcrnn_jax.data.clips.listing import ListedClip, ListedEvent, Listing, Source
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
        seed = zlib.crc32(name.encode())
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


CLIPS = """recording,start,end,split,labels
dog/a.wav,,,training,Dog
b.flac,0,1.5,training,Dog;Cat
b.flac,1.5,2,training,
c.wav,,,training,?
e.wav,,,test,Cat
"""
EVENTS = """recording,onset,offset,event_label
b.flac,0.25,1,Dog
b.flac,0.5,1.75,Cat
c.wav
"""


def five_recordings(root):
    """Those of the tables."""
    return write_recordings(
        root, dog__a_wav=0.5, b_flac=2.0, c_wav=0.5, d_wav=3.0, e_wav=0.5
    )


def put(root, clips=CLIPS, events=None, **others):
    """Writes tables; `classes_csv` is classes.csv."""
    files = {"clips_csv": clips, "events_csv": events, **others}
    for name, text in files.items():
        path = root / name.replace("_csv", ".csv").replace("_tsv", ".tsv")
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def labels(dataset):
    """Id -> names of classes, of all splits."""
    names = dataset.classes.names
    return {
        row.clip_id: None if row.labels is None else [names[k] for k in row.labels]
        for split in dataset.splits.values()
        for row in split.rows
    }


AT = Source("list.csv", 7)


def clip(recording, labels=(), split="training", **more):
    return ListedClip(recording, labels, more.pop("at", AT), split, **more)


def event(recording, onset, offset, label, line=1):
    return ListedEvent(recording, onset, offset, label, Source("events.csv", line))


def made(root, clips, events=(), classes=None, **changes):
    """The data set, and what keeps the folder from being used."""
    listing = Listing("a test", clips, events, classes)
    all_train = {"split_fractions": (1.0, 0.0, 0.0)}
    return assemble(root, listing, options(**{**all_train, **changes}))


def rows(root, clips, events=(), **changes):
    """(id, names of classes, span) of every clip, of every split."""
    dataset, _ = made(root, clips, events, **changes)
    names = dataset.classes.names
    return {
        split: [
            (one[0], None if one[1] is None else [names[k] for k in one[1]], one[3])
            for one in content(dataset)[split]
        ]
        for split in dataset.splits
    }


def codes(dataset):
    return [(found.code.name, found.path, found.line) for found in dataset.findings]
