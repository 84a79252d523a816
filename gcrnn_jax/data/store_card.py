"""What a feature store says about itself: card, labels, and rejects.csv."""

import csv
import hashlib
import io
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import write_atomically
from gcrnn_jax.data.clip_lists import DUPLICATE
from gcrnn_jax.data.data_hash import data_sha256
from gcrnn_jax.data.event_lists import Reject
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import CARD, FORMAT, VERSION
from gcrnn_jax.data.store_shards import Ledger, ShardJob, Source, npy_parts
from gcrnn_jax.errors import DataError

REJECTS = "rejects.csv"

# Of a bin that never changes; what is left of it is rounding.
MIN_STD = 1e-3

# Noted, but no clip is lost by them.
_HARMLESS = (DUPLICATE, "UNKNOWN_CLIP")


class Rejects:
    """Everything that is not in a store, and how much of it is too much."""

    def __init__(
        self,
        path: Path,
        *,
        of_lists: Sequence[Reject],
        num_clips: int,
        max_bad_fraction: float,
    ):
        self._path = path
        self._of_lists = list(of_lists)
        self._of_shards: dict[str, list[Reject]] = {}
        self._max_bad_fraction = max_bad_fraction
        self._num_listed = num_clips + sum(
            code not in _HARMLESS for _, _, code, _ in of_lists
        )

    def add(self, source: Source, job: ShardJob, ledger: Ledger | None) -> None:
        """Notes the rejects of a finished shard; keeps the order of the shards."""
        rejects = [] if ledger is None else ledger["rejects"]
        self._of_shards[job.file] = [
            (*source.location(index), code, detail) for index, code, detail in rejects
        ]

    def all(self) -> list[Reject]:
        """Returns those of the lists, then those of the shards in order."""
        return [*self._of_lists, *itertools.chain(*self._of_shards.values())]

    def count(self) -> int:
        """Returns how many rows and recordings are lost."""
        return sum(code not in _HARMLESS for _, _, code, _ in self.all())

    def per_code(self) -> dict[str, int]:
        """Returns how many there are of each code."""
        return dict(sorted(Counter(code for _, _, code, _ in self.all()).items()))

    def check(self, count: int | None = None, *, pending: int = 0) -> None:
        """Raises if more is lost than allowed; writes rejects.csv first.

        Args:
            count: How many are lost, of a finished store. None: count them.
            pending: How many recordings have not been looked at yet.
        """
        bad = self.count() if count is None else count
        if bad <= self._max_bad_fraction * self._num_listed:
            return
        file = self._path / REJECTS
        if count is None:
            self.write()
        examples = "; ".join(
            f"{path}:{line}: {code}: {detail}"
            for path, line, code, detail in self.all()[:3]
        )
        raise DataError(
            f"{bad} of {self._num_listed} clips cannot be used, more than the allowed "
            f"fraction of {self._max_bad_fraction:g} (max_bad_fraction); all are in "
            f"{file}{': ' + examples if examples else ''}"
            + (f"; {pending} recordings were not looked at yet" if pending else "")
        )

    def write(self) -> None:
        """Writes rejects.csv."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "line", "code", "detail"])
        writer.writerows(self.all())
        # A name that is not UTF-8 is written as the bytes that it is.
        content = text.getvalue().encode("utf-8", "surrogateescape")
        write_atomically(self._path / REJECTS, [content])


def write_card(
    path: Path,
    *,
    identity: str,
    front_end: FrontEnd,
    classes: ClassList,
    sources: Mapping[str, Source],
    ledgers: Sequence[Ledger],
    rejects: Rejects,
) -> None:
    """Writes the labels of every split, rejects.csv, and last of all the card.

    Raises:
        DataError: The training split holds no usable clip.
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    files: dict[str, dict[str, Any]] = {}
    splits, clips_sha256 = {}, {}
    for name, source in sources.items():
        own = [ledger for ledger in ledgers if ledger["split"] == name]
        clips_sha256[name] = itertools.chain(*(one["clips_sha256"] for one in own))
        _remove_stale(path / name, own)
        splits[name] = _write_split(
            path, name, source=source, ledgers=own, classes=classes, files=files
        )
    rejects.write()
    card = {
        "format": FORMAT,
        "version": VERSION,
        "identity": identity,
        "data_sha256": data_sha256(classes, clips_sha256),
        "front_end": front_end.as_dict(),
        "classes": {"ids": classes.ids, "names": classes.names},
        "scaler": _scaler([entry for entry in ledgers if entry["split"] == "training"]),
        "splits": splits,
        "num_bad": rejects.count(),
        "rejects_per_code": rejects.per_code(),
        "files": files,
    }
    write_atomically(path / CARD, [(json.dumps(card, indent=1) + "\n").encode()])


def _write_split(
    path: Path,
    name: str,
    *,
    source: Source,
    ledgers: Sequence[Ledger],
    classes: ClassList,
    files: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Writes a split's labels, adds its files to `files`, returns its card entry."""

    def write(file: str, parts: Sequence[bytes | memoryview]) -> None:
        content = b"".join(parts)
        write_atomically(path / name / file, [content])
        digest = hashlib.sha256(content).hexdigest()
        files[f"{name}/{file}"] = {"bytes": len(content), "sha256": digest}

    clip_ids = [source.clip_ids[i] for entry in ledgers for i in entry["clips"]]
    num_frames = [count for entry in ledgers for count in entry["num_frames"]]
    weak_label = np.zeros((len(clip_ids), len(classes)), bool)
    labels_of = itertools.chain(*(entry["labels"] for entry in ledgers))
    for row, labels in zip(weak_label, labels_of, strict=True):
        row[labels] = True
    # ASCII with escapes: an id survives whatever it is made of.
    write("clip_ids.json", [json.dumps(clip_ids, indent=0).encode()])
    write("num_frames.npy", npy_parts(np.asarray(num_frames, np.int32)))
    write("weak_label.npy", npy_parts(weak_label))
    if source.has_events:
        events_of = itertools.chain(*(entry["events"] for entry in ledgers))
        events = dict(zip(clip_ids, events_of, strict=True))
        write("events.json", [json.dumps(events, indent=0).encode()])
    else:
        (path / name / "events.json").unlink(missing_ok=True)
    shards = []
    for entry in ledgers:
        if entry["clips"]:  # a shard without a row cannot be mapped
            file = entry["file"].removeprefix(name + "/")
            shards.append({"file": file, "rows": len(entry["clips"])})
            known = {"bytes": entry["bytes"], "sha256": entry["sha256"]}
            files[entry["file"]] = known
    counts = weak_label.sum(axis=0).tolist()
    return {
        "num_clips": len(clip_ids),
        "num_listed": len(source),
        "num_rejected": sum(len(entry["rejects"]) for entry in ledgers),
        "num_frames": sum(num_frames),
        "has_events": source.has_events,
        "clips_per_class": dict(zip(classes.names, counts, strict=True)),
        "shards": shards,
    }


def _scaler(ledgers: Sequence[Ledger]) -> dict[str, list[float]]:
    """Returns mean and standard deviation per bin over the real frames."""
    count = sum(sum(entry["num_frames"]) for entry in ledgers)
    if count == 0:
        raise DataError("the training split holds no clip that can be used")
    mean = np.sum([entry["sums"] for entry in ledgers], axis=0) / count
    square = np.sum([entry["squares"] for entry in ledgers], axis=0) / count
    std = np.sqrt(np.maximum(square - mean**2, MIN_STD**2))
    return {"mean": mean.tolist(), "std": std.tolist()}


def _remove_stale(folder: Path, ledgers: Sequence[Ledger]) -> None:
    """Removes shards of an earlier, longer list, and what an interrupted run left."""
    current = {Path(entry["file"]).stem for entry in ledgers}
    for file in folder.glob("shard-*"):
        if file.stem not in current or file.suffix == ".tmp":
            file.unlink(missing_ok=True)
