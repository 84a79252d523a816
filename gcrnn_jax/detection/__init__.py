"""Posteriors of clips and frames; their fusion, thresholds and events."""

from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.detection.postprocess import Postprocessing

__all__ = ["PosteriorSet", "Postprocessing", "decode_events", "fuse_posteriors"]
