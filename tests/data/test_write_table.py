"""A data set of any layout is written as a table that is read as the same one."""

import pytest

from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.write_table import write_table
from gcrnn_jax.errors import DataError, WorkdirError
from tests.listed import CLIPS, EVENTS, content, five_recordings, options, put


@pytest.fixture
def root(tmp_path):
    """Five recordings."""
    return five_recordings(tmp_path / "data")


def everything(root):
    """A table with a clip of every kind, and recordings that are cut."""
    clips = CLIPS + "d,0.25,2.875,train,?\nd,,,train,?\nx.wav,,,train,\n"
    return put(root, clips, EVENTS + "d,0.6,2.9,Dog\nd,0.6,0.8,Cat\nd,2.7,2.9,Cat\n")


@pytest.mark.parametrize("hop_s", [0.0, 0.5, 0.4])
@pytest.mark.parametrize("place", ["table", "data", "data/table"])
def test_a_data_set_is_written_and_read_as_the_same(root, tmp_path, hop_s, place):
    how = options(clip_s=1.0, clip_hop_s=hop_s)
    dataset = find_splits(everything(root), how)
    assert len(dataset.splits["training"].rows) > 9
    for name in ("clips.csv", "events.csv"):
        (root / name).rename(tmp_path / name)
    path = write_table(dataset, tmp_path / place)
    assert path == tmp_path / place / "clips.csv"
    again = find_splits(path.parent, how)
    assert content(again) == content(dataset) and again.findings == ()
    assert again.classes == dataset.classes
    write_table(again, path.parent)
    assert content(find_splits(path.parent, how)) == content(dataset)


def test_a_dcase_folder_is_written_and_read_as_the_same(data_folder, tmp_path):
    root = data_folder(training=6, testing=3)
    (root / "groundtruth_strong_label_testing_set.csv").write_text(
        "testing0_0.000_10.000.wav\t0.125\t0.250\tCar\n"
        "testing1_0.000_10.000.wav\t0.000\t0.000\tTrain\n"
    )
    dataset = find_splits(root)
    again = find_splits(write_table(dataset, tmp_path / "table").parent)
    assert content(again) == content(dataset) and again.classes == dataset.classes
    assert [row[1:4] for row in again.splits["testing"].event_rows or ()] == [
        (0.125, 0.25, "Car"),
        (0.0, 0.0, "Train"),
    ]


def test_what_lies_beside_linked_recordings_is_no_layout_of_the_table(root, tmp_path):
    dataset = find_splits(put(root))
    (root / "e.txt").write_text("0.1\t0.2\tCat\n")  # a label track
    write_table(dataset, tmp_path / "table")
    assert content(find_splits(tmp_path / "table")) == content(dataset)
    with pytest.raises(DataError, match=r"table: clips.csv; audacity: .* as e.txt"):
        find_splits(root)


def test_a_link_to_the_recordings_replaces_nothing(root, tmp_path):
    dataset = find_splits(put(root))
    (tmp_path / "table").mkdir()
    (tmp_path / "table/recordings").write_text("mine")
    with pytest.raises(WorkdirError, match="recordings: expected a link to "):
        write_table(dataset, tmp_path / "table")
    assert (tmp_path / "table/recordings").read_text() == "mine"


@pytest.mark.parametrize("name", ["clips.csv", "events.csv", "classes.tsv"])
def test_what_somebody_wrote_is_not_replaced(root, tmp_path, name):
    dataset = find_splits(put(root))
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(WorkdirError, match=f"{name}: expected a folder without a tab"):
        write_table(dataset, folder)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [
        (name, "mine")
    ]
