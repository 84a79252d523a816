"""Writes feature stores: in parallel, resumable, the same bytes every time.

A store is built shard by shard. Beside a finished shard lies its ledger: what the
shard depends on, which clips are in it, what the rest of the store needs to know of
them. A shard whose ledger still describes its clips is not built again, so a run that
was interrupted goes on where it was, and a changed recording costs one shard.

A finished store gives way only to a finished one: new shards, labels and card are
written to its folder `.next` and moved into place at the end.
"""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data import store_shards
from gcrnn_jax.data.atomic_files import (
    locked,
    make_folder,
    move_content,
)
from gcrnn_jax.data.data_hash import dataset_content_hash
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import hash_json, write_sealed
from gcrnn_jax.data.rejects import LossLimit, num_lost, write_rejects
from gcrnn_jax.data.split_files import scaler, write_split
from gcrnn_jax.data.store import CARD, FORMAT, NEXT, VERSION, FeatureStore
from gcrnn_jax.data.store_shards import Featured, Ledger, ShardJob, Source
from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import DataError, RecordingsMissingError, WorkdirError, escape
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.progress import Progress


def build_store(
    path: str | Path,
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    *,
    list_findings: Sequence[Finding] = (),
    num_workers: int = 0,
    max_bad_fraction: float = 0.01,
    clips_per_shard: int = 1024,
) -> FeatureStore:
    """Brings a store up to date with its sources and opens it.

    Args:
        path: Its folder; made if need be.
        sources: Split name -> clips; one is named "training" and gives the scaler.
        front_end: Turns waveforms into features.
        classes: What the weak labels index.
        list_findings: Rows of the lists that were left out, for rejects.csv.
        num_workers: Processes; 0: this one alone, -1: one a core.
        max_bad_fraction: How much of the clips and list rows may be unusable. One of
            ten is over 0.01: a small set must be clean or say otherwise.
        clips_per_shard: A shard is written whole or not at all.

    Returns:
        The store; at once if it was finished and nothing has changed. Where another
        process prepares it, it is waited for.

    Raises:
        DataError: Too many bad clips, no usable training clip, or no such split.
        RecordingsMissingError: Too many clips have no recording; nothing is changed.
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    path = Path(path)
    if "training" not in sources:
        what = "no split named training, whose statistics scale all others"
        raise DataError(f"{what}; there are {', '.join(sources) or 'none'}")
    jobs = store_shards.plan_shards(sources, front_end, classes, clips_per_shard)
    rows = [(f.path, f.line, f.code.name, f.detail) for f in list_findings]
    cache_key = hash_json([[job.cache_key for job in jobs], rows])
    preparation = _Preparation(
        path, sources, front_end, classes, jobs, list_findings, max_bad_fraction
    )
    if (store := _open(path, warn=True)) and _is_finished(store, cache_key):
        preparation.check_losses(store.card["num_bad"])
        _remove_unfinished(path)
        return store
    preparation.refuse_missing()
    make_folder(path)
    with locked(path, wait=True):
        move_content(path / NEXT, path, CARD)
        store = _open(path)
        if store and _is_finished(store, cache_key):  # by another process meanwhile
            return store
        if store:
            preparation.work = path / NEXT
        preparation.build_shards(num_workers)
        preparation.write_card(cache_key)
    return FeatureStore.open(path)


def _is_finished(store: FeatureStore, cache_key: str) -> bool:
    """Whether a whole store is of this input."""
    return store.card.get("identity") == cache_key


def _open(path: Path, *, warn: bool = False) -> FeatureStore | None:
    """Opens a store that is whole; None: there is none, with a warning if damaged."""
    try:
        return FeatureStore.open(path)
    except DataError as error:
        if warn and (path / CARD).exists():
            print(f"{escape(str(error))}: prepared again", file=sys.stderr)
        return None


def _remove_unfinished(path: Path) -> None:
    """Removes what was begun to replace a store that is wanted as it is."""
    if (path / NEXT).exists():
        with contextlib.suppress(WorkdirError), locked(path):
            shutil.rmtree(path / NEXT, ignore_errors=True)


@dataclasses.dataclass
class _Preparation:
    """A store to be, and the ledgers of its finished shards."""

    path: Path
    sources: Mapping[str, Source]
    front_end: FrontEnd
    classes: ClassList
    jobs: Sequence[ShardJob]
    list_findings: Sequence[Finding]
    max_bad_fraction: float
    ledgers: dict[ShardJob, Ledger] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = self.path  # where new files go
        self.new: set[str] = set()  # shards that are there, if it is elsewhere
        num_listed = sum(map(len, self.sources.values())) + num_lost(self.list_findings)
        self.limit = LossLimit(self.max_bad_fraction, num_listed)

    def refuse_missing(self) -> None:
        """Raises, before a store is touched, where what is known is too much already.

        Where there is no store, rejects.csv is written.
        """
        missing = [
            Finding(*source.location(index), Code.MISSING, store_shards.NO_RECORDING)
            for source in self.sources.values()
            for index in source.missing()
        ]
        findings = [*self.list_findings, *missing]
        if not self.limit.is_exceeded(bad := num_lost(findings)):
            return
        folder = None if (self.path / CARD).exists() else self.path
        if folder:
            make_folder(folder)
            write_rejects(folder, findings)
        kind = RecordingsMissingError if missing else DataError
        raise kind(self.limit.message(bad, findings, listed_in=folder))

    def findings(self) -> list[Finding]:
        """Returns those of the lists, then clips that are in no shard or are odd."""
        findings = list(self.list_findings)
        for job in self.jobs:
            ledger = self.ledgers.get(job)
            noted = [*ledger.rejects, *ledger.remarks] if ledger else []
            for index, code, detail in sorted(noted):
                location = self.sources[job.split].location(index)
                findings.append(Finding(*location, Code[code], detail))
        return findings

    def check_losses(self, num_bad: int | None = None, *, num_pending: int = 0) -> None:
        """Raises DataError if more is lost than allowed; writes rejects.csv first.

        `num_bad` is what a finished store has lost; None: what has been lost so far.
        """
        findings = self.findings()
        bad = num_lost(findings) if num_bad is None else num_bad
        if not self.limit.is_exceeded(bad):
            return
        if num_bad is None:
            write_rejects(self.work, findings)
        where = {"listed_in": self.work, "num_pending": num_pending}
        raise DataError(self.limit.message(bad, findings, **where))

    def build_shards(self, num_workers: int) -> None:
        """Builds the shards that are not there."""
        self._read_ledgers()
        pending = [job for job in self.jobs if job not in self.ledgers]
        if changed := sum((self.path / job.file).exists() for job in pending):
            counts = f"{changed} of {len(self.jobs)} shards are built again"
            what = "input has changed, or they are damaged"
            print(f"{self.path}: {counts}: their {what}", file=sys.stderr)
        for split in self.sources:
            make_folder(self.work / split)
        (self.work / CARD).unlink(missing_ok=True)  # not finished until it is back
        num_pending = sum(len(job.clips) for job in pending)
        self.check_losses(num_pending=num_pending)
        total = sum(map(len, self.sources.values()))
        tasks = [task for job in pending for task in job.tasks()]
        results = ordered_map(
            store_shards.featurise,
            tasks,
            context=(dict(self.sources), self.front_end),
            num_workers=resolve_num_workers(num_workers, len(tasks)),
            on_lost=functools.partial(store_shards.lost_clip, self.sources),
            name=lambda task: self.sources[task[0]].location(task[1])[0],
        )
        done = total - num_pending
        with (
            contextlib.closing(results),
            Progress(label="preparing", unit="clips", total=total, initial=done) as bar,
        ):
            for job in pending:
                clips: list[Featured] = []
                for _ in job.tasks():
                    clips.append(next(results))
                    bar.update()
                self.ledgers[job] = store_shards.write_shard(
                    self.work, job, clips, self.front_end
                )
                self.new.add(job.file)
                # not hours later, if most recordings are missing
                self.check_losses(num_pending=total - round(bar.count))

    def _read_ledgers(self) -> None:
        with ThreadPoolExecutor() as pool:  # which hash shards
            for folder in dict.fromkeys([self.work, self.path]):
                read = functools.partial(store_shards.read_ledger, folder)
                ledgers = zip(self.jobs, pool.map(read, self.jobs), strict=True)
                whole = {job: ledger for job, ledger in ledgers if ledger is not None}
                self.ledgers |= whole
                if folder != self.path:
                    self.new = {job.file for job in whole}
        # shards of the finished store stay where they are
        self.new -= {job.file for job in whole}

    def write_card(self, cache_key: str) -> None:
        """Writes the labels of every split, rejects.csv, and last of all the card.

        Where a finished store is to be replaced, what is new takes its place then.
        """
        files: dict[str, dict[str, Any]] = {}
        by_split = {
            name: [self.ledgers[job] for job in self.jobs if job.split == name]
            for name in self.sources
        }
        splits = {
            name: write_split(
                self.work / name, self.sources[name], self.classes, ledgers, files
            )
            for name, ledgers in by_split.items()
        }
        clips_sha256 = {
            name: itertools.chain(*(ledger.clips_sha256 for ledger in ledgers))
            for name, ledgers in by_split.items()
        }
        findings = self.findings()
        write_rejects(self.work, findings)
        codes = Counter(finding.code.name for finding in findings)
        card = {
            "format": FORMAT,
            "version": VERSION,
            "identity": cache_key,
            "data_sha256": dataset_content_hash(self.classes, clips_sha256),
            "front_end": self.front_end.as_dict(),
            "classes": {"ids": self.classes.ids, "names": self.classes.names},
            "scaler": scaler(by_split["training"]),
            "splits": splits,
            "num_bad": num_lost(findings),
            "rejects_per_code": dict(sorted(codes.items())),
            "files": files,
        }
        failpoint("prepare.card")
        self._finish(card)

    def _finish(self, card: Mapping[str, Any]) -> None:
        if self.work != self.path:
            for name in self.sources:
                _remove_stale(self.work / name, self.new)
        write_sealed(self.work / CARD, card)
        if self.work != self.path:
            move_content(self.work, self.path, CARD)
        current = {ledger.file for ledger in self.ledgers.values()}
        for name, source in self.sources.items():
            _remove_stale(self.path / name, current)
            if not source.has_events:
                (self.path / name / "events.json").unlink(missing_ok=True)


def _remove_stale(folder: Path, current: Set[str]) -> None:
    """Removes shards of an earlier, longer list, and what an interrupted run left."""
    stems = {
        Path(file).stem for file in current if Path(file).parent.name == folder.name
    }
    for file in folder.glob("shard-*"):
        if file.stem not in stems or file.suffix == ".tmp":
            file.unlink(missing_ok=True)
