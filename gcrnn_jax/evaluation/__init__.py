"""Any system's events and scores -> the field's figures, how sure, and comparisons."""

from gcrnn_jax.evaluation.event_files import read_events
from gcrnn_jax.evaluation.figures import (
    Draws,
    Figure,
    differences,
    draw,
    figures_of,
    permutation_test,
)
from gcrnn_jax.evaluation.reference import Reference, read_reference
from gcrnn_jax.evaluation.results import Choice, Result, compare, score_system
from gcrnn_jax.evaluation.scorecard import Files, Scorecard, score_files
from gcrnn_jax.evaluation.systems import System, read_system

__all__ = [
    "Choice",
    "Draws",
    "Figure",
    "Files",
    "Reference",
    "Result",
    "Scorecard",
    "System",
    "compare",
    "differences",
    "draw",
    "figures_of",
    "permutation_test",
    "read_events",
    "read_reference",
    "read_system",
    "score_files",
    "score_system",
]
