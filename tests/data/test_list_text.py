"""Lists are read alike however they are separated, or the row is named."""

import unicodedata

import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.labels import ClassList, read_class_list
from gcrnn_jax.data.lists.clip_lists import read_clip_list, read_weak_list
from gcrnn_jax.data.lists.event_lists import EventRow, read_event_rows
from gcrnn_jax.data.lists.text import read_lines
from gcrnn_jax.errors import DataError

CLASSES = ClassList(("c0", "c1"), ("Dog", "Air horn, truck horn"))


def write(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def events(tmp_path, text):
    return [row[:4] for row in strict(read_event_rows(write(tmp_path, text)))]


DOG = ("a.wav", 0.5, 2.0, "Dog")
HORN = ("b, c.wav", 0.0, 1.0, "Air horn, truck horn")
SILENT = ("d.wav", None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "a.wav\t0.5\t2\tDog\nb, c.wav\t0\t1\tAir horn, truck horn\nd.wav\n",
        'a.wav,0.5,2,Dog\n"b, c.wav",0,1,"Air horn, truck horn"\nd.wav\n',
        'a.wav, 0.5, 2, Dog\n"b, c.wav", 0, 1, "Air horn, truck horn"\nd.wav,,,\n',
        "a.wav;0.5;2;Dog\nb, c.wav;0;1;Air horn, truck horn\nd.wav;;;\n",
        "a.wav  0.5  2  Dog\nb, c.wav   0    1  Air horn, truck horn\nd.wav\n",
        '"a.wav"\t0.5\t2\tDog\n"b, c.wav"\t0\t1\t"Air horn, truck horn"\nd.wav\n',
        "filename,onset,offset,event_label,score\na.wav,0.500,2.000,Dog,0.9\n"
        '"b, c.wav",0.000,1.000,"Air horn, truck horn",0.8\nd.wav,,,,\n',
        'a.wav,0.5,2,Dog,,\n"b, c.wav",0,1,"Air horn, truck horn",,\nd.wav,,,,,\n',
        "label;end;start;file\nDog;2;0.5;a.wav\n"
        "Air horn, truck horn;1;0;b, c.wav\n;;;d.wav\n",
    ],
    ids="tabs commas spaced semicolons spaces excel-tabs own-csv padded header".split(),
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_separator_gives_the_same_rows(tmp_path, text, end):
    blank = {";": ";;;", ",": ",,,"}.get(text[5], "\t\t\t")
    text = f"{text}{blank}\n\n{blank}\n".replace("\n", end)
    assert events(tmp_path, text) == [DOG, HORN, SILENT]


def test_a_file_name_alone_may_hold_anything_before_its_ending(tmp_path):
    text = "Street, Monday 3.wav\na;b.FLAC\n"
    rows = [("Street, Monday 3.wav", *SILENT[1:]), ("a;b.FLAC", *SILENT[1:])]
    assert events(tmp_path, text) == rows


def test_single_spaces_separate_where_the_second_and_third_are_numbers(tmp_path):
    text = "a.wav 0.5 2 Dog\nb.wav 0 1 Air horn, truck horn\nd.wav\n"
    assert events(tmp_path, text) == [DOG, ("b.wav", *HORN[1:]), SILENT]


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("a.wav\t0\t1\tDog\nb.wav,0,1,Dog\n", 2, "separated by tabs, got commas"),
        ("a.wav,0,1,Dog\nb.wav;0;1;Dog\nc.wav,0,1,Dog\n", 2, "by commas, got semi"),
        ("a.wav,Dog\nb.wav,Dog\n", 1, "separated by tabs, got commas"),
        ("a.wav Dog\n", 1, "separated by tabs, got spaces"),
        ("a.wav|0|1|Dog\n", 1, "separated by tabs, got bars"),
        ("a.wav,0,1,Air horn, truck horn\n", 1, "quotes go around what holds"),
        (
            "b c.wav 0 1 Dog\na.wav 0 1 Dog\n",
            1,
            "expected a time in seconds, 0 to 864000, got",
        ),
        ("a.wav\t0,5\t2,0\tDog\n", 1, "0 to 864000, got '0,5'"),
        ("a.wav;0;1;Dog\na.wav;1.000,5;2,0;Dog\n", 2, "864000, got '1.000,5'"),
        ('a.wav,0,1,Dog\na.wav,0,1,"Dog\n', 2, "not separated by commas"),
        ("file,onset,offset,label\na.wav,0,1,Dog,0.9\n", 2, "4 columns as in the head"),
    ],
)
def test_what_could_be_read_in_two_ways_is_an_error(tmp_path, text, line, named):
    path = write(tmp_path, text)
    with pytest.raises(DataError) as error:
        strict(read_event_rows(path))
    assert str(error.value).startswith(f"{path}:{line}: ") and named in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read(tmp_path, encoding):
    text = "a.wav\t0.5\t2\tDog\r\nb, c.wav\t0\t1\tAir horn, truck horn\r\nd.wav"
    assert events(tmp_path, text.encode(encoding)) == [DOG, HORN, SILENT]
    path = write(tmp_path, "c0\tDog\nc1\tAir horn, truck horn".encode(encoding))
    assert read_class_list(path) == CLASSES


def test_utf_16_that_is_damaged_is_named(tmp_path):
    path = write(tmp_path, "a.wav\t0\t1\tDog\n".encode("utf-16")[:-1])
    with pytest.raises(
        DataError, match=r"list\.csv: expected UTF-8 text, got .*utf-16"
    ):
        read_event_rows(path)


@pytest.mark.parametrize("first", ["sep=;\r\n", "SEP=;\n", "\ufeffsep=;\n"])
def test_decimal_commas_are_read_between_semicolons(tmp_path, first):
    text = first + "a.wav;0,5;2,0;Dog\nb, c.wav;0;1;Air horn, truck horn\nd.wav\n"
    assert events(tmp_path, text) == [DOG, HORN, SILENT]
    rows = strict(read_event_rows(write(tmp_path, text)))
    assert [row.line for row in rows] == [2, 3, 4]
    path = write(tmp_path, "x;0,5;10,5;Dog;c0\n")
    assert strict(read_clip_list(path, CLASSES))[0].clip_id == "x_0.500_10.500"


def test_another_byte_is_named_by_its_line(tmp_path):
    path = write(tmp_path, b"a.wav\nb.wav\t0\t1\tHundegebell \xfc\n")
    with pytest.raises(DataError, match=r"list\.csv:2: .* got the byte fc"):
        read_event_rows(path)


def test_texts_that_look_the_same_are_the_same(tmp_path):
    [line] = read_lines(write(tmp_path, unicodedata.normalize("NFD", "Pöllö\n")))
    assert line == unicodedata.normalize("NFC", "Pöllö") and len(line) == 5


@pytest.mark.parametrize(
    "text",
    [
        "c0\tDog\nc1\tAir horn, truck horn\n",
        'c0,Dog\nc1,"Air horn, truck horn"\n,\n',
        "c0;Dog\nc1;Air horn, truck horn\n",
        "c0  Dog\nc1   Air horn, truck horn\n",
        'id,count,name\nc0,3,Dog\nc1,4,"Air horn, truck horn"\n',
    ],
)
def test_class_lists_too(tmp_path, text):
    assert read_class_list(write(tmp_path, text)) == CLASSES


def test_a_class_name_with_a_bare_comma_is_not_cut(tmp_path):
    path = write(tmp_path, "c0,Dog\nc1,Air horn, truck horn\n")
    with pytest.raises(DataError, match=r"list\.csv:2: expected 2 columns .* got 3"):
        read_class_list(path)


@pytest.mark.parametrize(
    "text",
    [
        'x,0,10,"Dog,Air horn, truck horn","c0,c1"\ny,0,10,Dog,c0\n,,,,\n',
        'x,0,10,"Dog,Air horn, truck horn","c0,c1",,\ny,0,10,Dog,c0,,\n,,,,,,\n',
        "x;0;10;Dog,Air horn, truck horn;c0,c1\ny;0;10;Dog;c0\n",
        "x\t0\t10\tDog,Air horn, truck horn\tc0,c1\ny\t0\t10\tDog\tc0\n",
        'ytid,start_s,end_s,names,ids\nx,0,10,"a,b","c0,c1"\ny,0,10,Dog,c0\n',
    ],
)
def test_clip_lists_too(tmp_path, text):
    rows, findings = read_clip_list(write(tmp_path, text), CLASSES)
    assert findings == []
    assert [row[:2] for row in rows] == [
        ("x_0.000_10.000", (0, 1)),
        ("y_0.000_10.000", (0,)),
    ]


def test_a_name_keeps_a_dot_that_begins_no_extension(tmp_path):
    text = "site.A_rec1\t0\t1\tDog\nsite.A_rec1.wav\t0\t1\tAir horn, truck horn\n"
    [row], _ = read_weak_list(write(tmp_path, text), CLASSES)
    assert row[:2] == ("site.A_rec1", (0, 1))


def test_rows_keep_the_lines_of_the_file(tmp_path):
    text = "file,onset,offset,label\n,,,\na.wav,0,1,Dog\n"
    rows = strict(read_event_rows(write(tmp_path, text)))
    assert rows == [EventRow("a.wav", 0.0, 1.0, "Dog", 3)]


def test_lines_end_where_bytes_do_and_are_read_again_alike(tmp_path):
    content = "a\r\nb\rc\n\nd\x0be\x85f\u2028g\x1ch".encode() + b"\xff\xc3\ne\xcc\x81"
    lines = read_lines(write(tmp_path, content))
    expected = [
        unicodedata.normalize("NFC", line.decode("utf-8", "surrogateescape"))
        for line in content.splitlines()
    ]
    assert [*lines] == [*lines] == expected and len(expected) == 6
