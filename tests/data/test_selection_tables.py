"""Selection tables of Raven and tables of BirdNET, as they come."""

import pytest

from gcrnn_jax.data.lists.selection_tables import read_selection_table
from gcrnn_jax.data.lists.timed_labels import TimedLabel
from gcrnn_jax.errors import DataError

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\t"
    "Low Freq (Hz)\tHigh Freq (Hz)"
)
SELECTION = "1\tSpectrogram 1\t1\t0.5\t2.0\t100\t900"
BIRDNET = "Start (s),End (s),Scientific name,Common name,Confidence,File"


def read(path, *lines, end="\n"):
    path.write_bytes("".join(line + end for line in lines).encode())
    findings = []
    return read_selection_table(path, findings), findings


def label(line, onset=0.5, offset=2.0, name="Dog", score=None, recording=""):
    return TimedLabel(recording, onset, offset, name, score, line)


@pytest.mark.parametrize(
    "header",
    [
        f"{RAVEN}\tAnnotation",
        f"{RAVEN}\tSpecies",
        f"{RAVEN}\tCommon Name",
        f"{RAVEN}\tTag",
        f"{RAVEN}\tCall Type",
        f"\ufeff{RAVEN}\tlabel",
        f"{RAVEN.upper()}\tANNOTATION",
        "Selection\tView\tChannel\tBegin.Time..s.\tEnd.Time..s.\tLow\tHigh\tannotation",
        "ID\tView\tChannel\tStart (s)\tEnd (s)\tLow\tHigh\tClass",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headers_of_many_kinds_name_times_and_labels(tmp_path, header, end):
    rows = read(tmp_path / "a.txt", header, f"{SELECTION}\tDog", end=end)
    assert rows == ([label(2)], [])


def test_a_selection_with_a_row_for_each_view_is_one_label(tmp_path):
    waveform = SELECTION.replace("Spectrogram", "Waveform")
    other = SELECTION.replace("1\tS", "2\tS", 1)
    labels, findings = read(
        tmp_path / "a.txt",
        f"{RAVEN}\tAnnotation",
        *(f"{row}\tDog" for row in (waveform, SELECTION, other)),
    )
    assert (labels, findings) == ([label(2), label(4)], [])  # of two that overlap both


def test_a_view_without_the_label_that_another_has_is_no_bad_row(tmp_path):
    waveform = SELECTION.replace("Spectrogram", "Waveform")
    table = tmp_path / "a.txt"
    header = f"{RAVEN}\tAnnotation"
    assert read(table, header, f"{waveform}\t", f"{SELECTION}\tDog") == ([label(3)], [])
    other = waveform.replace("1\t", "2\t", 1)
    _, findings = read(table, header, f"{other}\t", f"{SELECTION}\tDog")
    assert [(one.code.name, one.line) for one in findings] == [("BAD_ROW", 2)]


def test_rows_of_one_view_that_occur_again_are_all_kept(tmp_path):
    labels, _ = read(tmp_path / "a.txt", f"{RAVEN}\tTag", *[f"{SELECTION}\tDog"] * 2)
    assert labels == [label(2), label(3)]


@pytest.mark.parametrize("offset", ["0.5", ""], ids=["offset", "no offset"])
def test_times_in_a_table_of_one_recording_are_its_own(tmp_path, offset):
    header = f"{RAVEN}\tBegin File\tFile Offset (s)\tAnnotation"
    labels, _ = read(tmp_path / "a.txt", header, f"{SELECTION}\ta.wav\t{offset}\tDog")
    assert labels == [label(2, recording="a.wav")]


def test_times_that_count_on_are_brought_back_to_their_recording(tmp_path):
    """The second hour of a sequence: Raven's own times are those of the sequence."""
    row = "1\tSpectrogram 1\t1\t3600.5\t3602.2\t100\t900"
    labels, findings = read(
        tmp_path / "a.txt",
        f"{RAVEN}\tBegin Path\tFile Offset (s)\tBegin File\tAnnotation",
        f"{SELECTION}\tD:\\rec\\a.wav\t0.5\ta.wav\tDog",
        f"{row}\tD:\\rec\\b.wav\t0.5\tb.wav\tDog",
    )
    assert findings == []
    assert labels == [
        label(2, recording="D:\\rec\\a.wav"),
        label(3, 0.5, 2.2, recording="D:\\rec\\b.wav"),
    ]


def test_times_that_count_on_without_offsets_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    rows = [f"{SELECTION}\t{name}\tDog" for name in ("a.wav", "a.wav", "b.wav")]
    with pytest.raises(DataError, match=r"a.txt:4: .*`File Offset \(s\)`.*'b.wav'"):
        read(path, f"{RAVEN}\tBegin File\tAnnotation", *rows)


def test_an_event_that_goes_on_in_the_next_recording_is_said(tmp_path):
    header = f"{RAVEN}\tBegin File\tEnd File\tFile Offset (s)\tAnnotation"
    labels, findings = read(
        tmp_path / "a.txt", header, f"{SELECTION}\ta.wav\tb.wav\t0.5\tDog"
    )
    assert labels == [label(2, recording="a.wav")]
    assert [(f.line, f.code.name) for f in findings] == [(2, "GOES_ON")]
    assert findings[0].detail == "begins in 'a.wav' and ends in 'b.wav'"


def test_the_column_with_most_labels_is_used_and_said(tmp_path):
    labels, findings = read(
        tmp_path / "a.txt",
        f"{RAVEN}\tAnnotation\tCall Type\tSpecies",
        f"{SELECTION}\t\tbark\tDog",
        f"{SELECTION}\t\t\tDog",
    )
    assert [one.label for one in labels] == ["Dog", "Dog"]
    assert [(f.line, f.code.name) for f in findings] == [(0, "LABEL_COLUMN")]
    assert findings[0].detail == "labels are those of 'Species', not of 'Call Type'"


@pytest.mark.parametrize(
    "lines",
    [
        (BIRDNET, "0.5,2,Canis lupus,Dog,0.93,/data/a.wav"),
        (BIRDNET.replace(",", ";"), "0,5;2;Canis lupus;Dog;0,93;/data/a.wav"),
        (
            f"{RAVEN}\tCommon Name\tSpecies Code\tConfidence\tBegin Path\t"
            "File Offset (s)",
            f"{SELECTION}\tDog\tcanlup\t0.93\t/data/a.wav\t0.5",
            "2\tSpectrogram 1\t1\t0\t3\t0\t9\tnocall\tnocall\t1.0\t/data/b.wav\t0",
        ),
    ],
    ids=["csv", "csv of a spreadsheet", "selection table"],
)
def test_tables_of_birdnet_have_scores_and_recordings(tmp_path, lines):
    labels = [label(2, score=0.93, recording="/data/a.wav")]
    assert read(tmp_path / "a.csv", *lines) == (labels, [])


def test_times_of_a_birdnet_csv_of_several_recordings_are_their_own(tmp_path):
    rows = ("0,3,Felis catus,Cat,0.9,a.wav", "0,3,Felis catus,Cat,0.8,b.wav")
    labels, _ = read(tmp_path / "a.csv", BIRDNET, *rows)
    assert [(one.recording, one.onset) for one in labels] == [
        ("a.wav", 0),
        ("b.wav", 0),
    ]


def test_how_sure_a_person_was_is_no_score(tmp_path):
    header = f"{RAVEN}\tAnnotation\tConfidence"
    rows = [f"{SELECTION}\tDog\t{sure}" for sure in ("1", "3", "high", "")]
    labels, findings = read(tmp_path / "a.txt", header, *rows)
    assert ([one.score for one in labels], findings) == ([None] * 4, [])


@pytest.mark.parametrize("header", [RAVEN, f"{RAVEN}\tAnnotation", BIRDNET])
def test_a_header_alone_is_a_recording_without_events(tmp_path, header):
    assert read(tmp_path / "a.txt", header, "", "\t\t") == ([], [])


@pytest.mark.parametrize(
    ("row", "code", "named"),
    [
        ("1\tS\t1\tone\t2\t1\t9\tDog", "BAD_TIME", "got 'one'"),
        ("1\tS\t1\t-1\t2\t1\t9\tDog", "BAD_TIME", "got '-1'"),
        ("1\tS\t1\t0,5\t2\t1\t9\tDog", "BAD_TIME", "got '0,5'"),
        ("1\tS\t1\t3\t2\t1\t9\tDog", "BAD_TIME", "onset <= offset, got 3 > 2"),
        ("1\tS\t1\t\t2\t1\t9\tDog", "BAD_ROW", "a begin time and an end time"),
        ("1\tS\t1\t1\t2\t1\t9", "BAD_ROW", "expected a label, got an empty column"),
        ("1\tS\t1\t1\t2\t1\t9\tDog\tx", "BAD_ROW", "8 columns as in the header, got 9"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(tmp_path, row, code, named):
    path = tmp_path / "a.txt"
    good = f"{SELECTION}\tDog"
    labels, findings = read(path, f"{RAVEN}\tAnnotation", good, row, good)
    assert labels == [label(2), label(4)]
    assert [(f.path, f.line, f.code.name) for f in findings] == [(str(path), 3, code)]
    assert named in findings[0].detail


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((), ":1: expected a header with columns such as `Begin Time"),
        (("0.5\t2\tDog",), r":1: expected a header.* got '0.5\\t2\\tDog'"),
        (("Selection\tBegin Time (s)\tTag", "1\t2\tDog"), ":1: expected a header"),
        ((RAVEN, SELECTION), ":2: expected a column of labels such as `Annotation`"),
        (
            (f"{RAVEN}\tTag", SELECTION),
            ":2: expected a column .* 1 rows without a label",
        ),
    ],
    ids=["empty", "label track", "no end time", "no labels", "empty labels"],
)
def test_a_table_of_no_use_is_an_error(tmp_path, lines, named):
    with pytest.raises(DataError, match=named):
        read(tmp_path / "a.txt", *lines)
