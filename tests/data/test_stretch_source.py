"""Clips that are stretches of long recordings, from the folder to the store."""

import json

import numpy as np
import pytest

from gcrnn_jax.audio.decode import read_waveform
from gcrnn_jax.check import check
from gcrnn_jax.data import recording_source
from gcrnn_jax.data.dataset import ClipRow
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.folder import default_options, find_splits
from gcrnn_jax.data.recording_source import RecordingSource, recording_sources
from gcrnn_jax.report.clip_readers import folder_reader
from tests import defaults
from tests.listed import write_recordings

FRONT_END = defaults.front_end(clip_s=1.0)
CLIPS = """recording,split,labels
long.flac,training,dog;cat
short.wav,training,
b.flac,validation,dog
c.wav,training,?
"""
EVENTS = """recording,onset,offset,event_label
long.flac,0.5,1.25,dog
long.flac,2.5,3.25,cat
b.flac,0.5,0.75,dog
"""
SPANS = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 3.5)]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "set"
    seconds = {"long_flac": 3.5, "short_wav": 0.75, "b_flac": 1.0, "c_wav": 2.0}
    write_recordings(root, **seconds)
    (root / "clips.csv").write_text(CLIPS)
    (root / "events.csv").write_text(EVENTS)
    return root


def sources(root):
    return recording_sources(find_splits(root, default_options(1.0)), FRONT_END)[0]


def test_each_clip_is_its_stretch_with_what_is_known_of_it(root):
    training = sources(root)["training"]
    assert [training.spans.get(i) for i in range(len(training))] == [
        *SPANS,
        None,
        *SPANS[:2],
    ]
    whole = read_waveform(root / "long.flac")
    loaded = [training.load(index) for index in range(len(training))]
    for clip, (start_s, end_s) in zip(loaded[:4], SPANS, strict=True):
        first, end = round(start_s * 16000), round(end_s * 16000)
        np.testing.assert_allclose(clip.waveform, whole[first:end], rtol=0, atol=1e-5)
        assert not clip.remarks  # nothing of the recording is left out
    events = [clip.events for clip in loaded]
    assert events == [
        ((0.5, 1.0, "dog"),),
        ((0.0, 0.25, "dog"),),
        ((0.5, 1.0, "cat"),),
        ((0.0, 0.25, "cat"),),
        None,
        None,
        None,
    ]
    labels = [clip.weak_label for clip in loaded]
    for index, expected in {0: [0, 1], 2: [1, 0], 4: [0, 0]}.items():
        np.testing.assert_array_equal(labels[index], np.array(expected, bool))
    assert labels[5] is None and labels[6] is None


def test_a_share_as_json_gives_the_same_clips(root):
    training = sources(root)["training"]
    share = json.loads(json.dumps(training.share([1, 4, 6])))
    assert [len(clip) for clip in share["clips"]] == [8, 6, 8]  # a span where one is
    again = RecordingSource.from_share(str(root), FRONT_END, share)
    for index in (1, 4, 6):
        assert again.cache_key(index) == training.cache_key(index)
        assert again.content_hash(index) == training.content_hash(index)
        assert again.location(index) == training.location(index)
        for one, other in zip(again.load(index), training.load(index), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_long_recording_is_hashed_once_and_anew_when_it_changes(root, monkeypatch):
    read, hash_of = [], recording_source.file_content_hash
    monkeypatch.setattr(
        recording_source, "file_content_hash", lambda p: read.append(p) or hash_of(p)
    )
    training = sources(root)["training"]
    hashes = [training.content_hash(index) for index in range(4)]
    assert len(set(hashes)) == 4 and len(read) == 1
    write_recordings(root, long_flac=3.5, other_wav=0.1)
    write_recordings(root, other_flac=3.5)
    (root / "other.flac").replace(root / "long.flac")
    assert training.content_hash(0) != hashes[0]


def test_a_stretch_changes_key_place_and_hash_and_a_whole_recording_has_none(root):
    source = sources(root)["training"]
    rows = [ClipRow("a", (0,), 1)]
    options = {"root": str(root), "num_classes": 2, "sample_rate_hz": 16000}
    options |= {"clip_s": 1.0, "rows": rows, "paths": ["long.flac"], "events": None}
    whole, stretch, other = (
        RecordingSource(**options, spans=spans)
        for spans in ({}, {0: (0.0, 1.0)}, {0: (1.0, 2.0)})
    )
    for name in ("cache_key", "content_hash", "location"):
        found = {getattr(one, name)(0) for one in (whole, stretch, other)}
        assert len(found) == 3
    assert whole.location(0) == ("long.flac", 1)
    assert source.location(1) == ("long.flac 1.000-2.000 s", 2)
    assert [code for code, _ in whole.load(0).remarks] == ["CROPPED"]


def test_check_finds_the_hash_and_the_figures_of_the_store(root, tmp_path):
    rows = CLIPS.replace(",?", ",").splitlines()
    rows = [f"{row},{1 if index else 'strong'}\n" for index, row in enumerate(rows)]
    (root / "clips.csv").write_text("".join(rows))
    report = check(root, num_workers=1, options=default_options(1.0))
    store = defaults.prepare(root, tmp_path / "store", FRONT_END)
    assert report.card["data_sha256"] == store.content_hash
    training = report.card["splits"]["training"]
    assert training["num_clips"] == training["num_readable"] == 7
    assert training["recorded_s"]["sum"] == 3.5 + 0.75 + 2.0  # each of them once
    assert not report.of_severity("error")


def test_a_recording_that_cannot_be_read_costs_all_its_clips_and_is_named_once(root):
    """Its header says how long it is; what comes then is none."""
    content = (root / "long.flac").read_bytes()
    (root / "long.flac").write_bytes(content[:200])
    report = check(root, num_workers=1, options=default_options(1.0))
    lost = [f for f in report.groups[Code.CORRUPT] if f.path == "long.flac"]
    assert len(lost) == 1 and lost[0].detail.endswith("(clips.csv:2; 4 clips)")


def test_a_report_plays_the_stretch(root):
    read = folder_reader(root, FRONT_END)
    np.testing.assert_allclose(
        read("long_1.000_2.000"),
        read_waveform(root / "long.flac")[16000:32000],
        rtol=0,
        atol=1e-5,
    )
