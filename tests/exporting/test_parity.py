import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import fresh_process, parity
from gcrnn_jax.exporting.onnx_networks import onnx_program
from gcrnn_jax.exporting.parity import make_cases, real_clips
from gcrnn_jax.exporting.waveform import samples_for


@pytest.fixture(scope="module")
def cases(model):
    return make_cases(model, real_clips(model)[1])


def test_cases_are_noise_and_sounds_of_three_lengths(model, cases):
    whole = model.front_end.num_frames
    kinds = [(case.kind, case.features.shape[:2]) for case in cases]
    shapes = ((1, whole // 2 - 1), (3, whole), (1, whole + whole // 2 + 1))
    assert kinds == [(kind, shape) for shape in shapes for kind in ("random", "real")]
    for case in cases:
        scaled = (case.features - model.card.scaler.mean) / model.card.scaler.std
        if case.kind == "random":
            assert abs(scaled.mean()) < 0.3
            assert 0.7 < scaled.std() < 1.3
        else:
            front_end = dataclasses.replace(model.front_end, clip_s=10.0)
            expected = [front_end(row) for row in case.waveform]
            np.testing.assert_array_equal(case.features, np.stack(expected))
        samples = samples_for(model.front_end, case.features.shape[1])
        assert case.waveform.shape[1] > samples


def test_real_input_is_recordings_of_the_models_data_where_they_are(small, data_folder):
    model = small("mlp", root=str(data_folder(training=3, testing=2)))
    origin, waveforms = real_clips(model)
    assert origin == "3 recordings of the model's data"
    assert [len(waveform) for waveform in waveforms] == [
        len(waveform) for waveform in real_clips(model)[1]
    ]
    batch = make_cases(model, waveforms)[3].waveform
    joined = np.concatenate([*waveforms[1:], waveforms[0]])
    np.testing.assert_array_equal(batch[1], np.resize(joined, batch.shape[1]))


def test_a_root_that_is_no_data_set_any_more_leaves_soundscapes(small, tmp_path):
    model = small("mlp", root=str(tmp_path))
    assert real_clips(model)[0] == "3 built-in soundscapes"


@pytest.fixture(scope="module")
def compared(exported):
    """What the card of an exported folder says of the comparison."""
    return json.loads((exported / "card.json").read_text())["exported"]["parity"]


def test_every_program_is_compared_on_every_case(compared, cases):
    assert compared["programs"].keys() == {
        "model.stablehlo",
        "waveform.stablehlo",
        "model.onnx",
    }
    for name, entries in compared["programs"].items():
        for entry, case in zip(entries, cases, strict=True):
            assert (entry["input"], entry["batch"]) == (case.kind, len(case.features))
            if name.startswith("waveform"):
                assert entry["samples"] == case.waveform.shape[1]
                assert entry["features_from_numpy"] <= 1e-5
                assert entry["posteriors_from_numpy"] <= 1e-5
            else:
                assert entry["frames"] == case.features.shape[1]
            assert 0 <= entry["largest_difference"] <= 1e-5
    assert compared["tolerance"] == 1e-5


def write_graph(tmp_path, model, added):
    """Writes the graph of a model, with something added to one of its biases."""
    variables = jax.tree.map(np.array, model.variables)
    variables["params"]["detection"]["bias"][1] += added
    other = dataclasses.replace(model, variables=variables)
    (tmp_path / "model.onnx").write_bytes(onnx_program(other))
    return tmp_path / "model.onnx", other


@pytest.mark.parametrize("broken", [1e-3, np.nan])
def test_one_wrong_weight_is_found(model, predict, cases, tmp_path, broken):
    path, _ = write_graph(tmp_path, model, broken)
    with pytest.raises(DataError, match="differ by .* on random input of 1 x"):
        parity.compare_program(path, model.front_end, predict, cases)


def test_what_is_not_finite_in_both_does_not_pass(model, cases, tmp_path):
    path, other = write_graph(tmp_path, model, np.nan)
    predict = jax.jit(parity.features_function(other))
    with pytest.raises(DataError, match="differ by inf"):
        parity.compare_program(path, model.front_end, predict, cases)


def test_outputs_of_other_shapes_do_not_pass(
    model, predict, cases, tmp_path, monkeypatch
):
    def run(program, inputs):
        return [(np.zeros((len(x), 3)), np.zeros((len(x), 1, 3))) for x in inputs]

    monkeypatch.setattr(parity, "run_onnx", run)
    with pytest.raises(DataError, match="differ by inf"):
        path = tmp_path / "model.onnx"
        parity.compare_program(path, model.front_end, predict, cases)


def test_waveforms_of_another_front_end_are_told_from_ours(
    model, predict, cases, exported
):
    other = dataclasses.replace(model.front_end, window="periodic_hann")
    path = exported / "waveform.stablehlo"
    with pytest.raises(DataError, match="differ by .* samples: expected"):
        parity.compare_program(path, other, predict, cases[:2])


def test_the_fresh_process_cannot_import_the_package():
    script = f"""
import runpy
try:
    runpy.run_path({fresh_process.__file__!r})["main"]("no program", "", "")
except FileNotFoundError:
    pass
try:
    import gcrnn_jax.errors
except ImportError:
    print("not there")
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "not there\n"


def test_the_fresh_process_says_why_it_fails(cases, tmp_path):
    (tmp_path / "program").write_bytes(b"no program")
    with pytest.raises(
        DataError, match="program does not run in a process of its own: (?!no message)."
    ):
        parity.run_fresh(tmp_path / "program", [cases[0].features])


def test_a_signal_ends_the_fresh_process_and_removes_its_folder(tmp_path):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time; time.sleep(60)\n")
    script = f"""
import sys, tempfile, threading, os, signal, time
import numpy as np
tempfile.tempdir = {str(tmp_path / "temporary")!r}
from gcrnn_jax.errors import exit_at_signals, run_command
from gcrnn_jax.exporting import fresh_process, parity
from pathlib import Path
fresh_process.__file__ = {str(sleeper)!r}
exit_at_signals()
def stop():
    while not list(Path(tempfile.tempdir).glob("*/inputs.npz")):
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=stop, daemon=True).start()
run_command(lambda: parity.run_fresh(Path("a"), [np.zeros(1)]))
"""
    (tmp_path / "temporary").mkdir()
    how: dict = {"capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", script], check=False, **how)
    assert (done.returncode, done.stdout) == (75, ""), done.stderr
    assert not list((tmp_path / "temporary").iterdir())
    commands = subprocess.run(["ps", "-eo", "args"], check=False, **how)
    assert str(sleeper) not in commands.stdout
