"""StableHLO programs by jax.export, and the way back from them to a function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from gcrnn_jax.data.atomic_files import read_json
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.waveform import features_of_waveform

FORMAT = "gcrnn_jax exported model 1"
CARD = "card.json"
OF_FEATURES = "model.stablehlo"
OF_WAVEFORM = "waveform.stablehlo"

PLATFORMS = ("cpu", "cuda", "tpu")
PLATFORMS_OF_WAVEFORM = ("cpu", "cuda")  # TPUs have no float64 transform

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def program_of_features(model: Exportable) -> bytes:
    """A program features [batch, frames, F] -> (clip, frame), batch and frames free."""
    shape = export.symbolic_shape(
        f"batch, frames, {model.front_end.num_bins}",
        constraints=(f"frames >= {model.min_input_frames}",),
    )
    # or GPUs would multiply in fewer bits than the features have
    with jax.default_matmul_precision("highest"):
        exported = export.export(jax.jit(model), platforms=PLATFORMS)(
            jax.ShapeDtypeStruct(shape, jnp.float32)
        )
    return bytes(exported.serialize())


def program_of_waveform(model: Exportable) -> bytes:
    """A program waveform [batch, samples] -> (clip, frame), batch and samples free.

    Its front end is float64 inside, which the process that runs it need not allow.
    """
    shape = export.symbolic_shape(
        "batch, samples", constraints=(f"samples >= {model.min_samples}",)
    )
    with jax.default_matmul_precision("highest"), jax.enable_x64(True):
        exported = export.export(
            jax.jit(waveform_function(model)), platforms=PLATFORMS_OF_WAVEFORM
        )(jax.ShapeDtypeStruct(shape, jnp.float32))
    return bytes(exported.serialize())


def waveform_function(model: Exportable):
    """What `program_of_waveform` exports; to be traced where float64 is allowed."""

    def predict(waveform: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = features_of_waveform(waveform, model.front_end)
        with jax.enable_x64(False):
            return model(features)

    return predict


def is_exported(path: Path) -> bool:
    """Whether a folder is one that `python -m gcrnn_jax.export` wrote."""
    try:
        return read_json(path / CARD)["format"] == FORMAT
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
    card = read_json(path / CARD)
    if card.get("format") != FORMAT:
        raise DataError(
            f"{path / CARD}: expected format {FORMAT!r}, got {card.get('format')!r}"
        )
    program = path / OF_FEATURES
    if not program.is_file():
        raise DataError(
            f"{path} has no {program.name}, which `--formats stablehlo` exports"
        )
    try:
        call = jax.jit(export.deserialize(bytearray(program.read_bytes())).call)
    except ImportError as error:
        raise ConfigError(
            f"{program} cannot be read: {error}: pip install 'gcrnn_jax[export]'"
        ) from None
    except Exception as error:  # flatbuffers has no common one for damaged files
        detail = f"{type(error).__name__}: {str(error)[:200]}"
        raise DataError(f"{program} cannot be read: {detail}") from error

    def predict(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clip, frame = call(jnp.asarray(features, jnp.float32))
        return np.asarray(clip), np.asarray(frame)

    return card, predict
