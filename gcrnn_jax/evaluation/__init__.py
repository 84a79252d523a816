"""Any system's events and scores -> the field's figures, how sure, and comparisons.

In the order of the data:

    event_files, recordings, names   lists of any form, and the recordings they mean
    reference, systems               what is there, and what a system found
    placed_tables, sweep, steps      score tables; their counts at all thresholds
    decided, ranked, best_f1, curves measures: of decisions, of rankings, PSDS
    figures                          a measure's figures with intervals, and differences
    results, scorecard               all figures of a system; of two side by side
    flags, output                    of `evaluate`: its flags, and what it writes
    fused_scores                     scores of several systems -> their mean
"""

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
