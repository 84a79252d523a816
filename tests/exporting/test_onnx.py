import dataclasses
import itertools

import jax
import numpy as np
import onnx
import onnxruntime
import pytest

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.exporting.exportable import exportable
from gcrnn_jax.exporting.onnx_networks import onnx_model

GRUS = [  # all pairs of two fields
    {"gru_gate": gate, "gru_candidates": candidates, "gru_reset_after": bool(n % 2)}
    for n, (gate, candidates) in enumerate(
        itertools.product(
            ("sigmoid", "hard_sigmoid", "linear"),
            (["tanh"], ["linear", "sigmoid"], ["hard_sigmoid", "relu"]),
        )
    )
]
ONE_GATED = {"blocks": [1], "time_pooling": [1], "frequency_pooling": [4]}
NETWORKS = [
    {},
    {"time_pooling": [2, 2, 2, 1], "pooling": "mean"},
    {"time_pooling": [3, 1, 1, 2], "attention_over": "classes"},
    {"attention_reads": "detection"},
    {"attention_over": "classes", "attention_reads": "detection"},
    *(
        {"gated": False, "ungated_activation": name}
        for name in ("relu", "linear", "tanh", "sigmoid", "hard_sigmoid")
    ),
    {"network": "mlp"},
    {"network": "mlp", "context_frames": 1, "median_frames": 1, "hidden": []},
    {"network": "frame_cnn"},
    {"network": "frame_cnn", "activation": "linear"},
    {"network": "window_cnn"},
    {"network": "window_cnn", "pooling": "mean", "units": 1},
    {"network": "window_cnn", "window_frames": 2},
]


def check(model, features_for, shapes):
    """Compares a network's graph with the network."""
    session = onnxruntime.InferenceSession(onnx_model(model))
    for batch, num_frames in shapes:
        features = features_for(model, batch, num_frames)
        found = session.run(["clip", "frame"], {"features": features})
        for one, other in zip(found, jax.jit(model)(features), strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=4e-6)


@pytest.mark.parametrize("fields", NETWORKS, ids=str)
def test_a_graph_predicts_what_the_network_does(small, features_for, fields):
    model = small(**fields)
    check(model, features_for, [(1, model.min_input_frames), (3, 23)])


def with_small_grus(model):
    """The same with weights that keep a linear gate from growing beyond float32."""
    params = {
        name: jax.tree.map(lambda x: 0.2 * x, of_layer) if "gru" in name else of_layer
        for name, of_layer in model.variables["params"].items()
    }
    variables = {**model.variables, "params": params}
    return dataclasses.replace(model, variables=variables)


@pytest.mark.parametrize("fields", GRUS, ids=str)
def test_every_gru_is_one_native_node_in_both_directions(small, features_for, fields):
    model = small(**ONE_GATED, **fields)
    if fields["gru_gate"] == "linear":
        model = with_small_grus(model)
    check(model, features_for, [(3, 20)])
    nodes = onnx.load_from_string(onnx_model(model)).graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.count("GRU") == len(fields["gru_candidates"])
    assert "Scan" not in kinds
    assert "Loop" not in kinds


def test_batch_norm_is_folded_and_names_are_as_documented(small):
    graph = onnx.load_from_string(onnx_model(small())).graph
    assert not {"BatchNormalization"} & {node.op_type for node in graph.node}
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in axes]
        for value in (*graph.input, *graph.output)
        if (axes := value.type.tensor_type.shape.dim)
    }
    assert shapes == {
        "features": ["batch", "frames", 64],
        "clip": ["batch", 3],
        "frame": ["batch", "frames_out", 3],
    }


def test_a_network_without_a_graph_is_named(small, stored):
    model = exportable(stored())
    model.card["config"]["model"]["network"] = "transformer"
    with pytest.raises(ConfigError, match="'transformer' has no ONNX graph.*stablehlo"):
        onnx_model(model)
