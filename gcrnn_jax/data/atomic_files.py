"""Files that are whole or absent, and folders that one process holds at a time."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from gcrnn_jax.errors import GcrnnError, StorageError, WorkdirError

_NOT_OURS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Writes a file that appears under its name only once it is safely on disk.

    Args:
        path: Where to; its folder exists.
        parts: The content.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written.
    """
    partial = path.with_name(path.name + ".tmp")
    try:
        with open(partial, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise storage_error(path, error) from None


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
    try:
        for left in (partial, old):  # by a process that was killed
            if left.exists():
                shutil.rmtree(left)
        partial.mkdir()
    except OSError as error:
        raise storage_error(path, error) from None
    try:
        yield partial
        _put_in_place(partial, path, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(folder: Path, path: Path, old: Path) -> None:
    """Renames a folder to path, and what is there to old until that is done."""
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(folder, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from None
    shutil.rmtree(old, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Makes a folder and those on the way to it.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be made there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from None


def storage_error(path: Path, error: OSError) -> GcrnnError:
    """Returns the error to raise for a file that could not be written."""
    kind = WorkdirError if error.errno in _NOT_OURS else StorageError
    return kind(f"cannot write {path}: {error.strerror or error}")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder against other processes; its holder's death releases it.

    Where a file system has no locks (some cluster mounts), nothing is held.

    Raises:
        WorkdirError: Another process holds it; names the process and its machine.
    """
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise storage_error(path, error) from None
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another process"
            raise WorkdirError(f"{folder} is held by {holder}: wait for it") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise storage_error(path, error) from None
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
