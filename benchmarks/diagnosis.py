r"""Where a configuration fails on recordings that it has not heard, over folds.

    python -m benchmarks.diagnosis --folds weak_esc10_folds --output FOLDER --row best

Of the finished runs of a row in the output of `benchmarks.folds`, the first seed of
each fold: how well training clips and validation clips are tagged epoch by epoch;
errors by class, signal-to-noise ratio, length, distractors, overlap and recording; what
false tags come from; and what the scores would be if each of these did no harm. Writes
diagnosis_ROW.md to the output. Validation clips have a recipe that names what is in
them: `validation_set_recipe.json` in each fold.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import error_groups, fold_runs
from benchmarks.error_groups import FoldErrors, Pair, Recipe
from benchmarks.fold_scores import table
from benchmarks.folds import find_rows
from benchmarks.timing import code_version
from gcrnn_jax.data.atomic_files import write_text
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet, fuse_posteriors
from gcrnn_jax.errors import ConfigError, run_command
from gcrnn_jax.fields import command_parser
from gcrnn_jax.inference import TrainedModel
from gcrnn_jax.metrics.tagging import average_precision, mean_defined
from gcrnn_jax.runs import Run
from gcrnn_jax.training.parallel import configure_jax

_HOW_TO_READ = """\
All folds together; in %, where nothing else is said. Tags have the thresholds of each
class that the other half of the fold's validation clips has chosen."""
_STEADY = ("Rain", "Sea waves, surf", "Helicopter", "Chainsaw", "Fire crackling")
_LEVELS = (-6, -3, 0, 3, 6, 9)  # dB from which a group of classes is
_LENGTHS = (0, 0.5, 1, 2, 4)  # seconds
_RECIPES = "validation_set_recipe.json"
_BOTH = ("training", "validation")
_SHOWN = 10  # lines of the longest tables


class Heard(NamedTuple):
    """A run on the clips that it was trained on, and by the epoch."""

    training: Split
    posteriors: PosteriorSet  # of training clips, of the fused epochs
    curve: Mapping[int, Mapping[str, tuple[float, float]]]  # epoch -> split -> below


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = _parser().parse_args(argv)
    folds = fold_runs.fold_folders(flags.folds, flags.only)
    rows = {r.name: r for r in find_rows(flags.output, [fold.name for fold in folds])}
    row = rows.get(flags.row)
    if row is None or not all(row.runs.values()):
        raise ConfigError(f"--row: {flags.row} is not finished on every fold")
    configure_jax()
    runs = [row.runs[fold.name][0] for fold in folds]
    errors = [_errors(run, fold) for run, fold in zip(runs, folds, strict=True)]
    heard = [hear(Run.open(run), flags.epochs) for run in runs]
    version = code_version()
    heading = (
        f"# Where {flags.row} fails: {flags.folds.name}\n\n`python -m "
        f"benchmarks.diagnosis --folds {flags.folds.name} --output FOLDER --row "
        f"{flags.row}`\n\n{_HOW_TO_READ} Commit {version['commit']}, {version['date']}."
    )
    text = "\n\n".join([heading, *sections(errors, heard)]) + "\n"
    write_text(flags.output / f"diagnosis_{flags.row}.md", text)
    print(text)


def _errors(run: Path, fold: Path) -> FoldErrors:
    split, posteriors = fold_runs.load(run)
    recipes = error_groups.read_recipes(fold / _RECIPES, split.clip_ids)
    return FoldErrors.of(split, posteriors, recipes)


def hear(run: Run, num_points: int) -> Heard:
    """Computes posteriors of training clips, as they are, and scores by the epoch.

    Args:
        run: Finished.
        num_points: Epochs that the curve has.
    """
    store, last = run.open_store(), run.config.training.num_epochs
    model = TrainedModel.create(run.card(store), None)
    training, reported = store.splits["training"], store.find_split(None)

    def predict(epoch: int, split: Split) -> PosteriorSet:
        return model.replace(variables=run.load_epoch(epoch)[1]).predict(split)

    points = np.linspace(0, last, num_points + 1)[1:].round().astype(int).tolist()
    curve = {
        epoch: {
            name: curve_point(split, predict(epoch, split))
            for name, split in (("training", training), ("validation", reported))
        }
        for epoch in sorted({max(1, point) for point in points})
    }
    fused = [predict(epoch, training) for epoch in run.config.fusion.epochs(last)]
    return Heard(training, fuse_posteriors(fused), curve)


def curve_point(split: Split, posteriors: PosteriorSet) -> tuple[float, float]:
    """The mean binary cross-entropy of weak labels, and the mAP."""
    label = np.asarray(split.weak_label)
    given = np.where(label, posteriors.clip, 1 - posteriors.clip)
    entropy = -np.log(np.maximum(given, 1e-7)).mean()
    return float(entropy), mean_defined(_precisions(split, posteriors))


def _precisions(split: Split, posteriors: PosteriorSet) -> np.ndarray:
    pairs = zip(np.asarray(split.weak_label).T, posteriors.clip.T, strict=True)
    return np.array([average_precision(*pair) for pair in pairs])


def sections(errors: Sequence[FoldErrors], heard: Sequence[Heard]) -> Iterator[str]:
    """The page, a title and a table after the other."""
    pairs = error_groups.pairs_of(errors)
    yield "## Training clips and new recordings, epoch by epoch"
    yield "Without augmentation. Cross-entropy of the weak labels, and mAP."
    yield _curves(heard)
    yield "## Classes"
    yield (
        "AP of training clips and of new recordings. The last column: of what the SNR "
        "leaves of the log odds, the share that is the recording's."
    )
    yield _classes(errors, heard, pairs)
    yield "## What is in the clip"
    yield "Classes that a clip has: how many, found as a tag, found by the second."
    yield _groups(pairs)
    yield "## Recordings"
    yield _recordings(pairs)
    yield "## False tags"
    yield _false_tags_by_distractors(errors)
    yield "Most above what is expected without it, by a distractor in the clip:"
    yield _false_tags(errors, lambda recipe: {*map(_short, recipe.distractors)})
    yield "By another class in the clip:"
    yield _false_tags(errors, lambda recipe: {label for label, *_ in recipe.events})
    yield "By the background:"
    yield _false_tags(errors, lambda recipe: {_short(recipe.background)}, 5)
    yield "## What each costs"
    yield (
        "Tag F1 and mAP if the pairs of clip and class named had the posteriors, rank "
        "by rank, of the same fold's other pairs of that class with the same label; "
        "thresholds again from the other half."
    )
    yield _costs(errors, heard)


def _short(path: str) -> str:
    return Path(path).stem.removeprefix("sounds_")


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.1f}" if np.isfinite(value) else "-"


def _curves(heard: Sequence[Heard]) -> str:
    header = ["epoch", "training, entropy", "new, entropy", "training, mAP", "new, mAP"]
    lines = [[*header, "new, mAP of each fold"]]
    for epoch in heard[0].curve:
        points = np.array([[one.curve[epoch][name] for one in heard] for name in _BOTH])
        entropy, precision = np.moveaxis(points.mean(1), -1, 0)
        lines.append([str(epoch), *(f"{x:.3f}" for x in entropy)])
        lines[-1] += [_percent(x) for x in precision]
        lines[-1].append(" ".join(_percent(x) for x in points[1, :, 1]))
    return table(lines)


def _classes(
    errors: Sequence[FoldErrors], heard: Sequence[Heard], pairs: Sequence[Pair]
) -> str:
    header = ["class", "training clips", "training AP", "new AP", "precision", "recall"]
    lines = [[*header, "recording's share"]]
    known = np.mean([_precisions(one.training, one.posteriors) for one in heard], 0)
    new = np.mean([_precisions(one.split, one.posteriors) for one in errors], 0)
    shares = error_groups.recording_shares(pairs)
    for k, name in enumerate(errors[0].split.class_names):
        clips = np.mean([one.training.weak_label[:, k].sum() for one in heard])
        label = np.concatenate([one.label[:, k] for one in errors])
        tags = np.concatenate([one.tags[:, k] for one in errors])
        hits = (label & tags).sum()
        rates = [hits / max(tags.sum(), 1), hits / max(label.sum(), 1)]
        cells = [_percent(x) for x in (known[k], new[k], *rates)]
        lines.append([name, f"{clips:.0f}", *cells, f"{shares[name]:.2f}"])
    means = [_percent(np.mean(x)) for x in (known, new)]
    return table([*lines, ["mean", "", *means, "", "", _mean_share(shares)]])


def _mean_share(shares: Mapping[str, float]) -> str:
    return f"{mean_defined(shares.values()):.2f}"


def _groups(pairs: Sequence[Pair]) -> str:
    groups: dict[str, Callable[[Pair], Any]] = {
        "SNR from {} dB": lambda p: _from(p.snr_db, _LEVELS),
        "active from {} s": lambda p: _from(p.active_s, _LENGTHS),
        "{} distractors": lambda p: p.num_distractors,
        "{} other classes": lambda p: p.num_others,
        "{} events of the class": lambda p: len(p.recordings),
    }
    lines = [["", "pairs", "recall", "1-s recall", "mean posterior"]]
    for text, group in groups.items():
        for name, one in error_groups.recalls(pairs, group).items():
            rates = [one[key] for key in ("recall", "segment_recall", "posterior")]
            cells = [text.format(name), str(one["pairs"]), *map(_percent, rates)]
            lines.append(cells)
    return table(lines)


def _from(value: float, starts: Sequence[float]) -> float:
    """The start of the group that a value is in, of ascending ones."""
    return max([start for start in starts if start <= value], default=starts[0])


def _recordings(pairs: Sequence[Pair]) -> str:
    """How recall is spread over recordings, of those alone in three clips or more."""
    found: dict[tuple[str, str], list[bool]] = {}
    for pair in pairs:
        if len(pair.recordings) == 1:
            key = pair.label, _short(pair.recordings[0])
            found.setdefault(key, []).append(pair.is_found)
    recalls = {key: np.mean(own) for key, own in found.items() if len(own) >= 3}
    never = [key for key, recall in recalls.items() if recall == 0]
    always = sum(recall == 1 for recall in recalls.values())
    by_class: dict[str, list[str]] = {}
    for label, recording in never:
        by_class.setdefault(label, []).append(recording)
    names = "; ".join(f"{label} {', '.join(own)}" for label, own in by_class.items())
    return (
        f"Of {len(recalls)} recordings that are their class's only one in three clips "
        f"or more, {len(never)} are never found and {always} always. Never: {names}."
    )


def _false_tags_by_distractors(errors: Sequence[FoldErrors]) -> str:
    lines = [["distractors", "clips", "false tags a clip", "missed a clip"]]
    num = np.concatenate([one.num_distractors for one in errors])
    false = np.concatenate([(one.tags & ~one.label).sum(1) for one in errors])
    missed = np.concatenate([(~one.tags & one.label).sum(1) for one in errors])
    for count in sorted({*num.tolist()}):
        own = num == count
        means = [f"{x[own].mean():.2f}" for x in (false, missed)]
        lines.append([str(count), str(own.sum()), *means])
    return table(lines)


def _false_tags(
    errors: Sequence[FoldErrors],
    heard: Callable[[Recipe], set[str]],
    shown: int = _SHOWN,
) -> str:
    lines = [["tagged", "heard", "clips", "false tags", "expected"]]
    most = error_groups.false_tags(errors, heard)[:shown]
    for tagged, name, clips, tags, expected in most:
        lines.append([tagged, name, str(clips), str(tags), f"{expected:.1f}"])
    return table(lines)


def _costs(errors: Sequence[FoldErrors], heard: Sequence[Heard]) -> str:
    as_is = [(one.split, one.posteriors) for one in errors]
    base = error_groups.tag_scores(as_is)
    best = "thresholds: for each class the best for the same clips"
    changed = {"as it is": base, best: {**base, "f1": base["best"]}}
    for text, masks_of in changes(errors[0].split.class_names).items():
        sets = [(e.split, error_groups.as_if(e, **masks_of(e))) for e in errors]
        changed[text] = error_groups.tag_scores(sets)
    sets = [
        (one.split, error_groups.as_heard(one, other.training, other.posteriors))
        for one, other in zip(errors, heard, strict=True)
    ]
    changed["new recordings as training clips"] = error_groups.tag_scores(sets)
    names = errors[0].split.class_names
    without = {}
    for k, name in enumerate(names):
        rest = [n for n in range(len(names)) if n != k]
        without[f"{name} not scored"] = error_groups.tag_scores(as_is, rest)
    most = sorted(without, key=lambda text: -without[text]["mAP"])[:3]
    lines = [["", "tag F1", "more", "mAP", "more"]]
    for text, one in {**changed, **{text: without[text] for text in most}}.items():
        cells = [text]
        for key in ("f1", "mAP"):
            cells += [_percent(one[key]), _percent(one[key] - base[key], "+")]
        lines.append(cells)
    return table(lines)


def changes(
    names: Sequence[str],
) -> dict[str, Callable[[FoldErrors], dict[str, np.ndarray | None]]]:
    """What would do no harm -> the masks of `as_if`."""
    steady = np.isin(names, _STEADY)

    def beside_steady(errors: FoldErrors) -> np.ndarray:
        return steady & (errors.label & steady).any(1, keepdims=True)

    def with_distractors(errors: FoldErrors) -> np.ndarray:
        is_clip = errors.num_distractors > 0
        return np.repeat(is_clip[:, None], errors.label.shape[1], axis=1)

    def with_others(errors: FoldErrors) -> np.ndarray:
        return errors.label & (errors.label.sum(1, keepdims=True) > 1)

    return {
        "classes below 3 dB as those above": lambda e: {
            "positives": e.snr_db < 3,
            "negatives": None,
        },
        "classes active below 2 s as longer ones": lambda e: {
            "positives": e.active_s < 2,
            "negatives": None,
        },
        "clips with distractors as those without": lambda e: {
            "positives": with_distractors(e),
            "negatives": with_distractors(e),
        },
        "classes beside others as those alone": lambda e: {
            "positives": with_others(e),
            "negatives": None,
        },
        "steady sounds not taken for each other": lambda e: {
            "positives": None,
            "negatives": beside_steady(e),
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.diagnosis", __doc__)
    parser.add_argument("--folds", type=Path, required=True, help="a data set in each")
    parser.add_argument("--only", nargs="+", default=[], metavar="FOLD")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--row", required=True, help="of the output's runs")
    parser.add_argument(
        "--epochs", type=int, default=6, metavar="N", help="points of the curve"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
