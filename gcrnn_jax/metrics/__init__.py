"""The official scores and plain ones, how sure they are, tables."""

from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.metrics.scoring import score
from gcrnn_jax.metrics.segment import segment_scores
from gcrnn_jax.metrics.tagging import tagging_scores

__all__ = ["Evaluator", "decide", "score", "segment_scores", "tagging_scores"]
