"""Data sets of any size whose labels are drawn at random, with hardly any audio."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from gcrnn_jax.config import load_config
from gcrnn_jax.data.manifest import hash_file, write_sealed
from gcrnn_jax.data.store import CARD, FORMAT, VERSION

CLIPS_PER_SHARD = 1024
PER_FOLDER = 1000  # recordings
_LABELS_PER_CLIP = 2.7
_BLOCK = 65536  # clips whose labels are made at a time


def clip_ids(first: int, count: int) -> list[str]:
    """Ids as AudioSet's: a video and its seconds."""
    numbers = range(first, first + count)
    return [f"{n * 7919:011x}_{n % 300}.000_{n % 300 + 10}.000" for n in numbers]


def label_blocks(clips: int, classes: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Number of the first clip, and the classes of every clip, a block at a time.

    A class is as frequent as its rank says; the first is in every third clip or so.
    """
    random = np.random.default_rng(0)
    share = 1.0 / np.arange(1, classes + 1)
    for first in range(0, clips, _BLOCK):
        count = min(_BLOCK, clips - first)
        sizes = 1 + random.poisson(_LABELS_PER_CLIP - 1, count)
        drawn = random.choice(classes, sizes.sum(), p=share / share.sum())
        rows = np.split(drawn, np.cumsum(sizes)[:-1])
        yield first, [np.unique(row) for row in rows]


def class_names(classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and names of classes, every fifth with a comma."""
    names = [
        f"Sound of kind {n}{', loud' if n % 5 == 0 else ''}" for n in range(classes)
    ]
    return tuple(f"/m/0{n:05x}" for n in range(classes)), tuple(names)


def make_lists(folder: Path, clips: int, classes: int, recordings: int) -> Path:
    """A folder with lists as DCASE's, and tiny recordings of the first clips."""
    if folder.exists():
        return folder
    ids, names = class_names(classes)
    (audio := folder / "audio" / "training").mkdir(parents=True)
    rows = "".join(f"{one}\t{name}\n" for one, name in zip(ids, names, strict=True))
    (folder / f"sound_event_list_{classes}_classes.txt").write_text(rows)
    for split, count, offset in (
        ("training", clips, 0),
        ("testing", max(1, clips // 100), clips),
    ):
        with open(folder / f"{split}_set.csv", "w") as file:
            for first, labels in label_blocks(count, classes):
                for clip, row in zip(
                    clip_ids(offset + first, len(labels)), labels, strict=True
                ):
                    video, start, end = clip.split("_")
                    texts = (
                        ",".join(names[k] for k in row),
                        ",".join(ids[k] for k in row),
                    )
                    file.write(f'{video},{start},{end},"{texts[0]}","{texts[1]}"\n')
    source = write_recording(folder / "source.wav")
    for clip in clip_ids(0, recordings):
        os.link(source, audio / f"Y{clip}.wav")
    source.unlink()
    return folder


def write_recording(path: Path) -> Path:
    """A second of noise, not silent."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(path, noise, 16000)
    return path


def make_store(folder: Path, clips: int, classes: int) -> Path:
    """A store whose features are all 0, in files that take no disk."""
    if (folder / CARD).exists():
        return folder
    front_end = load_config("sed").front_end
    (split := folder / "training").mkdir(parents=True, exist_ok=True)
    shape = front_end.num_frames, front_end.num_bins
    ids, names = class_names(classes)
    weak_label = np.lib.format.open_memmap(
        split / "weak_label.npy", "w+", bool, (clips, classes)
    )
    for first, labels in label_blocks(clips, classes):
        lengths = [len(row) for row in labels]
        places = first + np.repeat(np.arange(len(labels)), lengths)
        weak_label[places, np.concatenate(labels)] = True
    weak_label.flush()
    np.save(split / "num_frames.npy", np.full(clips, shape[0], np.int32))
    (split / "clip_ids.json").write_text(json.dumps(clip_ids(0, clips), indent=0))
    files = {}
    for name in ("weak_label.npy", "num_frames.npy", "clip_ids.json"):
        path = split / name
        entry = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        files[f"training/{name}"] = entry
    shards, hashes = [], {}
    for number, first in enumerate(range(0, clips, CLIPS_PER_SHARD)):
        rows = min(CLIPS_PER_SHARD, clips - first)
        path = split / f"shard-{number:05}.npy"
        header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *shape)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(size := file.tell() + 2 * rows * shape[0] * shape[1])
        if rows not in hashes:
            hashes[rows] = hash_file(path)
        files[f"training/{path.name}"] = {"bytes": size, "sha256": hashes[rows]}
        shards.append({"file": path.name, "rows": rows})
    counts = dict(zip(names, np.asarray(weak_label).sum(0).tolist(), strict=True))
    entry = {"num_clips": clips, "num_listed": clips, "num_rejected": 0}
    entry |= {"num_frames": clips * shape[0], "has_events": False}
    entry |= {"clips_per_class": counts, "shards": shards}
    scaler = {"mean": [0.0] * shape[1], "std": [1.0] * shape[1]}
    card = {"format": FORMAT, "version": VERSION, "identity": "", "scaler": scaler}
    card |= {"data_sha256": hashlib.sha256().hexdigest(), "num_bad": 0}
    card |= {"front_end": front_end.as_dict(), "rejects_per_code": {}}
    card |= {"classes": {"ids": ids, "names": names}, "splits": {"training": entry}}
    write_sealed(folder / CARD, {**card, "files": files})
    return folder


def make_recordings(folder: Path, count: int) -> None:
    """A second of sound under so many names, in folders of `PER_FOLDER`."""
    for first in range(0, count, PER_FOLDER):
        part = folder / f"{first // PER_FOLDER:04}"
        part.mkdir(parents=True)
        source = write_recording(part / "00000.wav")
        for n in range(1, min(PER_FOLDER, count - first)):
            os.link(source, part / f"{n:05}.wav")
