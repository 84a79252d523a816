"""The networks that the gated CRNN is compared with, as ONNX graphs.

Axes: B clips, T frames, F bins, C channels, K classes.
"""

from typing import Any

from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.onnx_gated_crnn import normed_conv
from gcrnn_jax.exporting.onnx_graph import Graph, norm

_FRAME_CNN_EPSILON = 1e-5  # of its BatchNorms


def mlp(graph: Graph, x: str, model: Exportable) -> tuple[str, str]:
    """Clip [B, K] and frame [B, T, K] of standardized features [B, T, F]."""
    net: Any = model.network
    params = model.variables["params"]
    neighbours = _surroundings(graph, x, net.context_frames, mode="edge")
    x = graph.node("Concat", *neighbours, axis=2)  # [B, T, context_frames * F]
    for layer in range(len(net.hidden)):
        x = graph.node("Relu", graph.dense(x, params[f"hidden_{layer}"]))
    frame = graph.node("Sigmoid", graph.dense(x, params["detection"]))
    windows = [
        graph.node("Unsqueeze", one, graph.integers(3))
        for one in _surroundings(graph, frame, net.median_frames, mode="constant")
    ]
    windows = graph.node("Concat", *windows, axis=3)  # [B, T, K, median_frames]
    middle = net.median_frames // 2
    upper, _ = graph.nodes(2, "TopK", windows, graph.integers(middle + 1))
    median = graph.slice(upper, middle, None, 3)
    return graph.node("ReduceMax", median, graph.integers(1, 3), keepdims=0), frame


def _surroundings(graph: Graph, x: str, count: int, mode: str) -> list[str]:
    """Each frame's neighbours, first to last, of an odd count: [B, T, ...] each.

    Beyond both ends of x [B, T, ...] are zeros, or with mode "edge" its end frames.
    """
    reach = count // 2
    x = graph.node("Pad", x, graph.integers(0, reach, 0, 0, reach, 0), mode=mode)
    ends = [i - count + 1 or None for i in range(count)]
    return [graph.slice(x, i, end, 1) for i, end in enumerate(ends)]


def frame_cnn(graph: Graph, x: str, model: Exportable) -> tuple[str, str]:
    """Clip [B, K] and frame [B, frames_out, K] of standardized features [B, T, F]."""
    net: Any = model.network
    params = model.variables["params"]

    def normed(name: str, x: str) -> str:
        """Before a padded convolution it cannot be folded into its kernel."""
        factor, shift = norm(model.variables, name, epsilon=_FRAME_CNN_EPSILON)
        x = graph.node("Mul", x, graph.weight(factor[:, None]))
        return graph.node("Add", x, graph.weight(shift[:, None]))

    def conv(name: str, x: str) -> str:
        kernel, bias = params[name]["kernel"][:, 0], params[name]["bias"]
        weights = graph.weight(kernel.transpose(2, 1, 0)), graph.weight(bias)
        return graph.node("Conv", x, *weights, pads=(1, 1))

    x = graph.node("Transpose", x, perm=(0, 2, 1))  # [B, F, T]
    for block, time in enumerate(net.time_pooling):
        x = normed(f"block_{block}_norm", x)
        x = graph.activation(net.activation, x) if block else x
        x = graph.max_pool(conv(f"block_{block}", x), time)
    x = graph.node("Relu", normed("last_norm", x))
    detection = conv("detection", x)  # [B, K, T]
    over_time = graph.integers(2)
    attention = graph.node("Softmax", conv("attention", x), axis=2)
    attention = graph.node("ReduceSum", attention, graph.integers(1))  # [B, 1, T]
    attention = graph.node("Softmax", attention, axis=2)
    attended = graph.node("Mul", detection, attention)
    attended = graph.node("ReduceSum", attended, over_time, keepdims=0)
    tagged = graph.node("ReduceMean", x, over_time, keepdims=0)
    for layer in range(len(net.tagging_units)):
        name = f"tagging_{layer}"
        factor, shift = norm(
            model.variables, f"{name}_norm", epsilon=_FRAME_CNN_EPSILON
        )
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        folded = {"kernel": kernel * factor, "bias": bias * factor + shift}
        tagged = graph.node("Relu", graph.dense(tagged, folded))
    logits = graph.node("Add", graph.dense(tagged, params["tagging"]), attended)
    clip = graph.node("Sigmoid", graph.node("Mul", logits, graph.weight(0.5)))
    frame = graph.node("Transpose", detection, perm=(0, 2, 1))
    return clip, graph.node("Sigmoid", frame)


def window_cnn(graph: Graph, x: str, model: Exportable) -> tuple[str, str]:
    """Clip [B, K] and frame [B, frames_out, K] of standardized features [B, T, F].

    Windows overlap by half, so each is two steps side by side. Every window but a lone
    one has a real frame in its second half: none is left out of clips or means.
    """
    net: Any = model.network
    num_bins, step = model.front_end.num_bins, net.window_frames // 2
    # a bin more is 1 on real frames and 0 on the padding that fills the last step
    zeros = graph.node("Mul", graph.slice(x, 0, 1, 2), graph.weight(0.0))
    ones = graph.node("Add", zeros, graph.weight(1.0))
    x = graph.node("Concat", x, ones, axis=2)
    steps = _steps(graph, x, step, num_bins + 1)  # [B, N, step, F + 1]
    halves = graph.slice(steps, 0, -1, 1), graph.slice(steps, 1, None, 1)
    windows = graph.node("Concat", *halves, axis=2)
    shape = graph.integers(-1, 1, 2 * step, num_bins + 1)
    windows = graph.node("Reshape", windows, shape)
    sizes = graph.integers(num_bins, 1)
    x, real = graph.nodes(2, "Split", windows, sizes, axis=3)
    window = _tag_windows(graph, x, real, model)  # [B * (N - 1), K]
    batch = graph.node("Shape", steps, start=0, end=1)
    shape = graph.node("Concat", batch, graph.integers(-1, net.num_classes), axis=0)
    window = graph.node("Reshape", window, shape)
    over_windows = graph.integers(1)
    kind = "ReduceMax" if net.pooling == "max" else "ReduceMean"
    clip = graph.node(kind, window, over_windows, keepdims=0)
    # a step is the second half of one window and the first of the next
    first, last = graph.slice(window, 0, 1, 1), graph.slice(window, -1, None, 1)
    before = graph.node("Concat", first, window, axis=1)
    after = graph.node("Concat", window, last, axis=1)
    total = graph.node("Add", before, after)
    frame = graph.node("Mul", total, graph.weight(0.5))
    real = graph.slice(steps, num_bins, None, 3)
    real = graph.node("ReduceMax", real, graph.integers(2), keepdims=0)
    return clip, graph.node("Mul", frame, real)


def _steps(graph: Graph, x: str, step: int, width: int) -> str:
    """[B, T, width] filled up with zeros, in at least two steps [B, N, step, width]."""
    num_frames = graph.node("Shape", x, start=1, end=2)
    size = graph.integers(step)
    up = graph.node("Add", num_frames, graph.integers(step - 1))
    count = graph.node("Max", graph.node("Div", up, size), graph.integers(2))
    total = graph.node("Mul", count, size)
    missing = graph.node("Sub", total, num_frames)
    nothing = graph.integers(0, 0, 0, 0)
    pads = graph.node("Concat", nothing, missing, graph.integers(0), axis=0)
    shape = [graph.integers(0), count, graph.integers(step, width)]
    shape = graph.node("Concat", *shape, axis=0)
    return graph.node("Reshape", graph.node("Pad", x, pads), shape)


def _tag_windows(graph: Graph, x: str, real: str, model: Exportable) -> str:
    """Posteriors [N, K] of windows [N, 1, frames, F]; real is [N, 1, frames, 1]."""
    net: Any = model.network
    num_frames, num_bins = net.window_frames, model.front_end.num_bins
    for block in range(len(net.filters)):
        for unit in range(net.units):
            x = normed_conv(graph, x, model.variables, f"block_{block}_unit_{unit}")
            x = graph.node("Mul", graph.node("Relu", x), real)
        time, frequency = min(2, num_frames), min(2, num_bins)
        x, real = graph.max_pool(x, time, frequency), graph.max_pool(real, time, 1)
        num_frames, num_bins = num_frames // time, num_bins // frequency
    axes = graph.integers(2, 3)
    total = graph.node("ReduceSum", x, axes, keepdims=0)
    count = graph.node("ReduceSum", real, axes, keepdims=0)
    count = graph.node("Max", count, graph.weight(1.0))
    count = graph.node("Mul", count, graph.weight(float(num_bins)))
    mean = graph.node("Div", total, count)
    return graph.node(
        "Sigmoid", graph.dense(mean, model.variables["params"]["tagging"])
    )
