"""An ONNX graph, written node by node; only its end needs the package onnx."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from gcrnn_jax.models.layers import BatchNorm

OPSET = 18
_IR_VERSION = 9  # what runtimes of the age of that opset read
_TO_END = np.iinfo(np.int64).max


def _operator(kind: str):
    return lambda value, other: value.graph.node(kind, value, other)


class Value:
    """An output of a node. `x.Relu()` is that of a node Relu that takes x."""

    def __init__(self, graph: "Graph", name: str):
        self.graph, self.name = graph, name

    def __getattr__(self, kind: str) -> Any:
        return functools.partial(self.graph.node, kind, self)

    __add__, __sub__ = _operator("Add"), _operator("Sub")
    __mul__, __truediv__ = _operator("Mul"), _operator("Div")

    def __getitem__(self, slices: tuple[slice, ...]) -> Any:
        cuts = [
            (cut.start or 0, _TO_END if cut.stop is None else cut.stop, axis)
            for axis, cut in enumerate(slices)
            if cut != slice(None)
        ]
        return self.Slice(*zip(*cuts, strict=True))


# Name -> (value, shape) of inputs and outputs; a free axis by its name.
Ends = Mapping[str, tuple[Value, tuple[str | int, ...]]]


class Graph:
    """The nodes of a network, whose layers have their constants in its variables.

    A node also takes constants for values: integers, which become int64 [n], or floats,
    which become float32.
    """

    def __init__(self, variables: Mapping[str, Any]):
        leaves: dict[str, Any] = dict(flatten_dict(variables, sep="/"))
        self._variables = {name: np.asarray(leaf) for name, leaf in leaves.items()}
        self._nodes: list[dict[str, Any]] = []  # arguments of `onnx.helper.make_node`
        self._constants: dict[str, np.ndarray] = {}

    def node(self, kind: str, *inputs: Any, count: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns its output, or a list of as many as `count`."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        outputs = [f"{name}_{i}" for i in range(count)]
        node = {"op_type": kind, "outputs": outputs, "name": name, **attributes}
        self._nodes.append({"inputs": [*map(self._name, inputs)], **node})
        values = [Value(self, output) for output in outputs]
        return values if count > 1 else values[0]

    def _name(self, value: Any) -> str:
        """The name of a value, or of the constant that stands for one."""
        if isinstance(value, Value):
            return value.name
        array, name = np.asarray(value), f"constant_{len(self._constants)}"
        is_integer = array.dtype.kind == "i"
        array = array.astype(np.int64 if is_integer else np.float32)
        self._constants[name] = np.atleast_1d(array) if is_integer else array
        return name

    def param(self, name: str) -> np.ndarray:
        """A parameter, as of "block_0_unit_0/conv/kernel"."""
        return self._variables[f"params/{name}"]

    def norm(self, name: str, epsilon: float = BatchNorm.epsilon):
        """What a BatchNorm multiplies by and adds in prediction, float64 [C] each."""
        variance = np.asarray(self._variables[f"batch_stats/{name}/var"], np.float64)
        factor = self.param(f"{name}/scale") / np.sqrt(variance + epsilon)
        mean = self._variables[f"batch_stats/{name}/mean"]
        return factor, self.param(f"{name}/bias") - mean * factor

    def dense(self, x: Value, name: str, norm=(1.0, 0.0)) -> Any:
        """Adds a Dense layer over the last axis, and the BatchNorm behind it."""
        kernel, bias = self._layer(name, norm)
        return x.MatMul(kernel) + bias

    def conv(self, x: Value, name: str, norm=(1.0, 0.0)) -> Any:
        """Adds a convolution [B, C, T, F] -> [B, O, T, F], and the BatchNorm behind."""
        kernel, bias = self._layer(name, norm)
        pads = (kernel.shape[0] // 2, kernel.shape[1] // 2) * 2
        return x.Conv(kernel.transpose(3, 2, 0, 1), bias, pads=pads)

    def _layer(self, name: str, norm) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias of a layer and the BatchNorm behind it, as of one layer."""
        factor, shift = norm
        kernel = self.param(f"{name}/kernel") * factor
        bias = self._variables.get(f"params/{name}/bias", 0.0) * factor + shift
        return kernel, np.broadcast_to(bias, kernel.shape[-1:])

    def max_pool(self, x: Any, time: int, frequency: int) -> Any:
        """Adds a maximum over blocks of [B, C, T, F], as `gcrnn_jax.models.pooling`.

        The last block of time may have fewer frames; bins that fill no block go.
        """
        if frequency > 1:
            x = x.MaxPool(kernel_shape=(1, frequency), strides=(1, frequency))
        if time > 1:
            x = x.MaxPool(kernel_shape=(time, 1), strides=(time, 1), ceil_mode=1)
        return x

    def mean_pool(self, x: Any, time: int, frequency: int) -> Any:
        """Adds a mean over the same blocks, of the frames that there are."""
        if frequency > 1:
            x = x.AveragePool(kernel_shape=(1, frequency), strides=(1, frequency))
        if time > 1:
            size = (time, 1)
            x = x.AveragePool(kernel_shape=size, strides=size, ceil_mode=1)
        return x

    def serialized(self, inputs: Ends, outputs: Ends, properties: Mapping) -> bytes:
        """The whole model with metadata, checked."""
        import onnx
        from onnx import helper, numpy_helper

        def describe(ends: Ends) -> list[onnx.ValueInfoProto]:
            kind, infos = onnx.TensorProto.FLOAT, ends.items()
            return [helper.make_tensor_value_info(n, kind, x[1]) for n, x in infos]

        nodes = [helper.make_node(**node) for node in self._nodes]
        for name, (value, _) in outputs.items():
            nodes.append(helper.make_node("Identity", [value.name], [name]))
        constants = [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in self._constants.items()
        ]
        graph = helper.make_graph(
            nodes, "gcrnn_jax", describe(inputs), describe(outputs), constants
        )
        opset, producer = [helper.make_opsetid("", OPSET)], "gcrnn_jax"
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name=producer
        )
        helper.set_model_props(model, dict(properties))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()
