"""The official scores and plain ones, how sure they are, tables."""

from gcrnn_jax.metrics.decisions import Decisions, decide
from gcrnn_jax.metrics.evaluator import Evaluator, Row, fit_thresholds
from gcrnn_jax.metrics.metric import Column, Metric
from gcrnn_jax.metrics.official_tagging import official_tagging
from gcrnn_jax.metrics.scoring import METRICS, Scores, clip_counts, score
from gcrnn_jax.metrics.segment import segment_scores
from gcrnn_jax.metrics.tagging import tagging_scores

__all__ = [
    "METRICS",
    "Column",
    "Decisions",
    "Evaluator",
    "Metric",
    "Row",
    "Scores",
    "clip_counts",
    "decide",
    "fit_thresholds",
    "official_tagging",
    "score",
    "segment_scores",
    "tagging_scores",
]
