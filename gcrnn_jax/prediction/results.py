"""The folder that predictions are written to, a recording at a time."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcrnn_jax.data.atomic_files import make_folder, storage_error, write_atomically
from gcrnn_jax.prediction import formats
from gcrnn_jax.prediction.formats import Record
from gcrnn_jax.prediction.recordings import NamedRecording
from gcrnn_jax.prediction.track import Track
from gcrnn_jax.report.picture import save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERRORS = "errors.csv"
_LONGEST_NAME = 240  # bytes; file systems take 255, of which `.tmp` needs some


class Results:
    """Results of recordings: whole or not there, and known again by a second run.

    A recording is done when its record, `recordings/NAME.json`, says that it was made
    by the same system of the same file, by size and date.
    """

    def __init__(
        self, folder: Path, system: str, wanted: Sequence[str], *, max_hz: float
    ):
        """Results in the formats that are wanted.

        Args:
            folder: Where to.
            system: A digest of all that makes the results: models, thresholds.
            wanted: Some of `FORMATS`.
            max_hz: The highest frequency that the system hears.
        """
        self.folder, self._system, self._wanted = folder, system, wanted
        self._max_hz = max_hz
        self._stamps: dict[str, dict[str, Any]] = {}

    def is_done(self, recording: NamedRecording) -> bool:
        """Whether all is there that only the posteriors could give."""
        found = self._find(recording)
        if found is None:
            return False
        needed = set(formats.OF_POSTERIORS) & set(self._wanted)
        return needed <= self._whole(recording, found)

    def write(
        self,
        recording: NamedRecording,
        record: Record,
        track: Track,
        class_names: Sequence[str],
        picture: "Figure | None" = None,
    ) -> None:
        """Writes what is wanted of a recording, and last of all its record.

        What another system made of it goes first.

        Args:
            recording: Its name and file.
            record: What was found in it.
            track: Its posteriors.
            class_names: K.
            picture: To be kept where plots are wanted.

        Raises:
            StorageError: The disk is full or fails.
            WorkdirError: The folder cannot be written.
        """
        known = self._find(recording)
        if known is None:
            self._forget(recording)
        if "scores" in self._wanted:
            table = formats.score_table(track, class_names)
            self._write_text(self._path(recording, *formats.OF_EACH["scores"]), table)
        if picture is not None:
            save_picture(picture, self._path(recording, *formats.OF_EACH["plot"]))
        self._write_labels(recording, record)
        self._mark(recording, record, known)

    def write_combined(
        self, recordings: Iterable[NamedRecording], errors: Sequence[Sequence[str]]
    ) -> list[str]:
        """Writes the files of all recordings that are done, and errors.csv.

        Those that an earlier command left are written anew, wanted or not: all files
        in the folder are of the same recordings and system.

        Args:
            recordings: In the order that the files are to have.
            errors: Path, code and detail of those that could not be read.

        Returns:
            The names of the files and folders that are in the folder now.
        """
        done = [one for one in recordings if self._find(one) is not None]
        for recording in done:
            found = self._found(recording)
            whole = self._whole(recording, found)
            if not set(self._wanted) <= {*whole, *formats.COMBINED}:
                self._write_labels(recording, found["record"])
                self._mark(recording, found["record"], found)
        files = [
            file
            for name, files in formats.COMBINED.items()
            for file in files
            if name in self._wanted or (self.folder / file).exists()
        ]
        for file in files:
            records = (self._found(recording)["record"] for recording in done)
            self._write_text(self.folder / file, formats.combined_text(file, records))
        rows = [("path", "code", "detail"), *errors]
        self._write_text(self.folder / ERRORS, [formats.csv_text(rows)])
        folders = [formats.OF_EACH[n][0] for n in self._wanted if n in formats.OF_EACH]
        return [*files, *(f"{folder}/" for folder in folders), ERRORS]

    def _write_labels(self, recording: NamedRecording, record: Record) -> None:
        """Writes those of a recording's own files that its record is enough for."""
        if "audacity" in self._wanted:
            path = self._path(recording, *formats.OF_EACH["audacity"])
            self._write_text(path, [formats.audacity_labels(record)])
        if "raven" in self._wanted:
            path = self._path(recording, *formats.OF_EACH["raven"])
            self._write_text(path, [formats.raven_selections(record, self._max_hz)])

    def _mark(
        self,
        recording: NamedRecording,
        record: Record,
        known: Mapping[str, Any] | None,
    ) -> None:
        """Writes the record; `known` is the one before it, if that is still true."""
        names = set(self._wanted) & set(formats.OF_EACH)
        names |= self._whole(recording, known) if known else set()
        content = {
            **self._made_of(recording),
            "formats": {name: self._size(recording, name) for name in sorted(names)},
            "record": record,
        }
        self._write_text(self._record_path(recording), [json.dumps(content)])

    def _whole(self, recording: NamedRecording, found: Mapping[str, Any]) -> set[str]:
        """The formats in which a recording's own files are there as they were left."""
        sizes = found["formats"].items()
        return {name for name, size in sizes if self._size(recording, name) == size}

    def _size(self, recording: NamedRecording, name: str) -> int | None:
        try:
            return self._path(recording, *formats.OF_EACH[name]).stat().st_size
        except OSError:
            return None

    def _forget(self, recording: NamedRecording) -> None:
        """Removes a recording's own files, the record first, which vouches for them."""
        files = (self._path(recording, *place) for place in formats.OF_EACH.values())
        for path in (self._record_path(recording), *files):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(path, error) from None

    def _find(self, recording: NamedRecording) -> Mapping[str, Any] | None:
        """What was written of a recording, if it is still what would be now."""
        try:
            made_of = self._made_of(recording)
            found = json.loads(self._record_path(recording).read_text())
            is_same = {name: found[name] for name in made_of} == made_of
            is_whole = set(formats.RECORD_FIELDS) <= set(found["record"])
            is_whole &= found["formats"].keys() <= formats.OF_EACH.keys()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # not there, damaged, or the recording is gone
        return found if is_same and is_whole else None

    def _found(self, recording: NamedRecording) -> Mapping[str, Any]:
        return json.loads(self._record_path(recording).read_text())

    def _made_of(self, recording: NamedRecording) -> dict[str, Any]:
        """What results depend on; of the file as it was when first asked about."""
        if recording.name not in self._stamps:  # before it is read, or it may change
            status = os.stat(recording.path)
            self._stamps[recording.name] = {
                "system": self._system,
                "size": status.st_size,
                "modified_ns": status.st_mtime_ns,
            }
        return self._stamps[recording.name]

    def _record_path(self, recording: NamedRecording) -> Path:
        return self._path(recording, "recordings", ".json")

    def _path(self, recording: NamedRecording, folder: str, ending: str) -> Path:
        """Where a file of a recording's own lies: its name and an ending."""
        place, name = os.path.split(recording.name)
        encoded = os.fsencode(name)
        if len(encoded) + len(ending) > _LONGEST_NAME:
            digest = hashlib.sha256(encoded).hexdigest()[:16]
            name = os.fsdecode(encoded[: _LONGEST_NAME - 32]) + digest
        return self.folder / folder / place / f"{name}{ending}"

    def _write_text(self, path: Path, parts: Iterable[str]) -> None:
        make_folder(path.parent)
        write_atomically(
            path, (part.encode(errors="surrogateescape") for part in parts)
        )
