"""Recordings with label tracks of Audacity or selection tables beside them."""

import pytest

from tests.data.folders import (
    RAVEN_HEADER,
    TRACKS,
    events_of,
    found,
    labels_of,
    look,
    make,
    read,
)


def test_label_tracks_are_strong_labels(tmp_path):
    files = TRACKS | {
        "b.flac": 5,
        "b_labels.txt": "",
        "c.wav": 5,
        "d.wav": 5,
        "labels/d.labels.txt": "0\t1\tCat\n",
        "c.md": "notes",
    }
    dataset = read(make(tmp_path, files), split_fractions=(1.0, 0.0, 0.0))
    assert labels_of(dataset) == {
        "training": {"a": ("Cat", "Dog"), "b": (), "c": None, "d": ("Cat",)}
    }
    assert events_of(dataset) == {
        "a": ((1.0, 2.0, "Dog"), (3.5, 4.0, "Cat")),
        "b": (),
        "d": ((0.0, 1.0, "Cat"),),
    }
    assert found(dataset) == [("NO_LABEL_FILE", str(tmp_path), 0)]
    assert dataset.findings[0].detail == "1 of 4, the first is c.wav"


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": "1\t2\tDog\n4\t3\tCat\n", "b.txt": "0\t1\tDog\n"},
        {
            "a.selections.txt": (
                f"{RAVEN_HEADER}1\tS\t1\t1\t2\tDog\n2\tS\t1\t4\t3\tCat\n"
            ),
            "b.selections.txt": f"{RAVEN_HEADER}1\tS\t1\t0\t1\tDog\n",
        },
    ],
    ids=["track", "table"],
)
def test_nothing_is_known_of_a_recording_with_a_row_that_cannot_be_used(
    tmp_path, files
):
    """Its other events would say that nothing else is heard in it."""
    files = {"a.wav": 5, "b.wav": 5, **files}
    dataset = read(make(tmp_path, files), split_fractions=(1.0, 0.0, 0.0))
    assert labels_of(dataset) == {"training": {"a": None, "b": ("Dog",)}}
    assert events_of(dataset) == {"b": ((0.0, 1.0, "Dog"),)}
    assert [code for code, *_ in found(dataset)] == ["BAD_TIME", "INCOMPLETE"]
    assert len(dataset.splits["training"].event_rows) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/a.txt", "0\t1\tDog\n"),
        ("labels/a.selections.txt", f"{RAVEN_HEADER}1\tS\t1\t0\t1\tDog\n"),
    ],
)
def test_labels_of_one_of_several_recordings_are_not_given_to_any(tmp_path, name, text):
    files = {"x/a.wav": 5, "y/a.wav": 5, name: text}
    training = look(make(tmp_path, files))[0].splits["training"]
    recordings = dict(zip(training.clip_ids, training.recordings, strict=True))
    assert [name for name, path in recordings.items() if path is None] == ["labels/a"]
    assert [*training.clip_events()] == ["labels/a"]


def test_an_empty_text_beside_no_recording_of_its_name_is_no_track(tmp_path):
    dataset = read(make(tmp_path, TRACKS | {"notes.txt": ""}))
    assert [split.clip_ids for split in dataset.splits.values()] == [["a"]]


def test_a_point_says_what_is_heard_but_not_how_long(tmp_path):
    """In training, frames would learn that nothing is there; scores leave it out."""
    files = {f"{top}/{name}.wav": 5 for top in ("train", "test") for name in "ab"}
    for top in ("train", "test"):
        files[f"{top}/a.txt"] = "1\t1\tCat\n2\t3\tDog\n"
        files[f"{top}/b.txt"] = "1\t2\tDog\n"
    dataset = read(make(tmp_path, files))
    assert labels_of(dataset)["training"]["train/a"] == ("Cat", "Dog")
    assert dataset.splits["training"].strong_clips == {"train/b"}
    assert events_of(dataset)["train/b"] == ((1.0, 2.0, "Dog"),)
    assert dataset.splits["testing"].strong_clips is None
    assert dataset.notes == (
        "training: 1 clip is trained on by weak labels alone, "
        "as some events have no length",
    )


def test_splits_may_be_the_folders_of_recordings_with_labels(tmp_path):
    files = {
        f"{top}/a.{end}": what
        for top in ("train", "test")
        for end, what in (("wav", 2), ("txt", "0\t1\tDog\n"))
    }
    dataset = read(make(tmp_path, files))
    assert {name: len(split.rows) for name, split in dataset.splits.items()} == {
        "training": 1,
        "testing": 1,
    }


def test_a_long_recording_is_cut_and_its_events_along(tmp_path):
    files = {"a.wav": 25, "a.txt": "8\t12\tDog\n24\t25\tCat\n"}
    dataset = read(make(tmp_path, files), split_fractions=(1.0, 0.0, 0.0))
    assert events_of(dataset) == {
        "a_0.000_10.000": ((8.0, 10.0, "Dog"),),
        "a_10.000_20.000": ((0.0, 2.0, "Dog"),),
        "a_20.000_25.000": ((4.0, 5.0, "Cat"),),
    }


def test_labels_that_mean_none_of_the_classes_are_left_out(tmp_path):
    dataset = read(
        make(tmp_path, TRACKS | {"b.wav": 5, "b.txt": "0\t1\twind\n"}),
        negatives=("wind",),
        split_fractions=(1.0, 0.0, 0.0),
    )
    assert dataset.classes.names == ("Cat", "Dog")
    assert labels_of(dataset)["training"]["b"] == ()


def test_a_table_of_several_recordings_names_them(tmp_path):
    header = "Begin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tTag\n"
    files = {
        "north/a.wav": 5,
        "south/a.wav": 5,
        "south/b.wav": 5,
        "survey.txt": header
        + "1\t2\tD:\\2024\\north\\a.wav\t1\tDog\n"
        + "6\t7\tD:\\2024\\south\\a.wav\t1\tCat\n"
        + "8.5\t9\tD:\\2024\\south\\a.wav\t3.5\tCat\n",
    }
    dataset = read(make(tmp_path, files), split_fractions=(1.0, 0.0, 0.0))
    assert dataset.layout == "selection tables"
    assert events_of(dataset) == {
        "north/a": ((1.0, 2.0, "Dog"),),
        "south/a": ((1.0, 2.0, "Cat"), (3.5, 4.0, "Cat")),
    }
    assert labels_of(dataset)["training"]["south/b"] is None


def test_tables_of_birdnet_in_two_formats_are_one(tmp_path):
    files = {
        "a.wav": 5,
        "a.BirdNET.results.csv": (
            "Start (s),End (s),Scientific name,Common name,Confidence\n"
            "0.0,3.0,Canis lupus,Dog,0.25\n"
        ),
        "a.BirdNET.selection.table.txt": (
            "Selection\tView\tBegin Time (s)\tEnd Time (s)\tCommon Name\tConfidence\n"
            "1\tSpectrogram 1\t0\t3.0\tDog\t0.25\n"
        ),
        "b.wav": 5,
        "b.BirdNET.results.csv": (
            "Start (s),End (s),Scientific name,Common name,Confidence\n"
        ),
    }
    dataset = read(make(tmp_path, files), split_fractions=(1.0, 0.0, 0.0))
    assert events_of(dataset) == {"a": ((0.0, 3.0, "Dog"),), "b": ()}
    assert [one.code.name for one in dataset.findings] == ["SCORED"]
    assert dataset.findings[0].detail == "2 labels, with scores 0.25 to 0.25"
