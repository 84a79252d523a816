"""Event lists as they come, from every system and hand."""

import os

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.event_lists import (
    Event,
    EventRow,
    events_by_file,
    read_event_rows,
    write_event_list,
)
from gcrnn_jax.errors import DataError, StorageError

TWO_ROWS = [
    EventRow("a.wav", 0.5, 2.0, "Air horn, truck horn", 1),
    EventRow("b.wav", None, None, None, 2),
]


@pytest.mark.parametrize(
    "text",
    [
        "a.wav\t0.5\t2\tAir horn, truck horn\nb.wav\n",
        "a.wav\t0.5\t2\tAir horn, truck horn\nb.wav",
        "a.wav\t0.5\t2.000\tAir horn, truck horn\r\nb.wav\r\n",
        "\ufeffa.wav\t0.5\t2\tAir horn, truck horn\nb.wav\n",
        "a.wav\t 0.5\t2 \tAir horn, truck horn \nb.wav\t\t\t\n",
    ],
    ids=["unix", "no last line end", "windows", "byte order mark", "spaces, desed"],
)
def test_line_ends_marks_and_spaces_do_not_matter(tmp_path, text):
    path = tmp_path / "list.tsv"
    path.write_bytes(text.encode())
    assert read_event_rows(path) == (TWO_ROWS, [])


def test_desed_header_and_blank_lines_are_no_rows_but_count_as_lines(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("filename\tonset\toffset\tevent_label\n\na.wav\t0\t1\tDog\n")
    assert strict(read_event_rows(path)) == [EventRow("a.wav", 0.0, 1.0, "Dog", 3)]


def test_files_with_only_rows_without_times_stay_as_files_without_events(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("a.wav\t0\t0\tBus\nb.wav\t1\t2\tBus\na.wav\t0\t0\tCar\nc.wav\n")
    rows = strict(read_event_rows(path))
    assert [row.event_label for row in rows] == ["Bus", "Bus", "Car", None]
    events = events_by_file(rows)
    assert list(events) == ["a.wav", "b.wav", "c.wav"]
    assert events == {"a.wav": [], "b.wav": [Event(1.0, 2.0, "Bus")], "c.wav": []}


@pytest.mark.parametrize(
    ("row", "code", "named"),
    [
        ("a.wav\t1\t2", "BAD_ROW", "got 3 columns"),
        ("a.wav\t1\t2\tDog\t0.9", "BAD_ROW", "got 5 columns"),
        ("a.wav,1,2,Dog\t1", "BAD_ROW", "got 2 columns"),
        ("\t1\t2\tDog", "BAD_ROW", "file onset offset label"),
        ("a.wav\t1\t2\t", "BAD_ROW", "file onset offset label"),
        ("a.wav\tone\t2\tDog", "BAD_TIME", "'one'"),
        ("a.wav\t1\tnan\tDog", "BAD_TIME", "'nan'"),
        ("a.wav\t1\tinf\tDog", "BAD_TIME", "'inf'"),
        ("a.wav\t-1\t2\tDog", "BAD_TIME", "'-1'"),
        ("a.wav\t1\t1e15\tDog", "BAD_TIME", "0 to 864000, got '1e15'"),
        ("a.wav\t3\t2\tDog", "BAD_TIME", "3 > 2"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_reason(tmp_path, row, code, named):
    path = tmp_path / "list.tsv"
    path.write_text(f"a.wav\t0\t1\tDog\n{row}\nb.wav\t0\t1\tDog\n")
    with pytest.raises(DataError) as error:
        strict(read_event_rows(path))
    assert str(error.value).startswith(f"{path}:2: expected ")
    assert named in str(error.value)

    rows, [finding] = read_event_rows(path)
    assert [row.file for row in rows] == ["a.wav", "b.wav"]
    assert (finding.path, finding.line, finding.code.name) == (str(path), 2, code)
    assert named in finding.detail


def test_a_list_that_is_missing_or_not_text_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_event_rows(tmp_path / "missing.tsv")
    with pytest.raises(DataError, match="cannot read"):
        read_event_rows(tmp_path)
    (tmp_path / "latin.tsv").write_bytes(b"a.wav\t0\t1\tSir\xe8ne\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_event_rows(tmp_path / "latin.tsv")


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_reads_back_the_same_to_the_millisecond(tmp_path, seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 10_000, (30, 2))) / 1000
    times[:, 1] += 0.001
    events = {f"{n}.wav": [] for n in range(12)}  # about one of them stays empty
    for onset, offset in times:
        event = Event(round(float(onset), 3), round(float(offset), 3), "Train horn")
        events[f"{rng.integers(12)}.wav"].append(event)
    write_event_list(tmp_path / "new" / "list.tsv", events)
    assert events_by_file(strict(read_event_rows(tmp_path / "new/list.tsv"))) == events


def test_a_clip_without_events_is_written_as_its_bare_name(tmp_path):
    path = tmp_path / "list.tsv"
    write_event_list(path, {"a.wav": [], "b.wav": [Event(0.0, 0.0415, "Car")]})
    assert path.read_bytes() == b"a.wav\nb.wav\t0.000\t0.042\tCar\n"


def test_an_event_under_a_millisecond_does_not_vanish_in_the_list(tmp_path):
    path = tmp_path / "list.tsv"
    write_event_list(path, {"a.wav": [Event(0.0, 0.0004, "Car")]})
    assert path.read_text() == "a.wav\t0.000\t0.001\tCar\n"


def test_what_would_not_read_back_is_not_written(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("old\n")
    for events in (
        {"a\tb.wav": []},
        {"a.wav": [Event(0.0, 1.0, "Car\nBus")]},
        {"a.wav": [Event(2.0, 1.0, "Car")]},
        {"a.wav": [Event(0.0, float("nan"), "Car")]},
    ):
        with pytest.raises(DataError):
            write_event_list(path, events)
    assert path.read_text() == "old\n"


def test_a_failed_write_leaves_the_old_list_and_no_scraps(tmp_path, monkeypatch):
    path = tmp_path / "list.tsv"
    path.write_text("old\n")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        write_event_list(path, {"a.wav": []})
    assert [p.name for p in tmp_path.iterdir()] == ["list.tsv"]
    assert path.read_text() == "old\n"
