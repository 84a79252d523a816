r"""What was found in a recording, in the formats of other tools.

    events.csv, tags.csv       filename,onset,offset,event_label,score
    recordings.jsonl           a JSON object a recording, with the score of every class
    dcase/events.txt, tags.txt lists as DCASE has them, tab-separated
    audacity/NAME.txt          a label track of Audacity
    raven/NAME.selections.txt  a selection table of Raven
    scores/NAME.tsv            the posteriors of every frame, as sed_scores_eval reads
    plots/NAME.png             spectrogram, posteriors, attention and events

Times are seconds. A name is exactly that of the file: CSV quotes what it must. In lists
that cannot, a tab, a line end and a backslash are written as \t, \n, \r and \\.

Source: dcase.community for the lists; the manuals of Audacity and of Raven Pro;
sed_scores_eval for the score tables.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gcrnn_jax.prediction.track import FRAME, Found, Track

# One recording: its filename, duration_s, the scores of all classes, and of its tags
# and events [onset, offset, event_label, score]. Plain values, as JSON keeps them.
Record = Mapping[str, Any]

COMBINED = {
    "events": ("events.csv",),
    "tags": ("tags.csv",),
    "jsonl": ("recordings.jsonl",),
    "dcase": ("dcase/events.txt", "dcase/tags.txt"),
}
OF_EACH = {
    "audacity": ("audacity", ".txt"),
    "raven": ("raven", ".selections.txt"),
    "scores": ("scores", ".tsv"),
    "plot": ("plots", ".png"),
}
OF_POSTERIORS = ("scores", "plot")  # what a record is not enough for
FORMATS = (*COMBINED, *OF_EACH)
RECORD_FIELDS = ("filename", "duration_s", "scores", "tags", "events")

_CSV_HEADER = ("filename", "onset", "offset", "event_label", "score")
_RAVEN_HEADER = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Score",
)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def make_record(
    filename: str,
    track: Track,
    tags: Sequence[Found],
    events: Sequence[Found],
    class_names: Sequence[str],
) -> Record:
    """What was found in one recording, as plain values."""
    peaks = zip(class_names, track.clip_peak.tolist(), strict=True)
    return {
        "filename": filename,
        "duration_s": track.duration_s,
        "scores": dict(peaks),
        "tags": [[*tag.event, tag.score] for tag in tags],
        "events": [[*event.event, event.score] for event in events],
    }


def combined_text(file: str, records: Iterable[Record]) -> Iterator[str]:
    """The text of one of the files of all recordings, a recording at a time.

    Args:
        file: One of those in `COMBINED`.
        records: In the order that they are to have.
    """
    if file.endswith(".jsonl"):
        yield from (json.dumps(record) + "\n" for record in records)
        return
    what = "tags" if "tags" in file else "events"
    if file.endswith(".csv"):
        yield csv_text([_CSV_HEADER])
    for record in records:
        if file.endswith(".csv"):
            yield csv_text(
                (record["filename"], f"{on:.3f}", f"{off:.3f}", label, f"{score:.4f}")
                for on, off, label, score in record[what]
            )
        else:
            yield _dcase(record["filename"], record[what])


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV, quoted where they must be."""
    lines = []
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(row)  # or it leaves \r bare
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _dcase(filename: str, found: Sequence[Sequence[Any]]) -> str:
    """Lines of a DCASE list; a recording without any has a line too, its name."""
    name = filename.translate(_ESCAPES)
    lines = [
        f"{name}\t{on:.3f}\t{off:.3f}\t{label.translate(_ESCAPES)}\n"
        for on, off, label, _ in found
    ]
    return "".join(lines) or f"{name}\n"


def audacity_labels(record: Record) -> str:
    """A label track: onset, offset and the class with its score, tab-separated."""
    return "".join(
        f"{on:.6f}\t{off:.6f}\t{label.translate(_ESCAPES)} {score:.2f}\n"
        for on, off, label, score in record["events"]
    )


def raven_selections(record: Record, max_hz: float) -> str:
    """A selection table, each event a box from 0 Hz to the highest that is heard."""
    rows = ["\t".join(_RAVEN_HEADER)]
    for number, (on, off, label, score) in enumerate(record["events"], start=1):
        place = f"{number}\tSpectrogram 1\t1\t{on:.6f}\t{off:.6f}\t0.0\t{max_hz:.1f}"
        rows.append(f"{place}\t{label.translate(_ESCAPES)}\t{score:.4f}")
    return "\n".join(rows) + "\n"


def score_table(track: Track, class_names: Sequence[str]) -> Iterator[str]:
    """Onset, offset and the posteriors of every frame, which tile the recording."""
    names = "\t".join(name.translate(_ESCAPES) for name in class_names)
    yield f"onset\toffset\t{names}\n"
    number = 0
    for block in track.blocks():
        lines = []
        for row in block[:, FRAME]:
            onset, offset = number * track.hop_s, (number + 1) * track.hop_s
            scores = "\t".join(f"{score:.6f}" for score in row)
            lines.append(f"{onset:.6f}\t{offset:.6f}\t{scores}\n")
            number += 1
        yield "".join(lines)
