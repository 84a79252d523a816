"""A model with all that its programs need, in float32."""

import dataclasses
from typing import Any

import jax
import numpy as np

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.models.network import Network
from gcrnn_jax.system import make_model, make_scaler
from gcrnn_jax.training.augment import Scaler
from gcrnn_jax.training.checkpoints import Model


@dataclasses.dataclass(frozen=True)
class Exportable:
    """A network with its weights, its card and its scaler."""

    card: dict[str, Any]
    front_end: FrontEnd
    network: Network
    variables: Any  # {"params": ..., "batch_stats": ...}, NumPy
    scaler: Scaler


def exportable(model: Model) -> Exportable:
    """Prepares a model for export, in float32 whatever it was trained in.

    Raises:
        ConfigError: The card has another program's front end.
        ValueError: The card has another program's network.
    """
    card = model.card
    network = make_model(card["config"]["model"], len(card["classes"]["names"]))
    return Exportable(
        card,
        FrontEnd.from_dict(card["front_end"]),
        network.for_export(),
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), model.variables),
        make_scaler(card["scaler"]["mean"], card["scaler"]["std"]),
    )
