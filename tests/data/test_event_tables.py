"""Tables of tags and events against what readers of event lists make of them."""

import csv

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import events_by_file, read_event_rows
from gcrnn_jax.data.lists.event_tables import (
    EVENT_COLUMNS,
    ScoredEvent,
    write_event_table,
)
from gcrnn_jax.evaluation import read_events

EVENTS = {
    "a.wav": [
        ScoredEvent(0.0, 4.958333, "Air horn, truck horn", 0.87654),
        ScoredEvent(1 / 3, 0.333334, 'Car "old"', 1.0),
    ],
    "b/silent, still.wav": [],
    "c.wav": [ScoredEvent(12345.5, 12346.0, "Car", 0.0)],
}


@pytest.fixture
def path(tmp_path):
    write_event_table(tmp_path / "new" / "events.csv", EVENTS)
    return tmp_path / "new" / "events.csv"


def test_a_table_has_commas_a_header_and_scores(path):
    rows = list(csv.reader(path.open(newline="")))
    assert rows[0] == list(EVENT_COLUMNS)
    times = "0.000", "4.958333"
    assert rows[1] == ["a.wav", *times, "Air horn, truck horn", "0.8765", ""]
    assert rows[3] == ["b/silent, still.wav", "", "", "", "", ""]
    assert rows[4][1:3] == ["12345.500", "12346.000"]


def test_what_is_read_from_a_table_is_what_was_written(path):
    expected = {
        file: [(round(e.onset, 6), e.offset, e.event_label) for e in events]
        for file, events in EVENTS.items()
    }
    for rows, remarks in (read_event_rows(path), read_events(path)):
        assert not remarks
        assert events_by_file(rows) == expected


def test_times_of_frames_are_read_as_they_were_decoded(tmp_path):
    times = np.round(np.arange(1, 500) * 0.0416667, 6).tolist()
    events = [ScoredEvent(0.0, time, "Car", 0.5) for time in times]
    write_event_table(tmp_path / "events.csv", {"a.wav": events})
    rows, _ = read_event_rows(tmp_path / "events.csv")
    assert [row.offset for row in rows] == times
