"""Which files are recordings, and that a search of a folder comes to its end."""

import importlib.util
import os

import pytest

from gcrnn_jax.audio.recording_files import (
    is_left_out,
    is_no_audio,
    readable_endings,
    walk_files,
)


def fail(error):
    raise error


def walked(top, **options):
    return [
        os.path.relpath(path, top) for path in walk_files(str(top), fail, **options)
    ]


def put(top, *names):
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()


def test_what_the_system_left_is_left_out(tmp_path):
    put(tmp_path, "a.wav", "b/c.wav", "._a.wav", ".DS_Store", "Thumbs.db")
    folders = ".Trashes .Trash-1000/files $RECYCLE.BIN @eaDir lost+found .git".split()
    put(tmp_path, *(f"{one}/x.wav" for one in (*folders, "System Volume Information")))
    assert walked(tmp_path) == ["a.wav", "b/c.wav"]
    assert not is_left_out("a.wav") and is_left_out("desktop.ini")


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path):
    put(tmp_path, "disk/card/night.wav", "all/day.wav")
    top = tmp_path / "all"
    (top / "card1").symlink_to(tmp_path / "disk/card")
    (top / "card2").symlink_to(tmp_path / "disk/card")
    (tmp_path / "disk/card/loop").symlink_to(top)
    (top / "gone").symlink_to(tmp_path / "nowhere")
    assert walked(top) == ["day.wav", "gone", "card1/night.wav"]


def test_a_search_is_as_deep_as_asked(tmp_path):
    put(tmp_path, "a.wav", "b/c.wav", "b/d/e.wav")
    assert walked(tmp_path, max_depth=0) == ["a.wav"]
    assert walked(tmp_path, max_depth=1) == ["a.wav", "b/c.wav"]


@pytest.mark.parametrize("has_ffmpeg", [True, False])
def test_endings_that_need_ffmpeg_are_recordings_where_it_is(monkeypatch, has_ffmpeg):
    spec = importlib.util.find_spec("os") if has_ffmpeg else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    endings = readable_endings()
    assert endings[:4] == (".wav", ".flac", ".ogg", ".mp3")
    for ending in ".webm .mkv .mov .wma .amr .3gp .mp2 .avi .ts .m4a".split():
        assert (ending in endings) == has_ffmpeg
        assert not is_no_audio(f"a{ending}")
    assert is_no_audio("a.JSON") and not is_no_audio("a.xyz")
