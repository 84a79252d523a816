"""A folder is found as it lies there, or the message says what is missing."""

import dataclasses
import shutil
import unicodedata

import pytest

from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.folder import default_options, find_splits, read_folder
from gcrnn_jax.errors import DataError, RecordingsMissingError


def names(split) -> list[str | None]:
    return [None if path is None else path.name for path in split.recordings]


def test_splits_clips_labels_and_recordings_are_found(data_folder):
    root = data_folder(training=3, testing=2)
    (root / "groundtruth_strong_label_testing_set.csv").write_text("")
    dataset = find_splits(root)
    assert list(dataset.splits) == ["training", "testing"]
    assert dataset.classes.names == ("Car", "Air horn, truck horn", "Train")
    training, testing = dataset.splits.values()
    assert [row.labels for row in training.rows] == [(0,), (1,), (0, 2)]
    assert names(training)[0] == "Ytraining0_0.000_10.000.wav"
    assert training.strong_list is None
    assert testing.strong_list == root / "groundtruth_strong_label_testing_set.csv"
    assert dataset.findings == ()


@pytest.mark.parametrize(
    "place",
    [
        "audio/train/Y{}.wav",
        "audio/train/{}.wav",
        "audio/Y{}.OGG",
        "audio/{}.Flac",
        "train/Y{}.mp3",
        "train/{}.xyz",
        "audio/anything/Y{}.wav",
    ],
)
def test_a_recording_is_found_in_every_usual_place(data_folder, place):
    root = data_folder(training=2)
    clip = "training1_0.000_10.000"
    source = root / f"audio/training/Y{clip}.wav"
    target = root / place.format(clip)
    target.parent.mkdir(exist_ok=True)
    source.rename(target)
    if place.startswith("train/"):  # no audio/ at all
        (root / "audio/training").rename(root / "other")
        (root / "audio").rmdir()
    assert names(find_splits(root).splits["training"]) == [
        "Ytraining0_0.000_10.000.wav",
        target.name,
    ]


def test_a_recording_in_several_formats_and_parts_is_taken_from_its_own(data_folder):
    root = data_folder(training=1, testing=1)
    for place in ("test/Y{}.ogg", "test/Y{}.flac", "a/Y{}.wav"):
        path = root / "audio" / place.format("testing0_0.000_10.000")
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (root / "audio/testing/Ytesting0_0.000_10.000.wav").unlink()
    [path] = find_splits(root).splits["testing"].recordings
    assert path == root / "audio/test/Ytesting0_0.000_10.000.flac"


def test_of_several_formats_the_one_that_loses_least_is_read(data_folder):
    root = data_folder(training=1)
    path = root / "audio/training/Ytraining0_0.000_10.000.wav"
    formats = (".wav", ".flac", ".ogg", ".mp3", ".aac")
    for extension in formats[1:]:
        path.with_suffix(extension).touch()
    for extension in formats:
        [found] = find_splits(root).splits["training"].recordings
        assert found == path.with_suffix(extension)
        found.unlink()


def test_a_missing_recording_is_none(data_folder):
    root = data_folder(training=2)
    (root / "audio/training/Ytraining0_0.000_10.000.wav").unlink()
    assert names(find_splits(root).splits["training"])[0] is None


def test_a_split_without_a_clip_list_is_read_from_its_weak_list(data_folder):
    root = data_folder(training=1, evaluation=1)
    (root / "evaluation_set.csv").unlink()
    (root / "groundtruth_weak_label_evaluation_set.csv").write_text(
        "evaluation0_0.000_10.000.wav\t0.000\t10.000\tAir horn, truck horn\r\n"
    )
    split = find_splits(root).splits["evaluation"]
    assert split.rows == (("evaluation0_0.000_10.000", (1,), 1),)
    assert names(split) == ["Yevaluation0_0.000_10.000.wav"]


def test_no_list_can_name_a_file_outside(data_folder):
    root = data_folder(training=1)
    (root.parent / "secret.wav").touch()
    (root / "groundtruth_weak_label_testing_set.csv").write_text(
        "../../../secret.wav\t0\t10\tCar\n/etc/passwd\t0\t10\tCar\n"
    )
    dataset, _ = read_folder(root)
    assert names(dataset.splits["testing"]) == [None, None]


def test_bad_rows_are_passed_on(data_folder):
    root = data_folder(training=2)
    with open(root / "training_set.csv", "a") as file:
        file.write("a,0,10,Tram,/m/9\r\n")
    [finding] = find_splits(root).findings
    assert (finding.path, finding.line) == (str(root / "training_set.csv"), 3)
    assert finding.code is Code.UNKNOWN_LABEL


def test_a_clip_in_two_splits_is_an_error(data_folder):
    root = data_folder(training=2, testing=2)
    with open(root / "testing_set.csv", "a") as file:
        file.write("training1,0.000,10.000,Car,/m/1\r\n")
    with pytest.raises(
        DataError, match=r"training1_0.000_10.000 \(training; training_set.csv:"
    ):
        find_splits(root)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["sound_event_list_3_classes.txt"], "sound_event_list_.*training_set.csv"),
        (["training_set.csv"], "expected training_set.csv.*found audio, sound"),
        (
            [f"audio/training/Ytraining{i}_0.000_10.000.wav" for i in range(2)],
            "expected files such as audio/training/Ytraining0.*found 0 files",
        ),
    ],
)
def test_what_is_missing_is_said(data_folder, remove, message):
    root = data_folder(training=2)
    for name in remove:
        (root / name).unlink()
    with pytest.raises(DataError, match=message):
        find_splits(root)


def test_a_list_without_a_usable_row_is_an_error(data_folder):
    root = data_folder(training=2)
    (root / "training_set.csv").write_text("")
    with pytest.raises(
        DataError, match=r"training_set\.csv: no usable row: it is empty"
    ):
        find_splits(root)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="none_there"):
        find_splits(tmp_path / "none_there")


def test_the_benchmark_is_found_whole(shared):
    dataset = find_splits(shared / "bench/weak_esc10")
    sizes = {name: len(split.rows) for name, split in dataset.splits.items()}
    assert sizes == {"training": 560, "validation": 180}
    assert dataset.findings == ()
    assert all(all(split.recordings) for split in dataset.splits.values())
    assert dataset.splits["validation"].strong_list is not None


def weak_list(root, text, split="testing"):
    (root / f"{split}_set.csv").unlink(missing_ok=True)
    path = root / f"groundtruth_weak_label_{split}_set.csv"
    path.write_text(text, encoding="utf-8")
    return path


def put(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_files_beside_recordings_are_left_out(data_folder):
    root = data_folder(training=2)
    folder = root / "audio/training"
    clip = "Ytraining0_0.000_10.000"
    (folder / f"{clip}.wav").rename(folder / f"{clip}.opus")
    for name in (f"{clip}.json", f"._{clip}.wav", "Ytraining1_0.000_10.000.txt"):
        put(folder / name)
    put(root / "audio/.Trash-1000" / f"{clip}.wav")
    put(root / "audio/@eaDir" / f"{clip}.wav")
    put(folder / f"{clip}.xyz")  # no known ending: only if there is nothing else
    split = find_splits(root).splits["training"]
    assert names(split) == [f"{clip}.opus", "Ytraining1_0.000_10.000.wav"]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_names_are_found_whatever_their_unicode_form(data_folder, on_disk):
    root = data_folder(training=1, testing=1)
    put(root / "audio/testing" / unicodedata.normalize(on_disk, "Pöllö.wav"))
    other = "NFD" if on_disk == "NFC" else "NFC"
    weak_list(root, unicodedata.normalize(other, "Pöllö.wav\t0\t10\tCar\n"))
    [path] = find_splits(root).splits["testing"].recordings
    assert path is not None and path.is_file()


def test_a_name_in_two_folders_is_told_apart_by_its_folder_or_refused(data_folder):
    root = data_folder(training=1, testing=1)
    put(root / "audio/a/x.wav", b"one")
    put(root / "audio/b/x.wav", b"other")
    path = weak_list(root, "a/x.wav\t0\t10\tCar\naudio/b/x.wav\t0\t10\tTrain\n")
    split = find_splits(root).splits["testing"]
    assert [row.labels for row in split.rows] == [(0,), (2,)]
    assert split.recordings == (root / "audio/a/x.wav", root / "audio/b/x.wav")
    path = weak_list(root, "x.wav\t0\t10\tCar\n")
    with pytest.raises(
        DataError, match=rf"{path.name}:1: x may be any of audio/[ab]/x"
    ):
        find_splits(root)
    put(root / "audio/b/x.wav", b"one")  # the same one twice
    assert names(find_splits(root).splits["testing"]) == ["x.wav"]


def test_a_clip_does_not_get_the_recording_of_the_clip_named_with_y(data_folder):
    root = data_folder(training=1, testing=1)
    for name in ("x", "Yx"):
        put(root / f"audio/testing/{name}.wav")
    weak_list(root, "x.wav\t0\t10\tCar\nYx.wav\t0\t10\tTrain\n")
    assert names(find_splits(root).splits["testing"]) == ["x.wav", "Yx.wav"]


def test_a_list_without_a_label_is_an_error(data_folder):
    root = data_folder(training=2, testing=1)
    weak_list(root, "testing0_0.000_10.000.wav\n")
    with pytest.raises(
        DataError, match=r"testing_set\.csv: none of its 1 clips has a l"
    ):
        find_splits(root)


def test_a_list_without_a_recording_is_an_error_whatever_others_have(data_folder):
    root = data_folder(training=2, testing=1)
    shutil.rmtree(root / "audio/testing")
    with pytest.raises(
        RecordingsMissingError, match=r"testing_set\.csv: none of its 1 "
    ):
        find_splits(root)


def test_negatives_of_lists_that_say_which_labels_are_classes_are_refused(data_folder):
    how = dataclasses.replace(default_options(), negatives=("Car",))
    with pytest.raises(DataError, match="negatives: expected none, .* got Car"):
        find_splits(data_folder(training=2, testing=1), how)
