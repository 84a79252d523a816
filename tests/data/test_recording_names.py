"""Recordings are found by what lists call them, and never outside their folder."""

import unicodedata

import pytest

from gcrnn_jax.data.clips.recording_names import RecordingNames
from tests.listed import write_recordings


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("dog/a.wav", "audio/dog/a.wav"),
        ("audio/dog/a", "audio/dog/a.wav"),
        ("./dog/a.wav", "audio/dog/a.wav"),
        ("dog\\a.wav", "audio/dog/a.wav"),
        ("x/../dog/a.mp3", "audio/dog/a.wav"),
        ("b", "audio/cat/Yb.flac"),
        ("b.flac", "audio/cat/Yb.flac"),
        ("Yb", "audio/cat/Yb.flac"),
        ("Y-5QrBL6MzLg_60.000_70.000.wav", "-5QrBL6MzLg_60.000_70.000.ogg"),
        ("Ya", None),
        (unicodedata.normalize("NFD", "käuzchen"), "käuzchen.wav"),
        ("v1.2", "v1.2.wav"),
        ("og/a.wav", None),
        ("cow/a.wav", None),
        ("../dog/a.wav", None),
        ("/etc/dog/a.wav", None),
        ("", None),
        ("audio/dog", None),
    ],
)
def test_recordings_are_found_by_what_lists_call_them(tmp_path, name, path):
    files = ["audio/dog/a.wav", "audio/cat/Yb.flac", "käuzchen.wav", "v1.2.wav"]
    files.append("-5QrBL6MzLg_60.000_70.000.ogg")
    assert RecordingNames(tmp_path, files).find(name) == (path, ())


def test_an_absolute_path_is_found_within_the_folder_only(tmp_path):
    names = RecordingNames(tmp_path, ["a.wav"])
    assert names.find(str(tmp_path / "a.wav")).path == "a.wav"
    assert names.find(str(tmp_path.parent / "a.wav")).path is None


def test_of_several_formats_and_copies_one_is_taken(tmp_path):
    write_recordings(tmp_path, a_wav=0.1, x__b_wav=0.1, train__c_wav=0.1, y__c_wav=0.2)
    (tmp_path / "a.flac").touch()
    (tmp_path / "b.wav").write_bytes((tmp_path / "x/b.wav").read_bytes())
    names, findings = RecordingNames.of_folder(tmp_path)
    assert findings == [] and len(names) == 6
    assert names.find("a").path == "a.wav" and names.find("a.flac").path == "a.flac"
    assert names.find("b").others == ()
    assert names.find("c", "training") == ("train/c.wav", ())
    assert names.find("c") == ("train/c.wav", ("y/c.wav",))
