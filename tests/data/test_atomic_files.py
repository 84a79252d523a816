"""Files and folders are whole or absent, whatever happens on the way."""

import errno
import os
import re

import pytest

from gcrnn_jax.data.atomic_files import (
    atomic_folder,
    json_line,
    read_json_lines,
    write_atomically,
)
from gcrnn_jax.errors import StorageError, WorkdirError


def content(folder):
    """Everything in a folder, hidden or not, with the text of its files."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


def fill(path, text):
    with atomic_folder(path) as folder:
        (folder / "a.txt").write_text(text)
        assert folder != path


def test_a_folder_appears_with_what_its_block_wrote(tmp_path):
    path = tmp_path / "new" / "folder"
    fill(path, "first")
    whole = {"new": None, "new/folder": None, "new/folder/a.txt": "first"}
    assert content(tmp_path) == whole


def test_a_folder_replaces_the_one_that_was_there(tmp_path):
    path = tmp_path / "folder"
    fill(path, "first")
    (path / "old.txt").write_text("of the first alone")
    fill(path, "second")
    assert content(tmp_path) == {"folder": None, "folder/a.txt": "second"}


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(ZeroDivisionError), atomic_folder(path):
        _ = 1 / 0
    assert content(tmp_path) == {}
    fill(path, "first")
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as folder:
        (folder / "a.txt").write_text("second")
        _ = 1 / 0
    assert content(tmp_path) == {"folder": None, "folder/a.txt": "first"}


@pytest.mark.parametrize("name", [".folder.partial", ".folder.replaced"])
def test_what_a_killed_process_left_is_removed(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "half.txt").write_text("ha")
    fill(tmp_path / "folder", "first")
    assert content(tmp_path) == {"folder": None, "folder/a.txt": "first"}


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageError), (errno.EACCES, WorkdirError)]
)
def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path, monkeypatch, number, kind
):
    path = tmp_path / "a.txt"
    write_atomically(path, [b"fir", b"st"])

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match="cannot write .*a.txt"):
        write_atomically(path, [b"second"])
    assert content(tmp_path) == {"a.txt": "first"}


def test_a_damaged_line_of_a_log_is_left_out_and_said(tmp_path, caplog):
    path = tmp_path / "log"
    lines = [json_line({"step": n, "loss": n / 3}) for n in range(5)]
    path.write_text("".join(lines))
    read = [line for _, line in read_json_lines(path, "step")]
    assert read == [{"step": n, "loss": n / 3} for n in range(5)] and not caplog.text
    lines[1] = lines[1].replace("0.3", "0.2")
    lines[3] = '{"step": 3, "loss": 1.0}\n'  # as version 0.2.0 wrote it
    path.write_text("".join(lines)[:-9])
    read = [line["step"] for _, line in read_json_lines(path, "step")]
    assert read == [0, 2, 3]
    assert [re.search(r"log:(\d+)", text)[1] for text in caplog.messages] == ["2", "5"]


def test_a_folder_that_is_killed_between_its_two_names_is_written_anew(
    tmp_path, fails_at
):
    fill(tmp_path / "folder", "first")
    with fails_at("write.folder:raise"):
        fill(tmp_path / "folder", "second")
    fill(tmp_path / "folder", "second")
    assert content(tmp_path) == {"folder": None, "folder/a.txt": "second"}
