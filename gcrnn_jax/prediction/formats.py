r"""The formats that predictions are written in.

  events    events.csv: filename,onset,offset,event_label,score,probability; times in
            seconds; as results of a run have it (`event_tables`); probability: of a
            frame with this score being right, calibrated on labelled clips; empty where
            the model's card has none, or for several models
  tags      tags.csv: the classes that are in each recording, the same columns; a
            recording that no class passes has none, though in scores of the task, whose
            clips all have a label, a clip has at least one (`at_least_one_tag`)
  jsonl     recordings.jsonl: a line a recording, with the score of every class,
            whether it is `complete`, and remarks
  dcase     dcase/events.txt, dcase/tags.txt: lists as DCASE has them
  audacity  audacity/NAME.txt: label tracks
  raven     raven/NAME.selections.txt: selection tables
  scores    scores/NAME.tsv: the posteriors of every frame, as sed_scores_eval reads
  plot      plots/NAME.png: spectrogram, posteriors and events; --plot does the same

A name is exactly that of the file: CSV quotes what it must; in lists that cannot, a
tab, a line end and a backslash are written as \t, \n, \r and \\.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.frames import stream_log_mel
from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.data.lists.event_tables import EVENT_COLUMNS, csv_text, event_cells
from gcrnn_jax.prediction.ensemble import Ensemble
from gcrnn_jax.prediction.posteriors import ATTENTION, FRAME, RecordingPosteriors
from gcrnn_jax.prediction.recordings import Recording
from gcrnn_jax.prediction.stream import until_fault
from gcrnn_jax.report.picture import draw, picture_png

MAX_COLUMNS = 4000  # of a picture; more do not show, and hours would not fit
_RAVEN_HEADER = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t"
    "High Freq (Hz)\tAnnotation\tScore\n"
)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Record:
    """Prediction for one recording in plain values, as JSON keeps them.

    Attributes:
        filename: The recording's name.
        duration_s: Its length.
        scores: Maximum of the clip posteriors by class name.
        tags: Onset, offset, event_label, score and probability, by falling score.
        events: The same of events, by onset.
        complete: Whether the recording was read to its end; if not, all is of what
            comes before.
        remarks: Code and detail of what is odd: why it is not complete, its levels.
    """

    filename: str
    duration_s: float
    scores: Mapping[str, float]
    tags: Sequence[Sequence[Any]]
    events: Sequence[Sequence[Any]]
    complete: bool = True
    remarks: Sequence[Sequence[str]] = ()


class Output(NamedTuple):
    """What the file of one recording is made of; posteriors only if predicted now."""

    recording: Recording
    record: Record
    ensemble: Ensemble
    posteriors: RecordingPosteriors | None


class RecordingFormat(NamedTuple):
    """A format with a file for each recording: `folder`/NAME`ending`.

    `content` gives the file in parts, of str or bytes. A format that needs posteriors
    cannot be made from a record of an earlier command.
    """

    folder: str
    ending: str
    content: Callable[[Output], Iterable[str | bytes]]
    needs_posteriors: bool = False


def csv_table(kind: str, records: Iterable[Record]) -> Iterator[str]:
    """CSV of the "tags" or the "events" of records."""
    yield csv_text([EVENT_COLUMNS])
    for record in records:
        rows = getattr(record, kind)
        yield csv_text(event_cells(record.filename, row) for row in rows)


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """A JSON object a line."""
    yield from (json.dumps(vars(record)) + "\n" for record in records)


def dcase_list(kind: str, records: Iterable[Record]) -> Iterator[str]:
    """A DCASE list of "tags" or "events"; a recording without any is its name alone."""
    for record in records:
        name = record.filename.translate(_ESCAPES)
        lines = [
            f"{name}\t{on:.3f}\t{off:.3f}\t{label.translate(_ESCAPES)}\n"
            for on, off, label, *_ in getattr(record, kind)
        ]
        yield "".join(lines) or f"{name}\n"


def audacity_labels(output: Output) -> Iterator[str]:
    """A label track: onset, offset and the class with its score, tab-separated.

    Source: the manual of Audacity.
    """
    for on, off, label, score, *_ in output.record.events:
        yield f"{on:.6f}\t{off:.6f}\t{label.translate(_ESCAPES)} {score:.2f}\n"


def raven_selections(output: Output) -> Iterator[str]:
    """A selection table, each event a box from 0 Hz to the features' highest.

    Source: the manual of Raven Pro.
    """
    max_hz = max(model.front_end.max_hz for model in output.ensemble.models)
    yield _RAVEN_HEADER
    for number, (on, off, label, score, *_) in enumerate(output.record.events, start=1):
        place = f"{number}\tSpectrogram 1\t1\t{on:.6f}\t{off:.6f}\t0.0\t{max_hz:.1f}"
        yield f"{place}\t{label.translate(_ESCAPES)}\t{score:.4f}\n"


def score_table(output: Output) -> Iterator[str]:
    """Onset, offset and the posteriors of every frame, which tile the recording."""
    assert output.posteriors
    names = "\t".join(n.translate(_ESCAPES) for n in output.posteriors.class_names)
    yield f"onset\toffset\t{names}\n"
    number, hop_s = 0, output.posteriors.hop_s
    for block in output.posteriors.blocks():
        for row in block[:, FRAME]:
            scores = "\t".join(f"{score:.6f}" for score in row)
            yield f"{number * hop_s:.6f}\t{(number + 1) * hop_s:.6f}\t{scores}\n"
            number += 1


def picture(output: Output) -> list[bytes]:
    """A PNG: spectrogram, frame posteriors, attention and detected events.

    The spectrogram is that of the first model; the recording is read once more for it.
    A long recording is drawn in columns of several frames: their mean in the
    spectrogram, the maximum of posteriors and attention.
    """
    posteriors, ensemble = output.posteriors, output.ensemble
    assert posteriors
    front_end = ensemble.models[0].front_end
    hop_s = front_end.hop_length / front_end.sample_rate_hz  # of log-mel frames
    waveform = until_fault(
        stream_waveform(output.recording.path, front_end.sample_rate_hz),
        front_end.min_length,
        [],
    )
    num_frames = max(1, round(posteriors.duration_s / hop_s))
    mels_merged = -(-num_frames // MAX_COLUMNS)
    mels = columns(stream_log_mel(waveform, front_end), mels_merged, np.mean)
    merged = -(-posteriors.num_frames // MAX_COLUMNS)
    values = columns(posteriors.blocks(), merged, np.max)
    figure = draw(
        mels,
        ensemble.class_names,
        values[:, FRAME],
        posteriors.hop_s * merged,
        [Event(*row[:3]) for row in output.record.events],
        thresholds=ensemble.postprocessing.event_threshold,
        attention=values[:, ATTENTION] if values.shape[1] > ATTENTION else None,
        feature_hop_s=hop_s * mels_merged,
        title=output.recording.name,
    )
    return [picture_png(figure)]


def columns(
    blocks: Iterable[np.ndarray], merged: int, merge: Callable[..., np.ndarray]
) -> np.ndarray:
    """Merges every so many frames of blocks [n, ...] into one, fewer at the end.

    Example:
        >>> blocks = [np.arange(3.0)[:, None], np.arange(3.0, 5.0)[:, None]]
        >>> columns(blocks, 2, np.mean).ravel().tolist()
        [0.5, 2.5, 4.0]
    """
    rest, parts = None, []
    for block in blocks:
        rest = block if rest is None else np.concatenate([rest, block])
        whole = len(rest) // merged * merged
        parts.append(merge(rest[:whole].reshape(-1, merged, *rest.shape[1:]), axis=1))
        rest = rest[whole:]
    if rest is not None and len(rest):
        parts.append(merge(rest, axis=0, keepdims=True))
    return np.concatenate(parts)


# Files of all recordings: path -> the text of records, a record at a time.
COMBINED: dict[str, dict[str, Callable[[Iterable[Record]], Iterator[str]]]] = {
    "events": {"events.csv": partial(csv_table, "events")},
    "tags": {"tags.csv": partial(csv_table, "tags")},
    "jsonl": {"recordings.jsonl": json_lines},
    "dcase": {
        "dcase/events.txt": partial(dcase_list, "events"),
        "dcase/tags.txt": partial(dcase_list, "tags"),
    },
}
PER_RECORDING = {
    "audacity": RecordingFormat("audacity", ".txt", audacity_labels),
    "raven": RecordingFormat("raven", ".selections.txt", raven_selections),
    "scores": RecordingFormat("scores", ".tsv", score_table, needs_posteriors=True),
    "plot": RecordingFormat("plots", ".png", picture, needs_posteriors=True),
}
FORMATS = (*COMBINED, *PER_RECORDING)
