"""Which layout a folder has, and folders whose names are classes."""

import pytest

from gcrnn_jax.data.folder import find_layout
from gcrnn_jax.data.layouts import LAYOUTS
from gcrnn_jax.errors import DataError
from tests.data.folders import (
    CLASS_FOLDERS,
    EXAMPLES,
    SPLIT_FOLDERS,
    found,
    labels_of,
    make,
    read,
)


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
    assert f"--negatives {name}; of a class, as all folders: --negatives ''" in str(
        error.value
    )
    negatives = read(root, negatives=(name,), split_fractions=(1.0, 0.0, 0.0))
    assert negatives.classes.names == ("cat", "dog")
    assert labels_of(negatives)["training"][f"{name}/c"] == ()
    assert set(read(root, negatives=("",)).classes.names) == {"cat", "dog", name}
