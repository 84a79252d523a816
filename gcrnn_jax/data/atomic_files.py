"""Files that are whole or absent, and folders that one process holds at a time."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import stat
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from absl import logging

from gcrnn_jax.errors import DataError, StorageError, WorkdirError
from gcrnn_jax.failpoints import failpoint

_NOT_WRITABLE = ("EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EEXIST")
_CRC = "crc32"  # of a log's line, the field of it
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns what the system raises, while a file is written, into an error of ours.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0)
        kind = WorkdirError if name in _NOT_WRITABLE else StorageError
        raise kind(f"cannot write {path}: {error.strerror or error}") from None


def read_json(path: Path, kind: type = dict, max_bytes: int = 1 << 30) -> Any:
    """Returns the content of a JSON file, of this kind.

    Raises:
        DataError: It cannot be read, is no JSON, holds something else or too much.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
            raise ValueError(f"no regular file of at most {max_bytes} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, kind):
        expected = "an object" if kind is dict else f"a {kind.__name__}"
        raise DataError(f"{path}: expected {expected}, got {type(content).__name__}")
    return content


def json_line(content: Mapping[str, Any]) -> str:
    """A line of a log, with its CRC-32, which `read_json_lines` checks."""
    return json.dumps({**content, _CRC: _crc(content)}) + "\n"


def read_json_lines(path: Path, field: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields the lines of a log that have a field, as bytes and as what they hold.

    A damaged line, or one that a machine that died has cut, is left out with a warning;
    a log that is not there has none. Lines of version 0.2.0 and before have no CRC.
    """
    texts = path.read_bytes().splitlines() if path.exists() else ()
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            line[field]  # KeyError: a line of something else
            if line.pop(_CRC, None) not in (None, _crc(line)):
                raise ValueError("another CRC")
        except (ValueError, KeyError, TypeError, RecursionError):
            logging.warning("%s:%s: damaged or cut: left out", path, number)
        else:
            yield text, line


def _crc(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content).encode())


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all, and the folders on the way to it.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    make_folder(Path(path).parent)
    write_atomically(Path(path), [text.encode("utf-8", "surrogateescape")])


def write_atomically(
    path: Path, parts: Iterable[bytes | memoryview], *, shared: bool = False
) -> None:
    """Writes a file that appears under its name only once it is safely on disk.

    Args:
        path: The file.
        parts: Its content.
        shared: Whether other processes may write it at the same time. What one that is
            killed leaves behind, a file that ends in `.tmp`, no later write replaces.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    with atomic_file(path, shared=shared) as file:
        file.writelines(parts)


@contextlib.contextmanager
def atomic_file(path: Path, *, shared: bool = False) -> Iterator[BinaryIO]:
    """Gives a file to write, which appears at path once the block has ended well.

    Args:
        path: The file.
        shared: As `write_atomically`.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    own = f".{uuid.uuid4().hex}" if shared else ""
    partial = path.with_name(f"{path.name}{own}.tmp")
    with storage_errors(path):
        try:
            with open(partial, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            failpoint("write.rename")
            os.replace(partial, path)
            _sync_folder(path.parent)
        except Exception:  # what is written may be large
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives a folder to fill, which appears at path once the block has ended well.

    What was at path is replaced then; where the block fails, it stays.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be made there.
    """
    partial, old = (
        path.with_name(f".{path.name}.{what}") for what in ("partial", "replaced")
    )
    make_folder(path.parent)
    with storage_errors(path):
        for folder in (partial, old):  # of a process that was killed
            if folder.exists():
                shutil.rmtree(folder)
        partial.mkdir()
    try:
        yield partial
        with storage_errors(path):
            if path.exists():
                os.replace(path, old)
            failpoint("write.folder")
            os.replace(partial, path)
            _sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def move_content(folder: Path, target: Path, last: str) -> None:
    """Moves the files of a folder into another one, that named `last` at the end.

    While `last` is in the folder, the move is not finished, and the same call finishes
    it, in several processes at once too. Where it is not, nothing is done.

    Raises:
        StorageError: The disk fails.
        WorkdirError: The target cannot be written.
    """
    if not (folder / last).exists():
        return
    files: list[Path] = []
    with storage_errors(target):
        with contextlib.suppress(FileNotFoundError):  # another process has ended it
            files += [path for path in folder.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda path: path == folder / last):
            place = target / file.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process moved it
                os.replace(file, place)
        _sync_folder(target)
    shutil.rmtree(folder, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Makes a folder and those on the way to it.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be made there.
    """
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def cache_folder() -> Path | None:
    """Returns where stores without an output go, and what else is kept.

    That is $GCRNN_CACHE, $XDG_CACHE_HOME/gcrnn_jax or ~/.cache/gcrnn_jax, the first
    that is set. None: the user has no home, and nothing can be kept.
    """
    if folder := os.environ.get("GCRNN_CACHE"):
        return Path(folder)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "gcrnn_jax"
    try:
        return Path.home() / ".cache" / "gcrnn_jax"
    except RuntimeError:
        return None


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder against other processes; its holder's death releases it.

    Where a file system has no locks (some cluster mounts), nothing is held.

    Args:
        folder: Must be there.
        wait: For a process that holds it, saying which; False: raise.

    Raises:
        WorkdirError: Another process holds it; names the process and its machine.
    """
    path = folder / ".lock"
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another process"
            if not wait:
                message = f"{folder} is held by {holder}: wait for it"
                raise WorkdirError(message) from None
            print(f"{folder} is held by {holder}: waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                with storage_errors(path):
                    raise
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
