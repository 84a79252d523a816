import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from gcrnn_jax.prediction.ensemble import ScoredEvent
from gcrnn_jax.prediction.formats import COMBINED, PER_RECORDING, Output, Record
from gcrnn_jax.prediction.posteriors import RecordingPosteriors
from gcrnn_jax.prediction.recordings import Recording
from tests import defaults

NAMES = ("Car", "Air horn, truck horn")
ODD = 'b/-x "y", ü\n\tz\\.wav'
RETURN = "a\rb.wav"


def record(filename, *events):
    """A recording of 12.5 s with tags of all labels of its events."""
    labels = dict.fromkeys(event[2] for event in events)
    tags = [ScoredEvent(0.0, 12.5, label, 0.75) for label in labels]
    scores = dict(zip(NAMES, (0.75, 0.25), strict=True))
    return Record(filename, 12.5, scores, tags, events)


RECORDS = [
    record(
        "a.wav", (0.5, 1.25, "Car", 0.875, 0.98437), (1.0, 3.0004, NAMES[1], 0.25, None)
    ),
    record("b/silent.wav"),
    record(ODD, (0.0, 2.0, NAMES[1], 0.5)),
    record(RETURN, (0.0, 2.0, "Car", 0.5)),
]


def text(file):
    (content,) = [files[file] for files in COMBINED.values() if file in files]
    return "".join(content(RECORDS))


def own_text(name, record=RECORDS[0], posteriors=None):
    """A recording's own file in a format."""
    models = [
        SimpleNamespace(front_end=defaults.front_end(max_hz=hz))
        for hz in (7000.0, 8000.0)
    ]
    recording = Recording(record.filename, record.filename)
    output = Output(recording, record, SimpleNamespace(models=models), posteriors)
    return "".join(PER_RECORDING[name].content(output))


def test_csv_keeps_every_name_exactly():
    rows = list(csv.reader(io.StringIO(text("events.csv"), newline="")))
    assert rows == [
        ["filename", "onset", "offset", "event_label", "score", "probability"],
        ["a.wav", "0.500", "1.250", "Car", "0.8750", "0.9844"],
        ["a.wav", "1.000", "3.0004", "Air horn, truck horn", "0.2500", ""],
        [ODD, "0.000", "2.000", "Air horn, truck horn", "0.5000", ""],
        [RETURN, "0.000", "2.000", "Car", "0.5000", ""],
    ]
    rows = list(csv.reader(io.StringIO(text("tags.csv"), newline="")))
    assert rows[1:3] == [
        ["a.wav", "0.000", "12.500", "Car", "0.7500", ""],
        ["a.wav", "0.000", "12.500", "Air horn, truck horn", "0.7500", ""],
    ]
    assert [row[0] for row in rows[3:]] == [ODD, RETURN]


def test_json_lines_have_the_score_of_every_class():
    lines = [json.loads(line) for line in text("recordings.jsonl").splitlines()]
    assert [line["filename"] for line in lines] == [r.filename for r in RECORDS]
    assert lines[0]["scores"] == {"Car": 0.75, "Air horn, truck horn": 0.25}
    assert lines[0]["duration_s"] == 12.5
    assert lines[0]["events"][0] == [0.5, 1.25, "Car", 0.875, 0.98437]


def test_dcase_lists_have_a_line_for_every_recording():
    odd = 'b/-x "y", ü\\n\\tz\\\\.wav'
    assert text("dcase/events.txt").split("\n") == [
        "a.wav\t0.500\t1.250\tCar",
        "a.wav\t1.000\t3.000\tAir horn, truck horn",
        "b/silent.wav",
        f"{odd}\t0.000\t2.000\tAir horn, truck horn",
        "a\\rb.wav\t0.000\t2.000\tCar",
        "",
    ]
    assert text("dcase/tags.txt").startswith("a.wav\t0.000\t12.500\tCar\n")


def test_audacity_labels():
    assert own_text("audacity") == (
        "0.500000\t1.250000\tCar 0.88\n1.000000\t3.000400\tAir horn, truck horn 0.25\n"
    )
    assert own_text("audacity", RECORDS[1]) == ""


def test_raven_selections():
    header, first, second = own_text("raven").splitlines()
    columns = dict(zip(header.split("\t"), second.split("\t"), strict=True))
    assert columns == {
        "Selection": "2",
        "View": "Spectrogram 1",
        "Channel": "1",
        "Begin Time (s)": "1.000000",
        "End Time (s)": "3.000400",
        "Low Freq (Hz)": "0.0",
        "High Freq (Hz)": "8000.0",
        "Annotation": "Air horn, truck horn",
        "Score": "0.2500",
    }
    assert first.startswith("1\t")
    assert len(own_text("raven", RECORDS[1]).splitlines()) == 1


def test_score_tables_tile_the_recording():
    frame = np.random.default_rng(0).random((9000, 2), np.float32)
    posteriors = RecordingPosteriors(NAMES, 0.0415)
    posteriors.append(np.stack([1 - frame, frame], axis=1))
    lines = own_text("scores", posteriors=posteriors).splitlines()
    assert lines[0].split("\t") == ["onset", "offset", *NAMES]
    table = np.array([line.split("\t") for line in lines[1:]], float)
    np.testing.assert_array_equal(table[1:, 0], table[:-1, 1])
    assert table[0, 0] == 0 and table[-1, 1] == pytest.approx(9000 * 0.0415)
    np.testing.assert_allclose(table[:, 2:], frame, atol=1e-6)
