r"""Which thresholds hold on clips that did not choose them? Finished runs, all clips.

    python -m benchmarks.decisions RUN RUN RUN

The runs are one system trained on several folds. Thresholds of one half of a fold's
validation clips decide the other half, for ten ways to halve them. The table has the
scores of all clips of all folds together, counts averaged over the halvings, and the
differences to thresholds of each class on the same draws of clips, with 95 % intervals.
A second table says how far posteriors are from probabilities, and how far calibrated on
the other half of the clips. A third has scores with other post-processing.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import code_version
from gcrnn_jax.config import load_config
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.calibration import calibrate
from gcrnn_jax.detection.cross_fitting import cross_fit
from gcrnn_jax.detection.frame_labels import FrameLabels
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.errors import run_command
from gcrnn_jax.fields import command_parser, user_path
from gcrnn_jax.metrics import Column, calibration, scoring
from gcrnn_jax.metrics.bootstrap import Estimate, bootstrap
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import decide_cross_fitted, sources_of
from gcrnn_jax.runs import Run

OWN = "of each class"
FIXED: dict[str, Any] = {}  # those of the run's configuration
WAYS: dict[str, dict[str, Any]] = {
    OWN: {"per_class": True},
    "the run's fixed ones": FIXED,
    "one for all": {"per_class": False},
    **{
        f"of each class, drawn to one for all as {n} clips": {"shrinkage": float(n)}
        for n in (5, 10, 20, 50)
    },
    "one calibrated probability": {"shrinkage": 1e9, "calibrated": True},
    **{
        f"of each class, drawn to that as {n} clips": {
            "shrinkage": float(n),
            "calibrated": True,
        }
        for n in (10, 50, 200)
    },
}
# changes of post-processing, each with the thresholds that a configuration asks for
NOW: dict[str, Any] = {}
RULES: dict[str, dict[str, Any]] = {
    "as in `configs/sed.py`": NOW,
    **{f"`median_s` {s}": {"median_s": s} for s in (0.5, 1.0, 1.7, 2.5)},
    **{f"`gap_s` {s}": {"gap_s": s} for s in (0.0, 1.0, 2.0)},
    **{f"`min_event_s` {s}": {"min_event_s": s} for s in (0.0, 1.0)},
    **{
        f"`box_filter_s` {s}, `box_merge` {merge}": {
            "box_filter_s": s,
            "box_merge": merge,
        }
        for s, merge in ((0.3, 0.3), (0.6, 0.3), (1.2, 0.3), (0.6, 0.7))
    },
}
MEDIANS_S = (0.0, 0.5, 1.0, 1.7)


class Fold(NamedTuple):
    """Validation clips and what a run says of them."""

    posteriors: PosteriorSet
    split: Split


class Way(NamedTuple):
    """A way from posteriors to decisions."""

    name: str
    changes: dict[str, Any]  # of post-processing
    options: dict[str, Any]  # of `decide_cross_fitted`


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    folds = [read_fold(Run.open(path)) for path in flags.runs]
    ways = [Way(name, NOW, options) for name, options in WAYS.items()]
    print(f"{table(folds, ways, flags.halvings)}\n\n{calibration_table(folds)}\n")
    options = dataclasses.asdict(load_config("sed").thresholds)
    del options["groups"]
    ways = [Way(name, changes, options) for name, changes in RULES.items()]
    tuned = {**options, "medians_s": MEDIANS_S}
    ways.append(Way(f"`median_s` of each class, one of {MEDIANS_S}", NOW, tuned))
    print(table(folds, ways, flags.halvings))
    print("\nCommit {commit}, {date}.".format(**code_version()))


def read_fold(run: Run) -> Fold:
    """The scored clips of a finished run, with the run's configured post-processing."""
    split = run.open_store().find_split(None)
    posteriors = PosteriorSet.load(run.results(split) / "posteriors.npz")
    rules = run.config.postprocessing  # a run's results have the thresholds it found
    return Fold(dataclasses.replace(posteriors, postprocessing=rules), split)


def table(folds: Sequence[Fold], ways: Sequence[Way], halvings: int) -> str:
    """Scores of every way, and the differences to the first."""
    columns = [c for c in scoring.columns() if c.is_main and c.has_interval]
    scores = bootstrap([_together(folds, way, halvings) for way in ways])
    lines = [["decisions", *(c.heading for c in columns)]]
    lines.append(["---"] * len(lines[0]))
    for number, way in enumerate(ways):
        values = scores.estimates(number)
        changes = scores.differences(number, 0)
        cells = [
            column.short_text(values[column.key].value)
            + (f" ({_change(column, changes[column.key])})" if number else "")
            for column in columns
        ]
        lines.append([way.name, *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def calibration_table(folds: Sequence[Fold]) -> str:
    """Errors of posteriors, and of probabilities that the other half calibrated."""
    lines = [["", "expected calibration error", "Brier score", "log loss"]]
    lines.append(["---"] * len(lines[0]))
    for what, frames in (("clips", False), ("frames", True)):
        parts = [_probabilities(fold, frames) for fold in folds]
        label, before, after = map(np.concatenate, zip(*parts, strict=True))
        for name, values in (("posteriors", before), ("probabilities", after)):
            found = calibration(label, values)
            figures = found.expected_error, found.brier, found.log_loss
            lines.append([f"{name} of {what}", *(f"{x:.4f}" for x in figures)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _probabilities(fold: Fold, frames: bool) -> tuple[np.ndarray, ...]:
    """Labels, posteriors and probabilities of clips or frames, [n, K] each."""
    posteriors, split = fold
    label, values = split.weak_label, posteriors.clip
    if frames:
        fields = split.events or {}, posteriors.frame.shape[1], posteriors.hop_s
        labels = FrameLabels(split.clip_ids, *fields, split.class_names)
        label, values = labels[np.arange(len(split))], posteriors.frame
    probabilities = np.zeros(values.shape)
    for fit, apply in cross_fit(len(split), sources_of(split)):
        calibrator = calibrate(values[fit], label[fit])
        probabilities[apply] = calibrator.probabilities(values[apply])
    shape = -1, values.shape[-1]
    return label.reshape(shape), values.reshape(shape), probabilities.reshape(shape)


def _together(folds: Sequence[Fold], way: Way, halvings: int) -> scoring.ClipCounts:
    """Counts of the clips of all folds, the mean over the halvings."""
    per_fold = [list(_counts(fold, way, halvings)) for fold in folds]
    return {
        name: np.concatenate(
            [np.mean([one[name] for one in of_fold], axis=0) for of_fold in per_fold]
        )
        for name in per_fold[0][0]
    }


def _counts(fold: Fold, way: Way, halvings: int) -> Iterator[scoring.ClipCounts]:
    posteriors, split = fold
    rules = dataclasses.replace(posteriors.postprocessing, **way.changes)
    posteriors = dataclasses.replace(posteriors, postprocessing=rules)
    if way.options is FIXED:
        yield scoring.clip_counts(decide(posteriors, rules), posteriors, split)
        return
    for seed in range(halvings):
        decisions = decide_cross_fitted(posteriors, split, seed=seed, **way.options)
        yield scoring.clip_counts(decisions, posteriors, split)


def _change(column: Column, difference: Estimate) -> str:
    value, (low, high) = difference
    texts = [column.short_text(x, "+") for x in (value, low, high)]
    return "{}, {} to {}".format(*texts)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.decisions", __doc__)
    what = "folders of runs of one system, a fold each"
    parser.add_argument("runs", type=user_path, nargs="+", metavar="RUN", help=what)
    parser.add_argument("--halvings", type=int, default=10, help="default: 10")
    return parser


if __name__ == "__main__":
    run_command(main)
