"""Recordings heard to their end, each once: what is known of it is kept in a file.

A recording is heard again when its size or its date has changed, like a shard of a
feature store, or libsndfile has.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import soundfile

from gcrnn_jax.audio.decode import Rejected
from gcrnn_jax.audio.measure import Measures, measure
from gcrnn_jax.data.atomic_files import make_folder, write_atomically
from gcrnn_jax.data.data_hash import recording_sha256
from gcrnn_jax.data.worker_pool import ordered_map
from gcrnn_jax.errors import StorageError, WorkdirError
from gcrnn_jax.progress import progress

PER_WORKER = 16  # recordings; fewer are heard before another process has started

_VERSION = ["gcrnn_jax heard", 2, soundfile.__libsndfile_version__]


class Heard(NamedTuple):
    """What decoding a recording gave.

    Attributes:
        stamp: Size in bytes of the file, and in ns when its content and its entry in
            the file system changed, which a tool cannot date back; None: no file.
        sha256: Of its bytes; None if they cannot be read.
        measures: None if it cannot be used.
        code: Why not, as `Rejected` has it; "" if it can.
        detail: The same in words.
    """

    stamp: tuple[int, int, int] | None
    sha256: str | None
    measures: Measures | None
    code: str = ""
    detail: str = ""


def hear_all(
    root: Path,
    paths: Iterable[Path],
    *,
    num_workers: int,
    memory: Path | None = None,
) -> dict[Path, Heard]:
    """Reads and decodes recordings of a folder, unless that was done before.

    Args:
        root: The folder.
        paths: In it.
        num_workers: Processes.
        memory: Where it is kept what was heard. None: nowhere.

    Raises:
        GcrnnError: A worker died.
    """
    names = {os.path.relpath(path, root): path for path in paths}
    before = _recall(memory) if memory else {}
    heard = {
        name: before[name]
        for name, path in names.items()
        if name in before and before[name].stamp == _stamp(path)
    }
    if heard:
        print(
            f"{len(heard)} of {len(names)} recordings have not changed since they were "
            f"checked before ({memory})",
            file=sys.stderr,
        )
    pending = [name for name in names if name not in heard]
    workers = min(num_workers, len(pending) // PER_WORKER)
    results = ordered_map(hear, pending, context=str(root), num_workers=workers)
    shown = progress(
        results,
        label="checking",
        unit="recordings",
        total=len(names),
        initial=len(heard),
    )
    try:
        if pending:
            for name, result in zip(pending, shown, strict=True):
                heard[name] = result
    finally:  # an interrupted check goes on where it was
        if memory and pending:
            _keep(memory, heard)
    return {path: heard[name] for name, path in names.items()}


def hear(root: str, name: str) -> Heard:
    """Reads and decodes one recording of the folder `root`."""
    path = os.path.join(root, name)
    stamp, sha256 = _stamp(path), recording_sha256(path)
    try:
        return Heard(stamp, sha256, measure(path))
    except Rejected as rejected:
        return Heard(stamp, sha256, None, rejected.code, rejected.detail)
    except OSError as error:  # a disk or a mount that fails meanwhile
        return Heard(stamp, None, None, "DENIED", error.strerror or repr(error))


def _stamp(path: str | Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _keep(memory: Path, heard: Mapping[str, Heard]) -> None:
    """Writes what could be read; what could not may be readable the next time."""
    known = {name: result for name, result in heard.items() if result.sha256}
    text = json.dumps({"version": _VERSION, "recordings": known})
    try:
        make_folder(memory.parent)
        write_atomically(memory, [text.encode()])
    except (StorageError, WorkdirError) as error:  # checking does not depend on it
        print(f"warning: the next check starts afresh: {error}", file=sys.stderr)


def _recall(memory: Path) -> dict[str, Heard]:
    """Reads what `_keep` wrote; nothing, if that is of another version or damaged."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {
            name: Heard(
                tuple(stamp), sha256, measures and Measures(*measures), code, detail
            )
            for name, (stamp, sha256, measures, code, detail) in content[
                "recordings"
            ].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
