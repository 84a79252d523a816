"""The training step, devices and processes, checkpoints, the loop."""

from gcrnn_jax.training.augment import Augmentation, Inputs, Scaler
from gcrnn_jax.training.checkpoints import Checkpoints
from gcrnn_jax.training.loop import TrainingLength, train
from gcrnn_jax.training.loss import Loss, weak_label_loss
from gcrnn_jax.training.model_files import read_model, write_model
from gcrnn_jax.training.optimizer import Optimizer
from gcrnn_jax.training.parallel import AXIS, data_parallel, make_mesh
from gcrnn_jax.training.state import TrainState, TrainStep, initial_state

__all__ = [
    "AXIS",
    "Augmentation",
    "Checkpoints",
    "Inputs",
    "Loss",
    "Optimizer",
    "Scaler",
    "TrainState",
    "TrainStep",
    "TrainingLength",
    "data_parallel",
    "initial_state",
    "make_mesh",
    "read_model",
    "train",
    "weak_label_loss",
    "write_model",
]
