"""The lists of DESED and of AudioSet."""

import pytest

from gcrnn_jax.errors import DataError
from tests.data.folders import (
    AUDIOSET,
    CAT,
    CLASS_LIST,
    DESED,
    DOG,
    HORN,
    SEGMENTS,
    events_of,
    found,
    labels_of,
    look,
    make,
    read,
)

WEAK, VALID = "metadata/train/weak.tsv", "metadata/validation/validation.tsv"
STRONG = "filename\tonset\toffset\tevent_label\n"
DURATIONS = "filename\tduration\n"


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
