"""The training step, devices and processes, checkpoints, the loop."""

from gcrnn_jax.training.checkpoints import read_model, write_model
from gcrnn_jax.training.loss import Loss
from gcrnn_jax.training.state import TrainStep

__all__ = ["Loss", "TrainStep", "read_model", "write_model"]
