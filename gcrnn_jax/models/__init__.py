"""Gated convolution, bidirectional GRU, attention; the networks."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gcrnn_jax.errors import ConfigError
from gcrnn_jax.fields import construct
from gcrnn_jax.models.attention_mlp import AttentionMlp
from gcrnn_jax.models.frame_cnn import FrameCnn
from gcrnn_jax.models.gated_crnn import GatedCrnn
from gcrnn_jax.models.mlp import Mlp
from gcrnn_jax.models.network import Network, Posteriors
from gcrnn_jax.models.vgg_cnn import VggCnn
from gcrnn_jax.models.window_cnn import WindowCnn

__all__ = [
    "NETWORKS",
    "AttentionMlp",
    "FrameCnn",
    "GatedCrnn",
    "Mlp",
    "Network",
    "Posteriors",
    "VggCnn",
    "WindowCnn",
    "make_network",
    "network_fields",
]

# A new network: its class here, and a file in configs/.
NETWORKS: dict[str, type[Network]] = {
    network.kind: network
    for network in (GatedCrnn, Mlp, WindowCnn, FrameCnn, AttentionMlp, VggCnn)
}


def make_network(fields: Mapping[str, Any], num_classes: int = 1) -> Network:
    """The network that the section `model` of a configuration describes.

    Args:
        fields: `kind` and the fields of that network.
        num_classes: K; a network before its data are known is cloned with another.

    Raises:
        ConfigError: There is no such network, or a field does not fit it.
    """
    fields = dict(fields)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in NETWORKS:
        names = " or ".join(map(repr, NETWORKS))
        raise ConfigError(f"model.kind: expected {names}, got {kind!r}")
    network = construct(
        NETWORKS[kind], fields, "model", num_classes=num_classes, axis_name=None
    )
    try:
        network.check_sizes()
    except ValueError as error:
        raise ConfigError(f"model: {error}") from error
    return network


def network_fields(network: Network) -> dict[str, Any]:
    """The section `model` that describes a network."""
    names = [field.name for field in dataclasses.fields(network)]
    rest = {"num_classes", "axis_name", "parent", "name"}
    fields = {name: getattr(network, name) for name in names if name not in rest}
    return {"kind": network.kind, **fields}
