"""Which network has which ONNX graph: features [batch, frames, F] -> clip and frame."""

import json
from collections.abc import Callable

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.exporting.exportable import Exportable
from gcrnn_jax.exporting.onnx_baselines import frame_cnn, mlp, window_cnn
from gcrnn_jax.exporting.onnx_gated_crnn import gated_crnn
from gcrnn_jax.exporting.onnx_graph import Graph

_BUILDERS: dict[str, Callable[[Graph, str, Exportable], tuple[str, str]]] = {
    "gated_crnn": gated_crnn,
    "mlp": mlp,
    "window_cnn": window_cnn,
    "frame_cnn": frame_cnn,
}


def onnx_model(model: Exportable) -> bytes:
    """The ONNX model of a network, scaler inside.

    Raises:
        ConfigError: The network has no ONNX graph here.
    """
    network = model.fields["network"]
    if network not in _BUILDERS:
        raise ConfigError(
            f"network {network!r} has no ONNX graph; --formats stablehlo exports it"
        )
    graph = Graph()
    x = graph.node("Sub", "features", graph.weight(model.scaler.mean))
    x = graph.node("Div", x, graph.weight(model.scaler.std))
    clip, frame = _BUILDERS[network](graph, x, model)
    names = model.card["classes"]["names"]
    return graph.serialized(
        {"features": ("batch", "frames", model.front_end.num_bins)},
        {
            "clip": (clip, ("batch", len(names))),
            "frame": (frame, ("batch", "frames_out", len(names))),
        },
        {"classes": json.dumps(names), "frame_hop_s": str(model.frame_hop_s)},
    )
