"""Writes feature stores: in parallel, resumable, the same bytes every time.

A store is built shard by shard. Beside a finished shard lies its ledger: what the
shard depends on, which clips are in it, what the rest of the store needs to know of
them. A shard whose ledger still describes its clips is not built again, so a run that
was interrupted goes on where it was, and a changed recording costs one shard.
"""

import contextlib
import csv
import dataclasses
import hashlib
import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data import store_shards
from gcrnn_jax.data.atomic_files import locked, make_folder, write_atomically
from gcrnn_jax.data.data_hash import dataset_content_hash
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import CARD, FORMAT, VERSION, FeatureStore
from gcrnn_jax.data.store_shards import Featured, Ledger, ShardJob, Source
from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import DataError
from gcrnn_jax.progress import Progress

REJECTS = "rejects.csv"
MIN_STD = 1e-3  # of a bin that never changes; what is left of it is rounding
_HARMLESS = (Code.DUPLICATE, Code.UNKNOWN_CLIP)  # noted, but no clip is lost by them


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
        The store; at once if it was finished and nothing has changed.

    Raises:
        DataError: Too many bad clips, no usable training clip, or no such split.
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written, or is being prepared by another.
    """
    path = Path(path)
    if "training" not in sources:
        what = "no split named training, whose statistics scale all others"
        raise DataError(f"{what}; there are {', '.join(sources) or 'none'}")
    jobs = _plan(sources, front_end, classes, clips_per_shard)
    rows = [(f.path, f.line, f.code.name, f.detail) for f in list_findings]
    cache_key = _hash([job.cache_key for job in jobs], rows)
    preparation = _Preparation(
        path, sources, front_end, classes, jobs, list_findings, max_bad_fraction
    )
    if (store := _finished(path, cache_key)) is not None:
        preparation.check_losses(store.card["num_bad"])
        return store
    make_folder(path)
    with locked(path):
        preparation.build_shards(resolve_num_workers(num_workers))
        preparation.write_card(cache_key)
    return FeatureStore.open(path)


def _plan(
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    clips_per_shard: int,
) -> list[ShardJob]:
    common = [VERSION, front_end.as_dict(), classes.ids, classes.names]
    jobs = []
    for split, source in sources.items():
        for number, start in enumerate(range(0, len(source), clips_per_shard)):
            clips = range(start, min(start + clips_per_shard, len(source)))
            keys = [[source.clip_ids[i], source.cache_key(i)] for i in clips]
            cache_key = _hash([*common, split, source.has_events], keys)
            jobs.append(ShardJob(split, number, clips, cache_key))
    return jobs


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _finished(path: Path, cache_key: str) -> FeatureStore | None:
    """Opens a store that is whole and of this input; None: there is work to do."""
    try:
        store = FeatureStore.open(path)
    except DataError:
        return None
    return store if store.card.get("identity") == cache_key else None


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

    def findings(self) -> list[Finding]:
        """Returns those of the lists, then the clips that are in no shard."""
        findings = list(self.list_findings)
        for job in self.jobs:
            ledger = self.ledgers.get(job)
            for index, code, detail in ledger.rejects if ledger else ():
                location = self.sources[job.split].location(index)
                findings.append(Finding(*location, Code[code], detail))
        return findings

    def check_losses(self, num_bad: int | None = None, *, num_pending: int = 0) -> None:
        """Raises DataError if more is lost than allowed; writes rejects.csv first.

        `num_bad` is what a finished store has lost; None: what has been lost so far.
        """
        findings = self.findings()
        bad = _num_lost(findings) if num_bad is None else num_bad
        num_listed = sum(map(len, self.sources.values()))
        num_listed += _num_lost(self.list_findings)
        if bad <= self.max_bad_fraction * num_listed:
            return
        if num_bad is None:
            self._write_rejects(findings)
        what = f"{bad} of {num_listed} clips cannot be used, more than the allowed"
        what += f" fraction of {self.max_bad_fraction:g} (max_bad_fraction)"
        examples = "; ".join(
            f"{finding.path}:{finding.line}: {finding.code.name}: {finding.detail}"
            for finding in findings[:3]
        )
        where = f"all are in {self.path / REJECTS}{examples and ': '}{examples}"
        left = f"; {num_pending} recordings were not looked at yet"
        raise DataError(f"{what}; {where}{left if num_pending else ''}")

    def _write_rejects(self, findings: Sequence[Finding]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "line", "code", "detail"])
        writer.writerows((f.path, f.line, f.code.name, f.detail) for f in findings)
        # A name that is not UTF-8 is written as the bytes that it is.
        content = text.getvalue().encode("utf-8", "surrogateescape")
        write_atomically(self.path / REJECTS, [content])

    def build_shards(self, num_workers: int) -> None:
        """Builds the shards that are not there."""
        ledgers = ((job, store_shards.read_ledger(self.path, job)) for job in self.jobs)
        self.ledgers = {job: ledger for job, ledger in ledgers if ledger is not None}
        pending = [job for job in self.jobs if job not in self.ledgers]
        if changed := sum((self.path / job.file).exists() for job in pending):
            counts = f"{changed} of {len(self.jobs)} shards are built again"
            print(f"{self.path}: its input has changed: {counts}", file=sys.stderr)
        for split in self.sources:
            make_folder(self.path / split)
        (self.path / CARD).unlink(missing_ok=True)  # not finished until it is back
        num_pending = sum(len(job.clips) for job in pending)
        self.check_losses(num_pending=num_pending)
        total = sum(map(len, self.sources.values()))
        tasks = [task for job in pending for task in job.tasks()]
        results = ordered_map(
            store_shards.featurise,
            tasks,
            context=(dict(self.sources), self.front_end),
            num_workers=min(num_workers, len(tasks)),
        )
        done = total - num_pending
        with (
            contextlib.closing(results),
            Progress(label="preparing", unit="clips", total=total, initial=done) as bar,
        ):
            for job in pending:
                clips: list[Featured] = []
                for _ in job.tasks():
                    clips += (part := next(results))
                    bar.update(len(part))
                self.ledgers[job] = store_shards.write_shard(
                    self.path, job, clips, self.front_end
                )
                # not hours later, if most recordings are missing
                self.check_losses(num_pending=total - round(bar.count))

    def write_card(self, cache_key: str) -> None:
        """Writes the labels of every split, rejects.csv, and last of all the card."""
        files: dict[str, dict[str, Any]] = {}
        by_split = {
            name: [self.ledgers[job] for job in self.jobs if job.split == name]
            for name in self.sources
        }
        splits = {
            name: self._write_split(name, ledgers, files)
            for name, ledgers in by_split.items()
        }
        clips_sha256 = {
            name: itertools.chain(*(ledger.clips_sha256 for ledger in ledgers))
            for name, ledgers in by_split.items()
        }
        findings = self.findings()
        self._write_rejects(findings)
        codes = Counter(finding.code.name for finding in findings)
        card = {
            "format": FORMAT,
            "version": VERSION,
            "identity": cache_key,
            "data_sha256": dataset_content_hash(self.classes, clips_sha256),
            "front_end": self.front_end.as_dict(),
            "classes": {"ids": self.classes.ids, "names": self.classes.names},
            "scaler": _scaler(by_split["training"]),
            "splits": splits,
            "num_bad": _num_lost(findings),
            "rejects_per_code": dict(sorted(codes.items())),
            "files": files,
        }
        content = json.dumps(card, indent=1) + "\n"
        write_atomically(self.path / CARD, [content.encode()])

    def _write_split(
        self, name: str, ledgers: Sequence[Ledger], files: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Writes a split's labels, adds to `files`, returns its entry in the card."""
        source, folder = self.sources[name], self.path / name
        _remove_stale(folder, ledgers)
        clip_ids = [source.clip_ids[i] for ledger in ledgers for i in ledger.clips]
        num_frames = [count for ledger in ledgers for count in ledger.num_frames]
        weak_label = np.zeros((len(clip_ids), len(self.classes)), bool)
        clip_labels = itertools.chain(*(ledger.labels for ledger in ledgers))
        for row, labels in zip(weak_label, clip_labels, strict=True):
            row[labels] = True
        # ASCII with escapes: an id survives whatever it is made of.
        contents = {
            "clip_ids.json": json.dumps(clip_ids, indent=0).encode(),
            "num_frames.npy": store_shards.npy_content(
                np.asarray(num_frames, np.int32)
            ),
            "weak_label.npy": store_shards.npy_content(weak_label),
        }
        if source.has_events:
            clip_events = itertools.chain(*(ledger.events for ledger in ledgers))
            events = dict(zip(clip_ids, clip_events, strict=True))
            contents["events.json"] = json.dumps(events, indent=0).encode()
        else:
            (folder / "events.json").unlink(missing_ok=True)
        for file, content in contents.items():
            files[f"{name}/{file}"] = store_shards.write_file(folder / file, content)
        full = [ledger for ledger in ledgers if ledger.clips]  # others cannot be mapped
        for ledger in full:
            files[ledger.file] = {"bytes": ledger.bytes, "sha256": ledger.sha256}
        counts = weak_label.sum(axis=0).tolist()
        return {
            "num_clips": len(clip_ids),
            "num_listed": len(source),
            "num_rejected": sum(len(ledger.rejects) for ledger in ledgers),
            "num_frames": sum(num_frames),
            "has_events": source.has_events,
            "clips_per_class": dict(zip(self.classes.names, counts, strict=True)),
            "shards": [
                {"file": Path(ledger.file).name, "rows": len(ledger.clips)}
                for ledger in full
            ],
        }


def _num_lost(findings: Sequence[Finding]) -> int:
    return sum(finding.code not in _HARMLESS for finding in findings)


def _scaler(ledgers: Sequence[Ledger]) -> dict[str, list[float]]:
    """Returns mean and standard deviation per bin over the real frames."""
    count = sum(sum(ledger.num_frames) for ledger in ledgers)
    if count == 0:
        raise DataError("the training split holds no clip that can be used")
    mean = np.sum([ledger.sums for ledger in ledgers], axis=0) / count
    square = np.sum([ledger.squares for ledger in ledgers], axis=0) / count
    std = np.sqrt(np.maximum(square - mean**2, MIN_STD**2))
    return {"mean": mean.tolist(), "std": std.tolist()}


def _remove_stale(folder: Path, ledgers: Sequence[Ledger]) -> None:
    """Removes shards of an earlier, longer list, and what an interrupted run left."""
    current = {Path(ledger.file).stem for ledger in ledgers}
    for file in folder.glob("shard-*"):
        if file.stem not in current or file.suffix == ".tmp":
            file.unlink(missing_ok=True)
