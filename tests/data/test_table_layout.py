"""A table of clips says all that a data set can be, and wrong ones say where."""

import re

import pytest

from gcrnn_jax.data.folder import find_splits, read_folder
from gcrnn_jax.data.lists.tables import cell_of_labels, labels_of_cell
from gcrnn_jax.errors import DataError
from tests.listed import (
    CLIPS,
    EVENTS,
    content,
    five_recordings,
    labels,
    options,
    put,
    write_recordings,
)


@pytest.fixture
def root(tmp_path):
    """Five recordings."""
    return five_recordings(tmp_path / "data")


def test_a_table_says_what_is_known_of_every_clip(root):
    dataset = find_splits(put(root, events=EVENTS))
    training, testing = dataset.splits["training"], dataset.splits["testing"]
    assert dataset.findings == () and dataset.classes.names == ("Cat", "Dog")
    assert labels(dataset) == {
        "dog/a": ["Dog"],
        "b_0.000_1.500": ["Cat", "Dog"],
        "b_1.500_2.000": [],  # as the table says, which `check` compares with events
        "c": [],
        "e": ["Cat"],
    }
    assert training.strong_clips == {"b_0.000_1.500", "b_1.500_2.000", "c"}
    assert training.clip_events() == {
        "b_0.000_1.500": ((0.25, 1.0, "Dog"), (0.5, 1.5, "Cat")),
        "b_1.500_2.000": ((0.0, 0.25, "Cat"),),
        "c": (),
    }
    assert training.spans == (None, (0, 1.5), (1.5, 2), None)
    assert testing.event_rows is None
    assert [row.line for row in training.rows] == [2, 3, 4, 5]
    said = "layout: a table of clips, 2 classes, 4 recordings"
    assert dataset.summary().startswith(said)


@pytest.mark.parametrize(
    "clips",
    [
        CLIPS.replace(",", "\t"),
        CLIPS.replace("Dog;Cat", '"Dog;Cat"').replace(",", ";"),
        CLIPS.replace("Dog;Cat", '"Dog;Cat"').replace(",", ";").replace("1.5", "1,5"),
        "\ufeff" + CLIPS.replace("\n", "\r\n"),
        CLIPS.replace("\n", "\n,,,,\n\n"),
        CLIPS.replace("\n", ",,\n"),
        CLIPS.encode("utf-16"),
        CLIPS.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        "sep=,\n" + CLIPS,
        CLIPS.replace("recording,start,end", "File_Name,Onset,offset"),
        CLIPS.replace("Dog;Cat", '"[""Dog"", ""Cat""]"'),
        CLIPS.replace("labels", "labels,notes").replace("\n", ",heard twice\n", 9)
        .replace("notes,heard twice", "notes"),
    ],
    ids="tabs semicolons decimal-commas mark blank-rows padded utf-16 excel sep names "
    "json more-columns".split(),
)  # fmt: skip
def test_spreadsheets_write_it_in_many_ways(root, clips):
    expected = content(find_splits(put(root)))
    assert content(find_splits(put(root, clips))) == expected


def test_a_tsv_is_a_table_too(root):
    expected = content(find_splits(put(root, events=EVENTS)))
    (root / "clips.csv").rename(root / "clips.tsv")
    (root / "events.csv").unlink()
    put(root, clips=None, events_tsv=EVENTS.replace(",", "\t"))
    assert content(find_splits(root)) == expected


def test_labels_may_have_a_column_each(root):
    expected = labels(find_splits(put(root)))
    head = "recording,start,end,split,Dog,Cat,place\n"
    rows = "dog/a,,,training,1,0,wood\nb,0,1.5,training,1,1,\nb,1.5,2,training,0,,\n"
    put(root, head + rows + "c,,,training,?,?,\ne,,,test,0,1,\n")
    assert labels(find_splits(root)) == expected


def test_a_recording_without_splits_and_labels_is_all_that_events_say(root):
    clips = "recording\ndog/a.wav\nb\nd\n"
    events = "recording,onset,offset,event_label\nb,0.5,1,Dog\nd,2,2.5,Dog\n"
    how = options(clip_s=1.0, split_fractions=(1.0, 0.0, 0.0))
    dataset = find_splits(put(root, clips, events), how)
    assert labels(dataset) == {
        "dog/a": [],
        **{"b_0.000_1.000": ["Dog"], "b_1.000_2.000": []},
        **{"d_0.000_1.000": [], "d_1.000_2.000": [], "d_2.000_3.000": ["Dog"]},
    }
    assert dataset.notes[0].startswith("no splits are stated: 3 recordings are divided")
    assert dataset.splits["training"].strong_clips is None


def test_events_name_the_recordings_that_they_are_complete_of(root):
    put(root, CLIPS + "d,,,train,\nx/d,,,train,\n", EVENTS.replace("c.wav", "x/d.wav"))
    write_recordings(root, x__d_wav=0.7)
    training = find_splits(root).splits["training"]
    assert training.strong_clips == {"b_0.000_1.500", "b_1.500_2.000", "x/d"}
    put(root, CLIPS.replace("labels\n", "labels,strong\n").replace("Dog\n", "Dog,1\n")
        .replace("Cat\n", "Cat,0\n").replace("g,\n", "g,,0\n").replace("?\n", "?,1\n"),
        EVENTS.replace("c.wav\n", "dog/a.wav,0,0.1,Dog\n"))  # fmt: skip
    dataset = find_splits(root)
    assert dataset.splits["training"].strong_clips == {"dog/a", "c"}
    assert [found.code.name for found in dataset.findings] == ["UNKNOWN_CLIP"] * 2


def test_a_label_may_mean_none_of_the_classes(root):
    put(root, CLIPS.replace("training,\n", "training,Wind\n"))
    dataset = find_splits(root, options(negatives=("Wind",)))
    assert dataset.classes.names == ("Cat", "Dog")
    assert labels(dataset)["b_1.500_2.000"] == []
    with pytest.raises(DataError, match="got 'Wnid'; the nearest is 'Wind'"):
        find_splits(root, options(negatives=("Wnid",)))


def test_classes_may_be_listed(root):
    classes = "id,name\n/m/2,Dog\n/m/1,Cat\n/m/3,Cow\n"
    dataset = find_splits(put(root, classes_csv=classes))
    assert dataset.classes.ids == ("/m/2", "/m/1", "/m/3")
    assert labels(dataset)["b_0.000_1.500"] == ["Dog", "Cat"]


@pytest.mark.parametrize(
    "names",
    [
        ("Dog",),
        (),
        None,
        ("a;b", "c"),
        ('say "x"', "b"),
        ("?",),
        ("[x]", "y"),
        ("a,b",),
    ],
)
def test_cells_of_labels_are_read_as_they_are_written(names):
    assert labels_of_cell(cell_of_labels(names)) == names


# what is wrong

HEAD = "recording,start,end,split,labels\n"
GOOD = HEAD + "dog/a,,,training,Dog\ne,,,test,Cat\n"
CLASSES = "id,name\nd,Dog\nc,Cat\n"


@pytest.mark.parametrize(
    ("clips", "line", "message"),
    [
        ("", 1, "expected a first row with a column 'recording', got ''"),
        ("dog/a.wav,Dog\ne.wav,Cat\n", 1, "got 'dog/a.wav,Dog'"),
        ("file name,labels\na,Dog\n", 1, "expected a first row with a column"),
        ("recording,labels,Labels\na,Dog,Cat\n", 1, "got 'labels' twice"),
        ("recording,lables\na,Dog\n", 1, "'lables'; the nearest is 'labels'"),
        ("\nrecording,strat,labels\na,3,Dog\n", 2, "'strat'; the nearest is 'start'"),
        (b"recording,labels\na,Dog\nb,H\xfcndin\n", 3, "got the byte fc"),
        (HEAD, 1, "expected rows below the header, got none"),
        (HEAD + "a,b,c\n", 2, "no usable row: expected 5 columns as in the head"),
        (HEAD + "x,,,training,Dog\n", 0, "none of the clips has a recording"),
        (
            HEAD + "dog/a,,,training,\n",
            0,
            "none of the 1 clips of training has a label",
        ),
        (HEAD + "a,,,training,Dog\na,,,test,Dog\n", 0, "1 clips are in two splits"),
    ],
)
def test_tables_that_cannot_be_used_say_why(root, clips, line, message):
    with pytest.raises(DataError) as error:
        find_splits(put(root, clips), options(split_fractions=(1.0, 0.0, 0.0)))
    place = f"{root}/clips.csv:{line}: " if line else str(root)
    assert str(error.value).startswith(place) and message in str(error.value)
    assert error.value.exit_code == 65


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ("b,,,training", "BAD_ROW", "expected 5 columns as in the header, got 4 separ"),
        ("b,0,5,1.5,training,Dog", "BAD_ROW", "got 6 separated by commas: 'b,0,5,1.5"),
        ('b,,,training,"Dog', "BAD_ROW", "not separated by commas"),
        (",,,training,Dog", "BAD_ROW", "expected the path or name of a recording, got"),
        ("b,0:05,1,training,Dog", "BAD_TIME", "0 to 864000, got '0:05'"),
        ("b,-1,1,training,Dog", "BAD_TIME", "0 to 864000, got '-1'"),
        ("b,nan,1,training,Dog", "BAD_TIME", "0 to 864000, got 'nan'"),
        ('b,"0,5",1,training,Dog', "BAD_TIME", "0 to 864000, got '0,5'"),
        ("b,2,1,training,Dog", "BAD_TIME", "expected start < end, got 2 and 1"),
        ("b,0,0,training,Dog", "BAD_TIME", "expected start < end, got 0 and 0"),
        ("b,70,,training,Dog", "BAD_TIME", "b.flac ends at 2 s, before 70 s"),
        ("b,,,trainign,Dog", "BAD_ROW", "'trainign'; the nearest is 'training'"),
        ("b,,,,Dog", "BAD_ROW", "expected a split, training, validation, testing"),
        ("b,,,training,Dgo", "UNKNOWN_LABEL", "'Dgo'; the nearest is 'Dog'"),
        ("b,,,training,Dog;d", "", ""),
        ('b,,,training,"[Dog]"', "BAD_ROW", "or a list of JSON as"),
        ("dog/a.wav,,,training,Dog", "DUPLICATE", "is in line 2 too; labels united"),
        ("c,,,test,?", "NOT_SCORED", "c (testing)"),
        ("../b.flac,,,training,Dog", "", ""),
    ],
)
def test_rows_that_cannot_be_used_are_named_and_the_rest_is_used(
    root, row, code, message
):
    put(root, GOOD + row + "\n", classes_csv=CLASSES)
    dataset, findings = read_folder(root)
    assert findings == [] and len(labels(dataset)) >= 2
    found = [(f.path, f.line, f.code.name) for f in dataset.findings]
    assert found == ([(str(root / "clips.csv"), 4, code)] if code else [])
    assert all(message in finding.detail for finding in dataset.findings)
    missing = [path is None for s in dataset.splits.values() for path in s.recordings]
    assert sum(missing) == row.startswith("../")


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ("dog/a,0.4,0.2,Dog", "BAD_TIME", "expected onset <= offset, got 0.4 > 0.2"),
        ("dog/a,0.1,x,Dog", "BAD_TIME", "got 'x'"),
        ("dog/a,0.1,0.2,Dgo", "UNKNOWN_LABEL", "'Dgo'; the nearest is 'Dog'"),
        ("dog/a,0.1,0.2", "BAD_ROW", "expected 4 columns as in the header, got 3"),
        ("x,0.1,0.2,Dog", "UNKNOWN_CLIP", "'x' is not a recording of the listed clips"),
        ("b,0.1,0.2,Dog", "UNKNOWN_CLIP", "'b' is not a recording of the listed clips"),
    ],
)
def test_events_that_cannot_be_used_are_named(root, row, code, message):
    events = f"recording,onset,offset,event_label\ndog/a,0.1,0.2,Dog\n{row}\n"
    dataset = find_splits(put(root, GOOD, events, classes_csv=CLASSES))
    [found] = dataset.findings
    assert (found.path, found.line) == (str(root / "events.csv"), 3)
    assert found.code.name == code and message in found.detail


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"clips_tsv": GOOD}, "expected one of clips.csv and clips.tsv, found both"),
        ({"events": "", "events_tsv": ""}, "expected one of events.csv and events.tsv"),
        (
            {"classes_csv": "Dog\nCat\n"},
            "classes.csv:1: expected id<TAB>name, got 'Dog'",
        ),
        (
            {"training_set_csv": ""},
            "dcase2017: training_set.csv; table: clips.csv. Say",
        ),
        ({"metadata_csv": ""}, "table: clips.csv; audiofolder: metadata.csv. Say whi"),
    ],
)
def test_several_tables_and_layouts_are_an_error(root, files, message):
    with pytest.raises(DataError, match=re.escape(message)) as error:
        find_splits(put(root, **{"clips": GOOD, **files}))
    assert str(error.value).startswith(str(root))


def test_one_column_a_class_holds_0_and_1_only(root):
    put(root, "recording,split,Dog,Cat\ndog/a,train,1,0\nb,train,2,0\nc,train,?,0\n"
        "e,test,0,1\n")  # fmt: skip
    details = [(f.line, f.detail) for f in find_splits(root).findings]
    assert details == [
        (3, "expected 0 or 1 in the column 'Dog', got '2'"),
        (4, "expected ? in the columns of all classes or in none, got it in 'Dog'"),
    ]


def test_labels_joined_by_commas_are_no_class_of_their_own(root):
    put(root, HEAD + 'dog/a,,,train,Dog\nb,,,train,Cat\nc,,,train,"Dog, Cat"\n'
        'd,,,train,"Horn, truck"\ne,,,test,Dog|Cat\n')  # fmt: skip
    dataset, _ = read_folder(root, options(split_fractions=(1.0, 0.0, 0.0)))
    assert dataset.classes.names == ("Cat", "Dog", "Horn, truck")
    assert [(f.line, f.detail[-14:]) for f in dataset.findings] == [
        (4, "got 'Dog, Cat'"),
        (6, ", got 'Dog|Cat'"[-14:]),
    ]
