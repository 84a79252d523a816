"""The folder of a run, its training, and the fusion of several."""

from gcrnn_jax.runs.features import open_store
from gcrnn_jax.runs.fusion import choose_runs, fuse_epochs, fuse_systems
from gcrnn_jax.runs.loading import load_model, read_card_and_variables
from gcrnn_jax.runs.run import Run
from gcrnn_jax.runs.start import configure_start
from gcrnn_jax.runs.training import train_run

__all__ = [
    "Run",
    "choose_runs",
    "configure_start",
    "fuse_epochs",
    "fuse_systems",
    "load_model",
    "open_store",
    "read_card_and_variables",
    "train_run",
]
