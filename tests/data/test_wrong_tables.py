"""What is wrong with a table of clips is said, and nothing of it is lost silently."""

import io

import numpy as np
import pytest
import soundfile

from gcrnn_jax.check import check
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.preparation import prepare_folder
from gcrnn_jax.errors import DataError
from tests import defaults
from tests.data.folders import CLASS_FOLDERS, labels_of, look, make, read

HEAD = "recording,start,end,split,labels\n"
ROWS = "a.wav,,,training,Dog\nb.wav,,,training,Cat\nc.wav,,,testing,Dog;Cat\n"
EVENTS = "recording,onset,offset,event_label\n"


def second(seed):
    """A recording of a second, at a rate that a decoder takes."""
    file = io.BytesIO()
    waveform = np.random.default_rng(seed).uniform(-0.5, 0.5, 8000)
    soundfile.write(file, waveform, 8000, format="WAV")
    return file.getvalue()


RECORDINGS = {f"{name}.wav": second(seed) for seed, name in enumerate("abc")}


def table(rows, head=HEAD, **files):
    files = {name.replace("_csv", ".csv"): text for name, text in files.items()}
    return {**RECORDINGS, "clips.csv": head + rows, **files}


FINDINGS = {
    # name: (files, file, line, code, what is said)
    "a clip after the end of its recording": (
        table(f"a.wav,5,6,training,Dog\n{ROWS}"),
        "clips.csv",
        2,
        Code.BAD_TIME,
        "a_5.000_6.000: its recording ends at 1.000 s, before it",
    ),
    "a clip that its recording is too short for": (
        table(f"{ROWS}a.wav,0.5,6,training,Dog\n"),
        "clips.csv",
        5,
        Code.SHORT_RECORDING,
        "a_0.500_6.000: its recording has 1.000 s, listed to 6",
    ),
    "a clip with labels and without": (
        table(f"{ROWS}a.wav,,,training,?\n"),
        "clips.csv",
        5,
        Code.DUPLICATE,
        "a.wav is in line 2 too, with labels in one of them",
    ),
    "labels that are known and not": (
        table(f"{ROWS}a.wav,0,0.5,training,Dog;?\n"),
        "clips.csv",
        5,
        Code.BAD_ROW,
        "expected labels, or ? alone, got 'Dog;?'",
    ),
    "a label in another case": (
        table(f"{ROWS}a.wav,0,0.5,training,dog\n"),
        "clips.csv",
        5,
        Code.CLASSES_ALIKE,
        "'dog' is a class beside 'Dog'",
    ),
    "a column of something else": (
        table(ROWS.replace("\n", ",x\n"), HEAD.replace("\n", ",comment\n")),
        "clips.csv",
        1,
        Code.UNUSED_COLUMN,
        "'comment'",
    ),
    "classes that are not said by 0 and 1": (
        table("a.wav,yes,1\nb.wav,no,0\n", "recording,Dog,Cat\n"),
        "clips.csv",
        1,
        Code.UNUSED_COLUMN,
        "'Dog'",
    ),
    "a table without a row": (
        table(""),
        "clips.csv",
        1,
        Code.NO_ROW,
        "expected rows below the header, got none",
    ),
    "a label track of other times": (
        {"a.wav": 1, "b.wav": 1, "a.txt": "0:01\t0:02\tDog\n", "b.txt": "0\t1\tDog\n"},
        "a.txt",
        1,
        Code.BAD_ROW,
        r"seconds, separated by tabs; got '0:01\t0:02\tDog'",
    ),
    "a recording of another folder": (
        table(ROWS, **{"y/a.wav": second(9)}),
        "y/a.wav",
        0,
        Code.EXTRA,
        "in no list",
    ),
    "a recording of another class's name": (
        {**CLASS_FOLDERS, "dog/a.flac": 1},
        "dog/a.flac",
        0,
        Code.SEVERAL,
        "dog/a.wav is used",
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_check_says_what_is_odd_and_where(tmp_path, name):
    files, path, line, code, said = FINDINGS[name]
    report = check(make(tmp_path, files), num_workers=0)
    [found, *more] = [one for one in report.groups[code] if one.path == path]
    assert (found.line, more) == (line, [])
    assert said in found.detail


def test_a_column_is_a_class_whatever_its_first_row_says(tmp_path):
    rows = "a.wav,,1,0.1\nb.wav,1,0,1\nc.wav,1,1,3\n"
    head = "recording,Dog,Cat,fold\n"
    root = make(tmp_path, table(rows, head))
    dataset = read(root, split_fractions=(1.0, 0.0, 0.0))
    expected = {"a": ("Cat",), "b": ("Dog",), "c": ("Cat", "Dog")}
    assert labels_of(dataset) == {"training": expected}


@pytest.mark.parametrize("text", ["", EVENTS])
def test_events_without_a_row_are_refused(tmp_path, text):
    """Unless a column says which clips have all of theirs there."""
    root = make(tmp_path, table(ROWS, events_csv=text))
    with pytest.raises(DataError, match=r"events.csv: expected rows .*, got none"):
        read(root)
    root = make(
        tmp_path, table("a.wav,,,training,,1\n", f"{HEAD[:-1]},strong\n", events_csv="")
    )
    assert look(root)[0].splits["training"].is_strong("a")


def test_label_tracks_of_which_none_is_one_are_told_why(tmp_path):
    root = make(tmp_path, {"a.wav": 1, "a.txt": "0:01\t0:02\tDog\n"})
    for layout in ("audacity", ""):
        with pytest.raises(DataError, match=r"a.txt:1: expected the label track of a"):
            read(root, layout=layout)


def test_a_clip_without_a_recording_is_named_with_its_list(tmp_path):
    root = make(tmp_path / "set", table(f"{ROWS}d.wav,,,training,Dog\n"))
    with pytest.raises(DataError, match="d of clips.csv:5: MISSING: no recording"):
        prepare_folder(
            root,
            tmp_path / "store",
            defaults.front_end(),
            num_workers=0,
            max_bad_fraction=0.01,
        )


def test_clips_with_strong_labels_need_a_list_of_events(tmp_path):
    rows = "a.wav,,,training,Dog,0\nb.wav,,,training,Dog,1\n"
    root = make(tmp_path, table(rows, f"{HEAD[:-1]},strong\n"))
    with pytest.raises(DataError, match=r"clips.csv:3: expected events.csv .* neither"):
        read(root)


def test_what_is_said_of_several_lists_names_their_folder(tmp_path):
    files = {f"{kind}/{name}.wav": 1 for kind in ("dog", "cat") for name in "abcd"}
    report = check(make(tmp_path, files), lists_only=True)
    assert {one.path for one in report.groups[Code.CLASS_SMALL]} == {"."}
