"""Folders of the layouts that are read, made in a test, and what is read of them."""

import dataclasses
import zlib

import numpy as np
import soundfile

from gcrnn_jax.data.folder import default_options, find_splits, read_folder

OPTIONS = dataclasses.replace(default_options(), clip_s=10.0, clip_hop_s=0.0)


def make(root, files):
    """Writes texts, and recordings where a number says of how many seconds."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int | float):
            noise = np.random.default_rng(zlib.crc32(name.encode()))
            waveform = noise.uniform(-0.5, 0.5, round(content * 1000))
            soundfile.write(path, waveform, 1000, format=path.suffix[1:].upper())
        else:
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
    return root


def options(**changes):
    return dataclasses.replace(OPTIONS, **changes)


def labels_of(dataset):
    """Split -> clip id -> names of its labels, None where nothing is known."""
    names = dataset.classes.names
    return {
        name: {
            row.clip_id: None
            if row.labels is None
            else tuple(names[label] for label in row.labels)
            for row in split.rows
        }
        for name, split in dataset.splits.items()
    }


def events_of(dataset):
    """Clip id -> its events, of all splits' clips with strong labels."""
    events = {}
    for split in dataset.splits.values():
        events |= split.clip_events() or {}
    return events


def found(dataset, findings=()):
    """Code, path below the folder and line of findings."""
    return [
        (one.code.name, one.path.removeprefix(f"{dataset.root}/"), one.line)
        for one in (*findings, *dataset.findings)
    ]


def read(root, **changes):
    """Reads a folder that can be used."""
    return find_splits(root, options(**changes))


def look(root, **changes):
    """Reads a folder whatever is wrong with it."""
    return read_folder(root, options(**changes))
