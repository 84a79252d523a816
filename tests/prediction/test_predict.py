import json
import os
import re
import shutil
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile

from gcrnn_jax import predict
from gcrnn_jax.errors import ConfigError, DataError, StorageError
from gcrnn_jax.prediction import FORMATS, predict_recordings
from gcrnn_jax.prediction.formats import COMBINED, PER_RECORDING
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.prediction.posteriors import RecordingPosteriors
from gcrnn_jax.progress import Progress
from tests.prediction.conftest import rows, write

ALL = "events,tags,jsonl,dcase,audacity,raven,scores,plot"


ODD_NAMES = ["-dash.wav", "two words.wav", 'quote".wav', "new\nline.wav", "ü.wav"]
UNDECODABLE = os.fsdecode(b"\xff.wav")


def test_good_recordings_are_done_bad_ones_listed_and_all_names_kept(
    commands, run, tmp_path
):
    folder = tmp_path / "recordings"
    names = [*ODD_NAMES, UNDECODABLE, "a/x.wav", "b/x.wav", "b/x.flac"]
    for seed, name in enumerate(names):
        write(folder / name, 0.5 + seed, seed)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound")
    (folder / "notes.txt").write_text("not looked at")
    write(folder / "short.wav", 0.01)
    content = (folder / "a/x.wav").read_bytes()
    (folder / "cut.wav").write_bytes(content[: len(content) // 2])

    options = ["--output", tmp_path / "out", "--formats", ALL]
    done = commands.run(run, folder, *options, module="gcrnn_jax.predict")
    assert done.returncode == 0, done.stderr
    assert "2 of 13 recordings could not be read" in done.stdout

    lines = (tmp_path / "out/recordings.jsonl").read_text().splitlines()
    found = {line["filename"]: line for line in map(json.loads, lines)}
    assert set(found) == {*names, "short.wav", "cut.wav"}
    assert {name for name, one in found.items() if not one["complete"]} == {"cut.wav"}
    assert found["cut.wav"]["duration_s"] < found["a/x.wav"]["duration_s"]
    lengths = [found[name]["duration_s"] for name in names]
    np.testing.assert_allclose(lengths, 0.5 + np.arange(len(names)), atol=1e-4)
    errors = {
        os.path.basename(r["path"]): r["code"]
        for r in rows(tmp_path / "out/errors.csv")
    }
    assert errors == {
        "empty.wav": "EMPTY",
        "text.wav": "FORMAT",
        "cut.wav": "TRUNCATED",
    }
    tagged = {row["filename"] for row in rows(tmp_path / "out/tags.csv")}
    assert tagged == set(found)  # the model gives every clip a tag
    for name in names:
        for kind, ending in (
            ("audacity", ".txt"),
            ("raven", ".selections.txt"),
            ("scores", ".tsv"),
            ("plots", ".png"),
        ):
            assert (tmp_path / "out" / kind / f"{name}{ending}").is_file()


def test_posteriors_lie_beside_the_results_and_a_full_disk_is_named(
    predict_to, tmp_path, monkeypatch
):
    write(tmp_path / "a.wav")
    full = tmp_path / "full"
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(full))  # no such folder
        predict_to(tmp_path / "a.wav", tmp_path / "out")
        with pytest.raises(StorageError, match=rf"{full} \(set by TMPDIR\): No such"):
            RecordingPosteriors(("Car",), 0.025)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    posteriors = RecordingPosteriors(("Car",) * 400, 0.025, tmp_path)
    posteriors._file.close()
    posteriors._file = Mock(write=no_space)
    with pytest.raises(StorageError, match=rf"{tmp_path}: No .* takes 460\.8 MB"):
        posteriors.append(np.zeros((5, 2, 400)))


@pytest.mark.parametrize("flag", ["--tag=0.5", "--format=tags", "--batch=1"])
def test_a_flag_is_not_taken_for_a_longer_one(flag, capsys):
    with pytest.raises(SystemExit) as end:
        predict.main(["model", "a.wav", "--output", "out", flag])
    assert end.value.code == 2
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err


def test_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        predict.main(["--help"])
    printed = capsys.readouterr().out
    combined = [file for files in COMBINED.values() for file in files]
    own = [f"{f.folder}/NAME{f.ending}" for f in PER_RECORDING.values()]
    for name in (*FORMATS, *combined, *own):
        assert re.search(rf"^  .*\b{re.escape(name)}\b", printed, re.M), name


def test_what_is_no_recording_is_named_by_its_ending(predict_to, tmp_path):
    write(tmp_path / "in/a.wav")
    for name in ("._a.wav", ".Trashes/b.wav", "a.json", "b.webmx", "c.json", "README"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    printed = predict_to(tmp_path / "in", tmp_path / "out")
    assert "4 files passed over: no ending, .json, .webmx\n" in printed
    assert "could not be read" not in printed


def test_a_folder_that_cannot_be_searched_is_listed(predict_to, tmp_path, monkeypatch):
    write(tmp_path / "in/a.wav")
    (tmp_path / "in/locked").mkdir()
    scan = os.scandir

    def denied(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)
    printed = predict_to(tmp_path / "in", tmp_path / "out")
    assert "1 of 2 recordings could not be read" in printed
    (row,) = rows(tmp_path / "out/errors.csv")
    assert row["path"].endswith("in/locked") and row["code"] == "DENIED"


def test_what_was_not_given_is_said(predict_to, ensemble, tmp_path):
    with pytest.raises(DataError, match="no recording was given"):
        predict_recordings(ensemble, [], tmp_path)
    with pytest.raises(ConfigError, match="no format nope"):
        predict_to(tmp_path, tmp_path, "nope")
    with pytest.raises(ConfigError, match="batch_size"):
        load_model()


def test_runs_and_their_averaged_models_are_one(command, predict_to, run, tmp_path):
    write(tmp_path / "a.ogg", 12.0)
    out, averaged = tmp_path / "out", run / "averaged"
    predict_to(tmp_path / "a.ogg", out)
    expected = (out / "events.csv").read_text()
    assert expected.count("\n") > 1
    code, printed, _ = command(tmp_path / "a.ogg", "--output", out, model=averaged)
    assert code == 0 and "1 of 1 recordings were done before" in printed
    arguments = [tmp_path / "a.ogg", "--fuse", averaged, "--plot", "--output", out]
    code, printed, _ = command(*arguments)
    assert code == 0 and "done before" not in printed
    assert (out / "events.csv").read_text() == expected
    assert (out / "plots/a.ogg.png").is_file()


def test_thresholds_of_the_command_line_are_used(command, tmp_path):
    write(tmp_path / "a.wav")
    arguments = [tmp_path / "a.wav", "--output", tmp_path / "out"]
    for threshold, num_rows in ((0, 3), (1, 0)):
        assert command(*arguments, "--tag_threshold", threshold)[0] == 0
        assert len(rows(tmp_path / "out/tags.csv")) == num_rows
    assert command(*arguments, "--tag_threshold=0", "--event_threshold=0")[0] == 0
    assert len(rows(tmp_path / "out/events.csv")) == 3


def test_a_users_mistakes_are_told_without_a_traceback(command, run, tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "nothing").mkdir()
    for code, message, arguments in (
        (65, "MISSING: no such file", [tmp_path / "b.wav"]),
        (65, "no recording in", [tmp_path / "nothing"]),
        (
            2,
            "no format pdf; there are events, ",
            [tmp_path / "a.wav", "--formats", "pdf"],
        ),
        (2, "event_threshold: expected", [tmp_path / "a.wav", "--event_threshold=2"]),
        (73, "cannot write", [tmp_path / "a.wav", "--output", tmp_path / "a.wav/x"]),
        (65, "no holds no model", [tmp_path / "a.wav", "--fuse", tmp_path / "no"]),
    ):
        given, _, errors = command("--output", tmp_path / "out", *arguments)
        assert given == code and "Traceback" not in errors
        assert re.search(message, errors), errors
    with pytest.raises(ConfigError, match="--batch_size: expected 1 or more"):
        predict.main([str(run), "a.wav", "--output", "out", "--batch_size=0"])


def test_names_too_long_for_an_ending_are_cut(predict_to, tmp_path):
    long = [f"{'n' * 246}{k}.wav" for k in range(2)]
    for name in long:
        write(tmp_path / "in" / name)
    predict_to(tmp_path / "in", tmp_path / "out", ALL)
    assert {row["filename"] for row in rows(tmp_path / "out/tags.csv")} == set(long)
    assert len(list((tmp_path / "out/raven").iterdir())) == 2
    shutil.rmtree(tmp_path / "out")


def test_names_that_are_no_text_do_not_end_a_command():
    program = (
        "from gcrnn_jax.errors import run_command\n"
        "run_command(lambda: print('wrote \\udcff.wav'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "wrote \\udcff.wav\n"


def test_what_is_odd_of_a_recording_is_a_row_and_strict_refuses_half_of_one(
    ensemble, predict_to, tmp_path
):
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "good.wav", 2.0)
    content = (folder / "good.wav").read_bytes()
    (folder / "half.wav").write_bytes(content[: len(content) // 2])
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    soundfile.write(folder / "scaled.wav", 32768 * noise, 16000, subtype="FLOAT")
    soundfile.write(folder / "turned.wav", np.stack([noise, -noise], 1), 16000)
    first = predict_to(folder, out, "jsonl,plot")
    assert "3 of 4 recordings with remarks" in first
    again = predict_to(folder, out, "jsonl")
    assert "4 of 4 recordings were done before" in again
    assert "3 of 4 recordings with remarks" in again
    found = {
        os.path.basename(row["path"]): (row["code"], row["outcome"])
        for row in rows(out / "errors.csv")
    }
    assert found == {
        "half.wav": ("TRUNCATED", "incomplete"),
        "scaled.wav": ("LEVEL", "warning"),
        "turned.wav": ("CANCELLED", "warning"),
    }
    with open(out / "recordings.jsonl") as file:
        lines = {line["filename"]: line for line in map(json.loads, file)}
    assert [lines[name]["complete"] for name in sorted(lines)] == [1, 0, 1, 1]
    (remark,) = lines["scaled.wav"]["remarks"]
    assert remark[1].endswith("where full scale is 1: divide by 32768?")

    predict_recordings(ensemble, [str(folder)], out, ["jsonl"], strict=True)
    assert "half.wav" not in (out / "recordings.jsonl").read_text()
    assert rows(out / "errors.csv")[0]["outcome"] == "refused"


def test_progress_goes_on_within_a_recording(predict_to, tmp_path, monkeypatch):
    write(tmp_path / "long.wav", 40.0)
    shown = []
    monkeypatch.setattr(Progress, "update", lambda bar, count=1: shown.append(count))
    predict_to(tmp_path / "long.wav", tmp_path / "out")
    assert sum(shown) == pytest.approx(1)
    assert len(shown) > 2 and max(shown) < 0.9
