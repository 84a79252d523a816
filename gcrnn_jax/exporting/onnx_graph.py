"""An ONNX graph, written node by node."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Variables = Mapping[str, Any]

OPSET = 18
_IR_VERSION = 9  # what runtimes of the age of that opset read

# Names of ONNX for those of `gcrnn_jax.models.layers.ACTIVATIONS`; "linear" has none.
ACTIVATION_NODES = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hard_sigmoid": "HardSigmoid",  # by default of slope 0.2, as ours
}


class Graph:
    """Nodes and constants; a value is the name that ONNX knows it by."""

    def __init__(self):
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns its output."""
        return self.nodes(1, kind, *inputs, **attributes)[0]

    def nodes(self, count: int, kind: str, *inputs: str, **attributes: Any):
        """Adds a node of several outputs; returns a list of these."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        outputs = [f"{name}_{i}" for i in range(count)]
        self._nodes.append(
            helper.make_node(kind, inputs, outputs, name=name, **attributes)
        )
        return outputs

    def weight(self, values) -> str:
        """Adds a float32 constant."""
        return self._constant(np.asarray(values, np.float32))

    def integers(self, *values: int) -> str:
        """Adds an int64 constant [n]."""
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(values)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def slice(self, x: str, start: int, end: int | None, axis: int) -> str:
        """Adds x[start:end] along an axis."""
        end = np.iinfo(np.int64).max if end is None else end
        places = [self.integers(value) for value in (start, end, axis)]
        return self.node("Slice", x, *places)

    def activation(self, name: str, x: str) -> str:
        """Adds one of `gcrnn_jax.models.layers.ACTIVATIONS`."""
        return x if name == "linear" else self.node(ACTIVATION_NODES[name], x)

    def dense(self, x: str, layer: Mapping[str, Any]) -> str:
        """Adds a Dense layer, with or without a bias, over the last axis."""
        x = self.node("MatMul", x, self.weight(layer["kernel"]))
        return self.node("Add", x, self.weight(layer["bias"])) if "bias" in layer else x

    def conv(self, x: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        """Adds a convolution [B, C, T, F] -> [B, O, T, F], kernel [h, w, C, O]."""
        height, width, _, _ = kernel.shape
        weights = self.weight(kernel.transpose(3, 2, 0, 1)), self.weight(bias)
        pads = (height // 2, width // 2) * 2
        return self.node("Conv", x, *weights, pads=pads)

    def max_pool(self, x: str, *sizes: int) -> str:
        """Adds a maximum over blocks of the last axes; drops what does not fill one."""
        if max(sizes) == 1:
            return x
        return self.node("MaxPool", x, kernel_shape=sizes, strides=sizes)

    def serialized(
        self,
        inputs: Mapping[str, Sequence[str | int]],
        outputs: Mapping[str, tuple[str, Sequence[str | int]]],
        properties: Mapping[str, str],
    ) -> bytes:
        """The whole model, checked.

        Args:
            inputs: Name -> shape; a free axis by its name.
            outputs: Name -> (value, shape).
            properties: Metadata, as text.
        """
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        shapes = {name: shape for name, (_, shape) in outputs.items()}
        graph = helper.make_graph(
            self._nodes,
            "gcrnn_jax",
            [_float32(name, shape) for name, shape in inputs.items()],
            [_float32(name, shape) for name, shape in shapes.items()],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="gcrnn_jax",
        )
        helper.set_model_props(model, dict(properties))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def norm(variables: Variables, *names: str, epsilon: float):
    """What a BatchNorm multiplies by and then adds in prediction, float64 [C] each."""
    params, statistics = variables["params"], variables["batch_stats"]
    for name in names:
        params, statistics = params[name], statistics[name]
    variance = np.asarray(statistics["var"], np.float64)
    factor = params["scale"] / np.sqrt(variance + epsilon)
    return factor, params["bias"] - statistics["mean"] * factor


def _float32(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
