"""Recordings of any length -> posteriors, tags, events, files of them."""

from gcrnn_jax.prediction.ensemble import Ensemble, Prediction, ScoredEvent
from gcrnn_jax.prediction.formats import FORMATS
from gcrnn_jax.prediction.posteriors import RecordingPosteriors
from gcrnn_jax.prediction.recordings import Recording, Unreadable, list_recordings
from gcrnn_jax.prediction.results import predict_recordings
from gcrnn_jax.prediction.stream import stream_posteriors

__all__ = [
    "FORMATS",
    "Ensemble",
    "Prediction",
    "Recording",
    "RecordingPosteriors",
    "ScoredEvent",
    "Unreadable",
    "list_recordings",
    "predict_recordings",
    "stream_posteriors",
]
