"""The folder of an exported model: programs that were compared, and their card."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.data.atomic_files import atomic_folder, write_atomically
from gcrnn_jax.errors import ConfigError, WorkdirError
from gcrnn_jax.exporting import parity, stablehlo
from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.parity_inputs import make_cases, real_clips
from gcrnn_jax.exporting.readme import front_end_archive, readme

ONNX = "model.onnx"
FRONT_END = "front_end.npz"
FORMATS = ("stablehlo", "onnx")

_PACKAGES = {"stablehlo": ("flatbuffers",), "onnx": ("onnx", "onnxruntime")}


def export_model(
    model: Exportable, output: Path, formats: Sequence[str] = FORMATS
) -> dict[str, Any]:
    """Writes a folder of programs, each compared with the model first.

    Args:
        model: What to export.
        output: The folder; an exported model that is there is replaced.
        formats: Some of `FORMATS`.

    Returns:
        The card, as it lies in the folder.

    Raises:
        ConfigError: A package is missing, or a network has no such format.
        DataError: A program differs from the model; nothing is written.
        StorageError: The disk is full or fails.
        WorkdirError: The folder cannot be written, or holds something else.
    """
    check_packages(formats)
    check_output(output)
    with atomic_folder(output) as folder:
        programs = _write_programs(model, folder, formats)
        card = _card(model, formats, programs, _compare(model, folder, formats))
        content = (json.dumps(card, indent=1) + "\n").encode()
        write_atomically(folder / stablehlo.CARD, [content])
        write_atomically(folder / "README.md", [readme(card).encode()])
        write_atomically(folder / FRONT_END, [front_end_archive(model.front_end)])
    return card


def check_output(output: Path) -> None:
    """Looks whether a folder can be written without losing what others have put there.

    Raises:
        WorkdirError: It holds something else than an exported model.
    """
    if output.exists() and not stablehlo.is_exported(output):
        raise WorkdirError(
            f"{output} exists and is no exported model: it would be replaced whole"
        )


def check_packages(formats: Sequence[str]) -> None:
    """Looks whether the packages of the formats are installed.

    Raises:
        ConfigError: A format is unknown, or a package is missing.
    """
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"formats must be of {', '.join(FORMATS)}, got {name!r}")
        for package in _PACKAGES[name]:
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"exporting {name} needs the package {package}, which is not "
                    "installed: pip install 'gcrnn_jax[export]'"
                )


def _write_programs(
    model: Exportable, folder: Path, formats: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Writes the programs of the formats; returns what the card says of each."""
    classes = len(model.card["classes"]["names"])
    outputs = {"clip": ["batch", classes], "frame": ["batch", "frames_out", classes]}
    of_features = {"features": ["batch", "frames", model.front_end.num_bins]}
    programs = {}
    if "stablehlo" in formats:
        programs[stablehlo.OF_FEATURES] = {
            "inputs": of_features,
            "outputs": outputs,
            "platforms": stablehlo.PLATFORMS,
        }
        content = stablehlo.program_of_features(model)
        write_atomically(folder / stablehlo.OF_FEATURES, [content])
        programs[stablehlo.OF_WAVEFORM] = {
            "inputs": {"waveform": ["batch", "samples"]},
            "outputs": outputs,
            "platforms": stablehlo.PLATFORMS_OF_WAVEFORM,
        }
        content = stablehlo.program_of_waveform(model)
        write_atomically(folder / stablehlo.OF_WAVEFORM, [content])
    if "onnx" in formats:
        from gcrnn_jax.exporting.onnx_graph import OPSET
        from gcrnn_jax.exporting.onnx_networks import onnx_model

        programs[ONNX] = {"inputs": of_features, "outputs": outputs, "opset": OPSET}
        write_atomically(folder / ONNX, [onnx_model(model)])
    return programs


def _compare(model: Exportable, folder: Path, formats: Sequence[str]) -> dict[str, Any]:
    """Compares every program with the model; returns what the card says of that."""
    clips = real_clips(model)
    cases, found = make_cases(model, clips), {}
    if "stablehlo" in formats:
        path = folder / stablehlo.OF_FEATURES
        run = parity.run_fresh
        found[path.name] = parity.check_features_program(path, run, model, cases)
        path = folder / stablehlo.OF_WAVEFORM
        found[path.name] = parity.check_waveform_program(path, model, cases)
    if "onnx" in formats:
        run = parity.run_onnx
        path = folder / ONNX
        found[path.name] = parity.check_features_program(path, run, model, cases)
    return {
        "tolerance": parity.TOLERANCE,
        "platform": "cpu",
        "real_input": clips.origin,
        "programs": found,
    }


def _card(
    model: Exportable,
    formats: Sequence[str],
    programs: dict[str, dict[str, Any]],
    comparison: dict[str, Any],
) -> dict[str, Any]:
    packages = ["jax", "jaxlib"]
    if "onnx" in formats:
        packages += ["onnx", "onnxruntime"]
    exported = {
        "programs": programs,
        "sample_rate_hz": model.front_end.sample_rate_hz,
        "min_frames": model.min_input_frames,
        "min_samples": model.min_samples,
        "frame_hop_s": model.frame_hop_s,
        "inputs": "float32; features unscaled, the scaler is inside; all frames real: "
        "no padding, no mask",
        "precision": "float32, whatever it was trained in; waveforms become features "
        "in float64",
        "parity": comparison,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    return {**model.card, "format": stablehlo.FORMAT, "exported": exported}
