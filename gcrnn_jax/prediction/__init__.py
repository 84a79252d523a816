"""Recordings of any length -> posteriors, tags, events, files of them."""

from gcrnn_jax.prediction.ensemble import Ensemble, Prediction
from gcrnn_jax.prediction.formats import FORMATS
from gcrnn_jax.prediction.posteriors import RecordingPosteriors
from gcrnn_jax.prediction.results import predict_recordings

__all__ = [
    "FORMATS",
    "Ensemble",
    "Prediction",
    "RecordingPosteriors",
    "predict_recordings",
]
