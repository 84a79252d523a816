"""Clips that share a source, by a file."""

from types import SimpleNamespace

import pytest

from gcrnn_jax.detection.threshold_options import ThresholdOptions
from gcrnn_jax.errors import DataError
from gcrnn_jax.runs.groups import check_groups, clip_groups, evaluator_options
from tests.defaults import build

CLIPS = ("a_0.000_10.000", "a_10.000_20.000", "b_0.000_10.000", "c_0.000_10.000")
SPLIT = SimpleNamespace(name="validation", clip_ids=CLIPS)


def file_of(tmp_path, text):
    (tmp_path / "groups.csv").write_text(text)
    return str(tmp_path / "groups.csv")


def test_groups_are_those_of_clips_or_of_their_recordings(tmp_path):
    rows = zip(CLIPS, "xyxz", strict=True)
    by_clip = "".join(f"{clip}.wav,{group}\n" for clip, group in rows)
    assert clip_groups(file_of(tmp_path, by_clip), SPLIT, "--groups") == [*"xyxz"]
    by_recording = "filename,site\na.wav,x\nc.wav,y\nb.wav,x\n"
    assert clip_groups(file_of(tmp_path, by_recording), SPLIT, "--groups") == [*"xxxy"]
    options = build(ThresholdOptions, "thresholds", groups=str(tmp_path / "groups.csv"))
    assert evaluator_options(options, SPLIT, None)["groups"] == [*"xxxy"]
    assert evaluator_options(options, SPLIT, SPLIT)["groups"] is None  # no halves
    options = build(ThresholdOptions, "thresholds")
    assert evaluator_options(options, SPLIT, None)["groups"] is None


def test_a_wrong_file_is_found_before_training():
    options = build(ThresholdOptions, "thresholds", groups="/nowhere.csv")
    store = SimpleNamespace(
        find_split=lambda _: SPLIT, find_fit_split=lambda _: store.fit_split
    )
    store.fit_split = None
    with pytest.raises(DataError, match=r"^thresholds.groups: cannot read /nowhere"):
        check_groups(options, store)
    store.fit_split = SPLIT  # then nothing reads it
    check_groups(options, store)


def test_a_clip_without_a_group_is_named(tmp_path):
    text = "".join(f"{clip}.wav,x\n" for clip in CLIPS[:3])
    message = f"groups.csv: 1 of 4 recordings are not in it: .*{CLIPS[3]}"
    with pytest.raises(DataError, match=message):
        clip_groups(file_of(tmp_path, text), SPLIT, "--groups")
    with pytest.raises(DataError, match="^--groups: .*; by recording: .*1 of 3 .*: c$"):
        clip_groups(file_of(tmp_path, "a,x\nb,y\n"), SPLIT, "--groups")
