"""What is there is not predicted again, unless something about it has changed."""

import json
import os

import pytest

from gcrnn_jax.audio.decode import stream_waveform
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.prediction import results
from tests.prediction.conftest import write


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


def test_a_damaged_record_is_made_again(predict_to, tmp_path):
    write(tmp_path / "a.wav")
    out = tmp_path / "out"
    predict_to(tmp_path / "a.wav", out)
    record = out / "recordings/a.wav.json"
    whole = record.read_text()
    record.write_text(whole[:40])
    assert "done before" not in predict_to(tmp_path / "a.wav", out)
    assert record.read_text() == whole
