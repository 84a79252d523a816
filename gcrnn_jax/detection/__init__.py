"""Posteriors of clips and frames; their fusion, thresholds and events."""

from gcrnn_jax.detection.calibration import Calibrator, Probabilities, calibrate
from gcrnn_jax.detection.cross_fitting import cross_fit
from gcrnn_jax.detection.events import (
    decode_events,
    frame_roll,
    frame_times,
    segment_roll,
)
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.detection.tag_thresholds import best_tag_thresholds
from gcrnn_jax.detection.thresholds import BestThresholds, best_event_thresholds

__all__ = [
    "BestThresholds",
    "Calibrator",
    "PosteriorSet",
    "Postprocessing",
    "Probabilities",
    "best_event_thresholds",
    "best_tag_thresholds",
    "calibrate",
    "cross_fit",
    "decode_events",
    "frame_roll",
    "frame_times",
    "fuse_posteriors",
    "segment_roll",
]
