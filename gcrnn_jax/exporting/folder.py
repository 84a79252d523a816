"""The folder of an exported model: programs that were compared, and their card."""

import importlib.metadata
import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.onnx_front_end import OnnxFrontEnd
from gcrnn_jax.data.atomic_files import atomic_folder, write_atomically
from gcrnn_jax.data.manifest import write_manifest
from gcrnn_jax.errors import ConfigError, WorkdirError
from gcrnn_jax.exporting import stablehlo
from gcrnn_jax.exporting.onnx_graph import OPSET
from gcrnn_jax.exporting.onnx_networks import onnx_program
from gcrnn_jax.exporting.parity import compare
from gcrnn_jax.exporting.readme import readme
from gcrnn_jax.exporting.stablehlo import FEATURES_PROGRAM, WAVEFORM_PROGRAM
from gcrnn_jax.exporting.waveform import front_end_arrays, min_samples
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference.card import EXPORTED_FORMAT
from gcrnn_jax.inference.model import TrainedModel

FORMATS = ("stablehlo", "onnx")

_PACKAGES = {"stablehlo": ("flatbuffers",), "onnx": ("onnx", "onnxruntime")}
_FEATURES = {"platforms": stablehlo.FEATURES_PLATFORMS}
_WAVEFORM = {"platforms": stablehlo.WAVEFORM_PLATFORMS}
# format -> files, with what makes each and what the card says of it
_PROGRAMS = {
    "stablehlo": {
        FEATURES_PROGRAM: (stablehlo.features_program, _FEATURES),
        WAVEFORM_PROGRAM: (stablehlo.waveform_program, _WAVEFORM),
    },
    "onnx": {"model.onnx": (onnx_program, {"opset": OPSET})},
}


def export_model(
    model: TrainedModel, output: Path, formats: Sequence[str] = FORMATS
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
    _check(output, formats)
    with atomic_folder(output) as folder:
        programs = _write_programs(model, folder, formats)
        comparison = compare(model, [folder / name for name in programs])
        card = _card(model, formats, programs, comparison)
        content = (json.dumps(card, indent=1) + "\n").encode()
        write_atomically(folder / stablehlo.CARD, [content])
        write_atomically(folder / "README.md", [readme(card).encode()])
        for name, parts in _front_end_files(model.front_end).items():
            write_atomically(folder / name, [parts])
        write_manifest(folder)
    return card


def _check(output: Path, formats: Sequence[str]) -> None:
    """Whether the formats can be exported and the folder may be replaced."""
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f"formats must be of {', '.join(FORMATS)}, got {name!r}")
        for package in _PACKAGES[name]:
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"exporting {name} needs the package {package}, which is not "
                    "installed: pip install 'gcrnn_jax[export]'"
                )
    if output.exists() and not stablehlo.is_exported(output):
        raise WorkdirError(
            f"{output} exists and is no exported model: it would be replaced whole"
        )


def _front_end_files(front_end: FrontEnd) -> dict[str, bytes | memoryview]:
    """What leads from waveforms to features beside the programs, by name."""
    files: dict[str, bytes | memoryview] = dict(front_end.files())
    if not isinstance(front_end, OnnxFrontEnd) or front_end.takes_log_mel:
        archive = io.BytesIO()
        np.savez(archive, allow_pickle=False, **front_end_arrays(front_end))
        files["front_end.npz"] = archive.getbuffer()
    return files


def _write_programs(model: TrainedModel, folder: Path, formats: Sequence[str]):
    """Writes the programs of the formats; returns their entries of the card."""
    classes, entries = model.network.num_classes, {}
    outputs = {"clip": ["batch", classes], "frame": ["batch", "frames_out", classes]}
    for name in formats:
        for file, (make_program, details) in _PROGRAMS[name].items():
            inputs = {"features": ["batch", "frames", model.front_end.num_bins]}
            if file == WAVEFORM_PROGRAM:
                if model.front_end.of_waveforms:  # JAX has no program of its model
                    continue
                inputs = {"waveform": ["batch", "samples"]}
            entries[file] = {"inputs": inputs, "outputs": outputs, **details}
            failpoint("export.program")
            write_atomically(folder / file, [make_program(model)])
    return entries


def _card(model: TrainedModel, formats: Sequence[str], programs, comparison):
    packages = ["jax", "jaxlib", *(_PACKAGES["onnx"] if "onnx" in formats else ())]
    front_end, network = model.front_end, model.network
    exported = {
        "programs": programs,
        "sample_rate_hz": front_end.sample_rate_hz,
        "min_frames": network.min_input_frames,
        "min_samples": min_samples(front_end, network.min_input_frames),
        "frame_hop_s": model.hop_s,
        "inputs": "float32; features unscaled, the scaler is inside; all frames real: "
        "no padding, no mask",
        "precision": "float32, whatever it was trained in; waveforms become features "
        + ("in front_end.onnx" if front_end.of_waveforms else "in float64"),
        "parity": comparison,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    return {**model.card.to_dict(), "format": EXPORTED_FORMAT, "exported": exported}
