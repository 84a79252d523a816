"""Models and their cards; posteriors of splits; the mean of several models' weights."""

from gcrnn_jax.inference.average import average_models
from gcrnn_jax.inference.card import ModelCard
from gcrnn_jax.inference.model import TrainedModel

__all__ = ["ModelCard", "TrainedModel", "average_models"]
