"""Writes predictions to a folder; what is done there is left out next time."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.levels import Levels
from gcrnn_jax.audio.rejected import PARTIAL, Rejected
from gcrnn_jax.data.atomic_files import (
    locked,
    make_folder,
    storage_errors,
    write_atomically,
)
from gcrnn_jax.data.lists.event_tables import csv_text
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.prediction.decoding import expected_s, stream_decoded
from gcrnn_jax.prediction.ensemble import Ensemble
from gcrnn_jax.prediction.formats import (
    COMBINED,
    FORMATS,
    PER_RECORDING,
    Output,
    Record,
)
from gcrnn_jax.prediction.posteriors import CLIP, FRAME, RecordingPosteriors
from gcrnn_jax.prediction.recordings import Recording, Unreadable, list_recordings
from gcrnn_jax.progress import Progress

ERRORS = "errors.csv"
_READING = 2  # raise it when recordings are read in another way: all are done again
_MOST_READ = 0.99  # of a recording; the rest is computing and writing
_LONGEST_NAME = 240  # bytes; file systems take 255, of which `.tmp` needs some


def predict_recordings(
    ensemble: Ensemble,
    paths: Sequence[str],
    output: Path,
    formats: Sequence[str] = ("events", "tags"),
    *,
    strict: bool = False,
) -> list[Unreadable]:
    """Writes predictions for recordings to a folder, those left out that are done.

    Args:
        ensemble: One model or several; with attention, plots show it.
        paths: Of recordings, and of folders to search.
        output: The folder; made if it is not there, locked meanwhile.
        formats: Names in `gcrnn_jax.prediction.formats.FORMATS`.
        strict: Whether recordings that end early are refused. False: what is there of
            them is predicted, and they are marked in errors.csv.

    Returns:
        The recordings and folders that could not be read.

    Raises:
        ConfigError: A folder cannot be read, or there is no such format.
        DataError: There are no recordings, or none of them could be read.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process writes it.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        names = ", ".join(FORMATS)
        raise ConfigError(f"no format {', '.join(unknown)}; there are {names}")
    recordings, unreadable, passed_over = list_recordings(paths)
    if passed_over:
        total = passed_over.total()
        endings = ", ".join(ending or "no ending" for ending in sorted(passed_over))
        print(f"{total} file{'s'[: total > 1]} passed over: {endings}")
    total = len(recordings) + len(unreadable)
    results = Results(output, ensemble, formats, strict)
    make_folder(output)
    with locked(output):
        todo = [one for one in recordings if not results.is_done(one)]
        if num_done := len(recordings) - len(todo):
            print(f"{num_done} of {len(recordings)} recordings were done before")
        unreadable += _predict(ensemble, todo, results)
        failpoint("predict.tables")
        files = results.write_combined(recordings, unreadable)
    print(f"wrote {output}: {', '.join(files)}")
    if results.num_remarked:
        counts = f"{results.num_remarked} of {total} recordings with remarks"
        print(f"{counts}: {output / ERRORS}")
    if unreadable:
        counts = f"{len(unreadable)} of {total} recordings could not be read"
        print(f"{counts}: {output / ERRORS}")
    if len(unreadable) == total:
        path, code, detail = unreadable[0]
        raise DataError(f"no recording could be read, {path} first: {code}: {detail}")
    return unreadable


def _predict(
    ensemble: Ensemble, recordings: Sequence[Recording], results: "Results"
) -> list[Unreadable]:
    """Writes results one after the other; returns what could not be read."""
    unreadable, seconds, num_models = [], 0.0, len(ensemble.models)
    levels: dict[str, Levels] = {}
    # path -> share of the recording that the bar has
    counted: defaultdict[str, float] = defaultdict(float)

    def read(path: str, rate_hz: int) -> Iterator[np.ndarray]:
        nonlocal seconds
        length_s, levels[path] = None, Levels()
        for block in stream_decoded(path, rate_hz, levels[path]):
            length_s = length_s or expected_s(path)  # which may be hours
            seconds += len(block) / rate_hz
            share = len(block) / rate_hz / length_s / num_models
            share = min(share, _MOST_READ - counted[path])
            counted[path] += share
            bar.postfix(audio_minutes=seconds / 60)
            bar.update(share)
            yield block

    with Progress(label="predicting", unit="recordings", total=len(recordings)) as bar:
        # beside the results: a disk with room for them has room for posteriors
        outcomes = ensemble.posteriors(
            [partial(read, one.path) for one in recordings], results.folder
        )
        for recording, outcome in zip(recordings, outcomes, strict=True):
            remarks = levels.pop(recording.path).remarks()
            if isinstance(outcome, Rejected):
                unreadable.append(Unreadable(recording.path, *outcome.args))
            elif results.strict and outcome.fault:
                unreadable.append(Unreadable(recording.path, *outcome.fault.args))
            else:
                results.write(recording, outcome, remarks)
            bar.update(1 - counted.pop(recording.path, 0.0))
    return unreadable


class _Ledger(NamedTuple):
    """What an earlier command wrote of a recording, in `recordings/NAME.json`."""

    sizes: Mapping[str, int]  # format -> bytes of the recording's own file
    record: Record


class Results:
    """Files of recordings, each whole or absent.

    A recording is done when its ledger says that it was predicted by the same models
    and thresholds from the same file, by size and date.
    """

    def __init__(
        self, folder: Path, ensemble: Ensemble, formats: Sequence[str], strict: bool
    ):
        """Results of an ensemble in some of `FORMATS`; strict: of whole recordings."""
        self.strict, self.num_remarked = strict, 0
        self.folder, self._ensemble, self._formats = folder, ensemble, formats
        self._per_recording = [name for name in formats if name in PER_RECORDING]
        self._model_hash = ensemble.content_hash
        self._stamps: dict[str, tuple[int, int]] = {}  # of files: size, date in ns

    def is_done(self, recording: Recording) -> bool:
        """Whether the ledger holds and every file is there that needs posteriors."""
        needed = {n for n in self._per_recording if PER_RECORDING[n].needs_posteriors}
        ledger = self._read_ledger(recording)
        return ledger is not None and needed <= self._intact(recording, ledger)

    def write(
        self,
        recording: Recording,
        posteriors: RecordingPosteriors,
        remarks: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Writes the files of one recording, and last of all its ledger.

        Files that other models or thresholds left of it are removed first.
        """
        failpoint("predict.recording")
        ensemble, ledger = self._ensemble, self._read_ledger(recording)
        peak = posteriors.peak[CLIP].tolist()
        scores = dict(zip(ensemble.class_names, peak, strict=True))
        tags = ensemble.with_probability(ensemble.tags(posteriors), CLIP)
        events = ensemble.with_probability(ensemble.events(posteriors), FRAME)
        fault = posteriors.fault
        remarks = [*([fault.args] if fault else []), *remarks]
        length_s, is_whole = posteriors.duration_s, fault is None
        name = recording.name
        record = Record(name, length_s, scores, tags, events, is_whole, remarks)
        if ledger is None:
            self._remove(recording)
        self._write_files(Output(recording, record, ensemble, posteriors), ledger)

    def write_combined(
        self, recordings: Sequence[Recording], unreadable: Sequence[Unreadable]
    ) -> list[str]:
        """Writes the files of all recordings that are done, and errors.csv.

        In that, the outcome of a row is "refused", "incomplete" or "warning".

        Those that an earlier command left are written anew, wanted or not: all files
        in the folder are of the same recordings and models.

        Returns:
            The names of the files and folders that are in the folder now.
        """
        for recording, ledger in self._ledgers(recordings):
            if not self._intact(recording, ledger).issuperset(self._per_recording):
                output = Output(recording, ledger.record, self._ensemble, None)
                self._write_files(output, ledger)
        combined = {
            file: content
            for name, files in COMBINED.items()
            for file, content in files.items()
            if name in self._formats or (self.folder / file).exists()
        }
        for file, content in combined.items():
            records = (ledger.record for _, ledger in self._ledgers(recordings))
            _write(self.folder / file, content(records))
        rows = [(*Unreadable._fields, "outcome")]
        rows += [(*row, "refused") for row in unreadable]
        for recording, ledger in self._ledgers(recordings):
            self.num_remarked += bool(ledger.record.remarks)
            for code, detail in ledger.record.remarks:
                outcome = "incomplete" if code in PARTIAL else "warning"
                rows.append((recording.path, code, detail, outcome))
        _write(self.folder / ERRORS, [csv_text(rows)])
        folders = [f"{PER_RECORDING[name].folder}/" for name in self._per_recording]
        return [*combined, *folders, ERRORS]

    def _write_files(self, output: Output, ledger: _Ledger | None) -> None:
        """Writes a recording's own files; `ledger` is the one before, if it holds."""
        recording = output.recording
        names = self._intact(recording, ledger) if ledger else set()
        for name in self._per_recording:
            if output.posteriors or not PER_RECORDING[name].needs_posteriors:
                content = PER_RECORDING[name].content(output)
                _write(self._path(recording, name), content)
                names.add(name)
        failpoint("predict.ledger")
        content = {
            **self._stamp(recording),
            "formats": {name: self._size(recording, name) for name in sorted(names)},
            "record": vars(output.record),
        }
        _write(self._path(recording), [json.dumps(content)])

    def _intact(self, recording: Recording, ledger: _Ledger) -> set[str]:
        """The formats whose file of a recording has the size that was written."""
        sizes = ledger.sizes.items()
        return {name for name, size in sizes if self._size(recording, name) == size}

    def _size(self, recording: Recording, name: str) -> int:
        try:
            return self._path(recording, name).stat().st_size
        except OSError:
            return -1

    def _remove(self, recording: Recording) -> None:
        """Removes a recording's own files, the ledger first, which vouches for them."""
        for name in (None, *PER_RECORDING):
            path = self._path(recording, name)
            with storage_errors(path):
                path.unlink(missing_ok=True)

    def _ledgers(
        self, recordings: Iterable[Recording]
    ) -> Iterator[tuple[Recording, _Ledger]]:
        for recording in recordings:
            if ledger := self._read_ledger(recording):
                yield recording, ledger

    def _read_ledger(self, recording: Recording) -> _Ledger | None:
        """The ledger of an earlier command; None: there is none that still holds."""
        try:
            stamp = self._stamp(recording)
            content = json.loads(self._path(recording).read_text())
            ledger = _Ledger(content["formats"], Record(**content["record"]))
            is_same = stamp.items() <= content.items()
            is_readable = ledger.sizes.keys() <= PER_RECORDING.keys()
            is_readable = is_readable and (ledger.record.complete or not self.strict)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # not there, damaged, or the recording is gone
        return ledger if is_same and is_readable else None

    def _stamp(self, recording: Recording) -> dict[str, Any]:
        """What results depend on; of the file as it was when first asked about."""
        if recording.name not in self._stamps:  # before it is read, or it may change
            status = os.stat(recording.path)
            self._stamps[recording.name] = status.st_size, status.st_mtime_ns
        size, modified_ns = self._stamps[recording.name]
        about = {"system": self._model_hash, "reading": _READING}
        return {**about, "size": size, "modified_ns": modified_ns}

    def _path(self, recording: Recording, name: str | None = None) -> Path:
        """Of the recording's own file in a format; None: of its ledger."""
        folder, ending = PER_RECORDING[name][:2] if name else ("recordings", ".json")
        place, stem = os.path.split(recording.name)
        encoded = os.fsencode(stem)
        if len(encoded) + len(ending) > _LONGEST_NAME:
            name_hash = hashlib.sha256(encoded).hexdigest()[:16]
            stem = os.fsdecode(encoded[: _LONGEST_NAME - 32]) + name_hash
        return self.folder / folder / place / f"{stem}{ending}"


def _write(path: Path, parts: Iterable[str | bytes]) -> None:
    def encode(part: str | bytes) -> bytes:
        is_text = isinstance(part, str)
        return part.encode(errors="surrogateescape") if is_text else part

    make_folder(path.parent)
    write_atomically(path, map(encode, parts))
