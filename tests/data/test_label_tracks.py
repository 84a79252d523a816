"""Label tracks of Audacity as it, other tools and hands write them."""

import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.label_tracks import read_label_track
from gcrnn_jax.data.lists.timed_labels import TimedLabel
from gcrnn_jax.errors import DataError


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = []
    return read_label_track(path, findings), findings


def dog(line, onset=0.5, offset=2.0, label="Dog", score=None):
    return TimedLabel("", onset, offset, label, score, line)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0.500000\t2.000000\tDog\n", [dog(1)]),
        ("0.5\t2\tDog", [dog(1)]),
        ("\ufeff0.5\t2\tDog\r\n\r\n", [dog(1)]),
        ("\t\t\n 0.5\t2 \t Dog \t\n", [dog(2)]),
        ("", []),
        ("\n\n", []),
        ("0.5\t0.5\tDog\n", [dog(1, 0.5, 0.5)]),
        ("0,500000\t2,000000\tDog\n", [dog(1)]),
        ("3\t4\tCat\n0.5\t2\tDog\n", [dog(1, 3, 4, "Cat"), dog(2)]),
        ("0.5\t2\tAir horn, truck horn\n", [dog(1, label="Air horn, truck horn")]),
        ("0.5\t2\tDog\n\\\t-1.000000\t6334.588867\n", [dog(1)]),
        ("0.5\t2\tDog\n\\\t7\t9\n3\t4\tCat\n", [dog(1), dog(3, 3, 4, "Cat")]),
    ],
    ids=[
        "audacity", "short numbers", "windows, byte order mark", "spreadsheet", "empty",
        "blank", "point", "decimal commas", "any order", "commas in a label",
        "frequencies", "frequencies between",
    ],
)  # fmt: skip
def test_labels_are_read_with_their_times(tmp_path, text, labels):
    assert read(tmp_path / "a.txt", text) == (labels, [])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0.5\t2\tDog\t0.93\n3\t4\tDog\n", [dog(1, score=0.93), dog(2, 3, 4)]),
        ("0.5\t2\tDog 0.93\n", [dog(1, score=0.93)]),
        ("0.5\t2\tV 0.5\t0.9\n", [dog(1, label="V 0.5", score=0.9)]),
        ("0.5\t2\tDog (1.00)\n", [dog(1, score=1.0)]),
        (
            "0.5\t2\tSize 0.5\n3\t4\tCat\n",
            [dog(1, label="Size 0.5"), dog(2, 3, 4, "Cat")],
        ),
        ("0.5\t2\tEngine 1\n", [dog(1, label="Engine 1")]),
        ("0.5\t2\tVersion 1.5\n", [dog(1, label="Version 1.5")]),
        ("0.5\t2\t0.93\n", [dog(1, label="0.93")]),
    ],
    ids=[
        "column",
        "text",
        "both",
        "brackets",
        "not all",
        "no point",
        "over 1",
        "number alone",
    ],
)
def test_scores_are_told_from_numbers_in_labels(tmp_path, text, labels):
    assert read(tmp_path / "a.txt", text) == (labels, [])


@pytest.mark.parametrize(
    ("row", "code", "named"),
    [
        ("0.5\t2", "BAD_ROW", "`onset offset label`, separated by tabs, got no label"),
        ("0.5\t2\t", "BAD_ROW", "got no label"),
        ("0.5,2,Dog", "BAD_ROW", "separated by tabs, got '0.5,2,Dog'"),
        ("0.5\t2\tDog\tbarks", "BAD_ROW", "got a tab in 'Dog | barks'"),
        ("0.5\t2\tDog\t93", "BAD_ROW", "got a tab in 'Dog | 93'"),
        ("0.5\t2\tDog\t0.5\tx", "BAD_ROW", "got a tab in 'Dog | 0.5 | x'"),
        ("one\t2\tDog", "BAD_TIME", "seconds, 0 to 864000, got 'one'"),
        ("-1\t2\tDog", "BAD_TIME", "got '-1'"),
        ("0,5\t2\tDog", "BAD_TIME", "got '0,5'"),
        ("0.5\tnan\tDog", "BAD_TIME", "got 'nan'"),
        ("2\t0.5\tDog", "BAD_TIME", "expected onset <= offset, got 2 > 0.5"),
        ("\\\t1\t2\t3", "BAD_ROW", "expected two frequencies, got 3 columns"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(tmp_path, row, code, named):
    path = tmp_path / "a.txt"
    labels, findings = read(path, f"0.5\t2.0\tDog\n{row}\n0.5\t2.0\tDog\n")
    assert labels == [dog(1), dog(3)]
    assert [(f.path, f.line, f.code.name) for f in findings] == [(str(path), 2, code)]
    assert named in findings[0].detail


def test_frequencies_without_a_label_before_them_are_a_bad_row(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(DataError, match="a.txt:1: expected `onset offset label`"):
        strict(read(path, "\\\t100\t200\n0.5\t2\tDog\n"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (
            b"0.5\t2\tDog\n0.5\t2\tS\xe4ge\n",
            "a.txt:2: expected UTF-8 text, got the byte",
        ),
        (None, "cannot read .*a.txt: No such file"),
    ],
)
def test_a_track_that_cannot_be_read_is_an_error(tmp_path, content, named):
    path = tmp_path / "a.txt"
    with pytest.raises(DataError, match=named):
        read(path, content) if content else read_label_track(path, [])
