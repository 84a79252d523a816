"""The networks as ONNX graphs, from standardized features [B, T, F].

Axes: B clips, T frames, F bins, C channels, D features, H units, K classes. ONNX has
channels before time and frequency, and time before clips in a GRU. Each network's
function returns clip [B, K] and frame [B, frames_out, K].
"""

import functools
import json
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.exporting.onnx_graph import Graph, Value
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.models import (
    AttentionMlp,
    FrameCnn,
    GatedCrnn,
    Mlp,
    Network,
    VggCnn,
    WindowCnn,
)
from gcrnn_jax.models.frequency_dynamic import TEMPERATURE
from gcrnn_jax.models.normalization import EPSILON

_EPSILON = 1e-5  # of BatchNorms that are not of a gated unit

# Nodes for `gcrnn_jax.models.layers.ACTIVATIONS`
_NODES = {
    "linear": "Identity",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hard_sigmoid": "HardSigmoid",  # by default of slope 0.2, as ours
}
# In a GRU; what a "linear" one, or one beside it, multiplies by and adds.
_GRU_NODES = {**_NODES, "linear": "Affine"}
_SCALES = {"linear": 1.0, "hard_sigmoid": 0.2}
_SHIFTS = {"linear": 0.0, "hard_sigmoid": 0.5}


def onnx_program(model: TrainedModel) -> bytes:
    """An ONNX model features [batch, frames, F] -> clip, frame; scaler inside.

    Raises:
        ConfigError: The network has no ONNX graph here.
    """
    net, num_bins, scaler = model.network, model.front_end.num_bins, model.card.scaler
    if type(net) not in _BUILDERS:
        raise ConfigError(
            f"network {net.kind!r} has no ONNX graph; --formats stablehlo exports it"
        )
    graph, names = Graph(model.variables), model.class_names
    features: Any = Value(graph, "features")
    x = (features - scaler.mean) / scaler.std
    shifted = model.card.config.prediction.places(num_bins)
    if len(shifted) > 1:
        x = graph.node("Concat", *(x.Gather(bins, axis=2) for bins in shifted), axis=0)
    clip, frame = _BUILDERS[type(net)](graph, x, net, num_bins)
    if (count := len(shifted)) > 1:
        clip, frame = (_mean_of_parts(graph, x, count) for x in (clip, frame))
    clip_shape, frame_shape = ("batch", len(names)), ("batch", "frames_out", len(names))
    return graph.serialized(
        {"features": (features, ("batch", "frames", num_bins))},
        {"clip": (clip, clip_shape), "frame": (frame, frame_shape)},
        {"classes": json.dumps(names), "frame_hop_s": str(model.hop_s)},
    )


def _mean_of_parts(graph: Graph, x, count: int):
    parts = x.Split(count=count, axis=0, num_outputs=count)
    return graph.node("Sum", *parts) * (1 / count)


def _gated_crnn(graph: Graph, x, net: GatedCrnn, _):
    x = _normalized_clips(x, net).Unsqueeze(1)  # [B, 1, T, F]
    poolings = zip(net.time_pooling, net.frequency_pooling, strict=True)
    for block, sizes in enumerate(poolings):
        for unit in range(net.blocks[block]):
            name = f"block_{block}_unit_{unit}"
            norm = graph.norm(f"{name}/norm")
            if net.frequency_kernels and (block or unit):
                x = _frequency_dynamic(graph, x, f"{name}/conv", norm)
            else:
                x = graph.conv(x, f"{name}/conv", norm)
            if net.gated_convolution:
                linear, gate = x.Split(count=2, axis=1, num_outputs=2)
                x = linear * gate.Sigmoid()
            else:
                x = graph.node(_NODES[net.ungated_activation], x)
        x = graph.max_pool(x, *sizes)
    x = graph.max_pool(graph.conv(x, "last").Relu(), 1, net.last_frequency_pooling)
    x = x.Transpose(perm=(2, 0, 3, 1)).Reshape((0, 0, -1))  # [T, B, D]
    grus = [_gru(graph, x, net, i) for i in range(len(net.gru_candidates))]
    x = functools.reduce(operator.mul, grus)  # [B, T, 2 * H]
    frame = graph.dense(x, "detection").Sigmoid()
    if net.clip_pooling == "mean":
        return frame.ReduceMean(1, keepdims=0), frame
    if net.clip_pooling == "linear_softmax":
        return _attention_pool(frame, frame)
    if net.clip_pooling == "auto":
        logits = frame * graph.param("auto_pool")
        return _attention_pool(logits.Softmax(axis=1), frame)
    read = frame if net.attention_reads == "detection" else x
    axis = -1 if net.attention_over == "classes" else 1
    logits = graph.dense(read, "attention")
    if net.attention_temperature != 1:
        logits = logits / net.attention_temperature
    return _attention_pool(logits.Softmax(axis=axis), frame)


def _frequency_dynamic(graph: Graph, x, name: str, norm):
    """A frequency dynamic convolution and the BatchNorm behind it, in each kernel.

    The weights of the kernels have the sum 1: what is added to each is added once.
    """
    hidden = graph.conv(x.ReduceMean(2), f"{name}/hidden", graph.norm(f"{name}/norm"))
    logits = graph.conv(hidden.Relu(), f"{name}/weights")
    weights = (logits / TEMPERATURE).Softmax(axis=1)  # [B, kernels, 1, F]
    count = len(graph.param(f"{name}/weights/bias"))
    x = graph.conv(x, name, [np.tile(values, count) for values in norm])
    split = {"count": count, "axis": 1, "num_outputs": count}
    pairs = zip(weights.Split(**split), x.Split(**split), strict=True)
    return functools.reduce(operator.add, (weight * part for weight, part in pairs))


def _normalized_clips(x, net: GatedCrnn):
    """As `gcrnn_jax.models.normalization`, of clips without padding."""
    if net.clip_normalization == "none":
        return x
    x = x - x.ReduceMean(1)
    if net.clip_normalization == "mean":
        return x
    return x / ((x * x).ReduceMean(1) + EPSILON).Sqrt()


def _attention_pool(attention, frame):
    """Clip and frame posteriors, as of `gcrnn_jax.models.pooling.attention_pool`."""
    total = (attention * frame).ReduceSum(1, keepdims=0)
    weight = attention.ReduceSum(1, keepdims=0).Max(1e-7)
    return total / weight, frame


def _attention_mlp(graph: Graph, x, net: AttentionMlp, _):
    for layer in range(len(net.hidden)):
        x = graph.dense(x, f"hidden_{layer}").Relu()
    frame = graph.dense(x, "detection").Sigmoid()
    return _attention_pool(graph.dense(x, "attention").Softmax(axis=1), frame)


def _gru(graph: Graph, x, net: GatedCrnn, index: int):
    """One native bidirectional GRU: [T, B, D] -> [B, T, 2 * H]."""
    name = f"gru_{index}"
    bias = graph.param(f"{name}/bias")
    recurrent_bias = np.zeros_like(bias)
    if net.gru_reset_after:  # only the candidate has one
        recurrent_bias[:, 2 * net.rnn_units :] = graph.param(f"{name}/recurrent_bias")
    kinds = (net.gru_gate, net.gru_candidates[index]) * 2  # of both directions
    y = x.GRU(
        # gates in both: update, reset, candidate
        graph.param(f"{name}/input_kernel").transpose(0, 2, 1),
        graph.param(f"{name}/recurrent_kernel").transpose(0, 2, 1),
        np.concatenate([bias, recurrent_bias], 1),
        direction="bidirectional",
        hidden_size=net.rnn_units,
        linear_before_reset=int(net.gru_reset_after),
        activations=[_GRU_NODES[kind] for kind in kinds],
        # of those that take any, in order; None: there is no attribute
        activation_alpha=[_SCALES[kind] for kind in kinds if kind in _SCALES] or None,
        activation_beta=[_SHIFTS[kind] for kind in kinds if kind in _SHIFTS] or None,
    )  # [T, 2, B, H]
    return y.Transpose(perm=(2, 0, 1, 3)).Reshape((0, 0, 2 * net.rnn_units))


def _mlp(graph: Graph, x, net: Mlp, _):
    neighbours = _surroundings(x, net.context_frames, mode="edge")
    x = graph.node("Concat", *neighbours, axis=2)  # [B, T, context_frames * F]
    for layer in range(len(net.hidden)):
        x = graph.dense(x, f"hidden_{layer}").Relu()
    frame, middle = graph.dense(x, "detection").Sigmoid(), net.median_frames // 2
    windows = _surroundings(frame, net.median_frames, mode="constant")
    windows = [window.Unsqueeze(3) for window in windows]
    windows = graph.node("Concat", *windows, axis=3)  # [B, T, K, median_frames]
    upper, _ = windows.TopK(middle + 1, count=2)
    return upper[:, :, :, middle:].ReduceMax((1, 3), keepdims=0), frame


def _surroundings(x, size: int, mode: str) -> list:
    """Each frame's neighbours, first to last, of an odd number: [B, T, ...] each.

    Beyond both ends of x [B, T, ...] are zeros, or with mode "edge" its end frames.
    """
    reach = size // 2
    x = x.Pad((0, reach, 0, 0, reach, 0), mode=mode)
    return [x[:, i : i - size + 1 or None] for i in range(size)]


def _frame_cnn(graph: Graph, x, net: FrameCnn, _):
    def normed(x, name: str):
        """Before a padded convolution it cannot be folded into its kernel."""
        factor, shift = graph.norm(name, _EPSILON)
        return x * factor[:, None, None] + shift[:, None, None]

    x = x.Transpose(perm=(0, 2, 1)).Unsqueeze(3)  # [B, F, T, 1]: bins are channels
    for block, time in enumerate(net.time_pooling):
        x = normed(x, f"block_{block}_norm")
        x = graph.node(_NODES[net.activation], x) if block else x
        x = graph.max_pool(graph.conv(x, f"block_{block}"), time, 1)
    x = normed(x, "last_norm").Relu()
    detection = graph.conv(x, "detection").Squeeze(3)  # [B, K, T]
    attention = graph.conv(x, "attention").Squeeze(3).Softmax(axis=2)
    attention = attention.ReduceSum(1).Softmax(axis=2)  # [B, 1, T]
    tagged = x.ReduceMean((2, 3), keepdims=0)
    for layer in range(len(net.tagging_units)):
        norm = graph.norm(f"tagging_{layer}_norm", _EPSILON)
        tagged = graph.dense(tagged, f"tagging_{layer}", norm).Relu()
    attended = (detection * attention).ReduceSum(2, keepdims=0)
    clip = ((graph.dense(tagged, "tagging") + attended) * 0.5).Sigmoid()
    return clip, detection.Transpose(perm=(0, 2, 1)).Sigmoid()


def _vgg_cnn(graph: Graph, x, net: VggCnn, _):
    factor, shift = graph.norm("input_norm", _EPSILON)
    x = (x * factor + shift).Unsqueeze(1)  # [B, 1, T, F]
    poolings = zip(net.time_pooling, net.frequency_pooling, strict=True)
    for block, sizes in enumerate(poolings):
        for unit in range(net.units):
            name = f"block_{block}_unit_{unit}"
            x = graph.conv(x, f"{name}/conv", graph.norm(f"{name}/norm")).Relu()
        x = graph.mean_pool(x, *sizes)
    x = x.ReduceMean(3, keepdims=0).Transpose(perm=(0, 2, 1))  # [B, T, C]
    frame = graph.dense(x, "detection").Sigmoid()
    if net.clip_pooling == "attention":
        logits = graph.dense(x, "attention").Clip(-10.0, 10.0)
        return _attention_pool(logits.Softmax(axis=1), frame)
    pool = frame.ReduceMax if net.clip_pooling == "max" else frame.ReduceMean
    return pool(1, keepdims=0), frame


def _window_cnn(graph: Graph, x, net: WindowCnn, num_bins: int):
    """Windows overlap by half, so each is two steps side by side.

    Every window but a lone one has a real frame in its second half: none is left out of
    clips or means.
    """
    step, width = net.window_frames // 2, num_bins + 1
    # a bin more is 1 on real frames and 0 on the padding that fills the last step
    x = x.Concat(x[:, :, :1] * 0.0 + 1.0, axis=2)
    num_frames = x.Shape(start=1, end=2)
    num_steps = ((num_frames + (step - 1)) / step).Max(2)  # integers
    missing = num_steps * step - num_frames
    x = x.Pad(graph.node("Concat", (0, 0, 0, 0), missing, 0, axis=0))
    steps = x.Reshape((0, -1, step, width))  # [B, N, step, F + 1]
    windows = steps[:, :-1].Concat(steps[:, 1:], axis=2)
    windows = windows.Reshape((-1, 1, 2 * step, width))
    shape = steps.Shape(start=0, end=1).Concat((-1, net.num_classes), axis=0)
    window = _tag_windows(graph, windows, net, num_bins).Reshape(shape)  # [B, N - 1, K]
    pool = window.ReduceMax if net.clip_pooling == "max" else window.ReduceMean
    # a step is the second half of one window and the first of the next
    before = window[:, :1].Concat(window, axis=1)
    after = window.Concat(window[:, -1:], axis=1)
    real = steps[:, :, :, num_bins:].ReduceMax(2, keepdims=0)
    return pool(1, keepdims=0), (before + after) * 0.5 * real


def _tag_windows(graph: Graph, windows, net: WindowCnn, num_bins: int):
    """Posteriors [N, K] of windows [N, 1, frames, F + 1]."""
    x, real = windows.Split((num_bins, 1), count=2, axis=3)
    num_frames = net.window_frames
    for block in range(len(net.filters)):
        for unit in range(net.units):
            name = f"block_{block}_unit_{unit}"
            x = graph.conv(x, f"{name}/conv", graph.norm(f"{name}/norm")).Relu() * real
        time, frequency = min(2, num_frames), min(2, num_bins)
        num_frames, num_bins = num_frames // time, num_bins // frequency
        x, real = x[:, :, : time * num_frames], real[:, :, : time * num_frames]
        x, real = graph.max_pool(x, time, frequency), graph.max_pool(real, time, 1)
    size = real.ReduceSum((2, 3), keepdims=0).Max(1.0) * float(num_bins)
    mean = x.ReduceSum((2, 3), keepdims=0) / size
    return graph.dense(mean, "tagging").Sigmoid()


_BUILDERS: dict[type[Network], Callable] = {
    GatedCrnn: _gated_crnn,
    Mlp: _mlp,
    FrameCnn: _frame_cnn,
    WindowCnn: _window_cnn,
    AttentionMlp: _attention_mlp,
    VggCnn: _vgg_cnn,
}
