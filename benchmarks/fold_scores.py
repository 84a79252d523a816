"""Systems scored on each of several folds, and the means and differences over folds.

The score of a system is the mean over the folds, on each the mean over its trainings. A
draw of the bootstrap draws the clips of every fold anew, as many as the fold has and
the same for all systems, so that differences hold what makes a clip hard for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcrnn_jax.config import load_config
from gcrnn_jax.data.store import Split
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.metrics import Column, Evaluator, scoring
from gcrnn_jax.metrics.bootstrap import (
    Estimate,
    bootstrap,
    draw_weights,
    interval_of,
)
from gcrnn_jax.runs.groups import evaluator_options

# Where thresholds come from, the first two from the other half of the validation clips.
WAYS = {
    "class": "A threshold for each class",
    "one": "One threshold",
    "fixed": "Thresholds of the configurations",
}
COLUMNS = [column for column in scoring.columns() if column.is_main]


@dataclass(frozen=True)
class FoldScores:
    """Of all systems on one fold, by system, kind of thresholds and key of a score."""

    values: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]  # [trainings]
    drawn: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]  # [draws], their mean


def score_fold(
    split: Split,
    systems: Mapping[str, Sequence[PosteriorSet]],
    *,
    num_draws: int = 10_000,
    seed: int = 0,
) -> FoldScores:
    """Scores the trainings of each system on a fold, and on draws of its clips.

    Args:
        split: Validation clips of the fold.
        systems: Posteriors of each training of every system, with the thresholds of
            its configuration.
        num_draws: With replacement.
        seed: Of the draws; another one for each fold.

    Raises:
        DataError: Posteriors are of other clips or classes.
    """
    names = [name for name, trainings in systems.items() for _ in trainings]
    trainings = [one for of_system in systems.values() for one in of_system]
    options: dict[str, Any] = {"num_draws": num_draws, "seed": seed}
    defaults = evaluator_options(load_config("sed").thresholds, split, None)
    precision = np.stack([_drawn_precision(split, one, **options) for one in trainings])
    values: dict[str, Any] = {name: {} for name in systems}
    drawn: dict[str, Any] = {name: {} for name in systems}
    for way in WAYS:
        chosen: dict[str, Any] = defaults if way == "class" else {"per_class": False}
        evaluator = Evaluator(split, None, **chosen)
        rows = [
            evaluator.with_own_thresholds("", one)
            if way == "fixed"
            else evaluator.with_fitted_thresholds("", one, None)
            for one in trainings
        ]
        counts = [scoring.clip_counts(r.decisions, r.posteriors, split) for r in rows]
        scores = bootstrap(counts, **options)
        for name in systems:
            own = [number for number, other in enumerate(names) if other == name]
            values[name][way] = {
                c.key: np.array([rows[n].scores.values[c.key] for n in own])
                for c in COLUMNS
            }
            drawn[name][way] = {
                c.key: precision[own].mean(0)
                if not c.is_summed
                else scores.drawn[own][..., scores.names.index(c.key)].mean(0)
                for c in COLUMNS
            }
    return FoldScores(values, drawn)


def _drawn_precision(
    split: Split, posteriors: PosteriorSet, *, num_draws: int, seed: int
) -> np.ndarray:
    """The mAP on the draws of `bootstrap`, [R]."""
    label, posterior = np.asarray(split.weak_label), posteriors.clip
    weights = draw_weights(len(split), num_draws, seed)
    return np.concatenate([mean_precision(label, posterior, w) for w in weights])


def mean_precision(
    label: np.ndarray, posterior: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean average precision of clips that count so often, over the classes they have.

    Args:
        label: bool [N, K].
        posterior: [N, K].
        weights: How often each clip counts, [R, N].

    Returns:
        [R], as `average_precision` of clips that are there so often; nan where no
        class has a clip.

    Example:
        >>> label = np.array([[True], [False], [True]])
        >>> posterior = np.array([[0.9], [0.5], [0.1]])
        >>> mean_precision(label, posterior, np.array([[1, 1, 1], [1, 2, 1]])).tolist()
        [0.8333333333333333, 0.75]
    """
    of_classes = []
    for is_class, of_class in zip(label.T, posterior.T, strict=True):
        order = np.argsort(-of_class, kind="stable")
        is_last = np.append(np.diff(of_class[order]) != 0, True)  # of equal posteriors
        counts = weights[:, order]
        hits = np.cumsum(counts * is_class[order], axis=1)[:, is_last]
        estimated = np.cumsum(counts, axis=1)[:, is_last]
        precision = hits / np.maximum(estimated, 1)
        total = (np.diff(hits, prepend=0) * precision).sum(1)
        with np.errstate(invalid="ignore"):
            of_classes.append(total / hits[:, -1])  # nan without a clip of the class
    stacked = np.stack(of_classes)
    count = np.isfinite(stacked).sum(0)
    return np.where(count, np.nansum(stacked, 0), np.nan) / np.maximum(count, 1)


def over_folds(folds: Mapping[str, FoldScores], base: str) -> dict[str, Any]:
    """Each system's means over folds, its folds, and its differences to a base.

    Args:
        folds: By name; of the same systems.
        base: The system that the others are compared with.

    Returns:
        System -> kind of thresholds -> key of a score -> "mean", the `Estimate` of it;
        "folds", the mean over trainings of each fold; "trainings", all; and
        "difference", the `Estimate` of what it has more than the base.
    """
    systems = next(iter(folds.values())).values
    return {
        name: {
            way: {c.key: _summary(folds, name, base, way, c.key) for c in COLUMNS}
            for way in WAYS
        }
        for name in systems
    }


def _summary(
    folds: Mapping[str, FoldScores], name: str, base: str, way: str, key: str
) -> dict[str, Any]:
    def of(system: str) -> tuple[float, np.ndarray]:
        values = [fold.values[system][way][key].mean() for fold in folds.values()]
        drawn = [fold.drawn[system][way][key] for fold in folds.values()]
        return float(np.mean(values)), np.mean(drawn, axis=0)

    (value, drawn), (base_value, base_drawn) = of(name), of(base)
    trainings = {fold: one.values[name][way][key] for fold, one in folds.items()}
    return {
        "mean": Estimate(value, interval_of(drawn)),
        "folds": {fold: float(own.mean()) for fold, own in trainings.items()},
        "trainings": trainings,
        "difference": Estimate(value - base_value, interval_of(drawn - base_drawn)),
    }


def markdown(content: Mapping[str, Any]) -> str:
    """The tables as text, from what `benchmarks.folds` writes as JSON."""
    clips = ", ".join(f"{fold}: {num}" for fold, num in content["folds"].items())
    parts = [
        content["heading"],
        f"Clips of the folds {clips}. Commit {content['commit']}, {content['date']}.",
    ]
    for way, title in WAYS.items():
        parts += [f"## {title}", _scores(content, way)]
        if len(content["rows"]) > 1:
            parts.append(f"What each has more than {content['base']}:")
            parts.append(_differences(content, way))
    parts += ["## Rows", *map(_row_text, content["rows"])]
    if content["unfinished"]:
        names = ", ".join(content["unfinished"])
        parts.append(f"Not there on every fold, and so left out: {names}.")
    return "\n\n".join(parts) + "\n"


def _scores(content: Mapping[str, Any], way: str) -> str:
    times = ["minutes", "of a processor"]
    lines = [["row", *(c.heading for c in COLUMNS), "trainings a fold", *times]]
    for row in content["rows"]:
        cells = [_spread(c, row["scores"][way][c.key]) for c in COLUMNS]
        minutes = (row["wall_s"], row["cpu_s"])
        texts = ["-" if s is None else f"{s / 60:.1f}" for s in minutes]
        lines.append([row["name"], *cells, str(row["trainings"]), *texts])
    return table(lines)


def _spread(column: Column, scores: Mapping[str, Any]) -> str:
    folds = scores["folds"].values()
    low, high = (column.short_text(x) for x in (min(folds), max(folds)))
    return f"{column.short_text(scores['mean']['value'])} ({low} - {high})"


def _differences(content: Mapping[str, Any], way: str) -> str:
    lines = [["row", *(c.heading for c in COLUMNS)]]
    for row in content["rows"]:
        if row["name"] != content["base"]:
            scores = row["scores"][way]
            cells = [_difference(c, scores[c.key]["difference"]) for c in COLUMNS]
            lines.append([row["name"], *cells])
    return table(lines)


def _difference(column: Column, difference: Mapping[str, Any]) -> str:
    """Bold where the interval excludes 0."""
    low, high = difference["interval"].values()
    text = cell(column, Estimate(difference["value"], (low, high)), "+")  # type: ignore
    return f"**{text}**" if low > 0 or high < 0 else text


def _row_text(row: Mapping[str, Any]) -> str:
    if row["fused"]:
        return f"{row['name']}: the mean posteriors of {', '.join(row['fused'])}."
    flags = " ".join(row["flags"])
    return f"{row['name']}: `{flags}`" if flags else f"{row['name']}: flags not known."


def cell(column: Column, estimate: Estimate, sign: str = "") -> str:
    """A score with its interval, as "63.2 (59.5 to 66.8)", if it has one."""
    value, (low, high) = estimate
    if np.isnan(low):
        return column.short_text(value, sign)
    texts = [column.short_text(x, sign) for x in (value, low, high)]
    return "{} ({} to {})".format(*texts)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the header first, as a table of Markdown."""
    rule = ["---"] * len(lines[0])
    rows = [lines[0], rule, *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
