"""Recordings decoded to their end, each once: what was measured is kept in a file.

A recording is decoded again when its size or its date has changed, like a shard of a
feature store, or libsndfile has, or FFmpeg came or went.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import soundfile

from gcrnn_jax.audio.measure import Measures, measure
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.atomic_files import make_folder, read_json, write_atomically
from gcrnn_jax.data.data_hash import file_content_hash
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.worker import heartbeat
from gcrnn_jax.data.worker_pool import ordered_map, resolve_num_workers
from gcrnn_jax.errors import DataError, StorageError, WorkdirError, raise_at_signals
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.progress import Progress

_VERSION = ["gcrnn_jax measures", 3, soundfile.__libsndfile_version__]
_VERSION += [importlib.util.find_spec("av") is not None]  # which reads more formats


class Probe(NamedTuple):
    """What decoding a recording gave."""

    # Size in bytes, and in ns when the content and the entry in the file system
    # changed, which a tool cannot date back; None: no file.
    mtime_stamp: tuple[int, int, int] | None
    content_hash: str | None  # None if its bytes cannot be read
    measures: Measures | None  # None if it cannot be used
    code: str = ""  # why not, as `Rejected` has it
    detail: str = ""


def probe_all(
    root: Path,
    paths: Iterable[Path],
    *,
    num_workers: int,
    cache: Path | None = None,
) -> dict[Path, Probe]:
    """Reads and decodes recordings of a folder, unless that was done before.

    Args:
        root: The folder.
        paths: In it.
        num_workers: Processes; 0: this one alone, -1: one a core.
        cache: A file that keeps what was measured. None: none.

    Raises:
        StuckError: Workers cannot start.
    """
    names = {os.path.relpath(path, root): path for path in paths}
    before = _read_cache(cache) if cache else {}
    probes = {
        name: before[name]
        for name, path in names.items()
        if name in before and before[name].mtime_stamp == _mtime_stamp(path)
    }
    if probes:
        print(
            f"{len(probes)} of {len(names)} recordings have not changed since they "
            f"were checked before ({cache})",
            file=sys.stderr,
        )
    pending = [name for name in names if name not in probes]
    done, total = len(probes), len(names)
    bar = Progress(label="checking", unit="recordings", total=total, initial=done)
    results = ordered_map(
        probe,
        pending,
        context=str(root),
        num_workers=resolve_num_workers(num_workers, len(pending)),
        on_lost=lambda name, what: _lost(os.path.join(root, name), what),
    )
    try:
        if pending:
            with raise_at_signals(), bar:
                for name, result in zip(pending, results, strict=True):
                    probes[name] = result
                    bar.update()
    finally:  # an interrupted check goes on where it was
        if cache and pending:
            _write_cache(cache, probes)
    return {path: probes[name] for name, path in names.items()}


def probe(root: str, name: str) -> Probe:
    """Reads and decodes one recording of the folder `root`."""
    failpoint("prepare.clip")
    path = os.path.join(root, name)
    mtime_stamp, content_hash = _mtime_stamp(path), file_content_hash(path)
    try:
        return Probe(mtime_stamp, content_hash, measure(path, heartbeat))
    except Rejected as rejected:
        return Probe(mtime_stamp, content_hash, None, rejected.code, rejected.detail)
    except OSError as error:  # a disk or a mount that fails meanwhile
        detail = error.strerror or repr(error)
        return Probe(mtime_stamp, None, None, "DENIED", detail)


def _lost(path: str, what: str) -> Probe:
    return Probe(_mtime_stamp(path), None, None, Code.DECODER.name, what)


def _mtime_stamp(path: str | Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _write_cache(cache: Path, probes: Mapping[str, Probe]) -> None:
    """Writes what could be read; what could not may be readable the next time."""
    readable = {name: one for name, one in probes.items() if one.content_hash}
    text = json.dumps({"version": _VERSION, "recordings": readable})
    try:
        make_folder(cache.parent)
        write_atomically(cache, [text.encode()])
    except (StorageError, WorkdirError) as error:  # checking does not depend on it
        print(f"warning: the next check starts afresh: {error}", file=sys.stderr)


def _read_cache(cache: Path) -> dict[str, Probe]:
    """What `_write_cache` wrote; nothing if it is damaged or of another version."""
    try:
        content = read_json(cache)
        entries = content["recordings"] if content["version"] == _VERSION else {}
        return {
            name: Probe(tuple(stamp), sha256, measures and Measures(*measures), *reason)
            for name, (stamp, sha256, measures, *reason) in entries.items()
        }
    except (DataError, ValueError, TypeError, KeyError, AttributeError):
        return {}
