"""Compares exported programs with the model in JAX, on a CPU, where each will run.

StableHLO runs in a fresh process that cannot import this package, ONNX in onnxruntime.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import fresh_process
from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.parity_inputs import Case, numpy_features
from gcrnn_jax.exporting.stablehlo import waveform_function
from gcrnn_jax.exporting.waveform import features_of_waveform

TOLERANCE = 1e-5

Outputs = tuple[np.ndarray, np.ndarray]  # clip, frame
Run = Callable[[Path, Sequence[np.ndarray]], list[Outputs]]


def check_features_program(
    program: Path, run: Run, model: Exportable, cases: Sequence[Case]
) -> list[dict[str, Any]]:
    """Compares a program of features with the model.

    Args:
        program: Its file.
        run: `run_fresh` or `run_onnx`.
        model: What the file was exported from.
        cases: To compare on.

    Returns:
        For each case its kind, batch, length and largest absolute difference, as JSON.

    Raises:
        DataError: A difference is over `TOLERANCE`, or a posterior is not finite.
    """
    inputs = [case.features for case in cases]
    expected = _by_jax(jax.jit(model), inputs)
    return _compare(program, cases, inputs, expected, run(program, inputs))


def check_waveform_program(
    program: Path, model: Exportable, cases: Sequence[Case]
) -> list[dict[str, Any]]:
    """Compares a program of waveforms with the same function in JAX; see above.

    Each entry also has how far the features and the posteriors are from those of the
    front end of training, which is NumPy's.
    """
    inputs = [case.waveform for case in cases]
    with jax.enable_x64(True):
        expected = _by_jax(jax.jit(waveform_function(model)), inputs)
        in_jax = jax.jit(
            lambda waveform: features_of_waveform(waveform, model.front_end)
        )
        features = [np.asarray(in_jax(waveform)) for waveform in inputs]
    found = run_fresh(program, inputs)
    entries = _compare(program, cases, inputs, expected, found)
    by_numpy = [numpy_features(model, waveform) for waveform in inputs]
    trained = _by_jax(jax.jit(model), by_numpy)
    for i, entry in enumerate(entries):
        entry["features_from_numpy"] = _largest([by_numpy[i]], [features[i]])
        entry["posteriors_from_numpy"] = _largest(trained[i], found[i])
    return entries


def run_fresh(program: Path, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    """Runs a StableHLO program in a Python process that knows nothing of this package.

    Raises:
        DataError: The process fails.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }
    environment["JAX_PLATFORMS"] = "cpu"
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        arrays = {f"case{i}": values for i, values in enumerate(inputs)}
        np.savez(given, allow_pickle=False, **arrays)
        # isolated: neither the current folder nor the user's packages are looked into
        script = [sys.executable, "-I", fresh_process.__file__]
        done = subprocess.run(
            [*script, program.absolute(), given, taken],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DataError(
                f"{program.name} does not run in a process of its own: {last}"
            )
        with np.load(taken) as found:
            return [(found[f"{n}.clip"], found[f"{n}.frame"]) for n in arrays]


def run_onnx(program: Path, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    """Runs an ONNX model in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    outputs = [
        session.run(["clip", "frame"], {"features": features}) for features in inputs
    ]
    return [(np.asarray(clip), np.asarray(frame)) for clip, frame in outputs]


def _by_jax(predict: Callable, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    found = [predict(values) for values in inputs]
    return [(np.asarray(clip), np.asarray(frame)) for clip, frame in found]


def _compare(
    program: Path,
    cases: Sequence[Case],
    inputs: Sequence[np.ndarray],
    expected: Sequence[Outputs],
    found: Sequence[Outputs],
) -> list[dict[str, Any]]:
    entries = []
    for case, values, one, other in zip(cases, inputs, expected, found, strict=True):
        difference = _largest(one, other)
        axis = "frames" if values.ndim == 3 else "samples"
        where = {"input": case.kind, "batch": len(values), axis: values.shape[1]}
        if not difference <= TOLERANCE:  # nor NaN
            raise DataError(
                f"{program.name} and the model in JAX differ by {difference:.2g} on "
                f"{case.kind} input of {len(values)} x {values.shape[1]} {axis}: "
                f"expected at most {TOLERANCE:g}; nothing was written"
            )
        entries.append({**where, "largest_difference": difference})
    return entries


def _largest(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """The largest absolute difference; infinite between other shapes, or of NaN."""
    if [one.shape for one in expected] != [one.shape for one in found]:
        return np.inf
    differences = [
        np.abs(one.astype(np.float64) - other).max()
        for one, other in zip(expected, found, strict=True)
    ]
    return float(np.nan_to_num(max(differences), nan=np.inf))
