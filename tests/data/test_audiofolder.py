"""Audiofolders of Hugging Face are read, or the message says what is missing."""

import pytest

from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.errors import DataError
from tests.listed import five_recordings, labels, put, write_recordings


@pytest.fixture
def root(tmp_path):
    """Five recordings."""
    return five_recordings(tmp_path / "data")


@pytest.mark.parametrize("below", [False, True])
def test_an_audiofolder_is_read(root, below):
    write_recordings(root, train__a_wav=0.3, train__b_wav=0.3, test__a_wav=0.4)
    rows = {"train": ("a.wav,Dog", "b.wav,Dog;Cat"), "test": ("a.wav,Cat",)}
    head = "file_name,labels,speaker\n"
    for split, of_split in rows.items():
        if below:
            text = head + "".join(f"{row},me\n" for row in of_split)
            (root / split / "metadata.csv").write_text(text)
    if not below:
        text = "".join(f"{split}/{row},\n" for split in rows for row in rows[split])
        (root / "metadata.csv").write_text(head + text)
    dataset = find_splits(root)
    assert labels(dataset) == {
        "train/a": ["Dog"],
        "train/b": ["Cat", "Dog"],
        "test/a": ["Cat"],
    }
    assert {name: len(split.rows) for name, split in dataset.splits.items()} == {
        "training": 2,
        "testing": 1,
    }


def test_an_audiofolder_without_splits_is_divided(root):
    rows = "dog/a.wav,Dog\nb.flac,Cat\ne.wav,Dog\n"
    put(root, None, metadata_csv=f"file_name,label\n{rows}")
    assert len(find_splits(root).splits) == 3


def test_an_audiofolder_in_audio_has_the_splits_of_its_folders(tmp_path):
    root = tmp_path / "data"
    write_recordings(root / "audio", **{"train/a.wav": 1.0, "test/b.wav": 1.0})
    text = "file_name,split,label\naudio/train/a.wav,,Dog\naudio/test/b.wav,,Dog\n"
    splits = find_splits(put(root, None, metadata_csv=text)).splits
    assert {name: [*split.clip_ids] for name, split in splits.items()} == {
        "training": ["audio/train/a"],
        "testing": ["audio/test/b"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,Dog\n", ":1: expected a first row with a column 'file_name'"),
        (
            "file_name,text\na,Dog\n",
            ":1: expected a column 'label' or 'labels', got file",
        ),
    ],
)
def test_an_audiofolder_without_labels_or_names_is_an_error(root, text, message):
    with pytest.raises(DataError, match=message):
        find_splits(put(root, None, metadata_csv=text))
