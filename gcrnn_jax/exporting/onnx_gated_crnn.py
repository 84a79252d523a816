"""The gated CRNN as an ONNX graph.

Axes: B clips, T frames, F bins, C channels, D features, H units, K classes. ONNX has
channels before time and frequency, and time before clips in a GRU.
"""

from typing import Any

import numpy as np

from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.onnx_graph import ACTIVATION_NODES, Graph, Variables, norm
from gcrnn_jax.models.layers import BatchNorm


def gated_crnn(graph: Graph, x: str, model: Exportable) -> tuple[str, str]:
    """Clip [B, K] and frame [B, frames_out, K] of standardized features [B, T, F]."""
    net: Any = model.network
    params = model.variables["params"]
    x = graph.node("Unsqueeze", x, graph.integers(1))  # [B, 1, T, F]
    poolings = zip(net.time_pooling, net.frequency_pooling, strict=True)
    for block, (time, frequency) in enumerate(poolings):
        for unit in range(net.blocks[block]):
            x = normed_conv(graph, x, model.variables, f"block_{block}_unit_{unit}")
            if net.gated:
                linear, gate = graph.nodes(2, "Split", x, axis=1, num_outputs=2)
                x = graph.node("Mul", linear, graph.node("Sigmoid", gate))
            else:
                x = graph.activation(net.ungated_activation, x)
        x = graph.max_pool(x, time, frequency)
    last = params["last"]
    x = graph.node("Relu", graph.conv(x, last["kernel"], last["bias"]))
    x = graph.max_pool(x, 1, net.last_frequency_pooling)
    x = graph.node("Transpose", x, perm=(2, 0, 3, 1))  # [T, B, F, C]
    x = graph.node("Reshape", x, graph.integers(0, 0, -1))  # [T, B, D]
    outputs = [
        _gru(graph, x, params[f"gru_{i}"], net, candidate)
        for i, candidate in enumerate(net.gru_candidates)
    ]
    x = outputs[0]
    for other in outputs[1:]:
        x = graph.node("Mul", x, other)
    return _pool(graph, x, net, params)


def normed_conv(graph: Graph, x: str, variables: Variables, name: str) -> str:
    """The convolution of a `GatedConv` with its BatchNorm: [B, C, T, F]."""
    factor, shift = norm(variables, name, "norm", epsilon=BatchNorm.epsilon)
    kernel = variables["params"][name]["conv"]["kernel"]
    return graph.conv(x, kernel * factor, shift)


def _gru(graph: Graph, x: str, params: Variables, net: Any, candidate: str) -> str:
    """One native bidirectional GRU: [T, B, D] -> [B, T, 2 * H]."""
    recurrent_bias = np.zeros_like(params["bias"])
    if net.gru_reset_after:  # only the candidate has one
        recurrent_bias[:, 2 * net.rnn_units :] = params["recurrent_bias"]
    names = {**ACTIVATION_NODES, "linear": "Affine"}
    attributes = {}
    if candidate == "linear" or net.gru_gate == "linear":
        both = (net.gru_gate, candidate) * 2
        # one entry for each activation that takes any, in order
        scale = {"linear": 1.0, "hard_sigmoid": 0.2}
        shift = {"linear": 0.0, "hard_sigmoid": 0.5}
        attributes["activation_alpha"] = [scale[name] for name in both if name in scale]
        attributes["activation_beta"] = [shift[name] for name in both if name in shift]
    y = graph.node(
        "GRU",
        x,
        # gates in both: update, reset, candidate
        graph.weight(params["input_kernel"].transpose(0, 2, 1)),
        graph.weight(params["recurrent_kernel"].transpose(0, 2, 1)),
        graph.weight(np.concatenate([params["bias"], recurrent_bias], 1)),
        direction="bidirectional",
        hidden_size=net.rnn_units,
        linear_before_reset=int(net.gru_reset_after),
        activations=[names[net.gru_gate], names[candidate]] * 2,
        **attributes,
    )
    y = graph.node("Transpose", y, perm=(2, 0, 1, 3))  # [B, T, 2, H]
    return graph.node("Reshape", y, graph.integers(0, 0, 2 * net.rnn_units))


def _pool(graph: Graph, x: str, net: Any, params: Variables) -> tuple[str, str]:
    """The two heads: [B, T, 2 * H] -> clip [B, K] and frame [B, T, K]."""
    frame = graph.node("Sigmoid", graph.dense(x, params["detection"]))
    over_time = graph.integers(1)
    if net.pooling == "mean":
        return graph.node("ReduceMean", frame, over_time, keepdims=0), frame
    read = frame if net.attention_reads == "detection" else x
    axis = -1 if net.attention_over == "classes" else 1
    logits = graph.dense(read, params["attention"])
    attention = graph.node("Softmax", logits, axis=axis)
    weighted = graph.node("Mul", attention, frame)
    total = graph.node("ReduceSum", weighted, over_time, keepdims=0)
    weight = graph.node("ReduceSum", attention, over_time, keepdims=0)
    floor = graph.weight(1e-7)  # of `attention_pool`
    return graph.node("Div", total, graph.node("Max", weight, floor)), frame
