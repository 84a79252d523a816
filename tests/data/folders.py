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


SPLIT_FOLDERS = {"train/dog/a.wav": 1, "train/cat/a.wav": 1, "test/dog/b.wav": 1}
CLASS_FOLDERS = {"dog/a.wav": 1, "dog/b.wav": 1, "cat/a.wav": 1, "cat/b.wav": 1}
TRACKS = {"a.wav": 5, "a.txt": "1\t2\tDog\n3.5\t4\tCat\n"}
RAVEN_HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
TABLES = {
    "a.wav": 5,
    "a.Table.1.selections.txt": f"{RAVEN_HEADER}1\tSpectrogram 1\t1\t1\t2\tDog\n",
}
DESED = {
    "metadata/train/weak.tsv": "filename\tevent_labels\na.wav\tDog,Cat\n",
    "metadata/validation/validation.tsv": (
        "filename\tonset\toffset\tevent_label\nb.wav\t1\t2\tDog\nb.wav\t3\t4\tCat\n"
    ),
    "audio/train/weak/a.wav": 5,
    "audio/validation/b.wav": 5,
}
SEGMENTS = "# Segments csv created\n# num_ytids=2\n# YTID, start_seconds, end_seconds, "
SEGMENTS += "positive_labels\n"
DOG, CAT, HORN = "/m/0bt9lr", "/m/01yrx", "/t/dd00134"
CLASS_LIST = f'index,mid,display_name\n0,{DOG},"Dog"\n1,{HORN},"Air horn, truck horn"\n'
ROW = 'abcdefghij{}, 30.000, 40.000, "{}"\n'
AUDIOSET = {
    "balanced_train_segments.csv": (
        SEGMENTS + ROW.format(1, f"{DOG},{HORN}") + ROW.format(2, DOG)
    ),
    "eval_segments.csv": SEGMENTS + ROW.format(3, HORN),
    "class_labels_indices.csv": CLASS_LIST,
    "audio/bal_train/abcdefghij1.wav": 10,
    "audio/bal_train/Yabcdefghij2.wav": 10,
    "audio/eval/abcdefghij3_30.000_40.000.flac": 10,
}
EXAMPLES = {
    "class_folders": CLASS_FOLDERS,
    "audacity": TRACKS,
    "raven": TABLES,
    "desed": DESED,
    "audioset": AUDIOSET,
}


TABLE = "a.Table.1.selections.txt"
TRAIN, VALID = "metadata/train/weak.tsv", "metadata/validation/validation.tsv"
STRONG = "filename\tonset\toffset\tevent_label\n"
BALANCED, CLASSES = "balanced_train_segments.csv", "class_labels_indices.csv"
AS_STRONG = "audioset_train_strong.tsv"
LATIN = "S\xe4ge".encode("latin-1")


def other(files, name, text):
    return {**files, name: text}


def without(files, *names):
    return {name: text for name, text in files.items() if name not in names}
