import dataclasses
import itertools

import jax
import numpy as np
import onnx
import onnxruntime
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.exporting.onnx_networks import onnx_program
from gcrnn_jax.exporting.stablehlo import features_function
from gcrnn_jax.models import Network

ONE_BLOCK = {"blocks": [1], "time_pooling": [1], "frequency_pooling": [2]}
POOLINGS = [
    {"attention_over": over, "attention_reads": reads}
    for over in ("time", "classes")
    for reads in ("features", "detection")
]
POOLINGS += [
    {"clip_pooling": "linear_softmax"},
    {"clip_pooling": "auto"},
    {"attention_temperature": 3.0},
]
UNGATED = [
    {"gated_convolution": False, "ungated_activation": name}
    for name in ("relu", "linear", "tanh", "sigmoid", "hard_sigmoid")
]
GRUS = [  # all pairs of two fields; beside them, what comes before and after a GRU
    {
        "gru_gate": gate,
        "gru_candidates": candidates,
        "gru_reset_after": bool(n % 2),
        **POOLINGS[n % len(POOLINGS)],
        **(UNGATED[n // 2] if n % 2 == 0 else {}),
    }
    for n, (gate, candidates) in enumerate(
        itertools.product(
            ("sigmoid", "hard_sigmoid", "linear"),
            (["tanh"], ["linear", "sigmoid"], ["hard_sigmoid", "relu"]),
        )
    )
]
NETWORKS = [
    {},
    {"time_pooling": [3, 2], "clip_pooling": "mean", "frequency_kernels": 3},
    {"clip_normalization": "mean", "filter_multiples": [2, 3]},
    {"clip_normalization": "mean_and_std"},
    {"kind": "mlp"},
    {"kind": "mlp", "context_frames": 1, "median_frames": 1, "hidden": []},
    {"kind": "attention_mlp"},
    {"kind": "attention_mlp", "hidden": []},
    {"kind": "frame_cnn"},
    {"kind": "frame_cnn", "activation": "linear"},
    {"kind": "window_cnn"},
    {"kind": "window_cnn", "clip_pooling": "mean", "units": 1},
    {"kind": "window_cnn", "window_frames": 2},
    {"kind": "vgg_cnn"},
    {"kind": "vgg_cnn", "clip_pooling": "max"},
    {"kind": "vgg_cnn", "clip_pooling": "mean", "time_pooling": [3, 2]},
]


def check(model, features_for, shapes):
    """Compares a network's graph with the network; returns the graph."""
    program = onnx_program(model)
    session = onnxruntime.InferenceSession(program)
    predict = jax.jit(features_function(model))
    for batch, num_frames in shapes:
        features = features_for(model, batch, num_frames)
        outputs = session.run(["clip", "frame"], {"features": features})
        for one, other in zip(outputs, predict(features), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=4e-6)
    return onnx.load_from_string(program).graph


@pytest.mark.parametrize("fields", NETWORKS, ids=str)
def test_a_graph_predicts_what_the_network_does(small, features_for, fields):
    model = small(**fields)
    check(model, features_for, [(1, model.network.min_input_frames), (3, 23)])


def test_predictions_over_shifted_inputs_are_those_of_the_shifted_clips(
    small, features_for
):
    one, model = small("mlp"), small("mlp", shift_bins=2)
    check(model, features_for, [(3, 23)])
    features = features_for(model, model.batch_size, 9)
    mean, std = model.card.scaler
    scaled = np.pad((features - mean) / std, ((0, 0), (0, 0), (2, 2)), mode="edge")
    num_frames = np.full(len(features), 9, np.int32)
    shifted = [
        one.predict_batch(scaled[:, :, n : n + 8] * std + mean, num_frames)
        for n in range(5)
    ]
    outputs = model.predict_batch(features, num_frames)
    for of_mean, *of_shifted in zip(outputs, *shifted, strict=True):
        np.testing.assert_allclose(of_mean, np.mean(of_shifted, 0), atol=2e-6)


def with_small_grus(model):
    """The same with weights that keep a linear gate from growing beyond float32."""
    params = {
        name: jax.tree.map(lambda x: 0.2 * x, layer) if "gru" in name else layer
        for name, layer in model.variables["params"].items()
    }
    variables = {**model.variables, "params": params}
    return dataclasses.replace(model, variables=variables)


@pytest.mark.parametrize("fields", GRUS, ids=str)
def test_every_gru_is_one_native_node_in_both_directions(small, features_for, fields):
    model = small(**ONE_BLOCK, **fields)
    if fields["gru_gate"] == "linear":
        model = with_small_grus(model)
    graph = check(model, features_for, [(3, 20)])
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("GRU") == len(fields["gru_candidates"])
    assert not {"Scan", "Loop"} & set(kinds)


def test_batch_norm_is_folded_and_names_are_as_documented(small):
    model = onnx.load_from_string(onnx_program(small()))
    kinds = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Conv") == 4
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in axes]
        for value in (*model.graph.input, *model.graph.output)
        if (axes := value.type.tensor_type.shape.dim)
    }
    assert shapes == {
        "features": ["batch", "frames", 8],
        "clip": ["batch", 3],
        "frame": ["batch", "frames_out", 3],
    }
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {
        "classes": '["Car", "Bus", "Train"]',
        "frame_hop_s": "0.0415",
    }


def test_a_network_without_a_graph_is_named(small):
    class Transformer(Network):
        kind = "transformer"

    model = dataclasses.replace(small("mlp"), network=Transformer(3, None))
    with pytest.raises(ConfigError, match="'transformer' has no ONNX graph.*stablehlo"):
        onnx_program(model)
