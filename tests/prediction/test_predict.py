import csv
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
from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.errors import ConfigError, DataError, StorageError, run_command
from gcrnn_jax.prediction import FORMATS, predict_recordings, results
from gcrnn_jax.prediction.formats import COMBINED, PER_RECORDING
from gcrnn_jax.prediction.loading import load_model
from gcrnn_jax.prediction.posteriors import RecordingPosteriors
from gcrnn_jax.progress import Progress
from gcrnn_jax.training import parallel
from tests.prediction.conftest import BATCH_SIZE, write

ALL = "events,tags,jsonl,dcase,audacity,raven,scores,plot"


@pytest.fixture
def command(run, capfd, monkeypatch):
    """The command in this process: its exit code, and what it prints."""
    monkeypatch.setattr(parallel, "configure_jax", lambda batch_size: None)

    def run_main(*arguments, model=run):
        line = [model, *arguments, "--batch_size", BATCH_SIZE]
        code = 0
        try:
            run_command(lambda: predict.main([str(part) for part in line]))
        except SystemExit as error:
            code = error.code
        return code, *capfd.readouterr()

    return run_main


@pytest.fixture
def predict_to(ensemble, capfd):
    """Predicts with the one ensemble; returns what is printed."""

    def run(path, output, formats="events,tags", ensemble=ensemble):
        predict_recordings(ensemble, [os.fspath(path)], output, formats.split(","))
        return capfd.readouterr().out

    return run


def rows(path):
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


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


def test_a_second_run_does_what_is_new_and_a_changed_recording_again(
    predict_to, ensemble, tmp_path
):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    write(folder / "a.wav", 1.0)
    write(folder / "b.wav", 2.0)
    assert "done before" not in predict_to(folder, out)
    first = (out / "events.csv").read_bytes(), (out / "tags.csv").read_bytes()
    before = {p: p.stat().st_mtime_ns for p in (out / "recordings").iterdir()}

    assert "2 of 2 recordings were done before" in predict_to(folder, out)
    assert ((out / "events.csv").read_bytes(), (out / "tags.csv").read_bytes()) == first
    assert {p: p.stat().st_mtime_ns for p in (out / "recordings").iterdir()} == before

    write(folder / "a.wav", 3.0)
    write(folder / "c.wav", 1.5)
    third = predict_to(folder, out, "tags,jsonl,audacity")
    assert "1 of 3 recordings were done before" in third
    lines = (out / "recordings.jsonl").read_text().splitlines()
    assert [json.loads(line)["duration_s"] for line in lines] == [3.0, 2.0, 1.5]
    assert sorted(p.name for p in (out / "audacity").iterdir()) == [
        "a.wav.txt",
        "b.wav.txt",
        "c.wav.txt",
    ]

    # only posteriors can give scores and plots
    assert "done before" not in predict_to(folder, out, "scores")
    assert len(list((out / "scores").iterdir())) == 3
    assert "done before" not in predict_to(folder, out, "plot")
    assert len(list((out / "plots").iterdir())) == 3
    other = ensemble.with_thresholds(event_threshold=0.99)
    assert "done before" not in predict_to(folder, out, ensemble=other)


def test_what_another_system_made_goes_or_is_made_again(predict_to, ensemble, tmp_path):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    write(folder / "a.wav")
    write(folder / "b.wav", 2.0, seed=1)
    predict_to(folder, out, "events,tags,scores,audacity")
    before = (out / "tags.csv").read_text()
    other = ensemble.with_thresholds(tag_threshold=1.0, event_threshold=1.0)
    printed = predict_to(folder, out, "events", ensemble=other)
    assert "tags.csv" in printed and (out / "tags.csv").read_text() != before
    assert not list((out / "scores").iterdir()) + list((out / "audacity").iterdir())


def test_files_that_are_lost_or_damaged_are_made_again(predict_to, tmp_path):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    write(folder / "a.wav")
    write(folder / "b.wav")
    predict_to(folder, out, "scores,audacity")
    files = [out / "scores/a.wav.tsv", out / "audacity/b.wav.txt"]
    whole = [file.read_bytes() for file in files]
    files[0].write_text("cut")
    files[1].unlink()
    # to write audacity again, the record is enough
    assert "1 of 2 recordings were done before" in predict_to(
        folder, out, "scores,audacity"
    )
    assert [file.read_bytes() for file in files] == whole
    # what is asked for later does not make the rest forgotten
    predict_to(folder, out, "raven")
    assert "2 of 2 recordings were done before" in predict_to(folder, out, "scores")


@pytest.mark.parametrize("lost", ["record", "formats", "system"])
def test_a_record_without_a_part_is_made_again(predict_to, tmp_path, lost):
    write(tmp_path / "a.wav")
    out = tmp_path / "out"
    predict_to(tmp_path / "a.wav", out)
    path = out / "recordings/a.wav.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in content.items() if k != lost}))
    assert "done before" not in predict_to(tmp_path / "a.wav", out)
    assert json.loads(path.read_text()) == content


def test_a_recording_that_grows_meanwhile_is_not_done(
    predict_to, ensemble, tmp_path, monkeypatch
):
    path, out = tmp_path / "a.wav", tmp_path / "out"
    write(path)
    tags = type(ensemble).tags

    def grow(*arguments):
        write(path, 2.0)
        return tags(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(ensemble), "tags", grow)
        predict_to(path, out, "jsonl")
    assert '"duration_s": 1.0' in (out / "recordings.jsonl").read_text()
    assert "done before" not in predict_to(path, out, "jsonl")
    assert '"duration_s": 2.0' in (out / "recordings.jsonl").read_text()


@pytest.mark.parametrize("sizes", [{"scores": None}, {"format of later": 3}])
def test_a_ledger_of_files_that_are_not_there_is_made_again(
    predict_to, tmp_path, sizes
):
    write(tmp_path / "a.wav")
    path, out = tmp_path / "out/recordings/a.wav.json", tmp_path / "out"
    predict_to(tmp_path / "a.wav", out)
    path.write_text(json.dumps({**json.loads(path.read_text()), "formats": sizes}))
    assert "done before" not in predict_to(tmp_path / "a.wav", out, "scores")
    assert (out / "scores/a.wav.tsv").is_file()


def test_a_recording_of_the_same_size_and_another_date_is_not_done(
    predict_to, tmp_path
):
    path, out = tmp_path / "a.wav", tmp_path / "out"
    write(path)
    status = path.stat()
    predict_to(path, out, "jsonl")
    first = (out / "recordings.jsonl").read_text()
    write(path, seed=1)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert path.stat().st_size == status.st_size
    assert "done before" not in predict_to(path, out, "jsonl")
    assert (out / "recordings.jsonl").read_text() != first
    ledger = json.loads((out / "recordings/a.wav.json").read_text())
    assert ledger["modified_ns"] == path.stat().st_mtime_ns
    assert ledger["size"] == status.st_size


@pytest.mark.parametrize(
    "fault",
    ["predict.recording@2:raise", "predict.ledger@2:enospc", "predict.tables:raise"],
)
def test_a_prediction_that_fails_anywhere_goes_on(
    predict_to, tmp_path, fault, fails_at, capfd
):
    for seed, name in enumerate(("a.wav", "b.wav", "c.wav")):
        write(tmp_path / "in" / name, seed=seed)
    predict_to(tmp_path / "in", tmp_path / "whole")
    with fails_at(fault):
        predict_to(tmp_path / "in", tmp_path / "out")
    num_done = 3 if "tables" in fault else 1
    printed = predict_to(tmp_path / "in", tmp_path / "out")
    assert f"{num_done} of 3 recordings were done before" in printed
    for name in ("events.csv", "tags.csv"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "out" / name).read_bytes() == whole


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


def test_what_could_not_be_written_for_want_of_the_recording_is_not_done(
    predict_to, tmp_path, monkeypatch
):
    for name in ("a.wav", "b.wav"):
        write(tmp_path / "in" / name)
    folder, out = tmp_path / "in", tmp_path / "out"
    predict_to(folder, out)

    def denied(path, rate_hz, levels):
        if path.endswith("a.wav"):
            raise Rejected("DENIED", "for a while")
        yield from stream_waveform(path, rate_hz, levels=levels)

    with monkeypatch.context() as patch:
        patch.setattr(results, "stream_decoded", denied)
        assert "1 of 2 recordings could not be read" in predict_to(
            folder, out, "scores"
        )
    assert "1 of 2 recordings were done before" in predict_to(folder, out, "scores")
    assert (out / "scores/a.wav.tsv").is_file()


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


def test_a_damaged_record_is_made_again(predict_to, tmp_path):
    write(tmp_path / "a.wav")
    out = tmp_path / "out"
    predict_to(tmp_path / "a.wav", out)
    record = out / "recordings/a.wav.json"
    whole = record.read_text()
    record.write_text(whole[:40])
    assert "done before" not in predict_to(tmp_path / "a.wav", out)
    assert record.read_text() == whole


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
