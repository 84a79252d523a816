"""Small ONNX models of sound, node by node, and the same in NumPy."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int16": TensorProto.INT16,
}
WIDTH, HOP = 400, 320  # samples of a frame and between two, of `framing`
End = tuple[str, str, list[int | str]]  # name, type, shape


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[End],
    outputs: list[End],
    constants: dict[str, np.ndarray],
    domains: tuple[str, ...] = ("",),
) -> str:
    """Writes a model; returns its path."""

    def describe(ends):
        return [
            helper.make_tensor_value_info(name, TYPES[kind], shape)
            for name, kind, shape in ends
        ]

    weights = [numpy_helper.from_array(x, name) for name, x in constants.items()]
    graph = helper.make_graph(
        nodes, "test", describe(inputs), describe(outputs), weights
    )
    opsets = [
        helper.make_opsetid(domain, 18 if not domain else 1) for domain in domains
    ]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return str(path)


def node(kind: str, inputs: str, output: str, **attributes) -> onnx.NodeProto:
    """A node, its inputs separated by spaces."""
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def kernel(size: int, width=WIDTH) -> np.ndarray:
    """Filters [size, 1, width] of `framing`."""
    return np.random.default_rng(0).normal(size=(size, 1, width)).astype(np.float32)


def framing(path: Path, size=5, rank=2, dtype="float32", samples="samples", **options):
    """A model that filters a waveform [S], [1, S] or [1, 1, S] frame by frame.

    Its output is [1, T, size]; with transposed=True [1, size, T]; with pooled=True the
    mean of the frames [1, size]; with times=2 it has all frames twice.
    """
    options = {"transposed": False, "pooled": False, "scale": 1.0, "times": 1} | options
    shape = [*([1] * (rank - 1)), samples]
    constants = {
        "shape": np.array([1, 1, -1]),
        "kernel": kernel(size) * np.float32(options["scale"]),
        "time": np.array([2]),
    }
    nodes = [
        node("Cast", "wave", "single", to=TensorProto.FLOAT),
        node("Reshape", "single shape", "row"),
        node("Conv", "row kernel", "once", strides=[HOP]),
        helper.make_node("Concat", ["once"] * options["times"], ["channels"], axis=2),
        node("Transpose", "channels", "frames", perm=[0, 2, 1]),
        node("ReduceMean", "channels time", "mean", keepdims=0),
    ]
    names = {(False, False): "frames", (True, False): "channels", (False, True): "mean"}
    chosen = names[options["transposed"], options["pooled"]]
    nodes.append(node("Cast", chosen, "out", to=TYPES[dtype]))
    sizes = [1, size] if options["pooled"] else [1, "a", "b"]
    return save(
        path, nodes, [("wave", dtype, shape)], [("out", dtype, sizes)], constants
    )


def framed(waveform: np.ndarray, size=5) -> np.ndarray:
    """What `framing` gives of a waveform, [T, size]."""
    windows = np.lib.stride_tricks.sliding_window_view(waveform, WIDTH)[::HOP]
    return windows.astype(np.float64) @ kernel(size)[:, 0].T


def matrix(mels: int, size: int) -> np.ndarray:
    """What `of_mels` multiplies by, [mels, size]."""
    return np.random.default_rng(1).normal(size=(mels, size)).astype(np.float32)


def of_mels(path: Path, mels: int, shape: list[int | str], frames=1, size=3) -> str:
    """A model of log-mel frames: means of `frames` of them, times a matrix [M, size].

    `shape` is that of its input, with mels last, or before time.
    """
    turned = [1, mels, -1] if shape[-2:-1] == [mels] else [1, -1, mels]
    constants = {
        "matrix": matrix(mels, size),
        "shape": np.array(turned),
        "kernel": np.full((mels, 1, frames), 1 / frames, np.float32),
    }
    rows = node("Reshape", "mels shape", "bins")
    if turned[-1] == mels:
        rows = node("Reshape", "mels shape", "rows")
    nodes = [
        rows,
        *([node("Transpose", "rows", "bins", perm=[0, 2, 1])] * (turned[-1] == mels)),
        node("Conv", "bins kernel", "means", strides=[frames], group=mels),
        node("Transpose", "means", "frames", perm=[0, 2, 1]),
        node("MatMul", "frames matrix", "out"),
    ]
    ends = [("mels", "float32", shape)], [("out", "float32", [1, "n", size])]
    return save(path, nodes, *ends, constants)


def by_mels(log_mel: np.ndarray, frames=1, size=3) -> np.ndarray:
    """What `of_mels` gives of log-mel frames, [T // frames, size]."""
    mels, count = log_mel.shape[1], len(log_mel) // frames
    means = log_mel[: count * frames].reshape(count, frames, mels).mean(1)
    return means.astype(np.float64) @ matrix(mels, size)
