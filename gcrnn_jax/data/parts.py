"""A store's shards in parts, each of which another process builds.

    STORE/.next/parts/2-of-8     part 2/8 has begun
          .next/shares/2.json    what process 2 of a training run is to build

A part is a pure function of its number: every process finds its own shards in the
lists. A share is what a process that plans leaves for the others, which so read no
list and look at no recording but those of their shards.
"""

import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.data import store_shards
from gcrnn_jax.data.atomic_files import make_folder, read_json, storage_errors
from gcrnn_jax.data.build_shards import ShardSet
from gcrnn_jax.data.findings import Finding
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.manifest import unseal, write_sealed
from gcrnn_jax.data.rejects import LossLimit, num_lost
from gcrnn_jax.data.store import NEXT
from gcrnn_jax.data.store_shards import ShardJob, Source
from gcrnn_jax.errors import ConfigError
from gcrnn_jax.failpoints import failpoint

_PARTS, _SHARES = "parts", "shares"


class PreparedPart(NamedTuple):
    """What a part of a store holds, all of it finished; `str` says it in a line.

    Attributes:
        part: Its number, from 1.
        num_parts: Of the store.
        num_shards: Of the part.
        num_built: Of them, by this call; the others were there.
        num_clips: In the lists, of these shards.
        num_lost: Of them, those that cannot be used.
        examples: Three of those, with what is wrong.
    """

    part: int
    num_parts: int
    num_shards: int
    num_built: int
    num_clips: int
    num_lost: int
    examples: str

    def __str__(self) -> str:
        text = f"part {self.part}/{self.num_parts}: {self.num_clips} clips; "
        text += f"{self.num_built} of {self.num_shards} shards built now"
        if not self.num_lost:
            return text
        lost = f"{self.num_lost} of the clips cannot"
        if self.num_lost == self.num_clips:
            lost = "none of the clips can"
        return f"{text}; {lost} be used, such as: {self.examples}"


def build_part(
    path: str | Path,
    sources: Mapping[str, Source],
    front_end: FrontEnd,
    classes: ClassList,
    part: tuple[int, int],
    *,
    list_findings: Sequence[Finding] = (),
    num_workers: int = 0,
    max_bad_fraction: float = 0.01,
    clips_per_shard: int = 1024,
) -> PreparedPart:
    """Builds every n-th shard of a store; `build_store` then finishes it.

    Parts may run at once, in any order, several times, and beside `build_store`. All
    calls must have the same arguments, but for `part` and `num_workers`.

    Args:
        path: As in `build_store`, and what follows.
        sources: See there.
        front_end: See there.
        classes: See there.
        part: (i, n), i from 1 to n.
        list_findings: See there.
        num_workers: See there.
        max_bad_fraction: Of all clips and rows, not of the part's.
        clips_per_shard: See there.

    Raises:
        ConfigError: There is no such part.
        DataError: The part alone loses more than the whole store may.
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    number, num_parts = part
    if not 1 <= number <= num_parts:
        expected = f"expected a part from 1/{num_parts} to {num_parts}/{num_parts}"
        raise ConfigError(f"{expected}, got {number}/{num_parts}")
    shards = ShardSet(
        path=Path(path),
        sources=sources,
        front_end=front_end,
        jobs=store_shards.plan_shards(
            sources, front_end, classes, clips_per_shard, part
        ),
        limit=LossLimit.of(
            sum(map(store_shards.num_originals, sources.values())),
            list_findings,
            max_bad_fraction,
        ),
        list_findings=list_findings,
        label=f"preparing part {number}/{num_parts}",
    )
    shards.find()
    if pending := shards.pending:
        _note_part(shards.path, f"{number}-of-{num_parts}")
        shards.build(num_workers)
    lost = shards.findings()[len(list_findings) :]
    return PreparedPart(
        *part,
        num_shards=len(shards.jobs),
        num_built=len(pending),
        num_clips=sum(len(job.clips) for job in shards.jobs),
        num_lost=num_lost(lost),
        examples=LossLimit.examples(lost),
    )


def _note_part(path: Path, name: str) -> None:
    """Lets the call that finishes a store know into how many parts it was divided."""
    folder = path / NEXT / _PARTS
    make_folder(folder)
    with storage_errors(folder):
        (folder / name).touch()


def print_missing(shards: ShardSet) -> None:
    """Says which parts have left shards to be built, if any part has begun."""
    pending, num_parts = {*shards.pending}, _last_num_parts(shards.path)
    if not pending or not num_parts:
        return
    places = [place for place, job in enumerate(shards.jobs) if job in pending]
    numbers = sorted({place % num_parts + 1 for place in places})
    which = ", ".join(f"{number}/{num_parts}" for number in numbers)
    counts = f"{len(pending)} of {len(shards.jobs)} shards"
    message = f"{shards.path}: {counts} are missing, of part {which}: built now"
    print(message, file=sys.stderr)


def _last_num_parts(path: Path) -> int:
    """Into how many parts the part that began last divides the store; 0: none has."""
    with contextlib.suppress(FileNotFoundError):
        notes = (path / NEXT / _PARTS).glob("*-of-*")  # not what NFS keeps there
        newest = max(notes, key=lambda note: note.stat().st_mtime_ns, default=None)
        return int(newest.name.split("-of-")[1]) if newest else 0
    return 0


def write_shares(shards: ShardSet, num_shares: int) -> None:
    """Leaves what is to be built yet, in so many shares, for `read_share`.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    remove(shards.path)
    folder = shards.path / NEXT / _SHARES
    make_folder(folder)
    for number in range(num_shares):
        jobs = shards.pending[number::num_shares]
        by_split = {
            split: [index for job in jobs if job.split == split for index in job.clips]
            for split in shards.sources
        }
        content = {
            "is_next": shards.work != shards.path,
            "limit": shards.limit,
            "jobs": [
                (job.split, job.number, job.clips.start, job.clips.stop, job.cache_key)
                for job in jobs
            ],
            "sources": {
                split: shards.sources[split].share(clips)
                for split, clips in by_split.items()
                if clips
            },
        }
        write_sealed(folder / f"{number + 1}.json", content, indent=None)
    failpoint("prepare.share")


def read_share(
    path: Path,
    number: int,
    front_end: FrontEnd,
    make_source: Callable[[Mapping[str, Any]], Source],
) -> ShardSet:
    """The shards of one share, from 1; `make_source` reads what `Source.share` gave.

    Raises:
        DataError: There is none, or it is damaged.
    """
    file = path / NEXT / _SHARES / f"{number}.json"
    share = unseal(read_json(file), file)
    jobs = [
        ShardJob(split, place, range(start, stop), cache_key)
        for split, place, start, stop, cache_key in share["jobs"]
    ]
    shards = ShardSet(
        path=path,
        sources={split: make_source(one) for split, one in share["sources"].items()},
        front_end=front_end,
        jobs=jobs,
        limit=LossLimit(*share["limit"]),
    )
    shards.work = path / NEXT if share["is_next"] else path
    return shards


def remove(path: Path) -> None:
    """Removes what is known of the parts and shares of a store."""
    for name in (_PARTS, _SHARES):
        shutil.rmtree(path / NEXT / name, ignore_errors=True)
