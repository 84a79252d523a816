"""Writes feature stores: in parallel, resumable, the same bytes every time.

In three steps. Planning says which shards there will be and what each depends on;
building makes shards (`build_shards`), in one process or in parts that several machines
build; sealing writes labels, rejects.csv and last of all the card.

Beside a finished shard lies its ledger: what the shard depends on, which clips are in
it, what the rest of the store needs to know of them. A shard whose ledger still
describes its clips is not built again, so a run that was interrupted goes on where it
was, and a changed recording costs one shard.

A finished store gives way only to a finished one: new shards, labels and card are
written to its folder `.next` and moved into place at the end.
"""

import contextlib
import itertools
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data import parts, store_shards
from gcrnn_jax.data.atomic_files import locked, make_folder, move_content
from gcrnn_jax.data.build_shards import ShardSet
from gcrnn_jax.data.data_hash import dataset_content_hash
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import hash_json, write_sealed
from gcrnn_jax.data.rejects import LossLimit, num_lost, write_rejects
from gcrnn_jax.data.split_files import scaler, write_split
from gcrnn_jax.data.store import CARD, FORMAT, NEXT, VERSION, FeatureStore
from gcrnn_jax.data.store_shards import Source
from gcrnn_jax.errors import DataError, RecordingsMissingError, WorkdirError, escape
from gcrnn_jax.failpoints import failpoint


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
    plan = plan_store(
        path,
        sources,
        front_end,
        classes,
        list_findings=list_findings,
        max_bad_fraction=max_bad_fraction,
        clips_per_shard=clips_per_shard,
    )
    return finish(plan, num_workers)


def plan_store(
    path: str | Path,
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    *,
    list_findings: Sequence[Finding] = (),
    max_bad_fraction: float = 0.01,
    clips_per_shard: int = 1024,
) -> "StorePlan | FeatureStore":
    """Plans what `build_store` does; returns the store if there is nothing to be done.

    Args and errors are those of `build_store`.
    """
    path = Path(path)
    if "training" not in sources:
        what = "no split named training, whose statistics scale all others"
        raise DataError(f"{what}; there are {', '.join(sources) or 'none'}")
    jobs = store_shards.plan_shards(sources, front_end, classes, clips_per_shard)
    shards = ShardSet(
        path=path,
        sources=sources,
        front_end=front_end,
        jobs=jobs,
        limit=LossLimit.of(
            sum(map(store_shards.num_originals, sources.values())),
            list_findings,
            max_bad_fraction,
        ),
        list_findings=list_findings,
        is_whole=True,
    )
    plan = StorePlan(shards, classes)
    if store := plan.opened(warn=True):
        plan.remove_unfinished()
        return store
    plan.refuse_missing()
    return plan


def finish(plan: "StorePlan | FeatureStore", num_workers: int) -> FeatureStore:
    """Does what is planned, alone; a store that is finished is returned.

    Raises:
        As `build_store`.
    """
    if isinstance(plan, FeatureStore):
        return plan
    with plan.held():
        return plan.finish(num_workers)


class StorePlan:
    """A store to be; see `plan_store`."""

    def __init__(self, shards: ShardSet, classes: ClassList):
        """Of all shards."""
        self.path, self.shards, self.classes = shards.path, shards, classes
        rows = [(f.path, f.line, f.code.name, f.detail) for f in shards.list_findings]
        self.cache_key = hash_json([[job.cache_key for job in shards.jobs], rows])

    def opened(self, *, warn: bool = False) -> FeatureStore | None:
        """The store, if it is finished and of this input; with a warning if damaged.

        Raises:
            DataError: It has lost more than is allowed.
        """
        try:
            store = FeatureStore.open(self.path)
        except DataError as error:
            if warn and (self.path / CARD).exists():
                print(f"{escape(str(error))}: prepared again", file=sys.stderr)
            return None
        if store.card.get("identity") != self.cache_key:
            return None
        if self.shards.limit.is_exceeded(num_bad := store.card["num_bad"]):
            known = self.shards.list_findings
            raise DataError(
                self.shards.limit.message(num_bad, known, listed_in=self.path)
            )
        return store

    def remove_unfinished(self) -> None:
        """Removes what was begun to replace a store that is wanted as it is."""
        if (self.path / NEXT).exists():
            with contextlib.suppress(WorkdirError), locked(self.path):
                shutil.rmtree(self.path / NEXT, ignore_errors=True)

    def refuse_missing(self) -> None:
        """Raises, before a store is touched, where what is known is too much already.

        Where there is no store, rejects.csv is written.
        """
        limit = self.shards.limit
        missing = [
            Finding(*source.location(index), Code.MISSING, store_shards.NO_RECORDING)
            for source in self.shards.sources.values()
            for index in source.missing()
        ]
        findings = [*self.shards.list_findings, *missing]
        if not limit.is_exceeded(bad := num_lost(findings)):
            return
        folder = None if (self.path / CARD).exists() else self.path
        if folder:
            make_folder(folder)
            write_rejects(folder, findings)
        kind = RecordingsMissingError if missing else DataError
        raise kind(limit.message(bad, findings, listed_in=folder))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the store's folder against other preparations of all of it.

        Those are waited for. Parts need not hold it.

        Raises:
            WorkdirError: It cannot be written.
        """
        make_folder(self.path)
        with locked(self.path, wait=True):
            yield

    def share(self, num_shares: int) -> bool:
        """Leaves what is to be built for so many processes, while the folder is held.

        They read it by `parts.read_share`. False: nothing is to be built.

        Raises:
            StorageError: The disk is full or fails.
            WorkdirError: The folder cannot be written.
        """
        if self.opened():  # by another process meanwhile
            return False
        self.shards.find()
        parts.write_shares(self.shards, num_shares)
        return bool(self.shards.pending)

    def finish(self, num_workers: int) -> FeatureStore:
        """Builds what is missing yet, seals the store and opens it.

        Raises:
            As `build_store`.
        """
        if store := self.opened():  # by another process meanwhile
            return store
        self.shards.find()
        parts.print_missing(self.shards)
        self.shards.build(num_workers)
        self._seal()
        return FeatureStore.open(self.path)

    def _seal(self) -> None:
        """Writes the labels of every split, rejects.csv, and last of all the card.

        Where a finished store is to be replaced, what is new takes its place then.
        """
        shards, work = self.shards, self.shards.work
        files: dict[str, dict[str, Any]] = {}
        by_split = {
            name: [shards.ledgers[job] for job in shards.jobs if job.split == name]
            for name in shards.sources
        }
        splits = {}
        for name, ledgers in by_split.items():
            make_folder(work / name)
            source = shards.sources[name]
            splits[name] = write_split(
                work / name, source, self.classes, ledgers, files
            )
        clips_sha256 = {
            name: itertools.chain(*(ledger.clips_sha256 for ledger in ledgers))
            for name, ledgers in by_split.items()
        }
        findings = shards.findings()
        write_rejects(work, findings)
        codes = Counter(finding.code.name for finding in findings)
        card = {
            "format": FORMAT,
            "version": VERSION,
            "identity": self.cache_key,
            "data_sha256": dataset_content_hash(self.classes, clips_sha256),
            "front_end": shards.front_end.as_dict(),
            "classes": {"ids": self.classes.ids, "names": self.classes.names},
            "scaler": scaler(by_split["training"]),
            "splits": splits,
            "num_bad": num_lost(findings),
            "rejects_per_code": dict(sorted(codes.items())),
            "files": files,
        }
        failpoint("prepare.card")
        self._write_card(card)

    def _write_card(self, card: Mapping[str, Any]) -> None:
        shards, work = self.shards, self.shards.work
        parts.remove(self.path)
        if work != self.path:  # shards of the finished store stay where they are
            new = {job.file for job in shards.jobs if shards.folders[job] == work}
            for name in shards.sources:
                _remove_stale(work / name, new)
        write_sealed(work / CARD, card, shared=True)
        move_content(self.path / NEXT, self.path, CARD)
        shutil.rmtree(self.path / NEXT, ignore_errors=True)
        current = {job.file for job in shards.jobs}
        for name in shards.sources:
            _remove_stale(self.path / name, current)
            for file in {f"{name}/events.json", f"{name}/known.npy"} - {*card["files"]}:
                (self.path / file).unlink(missing_ok=True)
        for file in self.path.glob("*.tmp"):
            file.unlink(missing_ok=True)


def _remove_stale(folder: Path, current: Set[str]) -> None:
    """Removes shards of an earlier, longer list, and what interrupted runs left."""
    stems = {
        Path(file).stem for file in current if Path(file).parent.name == folder.name
    }
    stale = {file for file in folder.glob("shard-*") if file.stem not in stems}
    for file in stale | {*folder.glob("*.tmp")}:
        file.unlink(missing_ok=True)
