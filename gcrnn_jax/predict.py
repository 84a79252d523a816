r"""Finds the sounds in any recordings: tags and events, by one model or several fused.

    python -m gcrnn_jax.predict runs/sed recording.mp3 --output found
    python -m gcrnn_jax.predict runs/sed FOLDER --output found --formats events,audacity

Recordings have any format and length, 4 to 384 kHz and up to 32 channels; folders are
searched whole. What cannot be read is listed in errors.csv, and the rest is done. The
same command again continues: it does only what is new. The tables are of the recordings
and models of the last command; they are written when all is done. From Python:

    from gcrnn_jax.predict import load_model
    found = load_model("runs/sed").predict(waveform, rate_hz)
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.errors import ConfigError, DataError, exit_at_signals, run_command

if TYPE_CHECKING:
    import numpy as np

    from gcrnn_jax.prediction.recognizer import Recognizer
    from gcrnn_jax.prediction.recordings import NamedRecording
    from gcrnn_jax.prediction.results import Results

EXAMPLES = """\
examples:
  python -m gcrnn_jax.predict runs/sed/averaged street.wav --output found
  python -m gcrnn_jax.predict runs/log_mel recordings --fuse runs/mfcc --output found
  python -m gcrnn_jax.predict runs/sed recordings --output found \\
      --formats events,tags,jsonl,dcase,audacity,raven,scores
  python -m gcrnn_jax.predict runs/sed recordings --output found --event_threshold 0.7
  python -m gcrnn_jax.predict runs/sed ./-name.wav --output found

formats:
  events    events.csv: filename,onset,offset,event_label,score; times in seconds
  tags      tags.csv: the classes that are in each recording, the same columns
  jsonl     recordings.jsonl: a line a recording, with the score of every class
  dcase     dcase/events.txt, dcase/tags.txt: lists as DCASE has them
  audacity  audacity/NAME.txt: label tracks
  raven     raven/NAME.selections.txt: selection tables
  scores    scores/NAME.tsv: the posteriors of every frame
  plot      plots/NAME.png: what was heard and found, as a picture; --plot does the same
"""

BATCH_SIZE = 8


def load_model(
    *paths: str | Path, batch_size: int = BATCH_SIZE, with_attention: bool = False
) -> "Recognizer":
    """Loads a trained model, or several that are fused, for waveforms.

    Args:
        paths: Each a run's folder (its averaged model, or the newest epoch where there
            is none yet), an averaged or exported model, or a checkpoint of an epoch.
        batch_size: Windows to compute at once. It changes speed and memory only.
        with_attention: Whether predictions have the attention over time too, which
            exported models do not have.

    Returns:
        A `Recognizer`, whose `predict(waveform, rate_hz)` gives tags and events.

    Raises:
        DataError: There is no model at a path, or the models differ in their classes.
    """
    from gcrnn_jax.prediction.recognizer import load_recognizer

    return load_recognizer(
        [Path(path) for path in paths], batch_size, with_attention=with_attention
    )


def predict_recordings(
    recognizer: "Recognizer",
    recordings: Sequence[str],
    output: Path,
    formats: Sequence[str] = ("events", "tags"),
) -> list[tuple[str, str, str]]:
    """Writes what is in recordings to a folder, those left out that are done there.

    Args:
        recognizer: As `load_model` returns it.
        recordings: Paths of files, and of folders to search.
        output: The folder; made if it is not there, locked meanwhile.
        formats: Names in `gcrnn_jax.prediction.formats.FORMATS`.

    Returns:
        Path, code and detail of the recordings that could not be read.

    Raises:
        ConfigError: A folder cannot be read, or there is no such format.
        DataError: There are no recordings, or none of them could be read.
        StorageError: The disk is full or fails.
        WorkdirError: The output cannot be written, or another process writes it.
    """
    from gcrnn_jax.data.atomic_files import locked, make_folder
    from gcrnn_jax.prediction.formats import FORMATS
    from gcrnn_jax.prediction.recordings import find_recordings
    from gcrnn_jax.prediction.results import Results

    if unknown := [name for name in formats if name not in FORMATS]:
        names = ", ".join(FORMATS)
        raise ConfigError(f"no format {', '.join(unknown)}; there are {names}")
    found, errors = find_recordings(recordings)
    total = len(found) + len(errors)
    max_hz = max(model.front_end.max_hz for model in recognizer.models)
    results = Results(output, recognizer.digest, formats, max_hz=max_hz)
    make_folder(output)
    with locked(output):
        todo = [recording for recording in found if not results.is_done(recording)]
        if len(todo) < len(found):
            done = len(found) - len(todo)
            print(f"{done} of {len(found)} recordings were done before")
        errors += _predict(recognizer, todo, results, is_drawn="plot" in formats)
        written = results.write_combined(found, errors)
    print(f"wrote {output}: {', '.join(written)}")
    if errors:
        counts = f"{len(errors)} of {total} recordings could not be read"
        print(f"{counts}: {output / 'errors.csv'}")
    if len(errors) == total:
        path, code, detail = errors[0]
        raise DataError(f"no recording could be read, {path} first: {code}: {detail}")
    return errors


def _predict(
    recognizer: "Recognizer",
    recordings: Sequence["NamedRecording"],
    results: "Results",
    *,
    is_drawn: bool,
) -> list[tuple[str, str, str]]:
    """Writes results one after the other; returns what could not be read, and why."""
    from gcrnn_jax.audio.decode import Rejected, stream_waveform
    from gcrnn_jax.prediction.formats import make_record
    from gcrnn_jax.prediction.plot import picture_of
    from gcrnn_jax.progress import progress

    errors, seconds = [], 0.0

    def read(path: str, rate_hz: int) -> Iterator["np.ndarray"]:
        nonlocal seconds
        for block in stream_waveform(path, rate_hz):
            seconds += len(block) / rate_hz
            shown.postfix(audio_minutes=seconds / 60)
            shown.update(0)  # one recording may last for hours
            yield block

    with progress(
        label="predicting", unit="recordings", total=len(recordings)
    ) as shown:
        tracks = recognizer.tracks([partial(read, one.path) for one in recordings])
        for recording, track in zip(recordings, tracks, strict=True):
            if isinstance(track, Rejected):
                errors.append((recording.path, track.code, track.detail))
            else:
                tags, events = recognizer.tags(track), recognizer.events(track)
                names, name = recognizer.class_names, recording.name
                picture = None
                if is_drawn:
                    again = partial(stream_waveform, recording.path)
                    picture = picture_of(recognizer, again, track, events, name)
                record = make_record(name, track, tags, events, names)
                results.write(recording, record, track, names, picture)
            shown.update()
    return errors


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    names = [name.strip() for name in flags.formats.split(",")]
    formats = list(dict.fromkeys([*names, *["plot"] * flags.plot]))
    if flags.batch_size < 1:
        raise ConfigError(f"--batch_size: expected 1 or more, got {flags.batch_size}")
    restart_tuned()
    exit_at_signals()
    from gcrnn_jax import system

    system.configure_jax(flags.batch_size)
    paths = [flags.model, *flags.fuse]
    is_drawn = "plot" in formats
    recognizer = load_model(
        *paths, batch_size=flags.batch_size, with_attention=is_drawn
    )
    recognizer = recognizer.with_thresholds(
        tag_threshold=flags.tag_threshold, event_threshold=flags.event_threshold
    )
    recordings = [os.fspath(path) for path in flags.recordings]
    predict_recordings(recognizer, recordings, flags.output, formats)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.predict",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="a run's folder, an averaged or exported model, or a checkpoint",
    )
    parser.add_argument(
        "recordings", nargs="+", metavar="RECORDING", help="a recording or a folder"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to"
    )
    parser.add_argument(
        "--fuse",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="a further model, whose posteriors are averaged in; may be repeated",
    )
    parser.add_argument(
        "--formats", default="events,tags", help="see below; default: events,tags"
    )
    parser.add_argument(
        "--plot", action="store_true", help="also draw every recording, a PNG each"
    )
    for what in ("tag", "event"):
        parser.add_argument(
            f"--{what}_threshold",
            type=float,
            metavar="X",
            help=f"of all classes, instead of the model's own, for {what}s",
        )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=BATCH_SIZE,
        help=f"windows to compute at once; default: {BATCH_SIZE}",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
