"""Scores the tags and events of any system by the rules of DCASE 2017 task 4.

    python -m gcrnn_jax.evaluate --reference groundtruth.csv --estimated mine.csv
    python -m gcrnn_jax.evaluate --model runs/sed/averaged
    python -m gcrnn_jax.evaluate --posteriors fused.npz --store STORE

Both lists have one tab-separated row an event, `file onset offset label`, or a file
name alone for a clip without any. The official figures are printed under their
official names, and plain ones, in which every clip counts, beside them.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gcrnn_jax.allocator import restart_tuned
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.data.event_lists import events_by_file, read_event_rows
from gcrnn_jax.data.findings import strict
from gcrnn_jax.errors import ConfigError, DataError, run_command
from gcrnn_jax.metrics.list_checks import (
    name_warnings,
    repetition_warnings,
    weak_list_warnings,
)
from gcrnn_jax.metrics.segment import SegmentScores, segment_scores
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.metrics.tagging import (
    OfficialTagging,
    file_key,
    official_tagging,
)
from gcrnn_jax.report.lists import lists_tables

EXAMPLES = """\
examples:
  python -m gcrnn_jax.evaluate --task detection \\
      --reference groundtruth_strong_label_testing_set.csv --estimated events.tsv
  python -m gcrnn_jax.evaluate --task tagging --output scores.json \\
      --reference groundtruth_weak_label_testing_set.csv --estimated tags.tsv
  python -m gcrnn_jax.evaluate --model runs/sed/averaged --split evaluation \\
      --fit testing
  python -m gcrnn_jax.evaluate --posteriors testing.npz --store STORE \\
      --fit validation.npz
  python -m gcrnn_jax.evaluate --model runs/sed/averaged --report report.html
"""


@dataclass(frozen=True)
class ListScores:
    """What two lists say of each other; a task that was not asked for is None."""

    tagging: OfficialTagging | None = None
    detection: SegmentScores | None = None
    warnings: list[str] = field(default_factory=list)


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
        DataError: A list cannot be read, has a bad row or has no row at all.
    """
    reference_rows = strict(read_event_rows(reference))
    estimated_rows = strict(read_event_rows(estimated))
    if not reference_rows:
        raise DataError(f"{reference}: expected rows `file onset offset label`, got 0")
    key = file_key if task == "tagging" else str  # how strictly the tools compare
    warnings = name_warnings(
        [key(row.file) for row in reference_rows],
        [key(row.file) for row in estimated_rows],
    )
    tagging, detection = None, None
    if task in ("tagging", "both"):
        tagging = official_tagging(reference_rows, estimated_rows)
        warnings += repetition_warnings(reference_rows)
    if task in ("detection", "both"):
        detection = segment_scores(
            events_by_file(reference_rows), events_by_file(estimated_rows)
        )
        warnings += weak_list_warnings(reference_rows)
    return ListScores(tagging, detection, warnings)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    if flags.model and flags.posteriors:
        raise ConfigError("--model and --posteriors exclude each other")
    if flags.model or flags.posteriors:
        restart_tuned()
        _evaluate_system(flags)
    elif flags.report:
        raise ConfigError("--report needs --model or --posteriors")
    elif flags.reference and flags.estimated:
        _evaluate_lists(flags)
    else:
        raise ConfigError(
            "expected --reference and --estimated, --model or --posteriors"
        )


def _evaluate_lists(flags: argparse.Namespace) -> None:
    scores = evaluate_lists(flags.reference, flags.estimated, flags.task)
    for warning in scores.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(lists_tables(scores.tagging, scores.detection))
    content = {
        "reference": str(flags.reference),
        "estimated": str(flags.estimated),
        "tagging": scores.tagging,
        "detection": scores.detection,
        "warnings": scores.warnings,
    }
    _write(flags.output, content)


def _evaluate_system(flags: argparse.Namespace) -> None:
    """Scores a model, or posteriors, on a split of a feature store."""
    from gcrnn_jax import system
    from gcrnn_jax.report import subjects
    from gcrnn_jax.report.page import write_page
    from gcrnn_jax.report.systems import (
        CHOSEN_HERE,
        Judge,
        classes_table,
        systems_table,
    )

    system.configure_jax()
    scored, fit = _labelled(flags)
    split, name = scored.split, str(flags.model or flags.posteriors)
    if fit is not None and fit.split is split:
        raise ConfigError(
            f"--fit: thresholds found on {split.name} say nothing when scored on it"
        )
    judge = Judge(split, fit and fit.split)
    rows = [judge.fixed(name, scored.posteriors)]
    if fit is not None:
        rows.insert(0, judge.found(name, scored.posteriors, fit.posteriors))
    print(f"{split.name}: {len(split)} clips\n\n{systems_table(rows)}\n")
    print(classes_table(rows[0].scores))
    if CHOSEN_HERE in (row.thresholds for row in rows):
        print("\nits thresholds were chosen on these clips: others would score lower")
    if flags.report:
        where = {"root": flags.root, "is_own_data": not flags.store}
        subject = subjects.of_evaluation(Path(name), scored, rows, **where)
        write_page(flags.report, subject)
        print(f"\nwrote {flags.report}")
    content = {
        "system": name,
        "data_sha256": split.data_content_hash,
        "split": split.name,
    }
    content |= {"thresholds": rows[0].thresholds}
    content |= {"postprocessing": rows[0].postprocessing}
    content |= {
        "tagging": rows[0].scores.tagging,
        "detection": rows[0].scores.detection,
    }
    _write(flags.output, content)


def _labelled(flags: argparse.Namespace):
    """What to score, and what to find thresholds on, if anything."""
    from gcrnn_jax import inference
    from gcrnn_jax.data.store import FeatureStore

    if flags.model:
        names = [flags.split, flags.fit] if flags.fit else [flags.split]
        options = {"store": flags.store, "root": flags.root}
        found = inference.predict_splits(flags.model, names, **options)
    else:
        has_useless_root = flags.root and not flags.report
        if not flags.store or has_useless_root or flags.split:
            raise ConfigError(
                "--posteriors needs --store, whose labels to score by, and neither "
                "--split nor, without --report, --root: the clips are known"
            )
        store = FeatureStore.open(flags.store)
        paths = [flags.posteriors, Path(flags.fit)] if flags.fit else [flags.posteriors]
        found = [inference.load_labelled(path, store) for path in paths]
    return found[0], found[1] if flags.fit else None


def _write(path: Path | None, content: dict) -> None:
    if path:
        write_text(path, json_text(content))
        print(f"\nwrote {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcrnn_jax.evaluate",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="LIST",
        help="what is there: weak labels for tagging, strong labels for detection",
    )
    parser.add_argument(
        "--estimated",
        type=Path,
        metavar="LIST",
        help="what a system found, with a line for every clip",
    )
    parser.add_argument(
        "--task",
        choices=("tagging", "detection", "both"),
        default="both",
        help="tagging (subtask A), detection (subtask B) or both, which is the default",
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="a run's folder (its averaged model), an averaged model or a checkpoint",
    )
    parser.add_argument(
        "--posteriors", type=Path, metavar="NPZ", help="what `fuse` or a run wrote"
    )
    parser.add_argument(
        "--store",
        type=Path,
        help="features with labels; default: those that the model was trained on",
    )
    parser.add_argument(
        "--root",
        type=Path,
        help="recordings with labels, instead of --store; or to be heard in --report",
    )
    parser.add_argument(
        "--split", help="default: testing, or validation where there is none"
    )
    parser.add_argument(
        "--fit",
        metavar="SPLIT|NPZ",
        help="find thresholds on this other split, or its posteriors, first",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="JSON",
        help="also write every score here; what is undefined is null",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="HTML",
        help="also write a page with curves and examples, of --model or --posteriors",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
