import dataclasses
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import fresh_process, parity, stablehlo
from gcrnn_jax.exporting.onnx_networks import onnx_model
from gcrnn_jax.exporting.parity_inputs import Clips, make_cases, real_clips


@pytest.fixture(scope="module")
def model(small):
    return small("mlp", median_frames=3)


@pytest.fixture(scope="module")
def cases(model):
    return make_cases(model, real_clips(model))


def test_cases_are_noise_and_sounds_of_three_lengths(model, cases):
    whole = model.front_end.num_frames
    kinds = [(case.kind, case.features.shape[:2]) for case in cases]
    shapes = ((1, whole // 2 - 1), (3, whole), (1, whole + whole // 2 + 1))
    assert kinds == [(kind, shape) for shape in shapes for kind in ("random", "real")]
    for case in cases:
        scaled = (case.features - model.scaler.mean) / model.scaler.std
        if case.kind == "random":
            assert abs(scaled.mean()) < 0.2
            assert 0.8 < scaled.std() < 1.2
        else:
            expected = [model.front_end(row[:16000]) for row in case.waveform]
            np.testing.assert_array_equal(
                case.features[:, :20], np.stack(expected)[:, :20]
            )
        assert case.waveform.shape[1] >= model.samples_of(case.features.shape[1])


def test_real_input_is_recordings_of_the_models_data_where_they_are(small, data_folder):
    model = small("mlp")
    assert real_clips(model).origin == "3 built-in soundscapes"
    model.card["config"]["data"]["root"] = str(data_folder(training=3, testing=2))
    origin, waveforms = real_clips(model)
    assert origin == "3 recordings of the model's data"
    assert [len(waveform) for waveform in waveforms] == [
        len(waveform) for waveform in real_clips(model).waveforms
    ]
    (whole,) = {
        case.waveform.shape[1] for case in make_cases(model, Clips("", waveforms))[2:4]
    }
    row = make_cases(model, Clips("", waveforms))[3].waveform[1]
    joined = np.concatenate([*waveforms[1:], waveforms[0]])
    np.testing.assert_array_equal(row, np.resize(joined, whole))


def write(tmp_path, content):
    path = tmp_path / "program"
    path.write_bytes(content)
    return path


def test_programs_that_agree_pass_with_their_differences(model, cases, tmp_path):
    stable = write(tmp_path, stablehlo.program_of_features(model))
    entries = parity.check_features_program(stable, parity.run_fresh, model, cases)
    assert [(e["input"], e["batch"], e["frames"]) for e in entries] == [
        (case.kind, *case.features.shape[:2]) for case in cases
    ]
    assert all(0 <= entry["largest_difference"] <= 1e-5 for entry in entries)


def test_a_waveform_program_is_compared_with_numpys_front_end_too(
    model, cases, tmp_path
):
    path = write(tmp_path, stablehlo.program_of_waveform(model))
    entries = parity.check_waveform_program(path, model, cases[:2])
    for entry, case in zip(entries, cases, strict=False):
        assert entry["samples"] == case.waveform.shape[1]
        assert entry["largest_difference"] <= 1e-5
        assert entry["features_from_numpy"] <= 1e-5
        assert entry["posteriors_from_numpy"] <= 1e-5


def with_bias(model, added):
    """The same model with something added to one of its biases."""
    variables = jax.tree.map(np.array, model.variables)
    variables["params"]["detection"]["bias"][1] += added
    return dataclasses.replace(model, variables=variables)


@pytest.mark.parametrize("broken", [1e-3, np.nan])
def test_one_wrong_weight_is_found(small, model, cases, tmp_path, broken):
    other = with_bias(small("mlp", median_frames=3), broken)
    path = write(tmp_path, onnx_model(other))
    with pytest.raises(DataError, match="differ by .* on random input of 1 x"):
        parity.check_features_program(path, parity.run_onnx, model, cases)


def test_what_is_not_finite_in_both_does_not_pass(small, cases, tmp_path):
    model = with_bias(small("mlp", median_frames=3), np.nan)
    path = write(tmp_path, onnx_model(model))
    with pytest.raises(DataError, match="differ by inf"):
        parity.check_features_program(path, parity.run_onnx, model, cases)


def test_outputs_of_other_shapes_do_not_pass(model, cases):
    def run(program, inputs):
        return [(np.zeros((len(x), 3)), np.zeros((len(x), 1, 3))) for x in inputs]

    with pytest.raises(DataError, match="differ by inf"):
        parity.check_features_program(Path("program"), run, model, cases)


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
    path = write(tmp_path, b"no program")
    with pytest.raises(
        DataError, match="program does not run in a process of its own: ."
    ):
        parity.run_fresh(path, [cases[0].features])
