import functools
import json
import shutil

import jax
import numpy as np
import pytest
from jax import export

from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import is_exported, load_exported, stablehlo
from gcrnn_jax.inference.model import _predict

SYSTEMS = {
    "gated": {},
    "authors, merged frames": {
        "time_pooling": [3, 2],
        "gru_gate": "hard_sigmoid",
        "gru_candidates": ["linear", "sigmoid"],
        "attention_over": "classes",
        "attention_reads": "detection",
    },
    "ungated": {
        "gated_convolution": False,
        "gru_reset_after": True,
        "gru_unroll": 8,
        "clip_pooling": "mean",
        "frequency_kernels": 2,
    },
    "mlp": {"kind": "mlp"},
    "attention_mlp": {"kind": "attention_mlp"},
    "frame_cnn": {"kind": "frame_cnn"},
    "window_cnn": {"kind": "window_cnn"},
    "vgg_cnn": {"kind": "vgg_cnn"},
}


def predicted(model, features):
    """What `evaluate` computes of clips without padding."""
    num_frames = np.full(len(features), features.shape[1])
    batch = {"features": features, "num_frames": num_frames}
    predict = functools.partial(
        _predict,
        network=model.network,
        scaler=model.card.scaler,
        shifted=model.card.config.prediction,
    )
    return jax.jit(predict)(model.variables, batch)[:2]  # without attention


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_program_predicts_what_the_model_does_at_any_batch_and_length(
    small, features_for, name
):
    model = small(**SYSTEMS[name])
    program = export.deserialize(bytearray(stablehlo.features_program(model)))
    assert program.platforms == ("cpu", "cuda", "tpu")
    shortest = (1, model.network.min_input_frames)
    for batch, num_frames in (shortest, (3, 35)):
        features = features_for(model, batch, num_frames)
        outputs = program.call(features)
        for one, other in zip(outputs, predicted(model, features), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=2e-6)


def test_a_program_refuses_waveforms_without_a_frame(small, features_for):
    model = small(time_pooling=[2, 2])
    program = export.deserialize(bytearray(stablehlo.features_program(model)))
    with pytest.raises(ValueError, match="frames"):
        program.call(features_for(model, 1, 0))


def test_what_was_trained_in_bfloat16_is_exported_in_float32(small):
    network = small(dtype="bfloat16").network  # CPUs compute both alike
    assert network.for_export().dtype == "float32"
    blobs = [
        stablehlo.features_program(small(dtype=dtype))
        for dtype in ("bfloat16", "float32")
    ]
    assert blobs[0] == blobs[1]


@pytest.mark.parametrize("make", ["features_program", "waveform_program"])
def test_products_keep_all_bits_on_accelerators(small, make):
    program = export.deserialize(bytearray(getattr(stablehlo, make)(small())))
    products = [
        line
        for line in program.mlir_module().splitlines()
        if "stablehlo.convolution" in line or "stablehlo.dot_general" in line
    ]
    assert products
    assert all("HIGHEST" in line for line in products)


def test_an_exported_folder_is_loaded_as_its_card_and_a_function(
    model, predict, exported, features_for
):
    card, loaded = load_exported(exported)
    assert card["classes"] == model.card.to_dict()["classes"]
    features = features_for(model, 2, 35).astype(np.float16)  # as stores have them
    outputs, expected = loaded(features), predict(features.astype(np.float32))
    for one, other in zip(outputs, expected, strict=True):
        assert type(one) is np.ndarray and one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_other_folders_are_told_from_exported_ones(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "exported")
    assert not is_exported(tmp_path)
    with pytest.raises(DataError, match=r"card\.json: cannot be read"):
        load_exported(tmp_path)
    (folder / stablehlo.FEATURES_PROGRAM).write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"model\.stablehlo: damaged: 9 bytes"):
        load_exported(folder)
    (folder / "manifest.json").unlink()  # as earlier versions exported
    with pytest.raises(DataError, match=r"model\.stablehlo cannot be read"):
        load_exported(folder)
    (folder / stablehlo.FEATURES_PROGRAM).unlink()  # --formats onnx
    with pytest.raises(DataError, match=r"has no model\.stablehlo, which"):
        load_exported(folder)
    card = folder / stablehlo.CARD
    for content in ({"format": "another"}, {}):
        card.write_text(json.dumps(content))
        assert not is_exported(folder)
        with pytest.raises(DataError, match="expected format .* got ('another'|None)"):
            load_exported(folder)
    card.write_text("[]")
    assert not is_exported(folder)
    with pytest.raises(DataError, match="expected an object, got list"):
        load_exported(folder)
