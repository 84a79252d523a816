"""What was written is what is read, or the file that is another is named."""

import json
import os
import re

import pytest

from gcrnn_jax.data import manifest
from gcrnn_jax.data.manifest import (
    MANIFEST,
    OWN_HASH,
    Verifier,
    hash_file,
    seal,
    unseal,
    verify_manifest,
    write_manifest,
)
from gcrnn_jax.errors import DataError

CONTENT = {"a": [1, 2.5, None], "b": {"c": "\u00e9\udcff"}, "d": True}


def test_a_sealed_object_is_read_back_and_damage_to_it_is_noticed():
    text = json.dumps(seal(CONTENT))
    assert unseal(json.loads(text), "file") == CONTENT
    assert unseal(CONTENT, "file") == CONTENT  # as it was before
    for one, other in (("2.5", "2.6"), ('"a"', '"e"'), ("true", "false"), ('c"', 'd"')):
        with pytest.raises(DataError, match="^file: damaged or edited"):
            unseal(json.loads(text.replace(one, other, 1)), "file")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "folder"
    (root / "below").mkdir(parents=True)
    (root / "one").write_bytes(b"content")
    (root / "below" / "two").write_bytes(b"\0" * 100)
    (root / "empty").touch()
    assert not verify_manifest(root)
    write_manifest(root)
    assert verify_manifest(root)
    return root


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one", b"contend"),
        ("one", b"conten"),
        ("empty", b"1"),
        ("below/two", b"\0" * 99 + b"\1"),
        ("below/two", None),
    ],
)
def test_a_file_that_is_another_is_named(folder, name, content):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: (damaged|missing)"):
        verify_manifest(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"bytes": 7', '"bytes": 8'),
        lambda text: text.replace(OWN_HASH, "own_sha255"),
        lambda text: text.replace("one", "on1"),
        lambda text: text[:-20],
        lambda text: "",
        lambda text: "[" * 10**6,
    ],
)
def test_a_damaged_manifest_is_noticed(folder, change):
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(change(text))
    with pytest.raises(DataError, match=MANIFEST):
        verify_manifest(folder)


def test_more_files_do_no_harm(folder):
    (folder / "more").write_text("")
    (folder / "below" / "link").symlink_to(folder / "one")
    assert verify_manifest(folder)


@pytest.mark.parametrize("kind", ["pipe", "link out", "device", "lost link"])
def test_what_is_no_file_of_the_folder_is_refused(folder, kind):
    path = folder / "below" / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        targets = {"link out": "/etc/passwd", "device": "/dev/zero"}
        path.symlink_to(targets.get(kind, folder / "not there"))
    with pytest.raises(DataError, match="below/odd"):
        verify_manifest(folder)


def test_files_are_hashed_once_until_one_changes(folder, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        manifest, "hash_file", lambda path: hashed.append(path.name) or hash_file(path)
    )
    names = ("one", "below/two")
    files = {
        name: {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for name in names
        if (path := folder / name)
    }
    for _ in range(2):
        Verifier(folder, files).verify(files)
    assert sorted(hashed) == ["one", "two"]
    times = (folder / "one").stat()
    (folder / "one").write_bytes(b"contend")
    os.utime(folder / "one", ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(DataError, match=re.escape(f"{folder / 'one'}: damaged")):
            Verifier(folder, files).verify(files)
    (folder / "one").write_bytes(b"content")
    Verifier(folder, files).verify(files)


def test_where_nothing_can_be_remembered_files_are_still_read(folder, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(folder / "one"))
    entry = {"bytes": 7, "sha256": hash_file(folder / "one")}
    Verifier(folder, {"one": entry}).verify({"one": entry})
    (folder / "one").write_bytes(b"contend")
    with pytest.raises(DataError, match="one: damaged"):
        Verifier(folder, {"one": entry}).verify({"one": entry})


def test_a_manifest_that_is_no_file_is_noticed(folder):
    (folder / "manifest.json").unlink(missing_ok=True)
    (folder / "manifest.json").mkdir()
    with pytest.raises(DataError, match=r"manifest\.json: expected a file"):
        verify_manifest(folder)
