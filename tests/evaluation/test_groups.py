"""Recordings that belong together are drawn together."""

import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation import (
    Choice,
    Files,
    score_files,
)

DECIDED = Choice(kinds=("segment", "event", "intersection", "tagging"))


@pytest.fixture
def reference(tmp_path):
    return tmp_path / "reference.tsv"


def test_groups_are_drawn_together(reference):
    reference.write_text(
        "group\tfilename\tonset\toffset\tevent_label\n"
        "x\ta.wav\t0\t1\tDog\nx\tb.wav\t0\t1\tDog\ny\tc.wav\t0\t1\tDog\n"
    )
    files = {"column": "group"}
    (path := reference.with_name("groups.csv")).write_text("a,1\nb,1\nc,2\n")
    files["file"] = str(path)
    for source in files.values():
        card = score_files(
            Files(reference, reference, groups=source), DECIDED, num_draws=10
        )
        assert card.results[0].draws.groups.tolist() == [0, 0, 1]
        assert any("2 groups of 3 recordings" in note for note in card.notes())
    with pytest.raises(DataError, match="--groups: expected a file, or a column"):
        score_files(Files(reference, reference, groups="site"), DECIDED)
    path.write_text("a,1\nc,2\n")
    with pytest.raises(DataError, match="1 of 3 recordings are not in it: b.wav"):
        score_files(Files(reference, reference, groups=str(path)), DECIDED)


def test_windows_of_one_recording_are_drawn_together(reference):
    names = ["x_0.000_10.000", "x_10.000_20.000", "z_0.000_10.000"]
    reference.write_text("".join(f"{name}.wav\t0\t1\tDog\n" for name in names))
    card = score_files(Files(reference, reference), DECIDED, num_draws=10)
    assert card.results[0].draws.groups.tolist() == [0, 0, 1]


def test_recordings_of_one_site_are_drawn_each_for_itself(reference):
    names = ["SITE_20260304_101500", "SITE_20260304_111500", "SITE_20260305_101500"]
    reference.write_text("".join(f"{name}.wav\t0\t1\tDog\n" for name in names))
    card = score_files(Files(reference, reference), DECIDED, num_draws=10)
    assert card.results[0].draws.groups.tolist() == [0, 1, 2]
