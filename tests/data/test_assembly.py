"""What a layout has read becomes a data set, and nothing of it is lost in silence."""

import unicodedata

import pytest

from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.labels import ClassList
from gcrnn_jax.data.listing import Source
from tests.listed import AT, clip, codes, content, event, made, rows, write_recordings


def test_a_name_of_several_recordings_must_be_said_with_its_folder(tmp_path):
    write_recordings(tmp_path, x__a_wav=0.1, y__a_wav=0.2)
    _, [found] = made(tmp_path, [clip("a.wav", ("Dog",))])
    assert (found.path, found.line, found.code) == ("list.csv", 7, Code.AMBIGUOUS)
    assert "a.wav may be any of x/a.wav, y/a.wav: name it" in found.detail
    _, findings = made(tmp_path, [clip("x/a.wav", ("Dog",)), clip("y/a.wav")])
    assert findings == []


def test_events_of_a_name_in_two_splits_must_say_whose_they_are(tmp_path):
    write_recordings(tmp_path, train__a_wav=0.5, test__a_wav=0.6)
    clips = [clip("a", has_events=True), clip("a", None, "test", has_events=True)]
    _, findings = made(tmp_path, clips, [event("a", 0.1, 0.2, "Dog", 3)])
    assert (findings[0].code, findings[0].line) == (Code.AMBIGUOUS, 3)
    events = [event("test/a", 0.1, 0.2, "Dog"), event("train/a", 0.1, 0.3, "Cat")]
    dataset, findings = made(tmp_path, clips, events)
    assert [split.event_rows for split in dataset.splits.values()] == [
        (("train/a", 0.1, 0.3, "Cat", 1),),
        (("test/a", 0.1, 0.2, "Dog", 1),),
    ]


def test_ids_are_names_of_lists_and_paths_where_these_are_not_unique(tmp_path):
    write_recordings(tmp_path, x__a_wav=0.1, y__a_wav=0.2, audio__c_wav=0.1)
    clips = [clip("audio/x/a.wav"), clip("x/a.wav", ("Dog",)), clip("y/a"), clip("c")]
    ids = [row[0] for row in rows(tmp_path, clips)["training"]]
    assert ids == ["audio/x/a", "x/a", "y/a", "c"]  # the first is missing
    write_recordings(tmp_path, a_wav=0.1, a_flac=0.1)
    ids = [
        row[0] for row in rows(tmp_path, [clip("a.wav"), clip("a.flac")])["training"]
    ]
    assert ids == ["a.wav", "a.flac"]
    named = [clip("a.wav", clip_id="one"), clip("a.flac", clip_id="two", end_s=5.0)]
    assert [row[0] for row in rows(tmp_path, named)["training"]] == ["one", "two"]


def test_a_missing_recording_stays_in_its_split(tmp_path):
    write_recordings(tmp_path, a_wav=0.1)
    dataset, findings = made(tmp_path, [clip("a", ("Dog",)), clip("x/gone.wav")])
    assert findings == [] and dataset.findings == ()
    assert dataset.splits["training"].recordings == (tmp_path / "a.wav", None)
    assert dataset.splits["training"].clip_ids == ["a", "x/gone"]


# labels


def test_classes_are_those_listed_or_all_labels_in_order(tmp_path):
    write_recordings(tmp_path, a_wav=0.1)
    clips = [clip("a", ("Dog", unicodedata.normalize("NFD", "Käuzchen")))]
    dataset, _ = made(tmp_path, clips, [event("a", 0, 1, "Cat")])
    assert dataset.classes.names == ("Cat", "Dog", "Käuzchen")
    classes = ClassList(("/m/1", "/m/2"), ("Dog", "Cat"))
    dataset, _ = made(tmp_path, [clip("a", ("/m/2", "Dog"))], classes=classes)
    assert dataset.splits["training"].rows[0].labels == (0, 1)


def test_rows_of_a_recording_are_united(tmp_path):
    write_recordings(tmp_path, a_wav=0.1, b_wav=0.1)
    lines = [Source("list.csv", line) for line in range(5)]
    clips = [
        clip("a", ("Dog",), at=lines[1]),
        clip("a.wav", ("Cat",), at=lines[2]),
        clip("a", ("Dog",), at=lines[3]),
        clip("b", None, at=lines[1]),
        clip("b", (), at=lines[2]),
        clip("b", ("Cat",), at=lines[4]),
    ]
    dataset, _ = made(tmp_path, clips)
    assert [row[:2] for row in dataset.splits["training"].rows] == [
        ("a", (0, 1)),
        ("b", (0,)),
    ]
    assert codes(dataset) == [
        ("DUPLICATE", "list.csv", 3),
        ("DUPLICATE", "list.csv", 2),
        ("DUPLICATE", "list.csv", 4),
    ]


def test_a_recording_of_a_weak_and_of_a_strong_row_is_strong(tmp_path):
    write_recordings(tmp_path, a_wav=0.5)
    clips = [clip("a", ("Dog",)), clip("a.wav", None, has_events=True)]
    dataset, _ = made(tmp_path, clips, [event("a", 0.1, 0.3, "Dog")])
    split = dataset.splits["training"]
    assert split.is_strong("a") and split.rows[0].labels == (0,)


def test_events_of_a_row_that_is_not_used_are_no_fault_of_their_own(tmp_path):
    write_recordings(tmp_path, a_wav=0.5, b_wav=0.5)
    clips = [clip("a", ("Dog",)), clip("b", (), "trian", has_events=True)]
    dataset, _ = made(tmp_path, clips, [event("b", 0.1, 0.3, "Dog")])
    assert codes(dataset) == [("BAD_ROW", "list.csv", 7)]


def test_what_is_known_of_a_clip_is_one_of_three(tmp_path):
    write_recordings(tmp_path, a_wav=0.5, b_wav=0.5, c_wav=0.5, d_wav=0.5)
    clips = [
        clip("a", ("Dog",)),
        clip("b", None, has_events=True),
        clip("c", None),
        clip("d", None, has_events=True),
    ]
    dataset, findings = made(tmp_path, clips, [event("b.wav", 0.1, 0.3, "Dog", 9)])
    split = dataset.splits["training"]
    assert findings == [] and codes(dataset) == []
    assert [row.labels for row in split.rows] == [(0,), (0,), None, ()]
    assert split.strong_clips == {"b", "d"} and split.event_rows == (
        ("b", 0.1, 0.3, "Dog", 9),
    )
    assert str(split.strong_list) == "events.csv"
    assert dataset.notes == (
        "training: 1 of 4 clips have none of the classes",
        "training: 1 of 4 clips are unlabelled",
    )


def test_unlabelled_clips_only_train(tmp_path):
    write_recordings(tmp_path, a_wav=0.1, b_wav=0.1, c_wav=0.1)
    clips = [clip("a", ("Dog",)), clip("b", None, "test"), clip("c", ("Dog",), "test")]
    dataset, findings = made(tmp_path, clips)
    assert findings == [] and dataset.splits["testing"].clip_ids == ["c"]
    assert codes(dataset) == [("NOT_SCORED", "list.csv", 7)]


def test_a_split_of_which_not_all_is_strong_is_scored_by_its_tags(tmp_path):
    write_recordings(tmp_path, a_wav=0.5, b_wav=0.5, c_wav=0.5)
    clips = [
        clip("a", ("Dog",)),
        clip("b", ("Dog",), "val"),
        clip("c", None, "val", has_events=True),
    ]
    dataset, _ = made(tmp_path, clips, [event("c", 0.1, 0.3, "Dog")])
    validation = dataset.splits["validation"]
    assert validation.event_rows is None and not validation.is_strong("c")
    assert [row.labels for row in validation.rows] == [(0,), (0,)]
    said = "validation: only 1 of its 2 clips have strong labels, so it is scored for"
    assert said in dataset.notes[0]


# splits


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("train training Train", "training"),
        ("val valid validation dev", "validation"),
        ("test testing TEST", "testing"),
        ("eval evaluation", "evaluation"),
    ],
)
def test_splits_have_their_usual_names(tmp_path, names, split):
    write_recordings(tmp_path, a_wav=0.1, b_wav=0.1)
    for name in names.split():
        clips = [clip("a", ("Dog",), name), clip("b", ("Dog",), "test")]
        assert made(tmp_path, clips)[0].splits[split].clip_ids[0] == "a"


@pytest.fixture
def twenty(tmp_path):
    """Ten dogs and ten cats."""
    names = {f"{kind}__{i}_wav": 0.1 for kind in ("dog", "cat") for i in range(10)}
    write_recordings(tmp_path, **names)
    return [
        clip(f"{kind}/{i}.wav", (kind,), None)
        for kind in ("dog", "cat")
        for i in range(10)
    ]


def test_recordings_of_no_split_are_divided_evenly_and_that_is_said(tmp_path, twenty):
    dataset, findings = made(tmp_path, twenty, split_fractions=(0.6, 0.2, 0.2))
    assert findings == []
    counts = {
        name: [sum(k in row.labels for row in split.rows) for k in (0, 1)]
        for name, split in dataset.splits.items()
    }
    assert counts == {"training": [6, 6], "validation": [2, 2], "testing": [2, 2]}
    assert dataset.notes == (
        "no splits are stated: 20 recordings are divided by a hash of their names "
        "(split_seed 0): 12 training, 4 validation, 4 testing",
    )
    other = made(tmp_path, twenty, split_fractions=(0.6, 0.2, 0.2), split_seed=1)[0]
    assert content(other) != content(dataset)


def test_training_alone_is_divided_and_a_split_of_its_own_is_not(tmp_path, twenty):
    clips = [one._replace(split="train") for one in twenty]
    dataset, _ = made(tmp_path, clips, split_fractions=(0.7, 0.15, 0.15))
    assert set(dataset.splits) == {"training", "validation", "testing"}
    assert dataset.notes[0].startswith("only training is stated: 20 recordings are di")
    clips[0] = clips[0]._replace(split="eval")
    dataset, _ = made(tmp_path, clips)
    assert set(dataset.splits) == {"training", "evaluation"} and dataset.notes == ()
    dataset, _ = made(tmp_path, [one._replace(split="test") for one in clips])
    assert dataset.notes == ("no clip is in training: only testing",)


def test_clips_of_one_recording_or_source_are_in_one_split(tmp_path):
    write_recordings(tmp_path, **{f"r{i}_wav": 3.0 for i in range(6)}, x_wav=1.0)
    names = [f"r{i}" for i in range(6)] + ["x_0.000_10.000", "x_10.000_20.000"]
    for name in names[6:]:
        (tmp_path / f"{name}.wav").symlink_to(tmp_path / "x.wav")
    clips = [clip(name, ("Dog",), None) for name in names]
    dataset, _ = made(tmp_path, clips, clip_s=1.0, split_fractions=(0.5, 0.3, 0.2))
    seen = {}
    for name, split in dataset.splits.items():
        for clip_id in split.clip_ids:
            seen.setdefault(clip_id.split("_")[0], set()).add(name)
    assert len(seen) == 7 and all(len(splits) == 1 for splits in seen.values())
    assert len(dataset.splits) == 3


def test_unlabelled_recordings_train_when_recordings_are_divided(tmp_path, twenty):
    clips = [*twenty[:4], *(one._replace(labels=None) for one in twenty[4:])]
    dataset, _ = made(tmp_path, clips, split_fractions=(0.4, 0.3, 0.3))
    unlabelled = [row for row in dataset.splits["training"].rows if row.labels is None]
    assert len(unlabelled) == 16 and codes(dataset) == []


# what is wrong

STRONG = clip("c", None, has_events=True)
DOGS = [clip("a", ("Dog",)), clip("b", ("Cat",), "test")]


@pytest.mark.parametrize(
    ("more", "at", "code", "detail"),
    [
        ([clip("a", ("Dgo",))], "", "UNKNOWN_LABEL", "'Dgo'; the nearest is 'Dog'"),
        ([clip("a", (), "tset")], "", "BAD_ROW", "'tset'; the nearest is 'test'"),
        ([clip("a", (), None)], "", "BAD_ROW", "as other rows have, got none"),
        ([clip("a", start_s=3.0, end_s=2.0)], "", "BAD_TIME", "got 3 and 2"),
        ([clip("a", start_s=9.0)], "", "BAD_TIME", "a.wav ends at 2 s, before 9 s"),
        ([clip("a", end_s=50.0)], "", "SHORT_RECORDING", "has 2.000 s, listed to 50"),
        ([clip("b", clip_id="a")], "", "BAD_ROW", "ids, 'a' is in list.csv:7"),
        ([], ("x", 0, 1, "Dog"), "UNKNOWN_CLIP", "'x' is not a recording of"),
        ([], ("a", 0, 1, "Dog"), "UNKNOWN_CLIP", "no clip with strong labels"),
        ([STRONG], ("c", 3, 2, "Dog"), "BAD_TIME", "onset <= offset, got 3 and 2"),
        ([STRONG], ("c", 3, 4, "Dgo"), "UNKNOWN_LABEL", "nearest is 'Dog'"),
        ([STRONG], ("c", 40, 41, "Dog"), "AFTER_END", "c.wav, which has 12.000 s"),
        ([STRONG], ("c", 11, 41, "Dog"), "BEYOND_END", "c.wav, which has 12.000 s"),
    ],
)
def test_wrong_rows_are_named(tmp_path, more, at, code, detail):
    write_recordings(tmp_path, a_wav=2.0, b_wav=0.5, c_wav=12.0)
    events = [event(*at)] if at else []
    classes = ClassList(("d", "c"), ("Dog", "Cat"))
    dataset, findings = made(tmp_path, [*DOGS, *more], events, classes)
    assert findings == []
    [found] = dataset.findings
    assert found.code.name == code and detail in found.detail
    assert (found.path, found.line) == (("events.csv", 1) if events else AT)


@pytest.mark.parametrize(
    ("clips", "code", "detail"),
    [
        ([], "NO_ROW", "no usable row: no clip"),
        (
            [clip("a", (), "x"), clip("b", (), "y")],
            "NO_ROW",
            "no usable row: expe",
        ),
        ([clip("a", ()), clip("b", None)], "NO_LABEL", "none of the 2 clips of trai"),
        ([DOGS[0], clip("a", ("Dog",), "val")], "SHARED_CLIP", "a (training; list"),
        ([clip("x", ("Dog",)), clip("y")], "NO_RECORDINGS", "as x.wav, found 2"),
        ([DOGS[0], clip("y", ("Dog",), "val")], "NO_RECORDINGS", "clips of validation"),
    ],
)
def test_folders_that_cannot_be_used_say_why(tmp_path, clips, code, detail):
    write_recordings(tmp_path, a_wav=0.5, b_wav=0.5)
    _, findings = made(tmp_path, clips)
    assert findings[0].code.name == code and detail in findings[0].detail
    assert findings[0].path in ("list.csv", str(tmp_path))


def test_one_clip_of_one_class_is_a_data_set(tmp_path):
    write_recordings(tmp_path, a_wav=0.5)
    dataset, findings = made(tmp_path, [clip("a", ("Dog",), None)])
    assert findings == [] and list(dataset.splits) == ["training"]
    assert "1 recording is divided by" in dataset.notes[0]
