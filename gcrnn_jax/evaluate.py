"""Scores the tags and events of any system: the field's figures, and how sure they are.

    python -m gcrnn_jax.evaluate --reference groundtruth.csv --estimated mine.csv
    python -m gcrnn_jax.evaluate --reference strong.tsv --estimated A --against B
    python -m gcrnn_jax.evaluate --model runs/sed/averaged
    python -m gcrnn_jax.evaluate --posteriors fused.npz --store STORE

Lists have one row an event, `file onset offset label`, or a file name alone for a clip
without any; tabs, commas, semicolons or spaces separate, and a header may name the
columns, as in the events.csv of `predict`. Label tracks of Audacity, selection tables
of Raven, tables of BirdNET and lists `onset offset label` are read, and folders of any
of these. Scores are a folder of tables, one `RECORDING.tsv` with a header `onset offset
CLASS...` and a row a frame for each (commas or semicolons may separate, and .csv be the
ending), or posteriors (.npz) of `fuse` or a run. Folders and endings of names may
differ, and the Y before ids of YouTube.

Every figure has its definition and, from recordings drawn again, a 95 % interval; the
official figures of DCASE 2017 task 4 are below, under their official names. With scores
there are PSDS, mAP, AUC, d', lwlrap and calibration as well.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.evaluation import (
    Reference,
    System,
    read_reference,
    read_system,
    score_files,
)
from gcrnn_jax.evaluation.flags import (
    add_flags,
    check_outputs,
    choice_of,
    files_of,
    is_of_split,
)
from gcrnn_jax.evaluation.output import (
    figures_csv,
    missing_csv,
    scorecard_content,
    scorecard_csv,
    scorecard_text,
)
from gcrnn_jax.fields import (
    add_layout_flags,
    command_parser,
    layout_fields,
    user_path,
)
from gcrnn_jax.metrics.list_checks import (
    label_warnings,
    name_warnings,
    repetition_warnings,
    weak_list_warnings,
)
from gcrnn_jax.metrics.official_tagging import OfficialTagging
from gcrnn_jax.metrics.scoring import list_scores, list_tables
from gcrnn_jax.metrics.segment import SegmentScores
from gcrnn_jax.metrics.tables import json_text

EXAMPLES = """\
examples:
  python -m gcrnn_jax.evaluate --task detection \\
      --reference groundtruth_strong_label_testing_set.csv --estimated events.tsv
  python -m gcrnn_jax.evaluate --task tagging --output scores.json \\
      --reference groundtruth_weak_label_testing_set.csv --estimated tags.tsv
  python -m gcrnn_jax.evaluate --metrics event psds --collars 0.5 1.0 0.2 \\
      --reference strong.tsv --durations durations.tsv --estimated scores/ \\
      --against other_scores/ --output scores.json --csv scores.csv
  python -m gcrnn_jax.evaluate --model runs/sed/averaged --split evaluation \\
      --fit testing
  python -m gcrnn_jax.evaluate --posteriors testing.npz --store STORE \\
      --fit validation.npz
  python -m gcrnn_jax.evaluate --model runs/sed/averaged --report report.html
"""


@dataclasses.dataclass(frozen=True)
class ListScores:
    """Scores by the names of the metrics; None for a task that was not asked for."""

    details: Mapping[str, Any]
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def tagging(self) -> OfficialTagging | None:
        """Of subtask A."""
        return self.details["tagging"]

    @property
    def detection(self) -> SegmentScores | None:
        """Of subtask B."""
        return self.details["detection"]


def evaluate_lists(
    reference: str | Path, estimated: str | Path, task: str = "both"
) -> ListScores:
    """Scores a list of estimates against a reference list.

    Args:
        reference: The list of what is there.
        estimated: The list of what a system found.
        task: "tagging", "detection" or "both".

    Returns:
        Scores, and warnings on lists that hardly belong together, which the official
        tools score without a word.

    Raises:
        DataError: A list cannot be read, has a bad row or has no row at all, or no
            recording is in both.
    """
    there = read_reference(Path(reference))
    return _score_lists(there, read_system(Path(estimated), there), task)


def _score_lists(reference: Reference, system: System, task: str) -> ListScores:
    """The scores of DCASE 2017 task 4, of lists whose names are the reference's."""
    reference_rows, estimated_rows = reference.rows, system.rows
    files = ([row.file for row in rows] for rows in (reference_rows, estimated_rows))
    warnings = name_warnings(*files)
    warnings += label_warnings(reference_rows, estimated_rows)
    if task in ("tagging", "both"):
        warnings += repetition_warnings(reference_rows)
    if task in ("detection", "both"):
        warnings += weak_list_warnings(reference_rows)
    return ListScores(list_scores(reference_rows, estimated_rows, task), warnings)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    if (how := layout_fields(flags)) and not (flags.model and flags.root):
        names = ", ".join(f"--{name}" for name in how)
        raise ConfigError(f"{names}: of the folder that --model is scored on, --root")
    if is_of_split(flags):
        restart_tuned()
        check_outputs(flags)
        _evaluate_system(flags)
    else:
        check_outputs(flags)
        _evaluate_lists(flags)


def _evaluate_lists(flags: argparse.Namespace) -> None:
    card = score_files(
        files_of(flags), choice_of(flags), num_draws=flags.draws, seed=flags.seed
    )
    own, *others = (result.system for result in card.results)
    scores = _score_lists(card.reference, own, flags.task)
    for system in others:
        found = label_warnings(card.reference.rows, system.rows)
        scores.warnings.extend(f"{system.path}: {warning}" for warning in found)
    for warning in scores.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(scorecard_text(card))
    print(f"\nBy the rules of DCASE 2017 task 4\n\n{list_tables(scores.details)}")
    content = {
        "reference": str(flags.reference),
        "estimated": str(flags.estimated),
        **scores.details,
        **scorecard_content(card),
        "warnings": scores.warnings,
    }
    _write(flags.output, json_text(content))
    _write(flags.csv, scorecard_csv(card))
    if flags.report:
        from gcrnn_jax.report.scorecard_page import write_scorecard_page

        write_scorecard_page(flags.report, card)
        print(f"\nwrote {flags.report}")
    if card.missing and (beside := flags.output or flags.csv):
        _write(beside.with_name("missing.csv"), missing_csv(card))


def _evaluate_system(flags: argparse.Namespace) -> None:
    """Scores a model, or posteriors, on a split of a feature store."""
    from gcrnn_jax.config import load_config
    from gcrnn_jax.evaluation.labelled import OF_TABLES, SplitFigures
    from gcrnn_jax.metrics.evaluator import CHOSEN_HERE, Evaluator
    from gcrnn_jax.report.systems import row_content, tables_text
    from gcrnn_jax.runs.groups import clip_groups
    from gcrnn_jax.training.parallel import configure_jax

    choice = choice_of(flags)
    configure_jax()
    scored, fit = _predict_or_load(flags)
    split, name = scored.split, str(flags.model or flags.posteriors)
    if fit is not None and fit.split is split:
        raise ConfigError(
            f"--fit: thresholds found on {split.name} say nothing when scored on it"
        )
    others = scored.store.scored_splits()
    # as of the model's run; posteriors do not say what theirs was
    thresholds = (scored.config or load_config("sed")).thresholds
    options = dataclasses.asdict(thresholds)
    del options["groups"]  # of halves, which are not made here
    evaluator = Evaluator(split, fit and fit.split, others=others, **options)
    rows = [evaluator.with_own_thresholds(name, scored.posteriors)]
    if fit is not None:
        fitted = (name, scored.posteriors, fit.posteriors)
        rows.insert(0, evaluator.with_fitted_thresholds(*fitted))
    draws = dict[str, Any](num_draws=flags.draws, seed=flags.seed)
    if flags.groups:
        draws["groups"] = clip_groups(flags.groups, split, "--groups")
    figures = SplitFigures(split, **draws)
    kinds = [*dict.fromkeys([*choice.kinds, *OF_TABLES])]
    rows[0] = figures.add(rows[0], dataclasses.replace(choice, kinds=kinds))
    of_table = dataclasses.replace(choice, kinds=OF_TABLES)
    rows[1:] = [figures.add(row, of_table) for row in rows[1:]]
    print(f"{scored.clips}\n\n{tables_text(rows, rows[0])}")
    if CHOSEN_HERE in (row.thresholds for row in rows):
        print("\nits thresholds were chosen on these clips: others would score lower")
    if flags.report:
        _write_report(flags, scored, rows)
    content = {
        "data_sha256": split.data_content_hash,
        "split": split.name,
        **row_content(rows[0]),
    }
    _write(flags.output, json_text(content))
    parts = [(name, rows[0].figures, len(split))]
    _write(flags.csv, figures_csv(parts, len(split)))


def _write_report(flags: argparse.Namespace, scored, rows) -> None:
    from gcrnn_jax.report.page import write_page
    from gcrnn_jax.report.report_data import collect_evaluation
    from gcrnn_jax.runs.labelled import find_run

    data = collect_evaluation(
        flags.model or flags.posteriors,
        scored,
        rows,
        run=find_run(flags.model) if flags.model else None,
        root=flags.root,
        is_own_data=not flags.store,
    )
    write_page(flags.report, data)
    print(f"\nwrote {flags.report}")


def _predict_or_load(flags: argparse.Namespace):
    """What to score, and what to find thresholds on, if anything."""
    from gcrnn_jax.data.store import FeatureStore
    from gcrnn_jax.runs.labelled import load_labelled, predict_splits

    if flags.model:
        names = [flags.split, flags.fit] if flags.fit else [flags.split]
        parts = predict_splits(
            flags.model,
            names,
            store=flags.store,
            root=flags.root,
            layout=layout_fields(flags),
        )
    else:
        has_useless_root = flags.root and not flags.report
        if not flags.store or has_useless_root or flags.split:
            raise ConfigError(
                "--posteriors needs --store, whose labels to score by, and neither "
                "--split nor, without --report, --root: the clips are known"
            )
        store = FeatureStore.open(flags.store)
        paths = (
            [flags.posteriors, user_path(flags.fit)]
            if flags.fit
            else [flags.posteriors]
        )
        parts = [load_labelled(path, store) for path in paths]
    return parts[0], parts[1] if flags.fit else None


def _write(path: Path | None, text: str) -> None:
    if path:
        write_text(path, text)
        print(f"\nwrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("gcrnn_jax.evaluate", __doc__, EXAMPLES)
    add, path = parser.add_argument, dict[str, Any](type=user_path)
    what = "what is there: weak labels for tagging, strong labels for detection"
    add("--reference", metavar="LIST", help=what, **path)
    what = "what a system found: a list, a folder of lists or of scores, an .npz"
    add("--estimated", metavar="LIST", help=what, **path)
    tasks = ("tagging", "detection", "both")
    what = "tagging (subtask A), detection (subtask B) or both, which is the default"
    add("--task", choices=tasks, default="both", help=what)
    what = "a run's folder (its averaged model), an averaged model or a checkpoint"
    add("--model", help=what, **path)
    add("--posteriors", metavar="NPZ", help="what `fuse` or a run wrote", **path)
    what = "features with labels; default: those that the model was trained on"
    add("--store", help=what, **path)
    what = "recordings with labels, instead of --store; or to be heard in --report"
    add("--root", help=what, **path)
    add("--split", help="default: testing, or validation where there is none")
    what = "find thresholds on this other split, or its posteriors, first"
    add("--fit", metavar="SPLIT|NPZ", help=what)
    what = "also write every score here; what is undefined is null"
    add("--output", metavar="JSON", help=what, **path)
    what = "also write a page with curves and, of a model or posteriors, examples"
    add("--report", metavar="HTML", help=what, **path)
    add_layout_flags(parser)
    add_flags(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
