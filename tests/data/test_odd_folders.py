"""What is odd about a folder, or lost of it, is a finding with file and line."""

import pytest

from gcrnn_jax.data.findings import Code
from tests.data.folders import (
    AS_STRONG,
    AUDIOSET,
    BALANCED,
    CAT,
    DESED,
    DOG,
    RAVEN_HEADER,
    ROW,
    TABLES,
    TRACKS,
    TRAIN,
    VALID,
    look,
    make,
    other,
)

FINDINGS = {
    # name: (files, file, line, code, what is said)
    "a bad row of a track": (
        other(TRACKS, "a.txt", "1\t2\tDog\n3\t4\n"),
        "a.txt",
        2,
        Code.BAD_ROW,
        "separated by tabs, got no label",
    ),
    "times of a track": (
        other(TRACKS, "a.txt", "1\t2\tDog\n4\t3\tDog\n"),
        "a.txt",
        2,
        Code.BAD_TIME,
        "expected onset <= offset, got 4 > 3",
    ),
    "its recording": (
        other(TRACKS, "a.txt", "1\t2\tDog\n4\t3\tDog\n"),
        "a.txt",
        0,
        Code.INCOMPLETE,
        "its 1 recordings; correct the rows named above",
    ),
    "labels beyond the end": (
        {"a.wav": 25, "a.txt": "1\t2\tDog\n37\t38\tDog\n"},
        "a.txt",
        2,
        Code.AFTER_END,
        "37 to 38 s of a.wav, which has 25.000 s",
    ),
    "no track at all": (
        other(TRACKS, "a.txt", "A dog barks.\n") | {"b.wav": 1, "b.txt": "0\t1\tDog\n"},
        "a.txt",
        1,
        Code.UNKNOWN_LIST,
        "seconds, separated by tabs; got 'A dog barks.'",
    ),
    "a track without its recording": (
        TRACKS | {"b.txt": "0\t1\tDog\n"},
        None,
        None,
        None,
        "",
    ),
    "several columns of labels": (
        {
            "a.wav": 5,
            "a.txt": "Begin Time (s)\tEnd Time (s)\tTag\tType\n1\t2\tDog\tbark\n",
        },
        "a.txt",
        0,
        Code.LABEL_COLUMN,
        "labels are those of 'Tag', not of 'Type'",
    ),
    "an empty table of nobody": (
        TABLES | {"all.txt": RAVEN_HEADER},
        "all.txt",
        0,
        Code.UNKNOWN_LIST,
        "expected the name of a recording as its own, or rows; found neither",
    ),
    "a weak row of one column": (
        other(DESED, TRAIN, f"{DESED[TRAIN]}c.wav\n"),
        TRAIN,
        3,
        Code.BAD_ROW,
        "expected filename and event_labels, separated by tabs, got 'c.wav'",
    ),
    "labels that may be one or two": (
        other(DESED, TRAIN, f"{DESED[TRAIN]}c.wav\tA, b\n"),
        TRAIN,
        3,
        Code.BAD_ROW,
        "quotes around a label that holds one, got 'A, b'",
    ),
    "labels joined with spaces": (
        other(DESED, TRAIN, "filename\tevent_labels\na.wav\tDog, Cat, A\n"),
        TRAIN,
        0,
        Code.JOINED,
        "'Dog, Cat, A'",
    ),
    "a strong row of three columns": (
        other(DESED, VALID, f"{DESED[VALID]}b.wav\t1\t2\n"),
        VALID,
        4,
        Code.BAD_ROW,
        "expected 4 columns as in the header, got 3",
    ),
    "a strong row of no time": (
        other(DESED, VALID, f"{DESED[VALID]}b.wav\tx\t2\tDog\n"),
        VALID,
        4,
        Code.BAD_TIME,
        "expected a time in seconds, 0 to 864000, got 'x'",
    ),
    "a clip again": (
        other(DESED, TRAIN, f"{DESED[TRAIN]}a.wav\tDog\n"),
        TRAIN,
        3,
        Code.DUPLICATE,
        "a.wav is in line 2 too; labels united",
    ),
    "a split of an unknown name": (
        DESED | {"metadata/trian/weak.tsv": "filename\tevent_labels\nc.wav\tDog\n"},
        "metadata/trian/weak.tsv",
        2,
        Code.BAD_ROW,
        "got 'trian'; the nearest is 'train'",
    ),
    "an id that is none": (
        other(AUDIOSET, BALANCED, AUDIOSET[BALANCED] + ROW.format(4, "Dog")),
        BALANCED,
        6,
        Code.UNKNOWN_LABEL,
        "expected ids such as /m/09x0r, got 'Dog'",
    ),
    "a row without labels": (
        other(AUDIOSET, BALANCED, AUDIOSET[BALANCED] + ROW.format(4, "")),
        BALANCED,
        6,
        Code.BAD_ROW,
        "expected ids such as /m/09x0r, got none",
    ),
    "a segment of no length": (
        other(
            AUDIOSET,
            BALANCED,
            AUDIOSET[BALANCED] + f'abcdefghij4, 40.000, 30.000, "{DOG}"\n',
        ),
        BALANCED,
        6,
        Code.BAD_TIME,
        "expected start < end, got 40.000 and 30.000",
    ),
    "a row of two columns": (
        other(AUDIOSET, BALANCED, AUDIOSET[BALANCED] + "abcdefghij4, 30.000\n"),
        BALANCED,
        6,
        Code.BAD_ROW,
        "expected `YTID, start, end, \"ids\"`, got 'abcdefghij4, 30.000'",
    ),
    "classes that are left out": (
        other(AUDIOSET, BALANCED, AUDIOSET[BALANCED] + ROW.format(4, CAT)),
        BALANCED,
        0,
        Code.OTHER_CLASS,
        f"1 labels of 1 classes, most often {CAT}; 1 rows have no other",
    ),
    "a strong row of AudioSet": (
        AUDIOSET | {AS_STRONG: f"abcdefghij1_30000\t1\t2\t{DOG}\nabcdefghij1\t1\n"},
        AS_STRONG,
        2,
        Code.BAD_ROW,
        "expected `segment_id start end label`, separated by tabs",
    ),
    "its times": (
        AUDIOSET | {AS_STRONG: f"abcdefghij1_30000\t3\t2\t{DOG}\n"},
        AS_STRONG,
        1,
        Code.BAD_TIME,
        "expected start <= end, got 3 > 2",
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_what_is_odd_or_lost_is_found(tmp_path, name):
    files, path, line, code, said = FINDINGS[name]
    dataset, _ = look(make(tmp_path, files))
    if path is None:
        assert None in [
            p for split in dataset.splits.values() for p in split.recordings
        ]
        return
    at_place = [
        one
        for one in dataset.findings
        if (one.path, one.line) == (str(tmp_path / path), line)
    ]
    assert [one.code for one in at_place] == [code]
    assert said in at_place[0].detail
