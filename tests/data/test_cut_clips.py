"""Recordings longer than a clip are cut, and their labels and events with them."""

import os

import soundfile

from tests.listed import clip, codes, event, made, rows, write_recordings


def test_long_recordings_become_clips_with_their_labels(tmp_path):
    write_recordings(tmp_path, a_wav=2.5, b_wav=1.05, c_flac=2.5)
    clips = [
        clip("a", ("Dog",)),
        clip("b", ("Cat",)),
        clip("c", ("Cat", "Dog"), has_events=True),
    ]
    events = [event("c", 0.5, 1.5, "Dog", 4), event("c", 2.4, 2.5, "Dog")]
    dataset, findings = made(tmp_path, clips, events, clip_s=1.0)
    split = dataset.splits["training"]
    assert findings == [] == codes(dataset)
    assert [(row.clip_id, row.labels) for row in split.rows] == [
        ("a_0.000_1.000", (1,)),
        ("a_1.000_2.000", (1,)),
        ("a_2.000_2.500", (1,)),
        ("b", (0,)),
        ("c_0.000_1.000", (0, 1)),  # where the cat is, is not known
        ("c_1.000_2.000", (0, 1)),
        ("c_2.000_2.500", (0, 1)),
    ]
    assert split.spans == ((0, 1), (1, 2), (2, 2.5), None, (0, 1), (1, 2), (2, 2.5))
    assert split.clip_events() == {
        "c_0.000_1.000": ((0.5, 1.0, "Dog"),),
        "c_1.000_2.000": ((0.0, 0.5, "Dog"),),
        "c_2.000_2.500": ((0.4, 0.5, "Dog"),),
    }
    assert dataset.notes == (
        "2 longer recordings are cut into 6 clips of 1 s, 1 s apart",
        "3 of these clips have the weak labels of all of their recording, which may be "
        "active elsewhere in it",
    )


def test_weak_labels_with_events_go_only_where_these_are(tmp_path):
    write_recordings(tmp_path, a_wav=3.0)
    clips = [clip("a", ("Dog",), has_events=True)]
    split = rows(tmp_path, clips, [event("a", 1.2, 1.6, "Dog")], clip_s=1.0)
    assert [labels for _, labels, _ in split["training"]] == [[], ["Dog"], []]


def test_a_strong_clip_without_an_event_is_a_negative(tmp_path):
    write_recordings(tmp_path, a_wav=3.0)
    clips = [clip("a", None, has_events=True)]
    split = rows(tmp_path, clips, [event("a", 2.2, 2.6, "Dog")], clip_s=1.0)
    assert [labels for _, labels, _ in split["training"]] == [[], [], ["Dog"]]


def test_stretches_that_are_listed_are_kept_and_long_ones_cut(tmp_path):
    write_recordings(tmp_path, a_wav=5.0)
    clips = [
        clip("a", ("Dog",), start_s=0.5, end_s=1.25),
        clip("a", ("Cat",), start_s=2.0),
        clip("a", ("Cow",), end_s=0.5),
    ]
    found = rows(tmp_path, clips, clip_s=2.0, clip_hop_s=1.0)["training"]
    assert found == [
        ("a_0.500_1.250", ["Dog"], (0.5, 1.25)),
        ("a_2.000_4.000", ["Cat"], (2.0, 4.0)),
        ("a_3.000_5.000", ["Cat"], (3.0, 5.0)),
        ("a_0.000_0.500", ["Cow"], (0.0, 0.5)),
    ]


def test_what_is_listed_beyond_the_end_of_a_recording_is_no_clip(tmp_path):
    write_recordings(tmp_path, a_wav=2.5)
    found = rows(tmp_path, [clip("a", ("Dog",), end_s=50.0)], clip_s=1.0)["training"]
    assert [span for _, _, span in found] == [(0, 1), (1, 2), (2, 2.5)]


def test_headers_are_read_only_where_they_matter(tmp_path, monkeypatch):
    write_recordings(tmp_path, a_wav=0.5)
    asked = []
    monkeypatch.setattr(
        "gcrnn_jax.data.clips.cut_clips.duration_s",
        lambda path: asked.append(path) or 3.0,
    )
    write_recordings(tmp_path, b_wav=0.5)
    clips = [clip("b", start_s=0.0, end_s=1.0), clip("a", ("Dog",), start_s=2.0)]
    assert len(rows(tmp_path, [*clips, clip("gone")], clip_s=1.0)["training"]) == 3
    assert asked == [str(tmp_path / "a.wav")]


def test_a_recording_that_cannot_be_read_is_one_clip(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no recording")
    os.mkfifo(tmp_path / "b.wav")
    (tmp_path / "c.wav").touch()
    clips = [clip("a", ("Dog",)), clip("b"), clip("c", start_s=1.0)]
    found = rows(tmp_path, clips)["training"]
    assert [span for _, _, span in found] == [None, None, (1.0, 11.0)]


def test_a_recording_whose_header_says_nothing_is_decoded(tmp_path):
    write_recordings(tmp_path, a_wav=2.5)
    data, rate = soundfile.read(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.flac", data, rate)
    content = bytearray((tmp_path / "b.flac").read_bytes())
    content[21] &= 0xF0  # STREAMINFO's number of samples, 36 bits: unknown
    content[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(content)
    assert len(rows(tmp_path, [clip("b", ("Dog",))], clip_s=1.0)["training"]) == 3


def test_labels_whose_times_nobody_knows_are_in_every_clip(tmp_path):
    write_recordings(tmp_path, a_wav=2.0)
    clips = [clip("a", None, split="test", has_events=True)]
    dataset, _ = made(tmp_path, clips, [event("a", 0, 0, "Dog", 5)], clip_s=1.0)
    split = dataset.splits["testing"]
    assert [row.labels for row in split.rows] == [(0,), (0,)]
    assert split.event_rows == tuple(
        (clip_id, 0.0, 0.0, "Dog", 5) for clip_id in ("a_0.000_1.000", "a_1.000_2.000")
    )
    assert set(split.clip_events().values()) == {()}
