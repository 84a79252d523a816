"""StableHLO programs by jax.export, and the way back from them to a function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax import export

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.data.manifest import verify_manifest
from gcrnn_jax.errors import ConfigError, DataError, error_text
from gcrnn_jax.exporting.waveform import features_in_jax, min_samples
from gcrnn_jax.inference.card import EXPORTED_FORMAT, ModelCard
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.training.model_files import MAX_CARD_BYTES

CARD = "card.json"
FEATURES_PROGRAM = "model.stablehlo"
WAVEFORM_PROGRAM = "waveform.stablehlo"

_MAX_PROGRAM_BYTES = 2 << 30  # which no program's format can hold

FEATURES_PLATFORMS = ("cpu", "cuda", "tpu")
WAVEFORM_PLATFORMS = ("cpu", "cuda")  # TPUs have no float64 transform

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def features_function(model: TrainedModel) -> Callable:
    """Unscaled features [B, T, F] -> clip [B, K] and frame [B, frames_out, K].

    In float32, whatever the model was trained in. All frames are real: no mask.
    """
    network, scaler = model.network.for_export(), model.card.scaler
    shifted = model.card.config.prediction
    variables = jax.tree.map(lambda x: np.asarray(x, np.float32), model.variables)

    def predict(features: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = (features - scaler.mean[None, None]) / scaler.std[None, None]
        posteriors = shifted.apply(network, variables, scaled)
        # a window that reaches past the last frame may end in nothing but padding
        is_real = posteriors.frame_mask[:, :, None].astype(posteriors.frame.dtype)
        return posteriors.clip, posteriors.frame * is_real

    return predict


def features_program(model: TrainedModel) -> bytes:
    """A program features [batch, frames, F] -> (clip, frame), batch and frames free."""
    shape = f"batch, frames, {model.front_end.num_bins}"
    least = f"frames >= {model.network.min_input_frames}"
    return _serialize(features_function(model), shape, least, FEATURES_PLATFORMS)


def waveform_program(model: TrainedModel) -> bytes:
    """A program waveform [batch, samples] -> (clip, frame), batch and samples free.

    Its front end is float64 inside, which the process that runs it need not allow.
    """
    predict = features_function(model)

    def predict_waveform(waveform: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = features_in_jax(waveform, model.front_end)
        with jax.enable_x64(False):
            return predict(features)

    samples = min_samples(model.front_end, model.network.min_input_frames)
    least = f"samples >= {samples}"
    with jax.enable_x64(True):
        return _serialize(predict_waveform, "batch, samples", least, WAVEFORM_PLATFORMS)


def _serialize(function, shape: str, constraint: str, platforms) -> bytes:
    symbolic = export.symbolic_shape(shape, constraints=(constraint,))
    # or GPUs would multiply in fewer bits than the features have
    with jax.default_matmul_precision("highest"):
        exported = export.export(jax.jit(function), platforms=platforms)(
            jax.ShapeDtypeStruct(symbolic, jnp.float32)
        )
    return bytes(exported.serialize())


def is_exported(path: Path) -> bool:
    """Whether a folder is one that `python -m gcrnn_jax.export` wrote."""
    try:
        card = read_json(path / CARD, max_bytes=MAX_CARD_BYTES)
        return card["format"] == EXPORTED_FORMAT
    except (DataError, KeyError, TypeError):
        return False


def load_exported(path: Path) -> tuple[dict[str, Any], Predict]:
    """Opens the StableHLO program of an exported folder.

    Returns:
        The card, and a function from unscaled features, float32 [B, T, F] with all
        frames real, to clip [B, K] and frame [B, frames_out, K], NumPy float32. It is
        compiled anew for every shape; at least card["exported"]["min_frames"] frames.

    Raises:
        ConfigError: A package that reads programs is not installed.
        DataError: It is no such folder, or has no StableHLO program that can be read.
    """
    card = read_json(path / CARD, max_bytes=MAX_CARD_BYTES)
    if (found := card.get("format")) != EXPORTED_FORMAT:
        expected = f"expected format {EXPORTED_FORMAT!r}"
        raise DataError(f"{path / CARD}: {expected}, got {found!r}")
    program = path / FEATURES_PROGRAM
    if not program.is_file():
        missing = f"{program.name}, which `--formats stablehlo` exports"
        raise DataError(f"{path} has no {missing}")
    if not verify_manifest(path):
        logging.warning("%s has no manifest: damage would not show", path)
    try:
        if program.stat().st_size >= _MAX_PROGRAM_BYTES:
            raise ValueError(f"{_MAX_PROGRAM_BYTES} bytes or more")
        exported = export.deserialize(bytearray(program.read_bytes()))
        _check_arrays(exported, ModelCard.from_dict(card, path))
    except ImportError as error:
        hint = "pip install 'gcrnn_jax[export]'"
        raise ConfigError(f"{program} cannot be read: {error}: {hint}") from None
    except DataError:
        raise
    except Exception as error:  # flatbuffers has no common one for damaged files
        raise _program_error(program, error) from error
    call = jax.jit(exported.call)

    def predict(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            clip, frame = call(jnp.asarray(features, jnp.float32))
            return np.asarray(clip), np.asarray(frame)
        except Exception as error:  # a program is compiled when it is called
            raise _program_error(program, error) from error

    return card, predict


def _check_arrays(exported: export.Exported, card: ModelCard) -> None:
    """Raises ValueError for a program of other arrays than its card's network has."""
    bins, classes = card.front_end.num_bins, len(card.classes)
    arrays = (*exported.in_avals, *exported.out_avals)
    sizes = [(len(a.shape), a.shape[-1:], a.dtype) for a in arrays]
    expected = [(3, bins), (2, classes), (3, classes)]
    if sizes != [(n, (size,), np.float32) for n, size in expected]:
        raise ValueError(f"its arrays are not those of {bins} bins, {classes} classes")


def _program_error(program: Path, error: Exception) -> DataError:
    return DataError(f"{program} cannot be read: {error_text(error)}")
