"""Ids of clips are the texts that were written, in a fraction of their memory."""

import json
import tracemalloc

import numpy as np
import pytest

from gcrnn_jax.data.clip_ids import ClipIds
from gcrnn_jax.errors import DataError

ODD = (
    "a_0.000_10.000",
    'b"',
    "c\\",
    "d\n\t",
    "é ü \U0001f600",
    "e, f",
    "[",
    "",
    "\udcff",
)


def read(path, texts):
    path.write_text(json.dumps(texts, indent=0))
    return ClipIds.read(path)


@pytest.mark.parametrize("texts", [(), ("one",), ODD, ODD * 2000])
def test_texts_are_those_of_the_list(tmp_path, texts):
    ids = read(tmp_path / "clip_ids.json", texts)
    assert len(ids) == len(texts) and tuple(ids) == texts
    assert ids == texts and texts == ids and ids == read(tmp_path / "same", texts)
    assert ids != (*texts, "x") and (*texts[:-1], "x") != ids and ids != list(texts)
    assert repr(ids) == repr(texts)


def test_one_some_and_others_in_another_order(tmp_path):
    ids = read(tmp_path / "clip_ids.json", ODD)
    assert isinstance(ids, ClipIds)
    assert [ids[n] for n in range(-len(ODD), len(ODD))] == [*ODD, *ODD]
    assert ids[np.int64(4)] == ODD[4] and ids[2:7:3] == ODD[2:7:3]
    assert ids.take(np.array([3, 1, 1])) == (ODD[3], ODD[1], ODD[1])
    assert ids.index("e, f") == 5 and "[" in ids and "]" not in ids
    with pytest.raises(IndexError):
        ids[len(ODD)]


@pytest.mark.parametrize(
    "options", [{}, {"indent": 1}, {"indent": 0, "sort_keys": True}]
)
def test_lists_that_are_written_otherwise_are_read_too(tmp_path, options):
    path = tmp_path / "clip_ids.json"
    path.write_text(json.dumps(ODD, **options) + "\n")
    assert ClipIds.read(path) == ODD


@pytest.mark.parametrize("text", ["", "[\n", '[\n"a",\n"b\n]', '[\n"a"\n"b"\n]', "{}"])
def test_what_is_no_list_is_an_error(tmp_path, text):
    (tmp_path / "clip_ids.json").write_text(text)
    with pytest.raises(DataError, match=r"clip_ids\.json: "):
        ClipIds.read(tmp_path / "clip_ids.json")


def test_ids_take_little_more_than_their_letters(tmp_path):
    read(
        tmp_path / "clip_ids.json", texts := [f"video{n:06}_0_10" for n in range(20000)]
    )
    size = (tmp_path / "clip_ids.json").stat().st_size
    tracemalloc.start()
    try:
        ids = ClipIds.read(tmp_path / "clip_ids.json")
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1.5 * size and peak < 5 * size  # as texts: 3.6 and 7 times
    assert [*ids] == texts
