"""Inputs that are nearly right: read, or refused in words that say what they are."""

import gzip
import json
import re

import numpy as np
import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation import read_reference, read_system
from gcrnn_jax.evaluation.recordings import read_durations

REFERENCE = "Yard.wav\t0.5\t2.0\tDog\nYard.wav\t3.0\t4.5\tAir horn\nb.wav\t1\t3\tDog\n"
DURATIONS = "Yard.wav\t5\nb.wav\t5\n"
COLUMNS = ("Air horn", "Dog")
SCORES = {"Yard": [[0.1, 0.9], [0.1, 0.2], [0.8, 0.1]], "b": [[0.1, 0.3], [0.2, 0.7]]}


@pytest.fixture
def there(tmp_path):
    (tmp_path / "reference.tsv").write_text(REFERENCE)
    (tmp_path / "durations.tsv").write_text(DURATIONS)
    durations = tmp_path / "durations.tsv"
    return read_reference(tmp_path / "reference.tsv", durations=durations)


def refused(path, content, reference):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_system(path, reference)
    message = str(caught.value)
    assert message.startswith(f"{path}:") and caught.value.exit_code == 65
    return message.removeprefix(f"{path}")


TIMED = "expected a header that names times"
LISTS = {
    "no byte": ("", ": expected rows `file onset offset label`, got 0: the file is"),
    "blank lines": ("\n \n", ": expected rows `file onset offset label`, got 0"),
    "an unknown header": ("clip\tbegin_s\tend_s\tclass\n", f":1: {TIMED}"),
    "with rows": ("clip,from,to,class\nb.wav,1,3,Dog\n", f":1: {TIMED}"),
    "a duration": ("filename\tonset\tduration\tlabel\nb\t1\t2\tDog\n", f":1: {TIMED}"),
    "a bare header": ("onset\toffset\tlabel\n", ": none of 1 recordings is in"),
    "one score table": (
        "onset\toffset\tDog\n0\t1\t0.5\n",
        ": expected a column of labels, got `onset, offset, dog ...` and numbers",
    ),
    "gzip": (gzip.compress(b"b.wav\t1\t3\tDog\n"), ": expected a list .*, got a gzip"),
    "JSON": (json.dumps([{"file": "b.wav"}], indent=1), ": expected .*, got JSON"),
    "JSON lines": ('{"a": 1}\n{"b": 2}\n', ": expected a list as text.*, got JSON"),
    "a workbook": (b"PK\x03\x04\xff\0", ": expected a list as text.*, got a ZIP file"),
    "Parquet": (b"PAR1\xff\0PAR1", ": expected a list as text.*, got Parquet"),
    "audio": (b"RIFF\x24\x08\0\0WAVE", ": expected a list as text.*, got audio"),
    "a web page": ("<!DOCTYPE html>\n<html>", ": expected a list as text.*web page"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\n", ": .*fetch the file"),
    "zeros": ("b.wav\t1\t3\tDog\n\0\0\0", ":2: expected text, got a zero byte"),
    "other case": ("YARD.WAV\t1\t3\tDog\n", ".*nearest to 'YARD.WAV' is 'Yard.wav'"),
    "a short name with Y": ("Yb.wav\t1\t3\tDog\n", ".*nearest to 'Yb.wav' is 'b.wav'"),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_file_that_is_no_event_list_is_named_for_what_it_is(tmp_path, there, what):
    content, message = LISTS[what]
    came = refused(tmp_path / "mine.txt", content, there)
    assert re.match(message, came, re.DOTALL), came


def test_a_header_alone_is_a_system_that_found_nothing(tmp_path, there):
    path = tmp_path / "mine.csv"
    path.write_text("filename,onset,offset,event_label\n")
    system = read_system(path, there)
    assert not any(system.events.values()) and len(system.missing) == 2
    assert system.notes == [f"{path}: no row: nothing was found anywhere"]


def test_a_folder_of_other_files_says_which_they_are(tmp_path, there):
    (folder := tmp_path / "lists").mkdir()
    (folder / "b.json").write_text("{}")
    (folder / "Yard.tsv.gz").write_bytes(gzip.compress(b"0\t1\tDog\n"))
    with pytest.raises(DataError, match=r"found none, only \.gz, \.json$"):
        read_system(folder, there)


TIMES = {  # of events of Yard, b and b, and how they are refused or what is remarked
    "milliseconds": ("500 2000", "1000 3000", "1000 3000", "3 of 3 events .* at 500 s"),
    "frames": (
        "12 50",
        "25 75",
        "3 4",
        "2 of 3 events begin after .* at 12 s: it is 5",
    ),
    "one": ("0.5 2", "7 9", "1 3", None),
}


@pytest.mark.parametrize("what", TIMES)
def test_times_that_are_no_seconds_of_the_recording(tmp_path, there, what):
    *times, message = TIMES[what]
    spans = zip(("Yard", "b", "b"), times, strict=True)
    text = "".join(f"{file}\t{t.replace(' ', chr(9))}\tDog\n" for file, t in spans)
    path = tmp_path / "mine.tsv"
    if message is None:
        path.write_text(text)
        [note] = read_system(path, there).notes
        assert note.endswith(
            "1 of 3 events begin after the end of their recording, first one of b.wav "
            "at 7 s: it is 5 s long"
        )
        return
    with pytest.raises(DataError, match=f"{message}.*not milliseconds or frames$"):
        path.write_text(text)
        read_system(path, there)


def test_without_durations_times_far_behind_the_reference_are_refused(tmp_path, there):
    there = read_reference(there.path)
    path = tmp_path / "mine.tsv"
    path.write_text("b.wav\t450.1\t500\tDog\n")
    with pytest.raises(DataError, match="begin 100 times later .*--durations says"):
        read_system(path, there)
    path.write_text("b.wav\t450\t500\tDog\n")
    assert read_system(path, there).events["b.wav"][0].onset == 450


def test_times_of_videos_are_as_good_as_those_of_the_reference(tmp_path):
    (weak := tmp_path / "weak.tsv").write_text("a.wav\t30\t40\tDog\n")
    (durations := tmp_path / "durations.tsv").write_text("a.wav\t10\n")
    system = read_system(weak, read_reference(weak, durations=durations))
    assert system.labels == {"a.wav": {"Dog"}}
    assert "1 of 1 events begin after the end" in system.notes[-1]


def tables(folder, separator="\t", ending=".tsv", head="onset offset", turned=()):
    """Score tables of both recordings; some with the classes the other way round."""
    folder.mkdir()
    for name, rows in SCORES.items():
        step = -1 if name in turned else 1
        lines = [[*head.split(), *COLUMNS[::step]]]
        lines += [[t, t + 1, *row[::step]] for t, row in enumerate(rows)]
        text = "".join(separator.join(map(str, line)) + "\n" for line in lines)
        (folder / f"{name}{ending}").write_text(text)
    return folder


FORMS = {
    "tabs": {},
    "commas": {"separator": ",", "ending": ".csv"},
    "commas in .tsv": {"separator": ","},
    "semicolons in .txt": {"separator": ";", "ending": ".txt"},
    "start and end": {"head": "Start End"},
    "another order": {"turned": ["b"]},
    "another order first": {"turned": ["Yard"]},
}


@pytest.mark.parametrize("form", FORMS)
def test_score_tables_of_any_form_hold_the_same_scores(tmp_path, there, form):
    system = read_system(tables(tmp_path / "scores", **FORMS[form]), there)
    order = [system.score_names.index(name) for name in COLUMNS]
    assert system.highest is not None
    assert system.highest[:, order].tolist() == [[0.8, 0.9], [0.2, 0.7]]
    found = {name: sorted(map(tuple, own)) for name, own in system.events.items()}
    assert found == {
        "Yard.wav": [(0, 1, "Dog"), (2, 3, "Air horn")],
        "b.wav": [(1, 2, "Dog")],
    }
    assert system.tables is not None
    one, two = (table.scores[:, order].tolist() for table in system.tables)
    assert (one, two) == (SCORES["Yard"], SCORES["b"])


def test_decimal_commas_between_semicolons_and_hidden_files(tmp_path, there):
    folder = tables(tmp_path / "scores", separator=";", ending=".csv")
    path = folder / "Yard.csv"
    path.write_text(path.read_text().replace("0.", "0,"))
    (folder / "._Yard.csv").write_bytes(b"\0\5\x16\7")
    system = read_system(folder, there)
    assert system.highest is not None and np.max(system.highest) == 0.9


FAULTS = {  # what of b.tsv becomes what, and the message
    "inf": ("0.7", "inf", ":3: expected a number, got 'inf'"),
    "nan": ("0.7", "nan", ":3: expected a number, got 'nan'"),
    "behind -inf": ("0.1\t0.3", "-inf\tx", ":2: expected a number, got 'x'"),
    "a time of -inf": ("0\t1\t", "-inf\t1\t", ":2: expected a number, got '-inf'"),
    "a class twice": ("Air horn", "Dog", ":1: expected each class once, got 'Dog'"),
    "another class": ("Dog", "Cat", ": expected the classes of the tables before"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_of_a_score_table_names_its_file(tmp_path, there, what):
    before, after, message = FAULTS[what]
    path = tables(tmp_path / "scores") / "b.tsv"
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(DataError) as caught:
        read_system(path.parent, there)
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_score_of_minus_infinity_is_below_every_threshold(tmp_path, there):
    path = tables(tmp_path / "scores") / "b.tsv"
    path.write_text(path.read_text().replace("0.7", "-inf"))
    assert read_system(path.parent, there, -1e9).events["b.wav"] == [
        (0, 2, "Air horn"),
        (0, 1, "Dog"),
    ]


@pytest.mark.parametrize("empty", ["Yard", "b"])
def test_an_empty_table_among_others_is_named(tmp_path, there, empty):
    folder = tables(tmp_path / "scores")
    (folder / f"{empty}.tsv").write_text("\n")
    with pytest.raises(DataError, match=rf"/{empty}\.tsv: expected a header `onset"):
        read_system(folder, there)


def test_a_recording_with_two_lengths_is_refused(tmp_path):
    path = tmp_path / "durations.csv"
    path.write_text("filename,duration\na.wav,5\nb.wav,5\na.wav,5\na.wav,9\n")
    with pytest.raises(DataError, match=r":5: expected one length of a\.wav, got 5 an"):
        read_durations(path)
    path.write_bytes(gzip.compress(b"a.wav,5\n"))
    with pytest.raises(DataError, match="got a gzip file: unpack it"):
        read_durations(path)
