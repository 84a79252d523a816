"""The official scores and plain ones, how sure they are, tables."""

from gcrnn_jax.metrics.decisions import Decisions, decide
from gcrnn_jax.metrics.evaluator import Evaluator, Row, fit_thresholds
from gcrnn_jax.metrics.event_based import Collars, EventScores, event_scores
from gcrnn_jax.metrics.f1_by_threshold import F1Curve, F1Curves, f1_curves
from gcrnn_jax.metrics.intersection import (
    Intersection,
    IntersectionScores,
    intersection_scores,
)
from gcrnn_jax.metrics.metric import Column, Metric
from gcrnn_jax.metrics.official_tagging import official_tagging
from gcrnn_jax.metrics.polyphonic import (
    PSDS1,
    PSDS2,
    Psds,
    PsdsParameters,
    Roc,
    psds,
    psds_of_lists,
)
from gcrnn_jax.metrics.ranking import RankingScores, d_prime, ranking_scores
from gcrnn_jax.metrics.reliability import Calibration, calibration
from gcrnn_jax.metrics.score_tables import (
    ScoreFolder,
    ScoreTable,
    clip_scores,
    read_score_table,
)
from gcrnn_jax.metrics.scoring import METRICS, Scores, clip_counts, score
from gcrnn_jax.metrics.segment import segment_scores
from gcrnn_jax.metrics.tagging import tagging_scores

__all__ = [
    "METRICS",
    "PSDS1",
    "PSDS2",
    "Calibration",
    "Collars",
    "Column",
    "Decisions",
    "Evaluator",
    "EventScores",
    "F1Curve",
    "F1Curves",
    "Intersection",
    "IntersectionScores",
    "Metric",
    "Psds",
    "PsdsParameters",
    "RankingScores",
    "Roc",
    "Row",
    "ScoreFolder",
    "ScoreTable",
    "Scores",
    "calibration",
    "clip_counts",
    "clip_scores",
    "d_prime",
    "decide",
    "event_scores",
    "f1_curves",
    "fit_thresholds",
    "intersection_scores",
    "official_tagging",
    "psds",
    "psds_of_lists",
    "ranking_scores",
    "read_score_table",
    "score",
    "segment_scores",
    "tagging_scores",
]
