"""One shard of a feature store: its clips, how they are computed, how it is kept."""

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.atomic_files import read_json, write_atomically
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import check_file, hash_json, unseal, write_sealed
from gcrnn_jax.data.store import VERSION, EventTuple
from gcrnn_jax.errors import DataError
from gcrnn_jax.failpoints import failpoint

NO_RECORDING = "no recording of this name"
Task = tuple[str, int]  # of a worker: a split, and an index into its source


class Loaded(NamedTuple):
    """One clip as its source gives it.

    Attributes:
        waveform: float32 [S].
        weak_label: bool [K], complete; None: it is not known what is in the clip.
        events: (onset_s, offset_s, class name) each, complete; None: not known when.
        remarks: Code and detail of what is odd, though the clip is used.
    """

    waveform: np.ndarray
    weak_label: np.ndarray | None
    events: Sequence[EventTuple] | None
    remarks: Sequence[tuple[str, str]] = ()


class Source(Protocol):
    """The clips of one split; picklable, so that workers can load them."""

    @property
    def has_events(self) -> bool:
        """Whether clips of it have strong labels."""
        ...

    @property
    def clip_ids(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def num_copies(self) -> int:
        """How often each clip is there again, behind all of them, played otherwise."""
        ...

    def __len__(self) -> int: ...

    def cache_key(self, index: int) -> str:
        """Returns a text that changes when anything that `load` returns does."""
        ...

    def missing(self) -> Sequence[int]:
        """Returns the clips that cannot be loaded, as far as is known without it."""
        ...

    def location(self, index: int) -> tuple[str, int]:
        """Returns the path and line that rejects.csv names the clip by."""
        ...

    def content_hash(self, index: int) -> str:
        """Returns the clip's `data_hash.clip_content_hash`, usable or not."""
        ...

    def load(self, index: int) -> Loaded:
        """Returns one clip; raises Rejected if that cannot be done."""
        ...

    def share(self, clips: Iterable[int]) -> Mapping[str, Any]:
        """Returns as JSON what another process needs to load these clips."""
        ...


class ShardJob(NamedTuple):
    """A shard to be: indices into its split's source, and what it depends on."""

    split: str
    number: int  # of the shard in its split
    clips: range
    cache_key: str  # changes with anything that the shard depends on

    @property
    def file(self) -> str:
        """Its path in the store."""
        return f"{self.split}/shard-{self.number:05}.npy"

    def tasks(self) -> Iterator[Task]:
        """Yields its clips."""
        return ((self.split, index) for index in self.clips)


class Featured(NamedTuple):
    """A clip that a worker has computed; without features if it cannot be used."""

    content_hash: str
    features: np.ndarray | None = None  # float16 [<= T, F]
    labels: Sequence[int] | None = ()  # None: not known
    events: Sequence[EventTuple] | None = None
    code: str = ""  # why it cannot be used
    detail: str = ""
    remarks: Sequence[tuple[str, str]] = ()


@dataclasses.dataclass
class Ledger:
    """What is known of a finished shard; lies beside it as JSON, under these names."""

    split: str
    file: str
    clips: list[int]  # indices into the source of the clips in the shard, a row each
    clips_sha256: list[str]  # of these and of the rejected, in the source's order
    num_frames: list[int]
    labels: list[Sequence[int] | None]
    events: list[Sequence[EventTuple] | None]
    rejects: list[tuple[int, str, str]]  # index, code, detail
    sums: list[float]  # [F], over the real frames, of the float16 values
    squares: list[float]
    bytes: int
    sha256: str
    # index, code, detail of clips that are used all the same
    remarks: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)


def num_originals(source: Source) -> int:
    """How many clips a source has, without copies of them."""
    return len(source) // (1 + source.num_copies)


def plan_shards(
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    clips_per_shard: int,
    part: tuple[int, int] = (1, 1),
) -> list[ShardJob]:
    """The shards of all splits, in order, each of so many clips or fewer.

    Of part (i, n), which looks at the recordings of no other part, every n-th one from
    the i-th on, counted from 1.
    """
    common = [VERSION, front_end.as_dict(), classes.ids, classes.names]
    places = [
        (split, number, range(start, min(start + clips_per_shard, len(source))))
        for split, source in sources.items()
        for number, start in enumerate(range(0, len(source), clips_per_shard))
    ]
    first, step = part
    jobs = []
    for split, number, clips in places[first - 1 :: step]:
        source = sources[split]
        keys = [[source.clip_ids[i], source.cache_key(i)] for i in clips]
        cache_key = hash_json([[*common, split, source.has_events], keys])
        jobs.append(ShardJob(split, number, clips, cache_key))
    return jobs


def featurise(context: tuple[Mapping[str, Source], FrontEnd], task: Task) -> Featured:
    """Loads a clip and computes its features; what a worker does."""
    failpoint("prepare.clip")
    (sources, front_end), (split, index) = context, task
    source = sources[split]
    content_hash = source.content_hash(index)
    try:
        waveform, weak_label, events, remarks = source.load(index)
        if len(waveform) == 0:
            raise Rejected(Code.EMPTY.name, "holds no samples")
        # a clip shorter than a window has one frame, the rest of which is silence
        missing = max(0, front_end.min_length - len(waveform))
        features = front_end(np.pad(waveform, (0, missing))).astype(np.float16)
        if not np.isfinite(features).all():
            raise Rejected(Code.NONFINITE.name, "its features are not finite")
    except Rejected as rejected:
        code, detail = Code[rejected.code].name, rejected.detail
        return Featured(content_hash, code=code, detail=detail)
    labels = None if weak_label is None else np.flatnonzero(weak_label).tolist()
    if events is not None:
        events = [(float(onset), float(offset), name) for onset, offset, name in events]
    return Featured(content_hash, features, labels, events, remarks=remarks)


def lost_clip(sources: Mapping[str, Source], task: Task, what: str) -> Featured:
    """What is known of a clip at which workers were lost, and how they were."""
    split, index = task
    content_hash = sources[split].content_hash(index)
    return Featured(content_hash, code=Code.DECODER.name, detail=what)


def write_shard(
    path: Path, job: ShardJob, clips: Sequence[Featured], front_end: FrontEnd
) -> Ledger:
    """Writes a shard, then the ledger that makes it count.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    numbered = list(zip(job.clips, clips, strict=True))
    used = [(index, clip) for index, clip in numbered if not clip.code]
    features = [clip.features for clip in clips if clip.features is not None]
    shape = (len(features), front_end.num_frames, front_end.num_bins)
    shard = np.zeros(shape, np.float16)
    sums, squares = np.zeros(front_end.num_bins), np.zeros(front_end.num_bins)
    for row, frames in zip(shard, features, strict=True):
        row[: len(frames)] = frames
        double = frames.astype(np.float64)
        sums += double.sum(axis=0)
        squares += (double**2).sum(axis=0)
    failpoint("prepare.shard")
    _ledger_path(path, job).unlink(missing_ok=True)  # the old one no longer holds
    ledger = Ledger(
        split=job.split,
        file=job.file,
        clips=[index for index, _ in used],
        clips_sha256=[clip.content_hash for clip in clips],
        num_frames=[len(frames) for frames in features],
        labels=[clip.labels for _, clip in used],
        events=[clip.events for _, clip in used],
        rejects=[(i, clip.code, clip.detail) for i, clip in numbered if clip.code],
        remarks=[(i, *remark) for i, clip in used for remark in clip.remarks],
        sums=sums.tolist(),
        squares=squares.tolist(),
        **write_file(path / job.file, npy_content(shard)),
    )
    failpoint("prepare.ledger")
    content = {"fingerprint": job.cache_key, **vars(ledger)}
    write_sealed(_ledger_path(path, job), content, indent=None, shared=True)
    return ledger


def read_ledger(path: Path, job: ShardJob) -> Ledger | None:
    """Returns the ledger of a shard that is finished and still as it should be."""
    try:
        where = _ledger_path(path, job)
        content = unseal(read_json(where), where)
        if content.pop("fingerprint") != job.cache_key:
            return None
        ledger = Ledger(**content)
        check_file(path / job.file, vars(ledger))
        for _, code, _ in ledger.rejects:  # an earlier version refused for more reasons
            Code[code]
        is_finite = np.isfinite([ledger.sums, ledger.squares]).all()
    except (DataError, KeyError, TypeError):
        return None
    return ledger if is_finite else None


def write_file(path: Path, content: bytes | memoryview) -> dict[str, Any]:
    """Writes a file of a store; returns its entry in the card's list of files."""
    write_atomically(path, [content], shared=True)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def npy_content(array: np.ndarray) -> memoryview:
    """Returns the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getbuffer()


def _ledger_path(path: Path, job: ShardJob) -> Path:
    return (path / job.file).with_suffix(".json")
