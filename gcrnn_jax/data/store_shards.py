"""One shard of a feature store: its clips, how they are computed, how it is kept."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict

import numpy as np

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import write_atomically
from gcrnn_jax.data.store import EventTuple

CLIPS_PER_TASK = 16


class Loaded(NamedTuple):
    """One clip as its source gives it.

    Attributes:
        waveform: float32 [S].
        weak_label: bool [K].
        events: (onset_s, offset_s, class name) each; None in a split without them.
    """

    waveform: np.ndarray
    weak_label: np.ndarray
    events: Sequence[EventTuple] | None


class Source(Protocol):
    """The clips of one split; picklable, so that workers can load them."""

    clip_ids: Sequence[str]
    has_events: bool

    def __len__(self) -> int: ...

    def fingerprint(self, index: int) -> str:
        """Returns a text that changes when anything that `load` returns does."""
        ...

    def location(self, index: int) -> tuple[str, int]:
        """Returns the path and line that rejects.csv names the clip by."""
        ...

    def sha256(self, index: int) -> str:
        """Returns what `data_hash.clip_sha256` says of the clip, usable or not."""
        ...

    def load(self, index: int) -> Loaded:
        """Returns one clip; raises Rejected if that cannot be done."""
        ...


class Task(NamedTuple):
    """A few clips of one split, for a worker."""

    split: str
    clips: range


class ShardJob(NamedTuple):
    """A shard to be.

    Attributes:
        split: Its name.
        number: Of the shard in its split.
        clips: Indices into the split's source.
        fingerprint: Changes with anything that the shard depends on.
    """

    split: str
    number: int
    clips: range
    fingerprint: str

    @property
    def file(self) -> str:
        """Its path in the store."""
        return f"{self.split}/shard-{self.number:05}.npy"

    def tasks(self) -> Iterator[Task]:
        """Yields its clips in parts."""
        for start in range(0, len(self.clips), CLIPS_PER_TASK):
            yield Task(self.split, self.clips[start : start + CLIPS_PER_TASK])


class Featured(NamedTuple):
    """A clip that could be used."""

    sha256: str
    features: np.ndarray  # float16 [<= T, F]
    labels: list[int]
    events: list[EventTuple] | None


class NotUsed(NamedTuple):
    """A clip that could not."""

    sha256: str
    code: str
    detail: str


Outcome = Featured | NotUsed


class Ledger(TypedDict):
    """What is known of a finished shard; lies beside it as JSON."""

    fingerprint: str
    split: str
    file: str
    clips: list[int]  # indices into the source of the clips in the shard, a row each
    clips_sha256: list[str]  # of these and of the rejected, in the source's order
    num_frames: list[int]
    labels: list[list[int]]
    events: list[list[EventTuple] | None]
    rejects: list[tuple[int, str, str]]  # index, code, detail
    sums: list[float]  # [F], over the real frames, of the float16 values
    squares: list[float]
    bytes: int
    sha256: str


def featurise(
    context: tuple[Mapping[str, Source], FrontEnd], task: Task
) -> list[Outcome]:
    """Loads clips and computes their features; what a worker does."""
    sources, front_end = context
    source = sources[task.split]
    return [_featurise_clip(source, index, front_end) for index in task.clips]


def _featurise_clip(source: Source, index: int, front_end: FrontEnd) -> Outcome:
    sha256 = source.sha256(index)
    try:
        loaded = source.load(index)
    except Rejected as rejected:
        return NotUsed(sha256, rejected.code, rejected.detail)
    if len(loaded.waveform) < front_end.min_length:
        return NotUsed(
            sha256,
            "TOO_SHORT",
            f"{len(loaded.waveform)} samples at {front_end.sample_rate_hz} Hz, "
            f"one frame needs {front_end.min_length}",
        )
    features = front_end(loaded.waveform).astype(np.float16)
    labels = np.flatnonzero(loaded.weak_label).tolist()
    events = None
    if loaded.events is not None:
        events = [(float(on), float(off), label) for on, off, label in loaded.events]
    return Featured(sha256, features, labels, events)


def write_shard(
    path: Path, job: ShardJob, outcomes: Sequence[Outcome], front_end: FrontEnd
) -> Ledger:
    """Writes a shard, then the ledger that makes it count.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    used = [
        (index, outcome)
        for index, outcome in zip(job.clips, outcomes, strict=True)
        if isinstance(outcome, Featured)
    ]
    shape = (len(used), front_end.num_frames, front_end.num_bins)
    shard = np.zeros(shape, np.float16)
    for row, (_, clip) in zip(shard, used, strict=True):
        row[: len(clip.features)] = clip.features
    sums, squares = np.zeros(front_end.num_bins), np.zeros(front_end.num_bins)
    for _, clip in used:
        double = clip.features.astype(np.float64)
        sums += double.sum(axis=0)
        squares += (double**2).sum(axis=0)
    parts = npy_parts(shard)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    ledger: Ledger = {
        "fingerprint": job.fingerprint,
        "split": job.split,
        "file": job.file,
        "clips": [index for index, _ in used],
        "clips_sha256": [outcome.sha256 for outcome in outcomes],
        "num_frames": [len(clip.features) for _, clip in used],
        "labels": [clip.labels for _, clip in used],
        "events": [clip.events for _, clip in used],
        "rejects": [
            (index, outcome.code, outcome.detail)
            for index, outcome in zip(job.clips, outcomes, strict=True)
            if isinstance(outcome, NotUsed)
        ],
        "sums": sums.tolist(),
        "squares": squares.tolist(),
        "bytes": sum(len(part) for part in parts),
        "sha256": digest.hexdigest(),
    }
    _ledger_path(path, job).unlink(missing_ok=True)  # the old one no longer holds
    write_atomically(path / job.file, parts)
    write_atomically(_ledger_path(path, job), [json.dumps(ledger).encode()])
    return ledger


def read_ledger(path: Path, job: ShardJob) -> Ledger | None:
    """Returns the ledger of a shard that is finished and still as it should be."""
    try:
        ledger = json.loads(_ledger_path(path, job).read_text(encoding="utf-8"))
        is_good = (
            ledger["fingerprint"] == job.fingerprint
            and (path / job.file).stat().st_size == ledger["bytes"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ledger if is_good else None


def npy_parts(array: np.ndarray) -> list[bytes | memoryview]:
    """Returns the bytes of a .npy file, those of the array without a copy."""
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    fields = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(header, fields)
    return [header.getvalue(), array.reshape(-1).view(np.uint8).data]


def _ledger_path(path: Path, job: ShardJob) -> Path:
    return (path / job.file).with_suffix(".json")
