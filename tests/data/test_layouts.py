"""Folders of recordings in the layouts that people have, through the one reader."""

import pytest

from gcrnn_jax.data.folder import find_layout
from gcrnn_jax.data.layouts import LAYOUTS
from gcrnn_jax.errors import DataError
from tests.data.folders import events_of, found, labels_of, look, make, read

SPLIT_FOLDERS = {"train/dog/a.wav": 1, "train/cat/a.wav": 1, "test/dog/b.wav": 1}
CLASS_FOLDERS = {"dog/a.wav": 1, "dog/b.wav": 1, "cat/a.wav": 1, "cat/b.wav": 1}
TRACKS = {"a.wav": 5, "a.txt": "1\t2\tDog\n3.5\t4\tCat\n"}
RAVEN_HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
TABLES = {
    "a.wav": 5,
    "a.Table.1.selections.txt": f"{RAVEN_HEADER}1\tSpectrogram 1\t1\t1\t2\tDog\n",
}
DESED = {
    "metadata/train/weak.tsv": "filename\tevent_labels\na.wav\tDog,Cat\n",
    "metadata/validation/validation.tsv": (
        "filename\tonset\toffset\tevent_label\nb.wav\t1\t2\tDog\nb.wav\t3\t4\tCat\n"
    ),
    "audio/train/weak/a.wav": 5,
    "audio/validation/b.wav": 5,
}
SEGMENTS = "# Segments csv created\n# num_ytids=2\n# YTID, start_seconds, end_seconds, "
SEGMENTS += "positive_labels\n"
DOG, CAT, HORN = "/m/0bt9lr", "/m/01yrx", "/t/dd00134"
CLASS_LIST = f'index,mid,display_name\n0,{DOG},"Dog"\n1,{HORN},"Air horn, truck horn"\n'
ROW = 'abcdefghij{}, 30.000, 40.000, "{}"\n'
AUDIOSET = {
    "balanced_train_segments.csv": (
        SEGMENTS + ROW.format(1, f"{DOG},{HORN}") + ROW.format(2, DOG)
    ),
    "eval_segments.csv": SEGMENTS + ROW.format(3, HORN),
    "class_labels_indices.csv": CLASS_LIST,
    "audio/bal_train/abcdefghij1.wav": 10,
    "audio/bal_train/Yabcdefghij2.wav": 10,
    "audio/eval/abcdefghij3_30.000_40.000.flac": 10,
}
EXAMPLES = {
    "class_folders": CLASS_FOLDERS,
    "audacity": TRACKS,
    "raven": TABLES,
    "desed": DESED,
    "audioset": AUDIOSET,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layout_is_found_by_its_files_alone(tmp_path, name):
    layout = find_layout(make(tmp_path, EXAMPLES[name]), "")
    assert layout is not None and layout.name == name


def test_all_layouts_are_listed_under_names_of_their_own():
    names = [layout.name for layout in LAYOUTS]
    assert {*EXAMPLES, "dcase2017"} <= {*names} and len({*names}) == len(names)
    assert all(layout.description for layout in LAYOUTS)


@pytest.mark.parametrize("other", ["audacity", "raven", "desed", "audioset"])
def test_folders_of_recordings_beside_other_lists_are_no_classes(tmp_path, other):
    root = make(tmp_path, EXAMPLES[other] | CLASS_FOLDERS)
    layout = find_layout(root, "")
    assert layout is not None and layout.name == other


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("desed", "audioset"), "desed: metadata/train/weak.tsv, .*audioset: balanced"),
        (("audacity", "raven"), "audacity: label tracks, as a.txt.*a.Table.1.selec"),
        (("audacity", "desed"), "desed: metadata.*audacity: label tracks, as a.txt"),
    ],
)
def test_two_layouts_in_one_folder_are_an_error_that_names_both(tmp_path, names, said):
    for name in names:
        make(tmp_path, EXAMPLES[name])
    with pytest.raises(DataError, match="expected the files of one layout") as error:
        read(tmp_path)
    parts = said.split(".*")
    assert all(part in str(error.value) for part in parts)
    assert "--config.data.layout=" in str(error.value)
    assert read(tmp_path, layout=names[0]).splits


# One folder per class.


def test_folders_are_classes_and_recordings_of_one_name_are_two(tmp_path):
    dataset = read(make(tmp_path, CLASS_FOLDERS), split_fractions=(1.0, 0.0, 0.0))
    assert dataset.layout == "one folder per class"
    assert dataset.classes.names == ("cat", "dog")
    assert labels_of(dataset) == {
        "training": {
            "cat/a": ("cat",),
            "cat/b": ("cat",),
            "dog/a": ("dog",),
            "dog/b": ("dog",),
        }
    }
    paths = dataset.splits["training"].recordings
    assert sorted(str(path.relative_to(tmp_path)) for path in paths) == [
        *sorted(CLASS_FOLDERS)
    ]
    assert found(dataset) == []


@pytest.mark.parametrize("top", ["", "audio/"])
def test_uppermost_folders_that_are_all_splits_are_splits(tmp_path, top):
    root = make(tmp_path, {top + name: 1 for name in SPLIT_FOLDERS})
    assert {
        split: set(clips.values()) for split, clips in labels_of(read(root)).items()
    } == {
        "training": {("dog",), ("cat",)},
        "testing": {("dog",)},
    }


def test_a_class_may_be_named_as_a_split_is(tmp_path):
    root = make(tmp_path, CLASS_FOLDERS | {"train/steam/a.wav": 1})
    assert read(root).classes.names == ("cat", "dog", "train")


def test_folders_in_a_folder_of_a_class_are_of_the_class(tmp_path):
    dataset = read(make(tmp_path, CLASS_FOLDERS | {"dog/small/c.wav": 1}))
    assert dataset.classes.names == ("cat", "dog")
    assert dataset.layout == "one folder per class, the uppermost of nested ones"
    assert ("dog",) in [
        clips.get("dog/small/c") for clips in labels_of(dataset).values()
    ]


def test_recordings_in_no_folder_and_other_files_are_not_used(tmp_path):
    dataset = read(make(tmp_path, CLASS_FOLDERS | {"c.wav": 1, "dog/README.txt": "x"}))
    assert sum(len(split.rows) for split in dataset.splits.values()) == 4


def test_of_a_recording_in_two_formats_one_is_used(tmp_path):
    dataset = read(make(tmp_path, CLASS_FOLDERS | {"dog/a.flac": 1}))
    assert sum(len(split.rows) for split in dataset.splits.values()) == 4
    assert found(dataset) == [("SEVERAL", "dog/a.flac", 0)]


@pytest.mark.parametrize("name", ["background", "Noise", "none", "other"])
def test_a_folder_that_may_be_of_no_class_is_asked_about(tmp_path, name):
    root = make(tmp_path, CLASS_FOLDERS | {f"{name}/c.wav": 1, f"{name}/d.wav": 1})
    with pytest.raises(DataError) as error:
        read(root)
    assert str(error.value).startswith(f"{root}/{name}: expected to be told")
    assert f"--config.data.negatives='(\"{name}\",)'" in str(error.value)
    assert "--config.data.negatives='(\"\",)'" in str(error.value)
    negatives = read(root, negatives=(name,), split_fractions=(1.0, 0.0, 0.0))
    assert negatives.classes.names == ("cat", "dog")
    assert labels_of(negatives)["training"][f"{name}/c"] == ()
    assert set(read(root, negatives=("",)).classes.names) == {"cat", "dog", name}


# Label tracks and selection tables.


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


# DESED.


def test_lists_of_desed_are_weak_strong_and_unlabelled(tmp_path):
    strong = DESED["metadata/validation/validation.tsv"]
    files = DESED | {
        "metadata/train/unlabel_in_domain.tsv": "filename\nc.wav\n",
        "metadata/train/synthetic21_train/soundscapes.tsv": (
            "filename\tonset\toffset\tevent_label\n1.wav\t0\t1\tAir horn, truck horn\n"
            "2.wav\t\t\t\n"
        ),
        "metadata/train/weak.tsv": (
            "filename\tevent_labels\na.wav\tDog,Air horn, truck horn\ne.wav\tCat\n"
        ),
        "metadata/validation/validation_durations.tsv": (
            "filename\tduration\nb.wav\t5\nd.wav\t5\n"
        ),
        "metadata/validation/eval_dcase2018.tsv": strong,
        "audio/train/unlabel_in_domain/c.wav": 5,
        "audio/train/synthetic21_train/soundscapes/1.wav": 5,
        "audio/train/synthetic21_train/soundscapes/2.wav": 5,
        "audio/train/weak/e.wav": 5,
        "audio/validation/d.wav": 5,
    }
    dataset = read(make(tmp_path, files))
    assert labels_of(dataset) == {
        "training": {
            "1": ("Air horn, truck horn",),
            "2": (),
            "a": ("Air horn, truck horn", "Dog"),
            "e": ("Cat",),
            "c": None,
        },
        "validation": {"b": ("Cat", "Dog"), "d": ()},
    }
    assert events_of(dataset) == {
        "1": ((0.0, 1.0, "Air horn, truck horn"),),
        "2": (),
        "b": ((1.0, 2.0, "Dog"), (3.0, 4.0, "Cat")),
        "d": (),
    }
    assert found(dataset) == []


def test_recordings_of_one_name_are_those_of_their_list(tmp_path):
    """Soundscapes are numbered in every part; copies at another rate lie beside."""
    header = "filename\tonset\toffset\tevent_label\n"
    files = {
        "dataset/dcase_synth/metadata/train/synth_a/soundscapes.tsv": header
        + "1.wav\t0\t1\tDog\n",
        "dataset/dcase_synth/metadata/train/synth_b/soundscapes.tsv": header
        + "1.wav\t0\t1\tCat\n",
        "dataset/dcase_synth/audio/train/synth_a/soundscapes/1.wav": 2,
        "dataset/dcase_synth/audio/train/synth_a/soundscapes_16k/1.wav": 3,
        "dataset/dcase_synth/audio/train/synth_b/soundscapes/1.wav": 4,
    }
    training = read(make(tmp_path, files), split_fractions=(1, 0, 0)).splits["training"]
    names = [str(path.relative_to(tmp_path)) for path in training.recordings]
    assert names == [name for name in files if name.endswith("soundscapes/1.wav")]
    assert [row.event_label for row in training.event_rows] == ["Dog", "Cat"]


WEAK, VALID = "metadata/train/weak.tsv", "metadata/validation/validation.tsv"
STRONG = "filename\tonset\toffset\tevent_label\n"
DURATIONS = "filename\tduration\n"


def test_lists_of_durations_add_only_what_their_strong_list_leaves_out(tmp_path):
    files = DESED | {
        "metadata/train/weak_durations.tsv": f"{DURATIONS}x.wav\t5\n",
        "metadata/train/synthetic.tsv": f"{STRONG}1.wav\t0\t1\tDog\n",
        "metadata/train/durations.tsv": f"{DURATIONS}1.wav\t5\na.wav\t5\n2.wav\t5\n",
        "metadata/test/weak.tsv": "filename\tevent_labels\nt.wav\tDog\n",
        "metadata/test/durations.tsv": f"{DURATIONS}t.wav\t5\nu.wav\t5\n",
    }
    dataset = look(make(tmp_path, files))[0]
    assert labels_of(dataset) == {
        "training": {"1": ("Dog",), "a": ("Cat", "Dog"), "2": ()},
        "validation": {"b": ("Cat", "Dog")},
        "testing": {"t": ("Dog",)},
    }
    assert [*dataset.splits["training"].clip_events()] == ["1", "2"]


def test_a_recording_in_a_weak_and_a_strong_list_has_what_both_say(tmp_path):
    files = DESED | {"metadata/train/strong.tsv": f"{STRONG}a.wav\t1\t2\tDog\n"}
    dataset = read(make(tmp_path, files))
    assert labels_of(dataset)["training"] == {"a": ("Cat", "Dog")}
    assert events_of(dataset)["a"] == ((1.0, 2.0, "Dog"),)


def test_an_event_that_a_list_has_twice_stays_twice(tmp_path):
    files = DESED | {VALID: f"{STRONG}b.wav\t1\t2\tDog\nb.wav\t1\t2\tDog\n"}
    dataset = read(make(tmp_path, files))
    assert events_of(dataset)["b"] == ((1.0, 2.0, "Dog"),) * 2


def test_lists_may_lie_in_no_folder_of_their_split(tmp_path):
    files = {name.replace("/train/weak", "/weak"): text for name, text in DESED.items()}
    files["metadata/validation.tsv"] = files.pop(VALID)
    files["metadata/validation_durations.tsv"] = f"{DURATIONS}c.wav\t5\n"
    dataset = look(make(tmp_path, files))[0]
    assert {name: [*clips] for name, clips in labels_of(dataset).items()} == {
        "training": ["a"],
        "validation": ["b", "c"],
    }


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("audio/validation/b.wav", "audio/validation/parts/b.wav"),
        ("audio/validation_16k/b.wav", "audio/more/b.wav"),
        ("audio/validation/b.wav", "audio/validation_16k/b.wav"),
    ],
)
def test_the_folder_most_like_the_list_has_its_recordings(tmp_path, right, wrong):
    files = {name: text for name, text in DESED.items() if not name.endswith("b.wav")}
    root = make(tmp_path, files | {right: 5, wrong: 6})
    assert read(root).splits["validation"].recordings == (root / right,)


def test_synthetic_recordings_are_not_scored_with_real_ones(tmp_path):
    synthetic = "metadata/validation/synthetic21_validation/soundscapes.tsv"
    text = DESED["metadata/validation/validation.tsv"].replace("b.wav", "1.wav")
    dataset = read(make(tmp_path, DESED | {synthetic: text}))
    assert list(labels_of(dataset)["validation"]) == ["b"]
    assert found(dataset) == [("UNKNOWN_LIST", synthetic, 0)]


# AudioSet.


def test_lists_of_audioset_are_read_by_the_ids_of_classes(tmp_path):
    dataset = read(make(tmp_path, AUDIOSET))
    assert dataset.classes.ids == (DOG, HORN)
    assert labels_of(dataset) == {
        "training": {
            "abcdefghij1": ("Dog", "Air horn, truck horn"),
            "abcdefghij2": ("Dog",),
        },
        "evaluation": {"abcdefghij3": ("Air horn, truck horn",)},
    }
    assert [None in split.recordings for split in dataset.splits.values()] == [
        False
    ] * 2
    assert found(dataset) == []


@pytest.mark.parametrize(
    "name",
    [
        "{}",
        "Y{}",
        "{}_30.000_40.000",
        "Y{}_30.000_40.000",
        "{}_30000",
        "{}_30_40",
        "{}_30000_40000",
        "{}_30.0",
    ],
)
@pytest.mark.parametrize("video", ["-bcdefghij1", "Y_cdefghi__", "abcdefgh_i1"])
def test_recordings_of_audioset_have_many_names(tmp_path, name, video):
    lists = {
        "balanced_train_segments.csv": f'{SEGMENTS}{video}, 30.000, 40.000, "{DOG}"\n',
        "class_labels_indices.csv": CLASS_LIST,
        f"audio/any/part/{name.format(video)}.wav": 1,
        f"audio/any/part/{video[:10]}x_30000.wav": 1,
    }
    training = read(make(tmp_path, lists), split_fractions=(1, 0, 0)).splits["training"]
    assert [path.stem for path in training.recordings] == [name.format(video)]


def test_another_segment_of_the_video_is_not_the_recording(tmp_path):
    files = AUDIOSET | {"audio/eval/abcdefghij3_50.000_60.000.wav": 10}
    del files["audio/eval/abcdefghij3_30.000_40.000.flac"]
    dataset, findings = look(make(tmp_path, files))
    assert dataset.splits["evaluation"].recordings == (None,)


def test_strong_lists_of_audioset_give_events_and_count_before_weak_ones(tmp_path):
    strong = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    strong += f"abcdefghij1_30000\t2.627\t7.237\t{DOG}\n"
    strong += f"abcdefghij1_30000\t0.5\t1\t{CAT}\n"
    dataset = read(
        make(
            tmp_path,
            AUDIOSET
            | {
                "audioset_train_strong.tsv": strong,
                "mid_to_display_name.tsv": f"{CAT}\tCat\n",
            },
        )
    )
    [clip_id] = [one for one in labels_of(dataset)["training"] if "1" in one]
    assert labels_of(dataset)["training"][clip_id] == ("Dog",)
    assert events_of(dataset) == {clip_id: ((2.627, 7.237, "Dog"),)}
    assert found(dataset) == [
        ("OTHER_CLASS", "audioset_train_strong.tsv", 0),
        ("STRONG_TOO", "balanced_train_segments.csv", 0),
    ]
    assert dataset.findings[0].detail == (
        f"1 labels of 1 classes, most often {CAT} Cat; 1 rows have no other"
    )


def test_without_a_class_list_all_classes_of_the_lists_count(tmp_path):
    files = {**AUDIOSET, "mid_to_display_name.tsv": f"{DOG}\tDog\n"}
    del files["class_labels_indices.csv"]
    dataset = read(make(tmp_path, files))
    assert dataset.classes.ids == (DOG, HORN)
    assert dataset.classes.names == ("Dog", HORN)


def test_clips_of_classes_that_the_class_list_leaves_out_are_negatives(tmp_path):
    files = AUDIOSET | {
        "class_labels_indices.csv": CLASS_LIST.splitlines()[0] + f"\n0,{HORN},Horn\n"
    }
    dataset = read(make(tmp_path, files))
    assert [*labels_of(dataset)["training"].values()] == [("Horn",), ()]
    [finding] = dataset.findings
    assert finding.code.name == "OTHER_CLASS"
    assert (
        finding.detail
        == f"2 labels of 1 classes, most often {DOG}; 1 rows have no other"
    )


def test_two_segments_of_a_video_are_two_clips(tmp_path):
    rows = "".join(f'abcdefghij9, {s}.000, {s + 10}.000, "{DOG}"\n' for s in (0, 50))
    files = AUDIOSET | {
        "unbalanced_train_segments.csv": SEGMENTS + rows,
        "audio/more/abcdefghij9_0.wav": 10,
        "audio/more/abcdefghij9_50000.wav": 10,
    }
    training = read(make(tmp_path, files)).splits["training"]
    names = [path.stem for path in training.recordings]
    assert names[2:] == ["abcdefghij9_0", "abcdefghij9_50000"]
    assert training.clip_ids[2:] == [f"audio/more/{name}" for name in names[2:]]


def test_a_segment_in_two_folders_is_not_guessed(tmp_path):
    root = make(tmp_path, AUDIOSET | {"audio/more/abcdefghij1.wav": 10})
    with pytest.raises(DataError, match="abcdefghij1 may be any of audio/bal_train/"):
        read(root)
