"""Score tables as sed_scores_eval writes them."""

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import (
    Collars,
    ScoreFolder,
    ScoreTable,
    clip_scores,
    f1_curves,
    read_score_table,
)

TEXT = (
    "onset\toffset\tCar\tAir horn, truck horn\n0.0\t0.5\t0.25\t1\n0.5\t1.5\t1e-3\t0\n"
)


def write(tmp_path, text, name="b c.01.tsv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip("\n")])
def test_a_table_has_names_times_and_scores(tmp_path, text):
    table = read_score_table(write(tmp_path, text))
    assert table.clip_id == "b c.01"
    assert table.class_names == ("Car", "Air horn, truck horn")
    assert table.times.tolist() == [0, 0.5, 1.5]
    assert table.scores.tolist() == [[0.25, 1], [1e-3, 0]]
    assert table.scores.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header `onset offset CLASS...`"),
        ("onset\toffset\tCar\n", "and frames below"),
        ("onset|offset|Car\n0|1|0.5\n", r"got 'onset\|offset\|Car'"),
        ("onset\toffset\tCar\n0\t1\t0.5\t1\n", ":2: expected 3 columns .* got 4"),
        ("onset\toffset\tCar\n0\t1\t0.5\n1\t2\n", ":3: expected 3 columns .* got 2"),
        ("onset\toffset\tCar\n\n0\t1\thigh\n", ":3: expected a number, got 'high'"),
        ("onset\toffset\tCar\n0\t1\tnan\n", ":2: expected a number, got 'nan'"),
        (
            "onset\toffset\tCar\n0\t1\t0.5\n\n2\t3\t0.5\n",
            ":4: expected frames .* until 1 s before one from 2 s",
        ),
        (
            "onset\toffset\tCar\n1\t1\t0.5\n",
            ":2: expected times that rise, .* 1 to 1 s",
        ),
    ],
)
def test_what_is_no_table_is_an_error_that_says_so(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_score_table(write(tmp_path, text))


def test_a_folder_is_read_each_time_in_the_order_of_names(tmp_path):
    write(tmp_path, TEXT, "b.tsv")
    write(tmp_path, TEXT.replace("0.25", "0.75"), "a.tsv")
    folder = ScoreFolder(tmp_path)
    assert len(folder) == 2
    for _ in range(2):
        assert [table.clip_id for table in folder] == ["a", "b"]
    clip_ids, scores = clip_scores(folder)
    assert (clip_ids, scores.tolist()) == (["a", "b"], [[0.75, 1], [0.25, 1]])
    with pytest.raises(DataError, match="found no .tsv"):
        ScoreFolder(tmp_path / "none")


def test_events_are_strictly_above_one_threshold_or_one_a_class():
    scores = np.array([[0.5, 0.9], [0.75, 0.9], [0.5, 0.1], [0.8, 0.9]], np.float32)
    table = ScoreTable("a", ("Car", "Bus"), np.array([0, 0.1, 0.3, 0.6, 1.0]), scores)
    cars = [Event(0.1, 0.3, "Car"), Event(0.6, 1.0, "Car")]
    buses = [Event(0, 0.3, "Bus"), Event(0.6, 1.0, "Bus")]
    assert table.events(0.5) == [*cars, *buses]
    assert table.events(np.array([0.75, 0.95])) == cars[1:]
    assert table.events(1.0) == []


def test_float32_scores_are_as_much_above_a_threshold_as_in_curves():
    scores = np.array([[0.6], [0.1]], np.float32)  # 0.60000002
    table = ScoreTable("a", ("Car",), np.arange(3.0), scores)
    reference = {"a": [Event(0, 1, "Car")]}
    curve = f1_curves([table], reference, criteria=Collars()).per_class["Car"]
    assert table.events(0.6) == reference["a"] and curve.at(0.6).f1 == 1


def test_scores_must_fit_times_and_names():
    with pytest.raises(DataError, match="a: expected scores of 2 frames and 1 cla"):
        ScoreTable("a", ("Car",), np.arange(3.0), np.zeros((3, 1)))
    with pytest.raises(DataError, match="expected scores of 0 frames"):
        ScoreTable("a", ("Car",), np.zeros(1), np.zeros((0, 1)))
