"""Some shards of a store, or all: which are there, and how the others are built.

Nothing here is locked. Several processes, on several machines that share the store's
folder, may build the same shards at once: a shard that one has finished, the others
take as it is, and what they write at the same time are the same bytes.
"""

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data import store_shards
from gcrnn_jax.data.atomic_files import make_folder
from gcrnn_jax.data.findings import Code, Finding
from gcrnn_jax.data.rejects import LossLimit, num_lost, write_rejects
from gcrnn_jax.data.store import CARD, NEXT
from gcrnn_jax.data.store_shards import Featured, Ledger, ShardJob, Source
from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import DataError, WorkdirError
from gcrnn_jax.progress import Progress


@dataclasses.dataclass(kw_only=True)
class ShardSet:
    """Shards of a store, and the ledgers of those that are finished.

    Attributes:
        path: The store.
        sources: Split name -> its clips, at least those of the shards.
        front_end: Turns waveforms into features.
        jobs: The shards.
        limit: Of what the whole store may lose.
        list_findings: Rows of the lists that were left out.
        is_whole: Whether these are all shards of the store, so that rejects.csv can be
            written.
        label: What is being done, for the display of progress.
        stream: Where progress is shown, and what is built again; None: standard error.
        work: Where new shards go: the store's folder, or NEXT in it if it is finished.
        ledgers: Shard -> what is known of it, if it is finished.
        folders: Shard -> the folder that it lies in, of the two.
    """

    path: Path
    sources: Mapping[str, Source]
    front_end: FrontEnd
    jobs: Sequence[ShardJob]
    limit: LossLimit
    list_findings: Sequence[Finding] = ()
    is_whole: bool = False
    label: str = "preparing"
    stream: TextIO | None = None
    work: Path = dataclasses.field(init=False)
    ledgers: dict[ShardJob, Ledger] = dataclasses.field(default_factory=dict)
    folders: dict[ShardJob, Path] = dataclasses.field(default_factory=dict)

    def find(self) -> None:
        """Looks which shards are finished, and where new ones go.

        Where there is a card, they go to NEXT, so that a store that is in use stays as
        it is; and where an earlier start has left some there.
        """
        self.ledgers, self.folders = {}, {}
        for folder in (self.path, self.path / NEXT):
            self._read_ledgers(folder)
        is_next = (self.path / CARD).exists() or self.path / NEXT in {
            *self.folders.values()
        }
        self.work = self.path / NEXT if is_next else self.path

    def _read_ledgers(self, folder: Path) -> None:
        # The list of a folder is what a network's file system asks the server for anew:
        # of a single file it may remember for half a minute that it was not there.
        found: set[str] = set()
        for split in self.sources:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found |= {f"{split}/{name}" for name in os.listdir(folder / split)}
        jobs = [job for job in self.pending if job.file in found]
        with ThreadPoolExecutor() as pool:  # which hash shards
            read = functools.partial(store_shards.read_ledger, folder)
            for job, ledger in zip(jobs, pool.map(read, jobs), strict=True):
                if ledger is not None:
                    self.ledgers[job], self.folders[job] = ledger, folder

    @property
    def pending(self) -> list[ShardJob]:
        """The shards that are not finished."""
        return [job for job in self.jobs if job not in self.ledgers]

    def findings(self) -> list[Finding]:
        """Returns those of the lists, then clips that are in no shard or are odd.

        What is wrong with a clip and with its copies is said once.
        """
        found: dict[tuple[str, Finding], None] = {}
        for job in self.jobs:
            ledger = self.ledgers.get(job)
            noted = [*ledger.rejects, *ledger.remarks] if ledger else []
            for index, code, detail in sorted(noted):
                location = self.sources[job.split].location(index)
                found[job.split, Finding(*location, Code[code], detail)] = None
        return [*self.list_findings, *(finding for _, finding in found)]

    def check_losses(self, *, num_pending: int = 0) -> None:
        """Raises DataError if more is lost than the whole store may lose.

        Where these shards are all, rejects.csv is written first.
        """
        findings = self.findings()
        bad = num_lost(findings)
        if not self.limit.is_exceeded(bad):
            return
        if self.is_whole:
            write_rejects(self.work, findings)
        where = self.work if self.is_whole else None
        message = self.limit.message(
            bad, findings, listed_in=where, num_pending=num_pending
        )
        raise DataError(message if self.is_whole else f"{self.label}: {message}")

    def build(self, num_workers: int) -> None:
        """Builds the shards that are not finished, after `find`.

        Raises:
            DataError: More is lost than the whole store may lose.
            StorageError: The disk is full or fails.
            WorkdirError: The folder cannot be written.
        """
        pending = self.pending
        if changed := sum((self.path / job.file).exists() for job in pending):
            counts = f"{changed} of {len(self.jobs)} shards are built again"
            what = "input has changed, or they are damaged"
            message = f"{self.path}: {counts}: their {what}"
            print(message, file=self.stream or sys.stderr)
        num_pending = self._num_originals(pending)
        self.check_losses(num_pending=num_pending)
        total = sum(len(job.clips) for job in self.jobs)
        tasks = [task for job in pending for task in job.tasks()]
        results = ordered_map(
            store_shards.featurise,
            tasks,
            context=(dict(self.sources), self.front_end),
            num_workers=resolve_num_workers(num_workers, len(tasks)),
            on_lost=functools.partial(store_shards.lost_clip, self.sources),
            name=lambda task: self.sources[task[0]].location(task[1])[0],
        )
        with (
            contextlib.closing(results),
            Progress(
                label=self.label,
                unit="clips",
                total=total,
                initial=total - len(tasks),
                stream=self.stream,
            ) as bar,
        ):
            for job in pending:
                clips: list[Featured] = []
                for _ in job.tasks():
                    clips.append(next(results))
                    bar.update()
                self._write(job, clips)
                # not hours later, if most recordings are missing
                num_pending -= self._num_originals([job])
                self.check_losses(num_pending=num_pending)

    def _num_originals(self, jobs: Sequence[ShardJob]) -> int:
        """How many clips some shards have, without copies of them."""
        count = 0
        for job in jobs:
            clips, source = job.clips, self.sources[job.split]
            end = (
                store_shards.num_originals(source) if source.num_copies else clips.stop
            )
            count += max(0, min(clips.stop, end) - clips.start)
        return count

    def _write(self, job: ShardJob, clips: Sequence[Featured]) -> None:
        """Writes a shard, unless another process has done so meanwhile."""
        if self._is_there(job):
            return
        try:
            make_folder(self.work / job.split)
            ledger = store_shards.write_shard(self.work, job, clips, self.front_end)
        except WorkdirError:  # or has finished the store, and what was half written
            if not self._is_there(job):
                raise
        else:
            self.ledgers[job], self.folders[job] = ledger, self.work

    def _is_there(self, job: ShardJob) -> bool:
        for folder in (self.path, self.path / NEXT):
            if ledger := store_shards.read_ledger(folder, job):
                self.ledgers[job], self.folders[job] = ledger, folder
                return True
        return False
