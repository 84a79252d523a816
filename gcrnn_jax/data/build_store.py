"""Writes feature stores: in parallel, resumable, the same bytes every time.

A store is built shard by shard. Beside a finished shard lies its ledger: what the
shard depends on, which clips are in it, what the rest of the store needs to know of
them. A shard whose ledger still describes its clips is not built again, so a run that
was interrupted goes on where it was, and a changed recording costs one shard.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data.atomic_files import locked, make_folder
from gcrnn_jax.data.event_lists import Reject
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.store import CARD, VERSION, FeatureStore
from gcrnn_jax.data.store_card import Rejects, write_card
from gcrnn_jax.data.store_shards import (
    Ledger,
    Outcome,
    ShardJob,
    Source,
    featurise,
    read_ledger,
    write_shard,
)
from gcrnn_jax.data.worker_pool import ordered_map
from gcrnn_jax.errors import DataError
from gcrnn_jax.progress import progress


def build_store(
    path: str | Path,
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    *,
    list_rejects: Sequence[Reject] = (),
    num_workers: int = 1,
    max_bad_fraction: float = 0.01,
    clips_per_shard: int = 1024,
) -> FeatureStore:
    """Brings a store up to date with its sources and opens it.

    Args:
        path: Its folder; made if need be.
        sources: Split name -> clips; one is named "training" and gives the scaler.
        front_end: Turns waveforms into features.
        classes: What the weak labels index.
        list_rejects: Rows of the lists that were left out, for rejects.csv.
        num_workers: Processes; 0 or 1: this one alone.
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
        raise DataError(
            "no split named training, whose statistics scale all others; "
            f"there are {', '.join(sources) or 'none'}"
        )
    jobs = _plan(sources, front_end, classes, clips_per_shard)
    rejects = Rejects(
        path,
        of_lists=list_rejects,
        num_clips=sum(len(source) for source in sources.values()),
        max_bad_fraction=max_bad_fraction,
    )
    identity = _digest([job.fingerprint for job in jobs], list(list_rejects))
    if (store := _finished(path, identity)) is not None:
        rejects.check(store.card["num_bad"])
        return store
    make_folder(path)
    with locked(path):
        ledgers = _build_shards(
            path,
            jobs,
            sources=sources,
            front_end=front_end,
            num_workers=num_workers,
            rejects=rejects,
        )
        write_card(
            path,
            identity=identity,
            front_end=front_end,
            classes=classes,
            sources=sources,
            ledgers=ledgers,
            rejects=rejects,
        )
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
            depends_on = [[source.clip_ids[i], source.fingerprint(i)] for i in clips]
            fingerprint = _digest([*common, split, source.has_events], depends_on)
            jobs.append(ShardJob(split, number, clips, fingerprint))
    return jobs


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _finished(path: Path, identity: str) -> FeatureStore | None:
    """Opens a store that is whole and of this input; None: there is work to do."""
    try:
        store = FeatureStore.open(path)
    except DataError:
        return None
    return store if store.card.get("identity") == identity else None


def _build_shards(
    path: Path,
    jobs: Sequence[ShardJob],
    *,
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    num_workers: int,
    rejects: Rejects,
) -> list[Ledger]:
    """Returns the ledgers of all shards, after building those that are not there."""
    ledgers = {job.file: read_ledger(path, job) for job in jobs}
    pending = [job for job in jobs if ledgers[job.file] is None]
    changed = sum((path / job.file).exists() for job in pending)
    if changed:
        print(
            f"{path}: its input has changed: {changed} of {len(jobs)} shards are "
            "built again",
            file=sys.stderr,
        )
    for split in sources:
        make_folder(path / split)
    (path / CARD).unlink(missing_ok=True)  # not finished until it is back
    for job in jobs:
        rejects.add(sources[job.split], job, ledgers[job.file])
    rejects.check(pending=sum(len(job.clips) for job in pending))
    tasks = [task for job in pending for task in job.tasks()]
    results = ordered_map(
        featurise,
        tasks,
        context=(dict(sources), front_end),
        num_workers=min(num_workers, len(tasks)),
    )
    total = sum(len(job.clips) for job in jobs)
    done = total - sum(len(job.clips) for job in pending)
    with (
        contextlib.closing(results),
        progress(label="preparing", unit="clips", total=total, initial=done) as bar,
    ):
        for job in pending:
            outcomes: list[Outcome] = []
            for _ in job.tasks():
                part = next(results)
                outcomes += part
                bar.update(len(part))
            ledgers[job.file] = write_shard(path, job, outcomes, front_end)
            rejects.add(sources[job.split], job, ledgers[job.file])
            # not hours later, if most recordings are missing
            rejects.check(pending=total - bar.count)
    return [ledger for ledger in ledgers.values() if ledger is not None]
