"""Compares exported programs with the model in JAX, on a CPU, where each will run.

StableHLO runs in a fresh process that cannot import this package, ONNX in onnxruntime.
The input is noise and recordings, of three lengths.
"""

import contextlib
import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.data.data_options import DataOptions
from gcrnn_jax.data.folder import find_splits
from gcrnn_jax.data.recording_source import RecordingSource
from gcrnn_jax.data.soundscape_source import SoundscapeSource
from gcrnn_jax.errors import DataError, raise_at_signals
from gcrnn_jax.exporting import fresh_process
from gcrnn_jax.exporting.stablehlo import WAVEFORM_PROGRAM, features_function
from gcrnn_jax.exporting.waveform import features_in_jax, min_samples, samples_for
from gcrnn_jax.inference.model import TrainedModel

TOLERANCE = 1e-5
NUM_CLIPS = 3  # that real input is made of

_MAX_TRIES = 30  # recordings of a split that are tried, until enough could be read

Outputs = tuple[np.ndarray, np.ndarray]  # clip, frame


class Case(NamedTuple):
    """One input, of one shape."""

    kind: str  # "random" or "real"
    waveform: np.ndarray  # float32 [B, S]
    features: np.ndarray  # float32 [B, T, F], unscaled


def compare(model: TrainedModel, programs: Sequence[Path]) -> dict[str, Any]:
    """Compares programs with the model, as `compare_program`; for the card."""
    origin, waveforms = real_clips(model)
    cases = make_cases(model, waveforms)
    predict = jax.jit(features_function(model))  # compiled once a shape
    return {
        "tolerance": TOLERANCE,
        "platform": "cpu",
        "real_input": origin,
        "programs": {
            path.name: compare_program(path, model.front_end, predict, cases)
            for path in programs
        },
    }


def compare_program(
    program: Path, front_end: FrontEnd, predict: Callable, cases: Sequence[Case]
) -> list[dict[str, Any]]:
    """Compares one program with the model.

    Args:
        program: Its file; named `WAVEFORM_PROGRAM` it takes waveforms.
        front_end: Of the model.
        predict: The model's `features_function`, compiled.
        cases: To compare on.

    Returns:
        For each case its kind, batch, length and largest absolute difference, as JSON;
        of waveforms also how far the features and the posteriors are from those of the
        front end of training, which is NumPy's.

    Raises:
        DataError: A difference is over `TOLERANCE`, or a posterior is not finite.
    """
    of_waveforms = program.name == WAVEFORM_PROGRAM
    inputs = [case.waveform if of_waveforms else case.features for case in cases]
    features = _features_in_jax(inputs, front_end) if of_waveforms else inputs
    run = run_onnx if program.suffix == ".onnx" else run_fresh
    axis, entries = "samples" if of_waveforms else "frames", []
    rows = zip(cases, inputs, features, run(program, inputs), strict=True)
    for case, values, x, outputs in rows:
        difference = _largest_difference(predict(x), outputs)
        if not difference <= TOLERANCE:  # nor NaN
            raise DataError(
                f"{program.name} and the model in JAX differ by {difference:.2g} on "
                f"{case.kind} input of {len(values)} x {values.shape[1]} {axis}: "
                f"expected at most {TOLERANCE:g}; nothing was written"
            )
        entry = {"input": case.kind, "batch": len(values), axis: values.shape[1]}
        entry["largest_difference"] = difference
        if of_waveforms:
            by_numpy = numpy_features(front_end, values)
            entry["features_from_numpy"] = _largest_difference([by_numpy], [x])
            trained = predict(by_numpy)
            entry["posteriors_from_numpy"] = _largest_difference(trained, outputs)
        entries.append(entry)
    return entries


def run_fresh(program: Path, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    """Runs a StableHLO program in a Python process without this package.

    Raises:
        DataError: The process fails.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    # at a signal the process is ended and the folder removed, not left behind
    with raise_at_signals(), tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        np.savez(source, *inputs, allow_pickle=False)
        # isolated: neither the current folder nor the user's packages are looked into
        script = [sys.executable, "-I", fresh_process.__file__]
        process = subprocess.run(
            [*script, program.absolute(), source, target],
            env={**environment, "JAX_PLATFORMS": "cpu"},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            what = f"{program.name} does not run in a process of its own"
            raise DataError(f"{what}: {last}")
        with np.load(target) as arrays:
            outputs = [arrays[name] for name in arrays.files]
    return list(zip(outputs[::2], outputs[1::2], strict=True))


def run_onnx(program: Path, inputs: Sequence[np.ndarray]) -> list[Outputs]:
    """Runs an ONNX model in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    outputs: Any = (session.run(["clip", "frame"], {"features": x}) for x in inputs)
    return list(outputs)


def real_clips(model: TrainedModel) -> tuple[str, list[np.ndarray]]:
    """Where waveforms come from, and a few: of the model's data, or soundscapes."""
    waveforms, front_end = [], model.front_end
    data = model.card.config.data
    if Path(data.root or os.devnull).is_dir():
        with contextlib.suppress(DataError):  # the data of training are gone
            waveforms += itertools.islice(_recordings(data, front_end), NUM_CLIPS)
    if waveforms:
        return f"{len(waveforms)} recordings of the model's data", waveforms
    options: dict[str, Any] = {"balanced": True, "has_events": False}
    options["sample_rate_hz"] = front_end.sample_rate_hz
    source = SoundscapeSource("testing", 0, NUM_CLIPS, **options)
    waveforms = [source.load(index).waveform for index in range(NUM_CLIPS)]
    return f"{NUM_CLIPS} built-in soundscapes", waveforms


def _recordings(data: DataOptions, front_end: FrontEnd) -> Iterator[np.ndarray]:
    """Clips that can be read, of splits that are scored before others."""
    dataset = find_splits(data.root, data.layout_options(front_end))
    for split in reversed(dataset.splits.values()):
        source = RecordingSource.of_split(dataset, split, front_end, None)
        for index in range(min(len(source), _MAX_TRIES)):
            with contextlib.suppress(Rejected):
                yield source.load(index).waveform


def make_cases(model: TrainedModel, clips: Sequence[np.ndarray]) -> list[Case]:
    """Random and real input of half a clip, a whole clip and one and a half.

    Random features have the scaler's mean and deviation; random waveforms are white
    noise. Real input is clips one after the other, with samples left over.
    """
    rng, cases = np.random.default_rng(0), []
    front_end, scaler = model.front_end, model.card.scaler
    whole, least = front_end.num_frames, model.network.min_input_frames
    shapes = (1, max(whole // 2 - 1, least)), (3, whole), (1, whole + whole // 2 + 1)
    for batch, num_frames in shapes:
        size = samples_for(front_end, num_frames) + front_end.hop_length // 3
        size = max(size, min_samples(front_end, least))
        noise = 0.1 * rng.standard_normal((batch, size)).astype(np.float32)
        features = rng.standard_normal((batch, num_frames, front_end.num_bins))
        features = (scaler.mean + scaler.std * features).astype(np.float32)
        cases.append(Case("random", noise, features))
        # clip after clip, over and over again; each row begins with another
        starts = [row % len(clips) for row in range(batch)]
        rows = [np.concatenate([*clips[i:], *clips[:i]]) for i in starts]
        waveform = np.stack([np.resize(row, size) for row in rows])
        cases.append(Case("real", waveform, numpy_features(front_end, waveform)))
    return cases


def numpy_features(front_end: FrontEnd, waveform: np.ndarray) -> np.ndarray:
    """Features [B, T, F] of whole waveforms [B, S] by the front end of training."""
    duration_s = waveform.shape[1] / front_end.sample_rate_hz
    uncut = dataclasses.replace(front_end, clip_s=duration_s + 1)
    return np.stack([uncut(row) for row in waveform])


def _features_in_jax(waveforms, front_end: FrontEnd) -> list[np.ndarray]:
    compute = jax.jit(lambda waveform: features_in_jax(waveform, front_end))
    with jax.enable_x64(True):
        return [np.asarray(compute(waveform)) for waveform in waveforms]


def _largest_difference(expected: Sequence, outputs: Sequence) -> float:
    """The largest absolute one; infinite between other shapes, or of NaN."""
    if [one.shape for one in expected] != [one.shape for one in outputs]:
        return np.inf
    pairs = zip(expected, outputs, strict=True)
    largest = max(np.abs(np.asarray(x, np.float64) - y).max() for x, y in pairs)
    return float(np.nan_to_num(largest, nan=np.inf))
