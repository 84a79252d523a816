import functools
import json

import jax
import numpy as np
import pytest
from jax import export

from gcrnn_jax.inference import _predict
from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import stablehlo
from gcrnn_jax.exporting.exportable import exportable
from gcrnn_jax.system import make_model, make_scaler

SYSTEMS = {
    "gated": {},
    "merged frames": {"time_pooling": [3, 1, 2, 1], "pooling": "mean"},
    "authors": {
        "gru_gate": "hard_sigmoid",
        "gru_candidates": ["linear", "sigmoid"],
        "attention_over": "classes",
        "attention_reads": "detection",
    },
    "ungated": {"gated": False, "gru_reset_after": True, "gru_unroll": 8},
    "mlp": {"network": "mlp"},
    "frame_cnn": {"network": "frame_cnn"},
    "window_cnn": {"network": "window_cnn"},
}


def predicted(stored, features):
    """What `evaluate` computes of clips without padding."""
    card = stored.card
    predict = functools.partial(
        _predict,
        model=make_model(card["config"]["model"], 3),
        scaler=make_scaler(card["scaler"]["mean"], card["scaler"]["std"]),
    )
    num_frames = np.full(len(features), features.shape[1])
    batch = {"features": features, "num_frames": num_frames}
    return jax.jit(predict)(stored.variables, batch)[:2]  # without attention


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_program_predicts_what_the_model_does_at_any_batch_and_length(
    stored, features_for, name
):
    stored = stored(**SYSTEMS[name])
    model = exportable(stored)
    program = export.deserialize(bytearray(stablehlo.program_of_features(model)))
    assert program.platforms == ("cpu", "cuda", "tpu")
    least = model.min_input_frames
    for batch, num_frames in ((1, least), (3, 35)):
        features = features_for(model, batch, num_frames)
        found = program.call(features)
        for one, other in zip(found, predicted(stored, features), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=2e-6)


def test_a_program_refuses_fewer_frames_than_the_network_merges(small, features_for):
    model = small(time_pooling=[2, 2, 2, 1])
    program = export.deserialize(bytearray(stablehlo.program_of_features(model)))
    with pytest.raises(ValueError, match="frames"):
        program.call(features_for(model, 1, model.min_input_frames - 1))


def test_what_was_trained_in_bfloat16_is_exported_in_float32(stored):
    blobs = [
        stablehlo.program_of_features(exportable(stored(dtype=dtype)))
        for dtype in ("bfloat16", "float32")
    ]
    assert blobs[0] == blobs[1]


def test_products_keep_all_bits_on_accelerators(small):
    program = export.deserialize(bytearray(stablehlo.program_of_features(small())))
    products = [
        line
        for line in program.mlir_module().splitlines()
        if "stablehlo.convolution" in line or "stablehlo.dot_general" in line
    ]
    assert products
    assert all("HIGHEST" in line for line in products)


def write_folder(folder, model):
    folder.mkdir()
    card = {**model.card, "format": stablehlo.FORMAT}
    (folder / stablehlo.CARD).write_text(json.dumps(card))
    program = stablehlo.program_of_features(model)
    (folder / stablehlo.OF_FEATURES).write_bytes(program)
    return folder


def test_an_exported_folder_is_loaded_as_its_card_and_a_function(
    small, features_for, tmp_path
):
    model = small("mlp")
    folder = write_folder(tmp_path / "exported", model)
    assert stablehlo.is_exported(folder)
    card, predict = stablehlo.load_exported(folder)
    assert card["classes"] == model.card["classes"]
    features = features_for(model, 2, 35)
    clip, frame = predict(features.astype(np.float16))  # as feature stores have them
    expected = model(features.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(clip, expected[0], atol=1e-6)
    np.testing.assert_allclose(frame, expected[1], atol=1e-6)
    assert type(clip) is type(frame) is np.ndarray


def test_other_folders_are_told_from_exported_ones(small, tmp_path):
    folder = write_folder(tmp_path / "exported", small("mlp"))
    assert not stablehlo.is_exported(tmp_path)
    with pytest.raises(DataError, match=r"card\.json: cannot be read"):
        stablehlo.load_exported(tmp_path)
    (folder / stablehlo.OF_FEATURES).write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"model\.stablehlo cannot be read"):
        stablehlo.load_exported(folder)
    (folder / stablehlo.OF_FEATURES).unlink()  # --formats onnx
    with pytest.raises(DataError, match=r"has no model\.stablehlo, which"):
        stablehlo.load_exported(folder)
    (folder / stablehlo.CARD).write_text('{"format": "another"}')
    assert not stablehlo.is_exported(folder)
    with pytest.raises(DataError, match="expected format .* got 'another'"):
        stablehlo.load_exported(folder)
    (folder / stablehlo.CARD).write_text("[]")
    assert not stablehlo.is_exported(folder)
    with pytest.raises(DataError, match="expected an object, got list"):
        stablehlo.load_exported(folder)
