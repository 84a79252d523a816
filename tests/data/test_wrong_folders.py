"""What is wrong with a folder is said with file, line, what was expected and came."""

import pytest

from gcrnn_jax.errors import DataError
from tests.data.folders import (
    AUDIOSET,
    BALANCED,
    CLASS_FOLDERS,
    CLASS_LIST,
    CLASSES,
    DESED,
    DOG,
    LATIN,
    RAVEN_HEADER,
    ROW,
    SEGMENTS,
    STRONG,
    TABLE,
    TABLES,
    TRACKS,
    TRAIN,
    VALID,
    make,
    other,
    read,
    without,
)

ERRORS = {
    # name: (layout, files, file and line, what is said)
    "no files": ("", {"x/.keep": ""}, "", "expected a data set in one of these"),
    "recordings alone": ("", {"a.wav": 1, "b.wav": 1}, "", "found none: dcase2017"),
    "a list of another kind": (
        "",
        CLASS_FOLDERS | {"labels.csv": "x,y\n"},
        "",
        r"one folder per class, with no list \(.csv, .tsv\)",
    ),
    "one class": (
        "",
        {"dog/a.wav": 1, "dog/b.wav": 1},
        "",
        "folders of two classes or more, .* found 'dog' with 2 recordings",
    ),
    "no class": ("class_folders", {"a.wav": 1}, "", "two classes .* found none"),
    "empty class": ("", {"dog/a.wav": 1, "cat/x.md": ""}, "", "found 'dog' with 1"),
    "splits beside classes": (
        "",
        {"train/dog/a.wav": 1, "test/dog/b.wav": 1, "more/dog/c.wav": 1},
        "",
        "folders of splits only or of classes only, found test, train beside more",
    ),
    "a clip in two splits": (
        "desed",
        other(DESED, VALID, f"{STRONG}a.wav\t1\t2\tDog\n"),
        "",
        "1 clips are in two splits",
    ),
    "asked about": (
        "",
        CLASS_FOLDERS | {"noise/a.wav": 1},
        "/noise",
        "expected to be told whether what is in a folder 'noise' is of a class",
    ),
    "no track": ("audacity", {"a.wav": 1}, "", "label tracks beside .* found none"),
    "two tracks": (
        "",
        other(TRACKS, "a_labels.txt", "1\t2\tDog\n"),
        "/a_labels.txt",
        "expected one label track of a.wav, got .*a.txt too",
    ),
    "a track of another encoding": (
        "",
        other(TRACKS, "a.txt", b"1\t2\tDog\n1\t2\t" + LATIN),
        "/a.txt:2",
        "expected UTF-8 text, got the byte e4",
    ),
    "tracks without recordings": (
        "audacity",
        without(TRACKS, "a.wav"),
        "",
        "none of the clips has a recording",
    ),
    "empty tracks": (
        "audacity",
        other(TRACKS, "a.txt", ""),
        "/a.txt",
        "none of the 1 clips of training has a label",
    ),
    "no metadata": ("audiofolder", {"a.wav": 1}, "", "expected metadata.csv, found no"),
    "no table": ("raven", {"a.wav": 1}, "", "expected selection tables, found none"),
    "a table without a header": (
        "raven",
        other(TABLES, TABLE, "1\tSpectrogram 1\t1\t1\t2\tDog\n"),
        f"/{TABLE}:1",
        "expected a header .* got '1.tSpectrogram",
    ),
    "a table without labels": (
        "",
        other(TABLES, TABLE, f"{RAVEN_HEADER}1\tSpectrogram 1\t1\t1\t2\n"),
        f"/{TABLE}:2",
        "expected a column of labels such as `Annotation`",
    ),
    "times that count on": (
        "",
        {
            "a.wav": 1,
            "b.wav": 1,
            "t.txt": "Begin Time (s)\tEnd Time (s)\tBegin File\tTag\n"
            "0\t1\ta.wav\tDog\n1\t2\tb.wav\tDog\n",
        },
        "/t.txt:3",
        r"expected a column `File Offset \(s\)`",
    ),
    "recordings of one name": (
        "",
        {
            "x/a.wav": 1,
            "y/a.wav": 1,
            "t.txt": f"Begin File\t{RAVEN_HEADER}a.wav\t1\tS\t1\t0\t1\tDog\n",
        },
        "/t.txt",
        "a.wav may be any of x/a.wav, y/a.wav: name it with its folder",
    ),
    "no list of DESED": ("desed", {"a.wav": 1}, "", "such as metadata/train/weak.tsv"),
    "a list without a header": (
        "desed",
        other(DESED, TRAIN, "a.wav\tDog\n"),
        f"/{TRAIN}:1",
        "expected a header such as .* separated by tabs, got 'a.wav.tDog'",
    ),
    "a list with commas": (
        "desed",
        other(DESED, TRAIN, "filename,event_labels\na.wav,Dog\n"),
        f"/{TRAIN}:1",
        "separated by tabs, got 'filename,event_labels'",
    ),
    "a list in another encoding": (
        "desed",
        other(DESED, TRAIN, b"filename\tevent_labels\na.wav\t" + LATIN),
        f"/{TRAIN}:2",
        "expected UTF-8 text",
    ),
    "lists without rows": (
        "desed",
        DESED | {TRAIN: "filename\tevent_labels\n", VALID: STRONG},
        "",
        "no usable row",
    ),
    "no recordings of DESED": (
        "",
        without(DESED, "audio/train/weak/a.wav", "audio/validation/b.wav"),
        "",
        "none of the clips has a recording: expected files such as a.wav",
    ),
    "no list of AudioSet": ("audioset", {"a.wav": 1}, "", f"such as {BALANCED}"),
    "an empty class list": (
        "",
        other(AUDIOSET, CLASSES, CLASS_LIST.splitlines()[0]),
        f"/{CLASSES}",
        "the class list holds no class",
    ),
    "a class list of another kind": (
        "",
        other(AUDIOSET, CLASSES, f"{CLASS_LIST}2,Speech\n"),
        f"/{CLASSES}:4",
        "expected `index,mid,display_name`, got '2,Speech'",
    ),
    "a class twice": (
        "",
        other(AUDIOSET, CLASSES, f'{CLASS_LIST}2,{DOG},"Hound"\n'),
        f"/{CLASSES}",
        f"class id '{DOG}' is empty or not unique",
    ),
    "lists of AudioSet in tabs": (
        "",
        {
            name: text.replace(", ", "\t") if name.endswith("segments.csv") else text
            for name, text in AUDIOSET.items()
            if isinstance(text, str)
        },
        f"/{BALANCED}:4",
        'no usable row: expected `YTID, start, end, "ids"`',
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_folder_that_cannot_be_used_is_an_error(tmp_path, name):
    layout, files, place, said = ERRORS[name]
    make(tmp_path, files)
    with pytest.raises(DataError, match=said) as error:
        read(tmp_path, layout=layout)
    message = str(error.value).removeprefix("no usable row: ")
    assert message.startswith(f"{tmp_path}{place}: ")
    assert error.value.exit_code == 65


def test_negatives_that_do_not_occur_are_an_error(tmp_path):
    root = make(tmp_path, CLASS_FOLDERS)
    with pytest.raises(DataError, match="got 'dgo'; the nearest is 'dog'"):
        read(root, negatives=("dgo",))


def test_a_class_list_without_clips_of_a_class_keeps_the_class(tmp_path):
    rows = {name: SEGMENTS + ROW.format(1, DOG) for name in (BALANCED,)}
    files = {CLASSES: CLASS_LIST, "abcdefghij1.wav": 1, **rows}
    assert len(read(make(tmp_path, files)).classes) == 2
