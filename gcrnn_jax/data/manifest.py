"""What was written is what is read: SHA-256 of files, and of JSON objects in them.

A folder's manifest, FOLDER/manifest.json, is written last. It and every other sealed
JSON object hold their own SHA-256, of the object without it, so that damage to them is
noticed too. Folders and objects of version 0.2.0 and before have none.
"""

import contextlib
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gcrnn_jax.data.atomic_files import cache_folder, read_json, write_atomically
from gcrnn_jax.errors import DataError
from gcrnn_jax.machine import num_cores

MANIFEST = "manifest.json"
OWN_HASH = "own_sha256"
_MAX_FILES = 100_000  # of a folder; an endless one would be walked for days
_MAX_BYTES = 64 << 20  # of a manifest
_BAD = "damaged "  # before the line of a file that is


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its own SHA-256, which `unseal` checks."""
    return {**content, OWN_HASH: _hash_object(content)}


def write_sealed(
    path: Path,
    content: Mapping[str, Any],
    indent: int | None = 1,
    *,
    shared: bool = False,
) -> None:
    """Writes a JSON object with its own SHA-256, as `write_atomically` does.

    Raises:
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    text = json.dumps(seal(content), indent=indent) + "\n"
    write_atomically(path, [text.encode()], shared=shared)


def unseal(content: Mapping[str, Any], where: object) -> dict[str, Any]:
    """A JSON object without its SHA-256; one that never had any as it is.

    Raises:
        DataError: It is not what was sealed.
    """
    content = dict(content)
    expected = content.pop(OWN_HASH, None)
    if expected is not None and expected != _hash_object(content):
        raise DataError(
            f"{where}: damaged or edited: its content has another SHA-256 than it "
            f"says (without the field {OWN_HASH!r} it is read unchecked)"
        )
    return content


def _hash_object(content: Mapping[str, Any]) -> str:
    # as it is read back: keys are texts then, and tuples lists
    return hash_json(json.loads(json.dumps(content)), sort_keys=True)


def hash_json(content: Any, *, sort_keys: bool = False) -> str:
    """SHA-256 of plain values, as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=sort_keys).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def regular_files(folder: Path) -> Iterator[str]:
    """Yields the files in a folder and those below, as paths relative to it, sorted.

    Raises:
        DataError: Something is neither a file nor a folder, is a link out of it, or
            cannot be read.
    """
    root, waiting, count = folder.resolve(), [""], 0
    try:
        while waiting:
            below = waiting.pop()
            for entry in sorted(os.scandir(folder / below), key=lambda one: one.name):
                count += 1
                name, path = os.path.join(below, entry.name), Path(entry.path)
                mode = entry.stat().st_mode  # of what a link points to
                if not path.resolve().is_relative_to(root):
                    raise DataError(f"{path}: a link out of {folder}")
                if count > _MAX_FILES:
                    raise DataError(f"{folder}: more than {_MAX_FILES} files")
                if stat.S_ISDIR(mode) and not entry.is_symlink():
                    waiting.append(name)
                elif stat.S_ISREG(mode):
                    yield name
                else:
                    raise DataError(f"{path}: expected a file or a folder")
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None


def write_manifest(folder: Path) -> None:
    """Writes the size and the SHA-256 of every file in a folder that is finished.

    Raises:
        DataError: A file cannot be read.
        StorageError: The disk is full or fails.
        WorkdirError: It cannot be written there.
    """
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": hash_file(path)}
        for name in regular_files(folder)
        if (path := folder / name) and name != MANIFEST
    }
    write_sealed(folder / MANIFEST, {"files": files})


def verify_manifest(folder: Path) -> bool:
    """Compares the files in a folder with its manifest.

    Returns:
        False if it has none, which is as earlier versions wrote it.

    Raises:
        DataError: A file, or the manifest, is missing or not as it was written; names
            it. More files do no harm.
    """
    path, found = folder / MANIFEST, {*regular_files(folder)}
    if MANIFEST not in found:
        if os.path.lexists(path):
            raise DataError(f"{path}: expected a file")
        return False
    content = read_json(path, max_bytes=_MAX_BYTES)
    if OWN_HASH not in content:
        raise DataError(f"{path}: damaged manifest: it has no {OWN_HASH}")
    files = unseal(content, path).get("files")
    if not isinstance(files, dict):
        raise DataError(f"{path}: expected a list of files")
    for name, entry in files.items():
        if name not in found:
            raise DataError(f"{folder / name}: missing: {path} lists it")
        check_file(folder / name, entry)
    return True


def check_file(path: Path, entry: Mapping[str, Any]) -> None:
    """Compares a file with its entry, "bytes" and "sha256", of a list of files.

    Raises:
        DataError: It is missing or another.
    """
    check_size(path, entry)
    if hash_file(path) != entry["sha256"]:
        raise DataError(f"{path}: damaged: its SHA-256 is not that it was written with")


def check_size(path: Path, entry: Mapping[str, Any]) -> os.stat_result:
    """Compares the size of a file with its entry; returns what `stat` says.

    Raises:
        DataError: It is missing, no regular file, or has another size.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if status.st_size != entry["bytes"] or not stat.S_ISREG(status.st_mode):
        size, expected = status.st_size, entry["bytes"]
        raise DataError(f"{path}: damaged: {size} bytes, {expected} were written")
    return status


class Verifier:
    """Compares files of a folder with what a list says of them, each before it is used.

    The user's cache keeps a line for each file that was found whole, of its size, times
    and inode, so that it is hashed once; where it cannot be written, each process does.
    A file that was found damaged has a line too: `damaged` names it to who opens the
    folder next.
    """

    def __init__(self, folder: Path, files: Mapping[str, Mapping[str, Any]]):
        """Compares sizes; `files` is path in the folder -> "bytes" and "sha256".

        Raises:
            DataError: A file is missing or has another size; names it.
        """
        self.folder, self._files = folder, files
        self._lock = threading.Lock()
        self._lines = {name: self._line(name) for name in files}
        self._known, self._memory = set[str](), None
        if cache := cache_folder():
            place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
            self._memory = cache / "verified" / f"{place[:16]}.txt"
        self._recall()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}

    @property
    def damaged(self) -> list[str]:
        """Files that were found damaged and have not changed since."""
        return [
            name for name, line in self._lines.items() if _BAD + line in self._known
        ]

    def verify(self, names: Iterable[str]) -> None:
        """Hashes files that have not been found whole as they are.

        Raises:
            DataError: A file is another; names the first.
        """
        with self._lock:
            if pending := self._pending(names):
                self._recall()  # other processes verify as well
                pending = self._pending(pending)
            with ThreadPoolExecutor(min(8, num_cores())) as pool:
                results = zip(pending, pool.map(self._fault, pending), strict=True)
                faults = {name: fault for name, fault in results}
            self._remember(
                _BAD * (fault is not None) + self._lines[name]
                for name, fault in faults.items()
            )
            for fault in filter(None, faults.values()):
                raise fault

    def _pending(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self._lines[name] not in self._known]

    def _line(self, name: str) -> str:
        entry = self._files[name]
        status = check_size(self.folder / name, entry)
        state = [status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size]
        return hash_json([name, entry["sha256"], *state])

    def _fault(self, name: str) -> DataError | None:
        try:
            check_file(self.folder / name, self._files[name])
        except DataError as error:
            return error
        return None

    def _recall(self) -> None:
        if self._memory is not None:
            with contextlib.suppress(OSError):  # nothing yet
                self._known.update(self._memory.read_text(errors="replace").split("\n"))

    def _remember(self, lines: Iterable[str]) -> None:
        """Appends lines, in one piece, as other processes may do meanwhile."""
        if not (lines := [*lines]):
            return
        self._known.update(lines)
        if self._memory is not None:
            with contextlib.suppress(OSError):  # a disk that is full, or not ours
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                with self._memory.open("a") as file:
                    file.write("".join(f"{line}\n" for line in lines))
