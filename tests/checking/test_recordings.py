"""What is wrong with recordings is found, and they are decoded once."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from gcrnn_jax.check import check
from gcrnn_jax.checking import probe
from gcrnn_jax.checking.text import summary
from tests.checking.folders import (
    AUDIO,
    STRONG,
    TRAINING,
    VALIDATION,
    WEAK,
    append,
    clip,
    cut,
    found,
    noise,
    put,
    recording,
    replace,
    run,
    strong_list,
)


@pytest.mark.parametrize("code", AUDIO)
def test_a_fault_of_a_recording_is_found(root, code):
    """In the first training clip, which has the label of the fourth."""
    path = recording(root, "training", 0)
    AUDIO[code](path)
    [(found_code, place, line)] = found(root)
    assert found_code == code
    if code == "MISSING":
        assert (place, line) == (TRAINING, 1)
    else:
        later = {
            "SAME_AUDIO": recording(root, "training", 3),
            "SAME_AUDIO_OTHER_LABELS": recording(root, "training", 1),
            "SHARED_AUDIO": recording(root, "validation", 0),
        }
        assert root / place == later.get(code, path)


def test_channels_that_cancel_are_found_and_a_quiet_recording_is_not(root):
    wave = noise(0)[:, None]
    put(np.hstack([wave, -wave]))(recording(root, "training", 0))
    put(1.2e-3 * np.sign(noise(1)))(recording(root, "training", 1))
    cancelled = os.path.relpath(recording(root, "training", 0), root)
    assert found(root) == {("CANCELLED", cancelled, 0)}


def test_a_labelled_recording_longer_than_the_input_is_an_error(root):
    replace(root / TRAINING, "t0,20.000,21.000", "t0,20.000,32.000")
    replace(root / WEAK, "t0_20.000_21.000", "t0_20.000_32.000")
    old = recording(root, "training", 0)
    new = old.with_name("Yt0_20.000_32.000.wav")
    old.unlink()
    soundfile.write(new, noise(0, 12 * 16000), 16000)
    assert {code for code, *_ in found(root)} == {"CROPPED"}
    assert run("--root", root) == 65


@pytest.mark.parametrize("lists_only", [True, False])
def test_events_that_begin_where_the_input_has_ended_are_an_error(root, lists_only):
    clip_id, old = "v0_20.000_32.000", recording(root, "validation", 0)
    replace(root / VALIDATION, "v0,20.000,21.000", "v0,20.000,32.000")
    weak = root / "groundtruth_weak_label_validation_set.csv"
    replace(weak, clip("validation", 0), clip_id)
    replace(strong_list(root), clip("validation", 0), clip_id)
    append(strong_list(root), f"{clip_id}.wav\t10.0\t11\tCar\n")
    soundfile.write(old.with_name(f"Y{clip_id}.wav"), noise(50, 12 * 16000), 16000)
    old.unlink()
    findings = found(root, lists_only=lists_only)
    assert ("EVENT_CROPPED", STRONG, 4) in findings
    assert {code for code, *_ in findings} <= {"EVENT_CROPPED", "CROPPED", "SHORT_CLIP"}


def test_a_missing_recording_comes_with_the_nearest_name(root):
    path = recording(root, "training", 1)
    path.rename(path.with_name(path.name.upper()))
    assert found(root) >= {("MISSING", TRAINING, 2)}
    assert f"the nearest is {path.name.upper()}" in summary(check(root))


def test_files_that_are_no_recordings_are_no_extra_ones(root):
    folder = root / "audio/training"
    for name in ("a.json", "._a.wav", "Thumbs.db", "Yt0_20.000_21.000.txt"):
        (folder / name).touch()
    assert found(root) == set()


def test_a_name_that_two_folders_have_is_an_error(root):
    (root / "audio/training").rename(root / "audio/a")
    (root / "audio/b").mkdir()
    put(noise(77))(root / "audio/b" / recording(root, "training", 1).name)
    assert ("AMBIGUOUS", TRAINING, 2) in found(root)


def test_extra_and_repeated_and_misplaced_recordings(root):
    first = recording(root, "training", 0)
    soundfile.write(first.with_suffix(".flac"), noise(0), 16000)
    soundfile.write(first.with_name("other.wav"), noise(9), 16000)
    deep = first.parent / "deep"
    deep.mkdir()
    second = recording(root, "training", 1)
    second.rename(deep / second.name)
    assert found(root) == {
        ("SEVERAL", f"audio/training/{first.stem}.flac", 0),
        ("EXTRA", "audio/training/other.wav", 0),
        ("MISSING", TRAINING, 2),
    }
    assert f"there is audio/training/deep/{second.name}" in summary(check(root))


def test_a_folder_without_recordings_is_one_finding(root):
    shutil.rmtree(root / "audio" / "validation")
    assert found(root) == {("NO_RECORDINGS", VALIDATION, 0)}
    assert found(root, lists_only=True) == {("LISTS_ALONE", VALIDATION, 0)}
    shutil.rmtree(root / "audio")
    assert found(root) == {("NO_RECORDINGS", ".", 0)}
    assert run("--root", root) == 65
    assert run("--root", root, "--lists_only") == 0


def test_lists_only_decodes_nothing(root):
    recording(root, "training", 0).write_bytes(b"<html>")
    recording(root, "training", 1).unlink()
    assert found(root, lists_only=True) == {("MISSING", TRAINING, 2)}


def probed_now(root, cache, monkeypatch) -> list[str]:
    """The recordings that a check decodes."""
    probed = []

    def probe_one(folder, name):
        probed.append(name)
        return probe.probe(folder, name)

    with monkeypatch.context() as patch:
        patch.setattr(
            probe,
            "ordered_map",
            lambda _, tasks, **__: (probe_one(str(root), task) for task in tasks),
        )
        report = check(root, cache=cache)
    assert report == check(root, num_workers=1)
    return sorted(probed)


def test_a_recording_is_decoded_again_only_if_it_has_changed(
    root, tmp_path, monkeypatch, capsys
):
    cache = tmp_path / "new" / "cache"
    recording(root, "training", 0).write_bytes(b"<html>")
    recording(root, "training", 3).write_bytes(b"")
    empty = os.path.relpath(recording(root, "training", 3), root)
    assert len(probed_now(root, cache, monkeypatch)) == 7
    assert probed_now(root, cache, monkeypatch) == [empty]
    assert "6 of 7 recordings have not changed" in capsys.readouterr().err
    changed = [recording(root, "training", index) for index in (1, 2)]
    dates = os.stat(changed[0])
    put(noise(98))(changed[0])  # as long as before, and dated back
    os.utime(changed[0], ns=(dates.st_atime_ns, dates.st_mtime_ns))
    cut(changed[1])
    expected = sorted(os.path.relpath(path, root) for path in changed)
    assert probed_now(root, cache, monkeypatch) == [*expected, empty]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 0}', None])
def test_a_cache_that_cannot_be_used_is_not(root, tmp_path, monkeypatch, damage):
    cache = tmp_path / "cache"
    check(root, cache=cache, num_workers=1)
    content = cache.read_text()
    assert json.loads(content)["version"][0] == "gcrnn_jax measures"
    cache.write_text(content[:-9] if damage is None else damage)
    assert len(probed_now(root, cache, monkeypatch)) == 7
    assert cache.read_text() == content


def test_a_check_goes_on_where_it_was_interrupted(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"

    def interrupted(_, tasks, **__):
        for number, task in enumerate(tasks):
            if number == 4:
                raise KeyboardInterrupt
            yield probe.probe(str(root), task)

    with monkeypatch.context() as patch:
        patch.setattr(probe, "ordered_map", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check(root, cache=cache)
    assert len(probed_now(root, cache, monkeypatch)) == 3


def test_a_check_does_without_a_place_to_remember(root, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "file"))
    assert run("--root", root) == 0
    assert "warning: the next check starts afresh: cannot w" in capsys.readouterr().err


def test_the_command_remembers(root, capsys):
    assert run("--root", root) == run("--root", root) == 0
    assert "7 of 7 recordings have not changed" in capsys.readouterr().err
