r"""Does a start from a trained model pay? Few real clips, with one and from scratch.

    python -m benchmarks.starts --folds weak_esc10_folds --output FOLDER

Trains one model on built-in soundscapes, whose classes are others. Then, for each fold
and number of training clips, one from it and one from scratch, by one recipe, seed and
choice of clips; what is trained already is only scored again. Each table is of the
trainings that are there on all folds: scores of the validation clips of all folds
together, with thresholds of the other half of each fold's clips, and the difference of
the two on the same draws of clips, with its 95 % interval.
"""

import argparse
import csv
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fold_runs
from benchmarks.fold_scores import cell, table
from benchmarks.timing import code_version
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.errors import run_command
from gcrnn_jax.fields import command_parser
from gcrnn_jax.metrics import Evaluator, scoring
from gcrnn_jax.metrics.bootstrap import bootstrap

_HOW_TO_READ = """\
Trained from scratch, or from a model of 6,000 soundscapes whose 17 classes are others,
by one recipe of 300 steps of 32 clips: the same number for all, so that many clips from
scratch might gain from more. Validation clips of all folds together, thresholds of each
class from the other half of its fold; in %, but for the error rate; 95 % intervals by
bootstrap over clips, of differences on the same draws. One training each: another one
would differ too."""
SIZES = (50, 100, 200, 560)
# half the steps of `configs/laptop.py`, with the augmentation of `configs/few_clips.py`
RECIPE = (
    "augmentation.max_shift_frames=60",
    "augmentation.time_masks=2",
    "augmentation.max_time_mask_frames=16",
    "augmentation.frequency_masks=2",
    "augmentation.max_frequency_mask_bins=8",
    "augmentation.mixup_alpha=0.5",
    "training.steps_per_epoch=25",
    "training.evaluate_every=1000",  # none but the fused epochs
)
SOUNDSCAPES = (
    "data.soundscapes=(6000,200,200)",
    "training.num_epochs=40",
    "training.steps_per_epoch=50",
    "fusion.first_epoch=37",
    "fusion.last_epoch=40",
)
SCRATCH, STARTED = WAYS = "scratch", "started"


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    output, further = flags.output, [f"--config.{field}" for field in flags.fields]
    model = output / "soundscapes"
    folds = sorted(path for path in flags.folds.iterdir() if path.is_dir())
    if STARTED in flags.ways:
        _train(model, *SOUNDSCAPES, further=further)
    for size in flags.sizes:
        for fold in folds:
            root = output / "data" / f"{fold.name}-{size}"
            make_subset(fold, root, size)
            for way in flags.ways:
                start = [f"training.start_from={model}"] if way == STARTED else []
                workdir = _workdir(output, way, fold.name, size)
                _train(workdir, f"data.root={root}", *start, further=further)
    text = tables(output, [fold.name for fold in folds], flags.sizes)
    write_text(output / "starts.md", text)
    print(text)


def make_subset(fold: Path, root: Path, num_clips: int) -> None:
    """Makes a data set of a fold's validation clips and some of its training clips.

    Of classes as even as can be: a clip of the class with the fewest so far is next.
    Fewer clips are some of those of more, as the same seed shuffles them.
    """
    with open(fold / "training_set.csv", newline="") as file:
        rows = list(csv.reader(file))
    random.Random(0).shuffle(rows)
    classes = sorted({one for row in rows for one in row[-1].split(",")})
    counts: Counter[str] = Counter(dict.fromkeys(classes, 0))
    chosen: list[list[str]] = []
    while len(chosen) < num_clips and rows:
        left = {one for row in rows for one in row[-1].split(",")}
        rarest = min(sorted(left), key=counts.__getitem__)
        row = next(row for row in rows if rarest in row[-1].split(","))
        rows.remove(row)
        chosen.append(row)
        counts.update(row[-1].split(","))
    root.mkdir(parents=True, exist_ok=True)
    for path in fold.iterdir():
        is_training = "training" in path.name
        if not is_training and not (root / path.name).exists():
            (root / path.name).symlink_to(path.resolve())
    with open(root / "training_set.csv", "w", newline="") as file:
        csv.writer(file).writerows(chosen)


def _workdir(output: Path, way: str, fold: str, size: int) -> Path:
    return output / "runs" / f"{way}-{fold}-{size}"


def _train(workdir: Path, *fields: str, further: Sequence[str]) -> None:
    flags = [f"--config.{field}" for field in (*RECIPE, *fields)]
    fold_runs.train(workdir, ["--config=laptop", *flags, *further])


def tables(output: Path, folds: Sequence[str], sizes: Sequence[int]) -> str:
    """The scores of all trainings that are there for every fold, and differences."""
    columns = [c for c in scoring.columns() if c.is_main and c.has_interval]
    header = ["clips", "score", "from scratch", "from soundscapes", "difference"]
    lines = [header]
    for size in sorted(sizes):
        runs = [[_workdir(output, way, name, size) for name in folds] for way in WAYS]
        if not all(map(fold_runs.is_finished, [*runs[0], *runs[1]])):
            continue
        scored = [[_score(run) for run in of_way] for of_way in runs]
        scores = bootstrap([_together(of_way) for of_way in scored])
        for column in columns:
            cells = [
                cell(column, scores.estimates(way)[column.key]) for way in range(2)
            ]
            difference = cell(column, scores.differences(1, 0)[column.key], "+")
            lines.append([str(size), column.heading, *cells, difference])
        means = [np.mean([x["mAP"] for _, x in of_way]) for of_way in scored]
        texts = [f"{100 * x:.1f}" for x in means]
        change = f"{100 * (means[1] - means[0]):+.1f}"
        lines.append([str(size), "mAP, mean of the folds", *texts, change])
    version = code_version()
    title = "# A start from soundscapes: weak ESC-10, three folds"
    heading = f"{title}\n\n`python -m benchmarks.starts`\n\n{_HOW_TO_READ}"
    end = f"Commit {version['commit']}, {version['date']}."
    return f"{heading}\n\n{table(lines)}\n\n{end}\n"


def _score(run: Path) -> tuple[scoring.ClipCounts, Mapping[str, float]]:
    """Counts of every clip, and scores, with thresholds of the other half."""
    split, posteriors = fold_runs.load(run)
    row = Evaluator(split, None).with_fitted_thresholds("", posteriors, None)
    counts = scoring.clip_counts(row.decisions, row.posteriors, split)
    return counts, row.scores.values


def _together(scored: Sequence[tuple[scoring.ClipCounts, Any]]) -> scoring.ClipCounts:
    names = scored[0][0]
    return {
        name: np.concatenate([counts[name] for counts, _ in scored]) for name in names
    }


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.starts", __doc__)
    parser.add_argument("--folds", type=Path, required=True, help="a data set in each")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument(
        "--fields",
        nargs="*",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="of every run, in place of the recipe's",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
