"""Scores of a run: of its epochs while it trains, of its systems once it has.

All processes predict together. The first one alone holds posteriors and scores them,
one system after the other, while the others wait.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from gcrnn_jax.data.store import FeatureStore, Split
from gcrnn_jax.detection.posteriors import NoProbabilityError, PosteriorSet
from gcrnn_jax.errors import DivergedError
from gcrnn_jax.evaluation.labelled import OF_TABLES, SplitFigures
from gcrnn_jax.evaluation.results import Choice
from gcrnn_jax.failpoints import failpoint
from gcrnn_jax.inference.model import TrainedModel
from gcrnn_jax.metrics.decisions import decide
from gcrnn_jax.metrics.evaluator import Evaluator, Row
from gcrnn_jax.metrics.scoring import epoch_line, score
from gcrnn_jax.runs.groups import evaluator_options
from gcrnn_jax.runs.kept_posteriors import (
    collect_in_first,
    predict_epochs,
    predict_fused,
)
from gcrnn_jax.runs.logs import append_scores
from gcrnn_jax.runs.run import Run
from gcrnn_jax.training import phases, processes

Predict = Callable[[Split], PosteriorSet]


def score_epoch(run: Run, epoch: int, model: TrainedModel, watched: Split) -> str:
    """Scores an epoch on the watched split, where the run scores it, and logs it.

    Returns:
        A line to print; "" where there is none, or in another process than the first.

    Raises:
        DivergedError: A posterior is not finite.
    """
    if not run.is_scored(epoch):
        return ""
    failpoint("score.epoch")
    is_saved = epoch in run.saved_epochs and not model.is_large(watched)
    path = run.posteriors(watched, epoch)
    places: dict[str, Path] = {} if is_saved else {"scratch": path.parent}
    try:
        blocks = model.predict_blocks(watched)
        posteriors = collect_in_first(blocks, model.describe(watched), **places)
    except NoProbabilityError as error:
        step = epoch * run.config.training.steps_per_epoch
        raise DivergedError(f"the model of step {step}: {error}") from error
    line = ""
    with phases.phase("evaluating", is_watched=False):  # minutes, of many classes
        if jax.process_index() == 0:
            decisions = decide(posteriors, posteriors.postprocessing)
            scores = score(decisions, posteriors, watched)
            if is_saved:
                posteriors.save(path)
            failpoint("score.write")
            append_scores(run.scores, epoch, watched.name, scores)
            number = f"epoch {epoch}/{run.config.training.num_epochs}"
            line = f"{number}: {epoch_line(watched.name, scores)}"
        processes.barrier("the first process has scored the epoch")
    return line


def score_systems(
    run: Run, store: FeatureStore, model: TrainedModel, averaged: TrainedModel
) -> list[Row]:
    """Scores the last epoch, the fused epochs and the averaged weights side by side.

    Args:
        run: That was trained.
        store: Its features.
        model: Of the run, compiled; it takes the weights of epochs.
        averaged: Of averaged weights.

    Returns:
        In the first process: the three with fitted thresholds, the fused epochs second
        and the averaged weights third; the three with their own; the best constant
        answer. In others none. Of the second alone frames too large for memory stay.
        All have the figures of the table of systems, the second has all figures, each
        with its interval; see `gcrnn_jax.evaluation.labelled`.
    """
    return score_each(run, store, _systems(run, model, averaged), main=1)


def score_each(
    run: Run, store: FeatureStore, systems: Iterator[tuple[str, Predict]], *, main: int
) -> list[Row]:
    """Scores systems side by side; rows as of `score_systems`.

    Args:
        run: Whose thresholds' options count.
        store: With the splits that are reported and fitted to.
        systems: What each is called, and how it predicts a split of the store.
        main: Number of the one whose frames stay, whatever their size.
    """
    split = store.find_split(None)
    fit_split = store.find_fit_split(split)
    options = evaluator_options(run.config.thresholds, split, fit_split)
    evaluator = Evaluator(split, fit_split, **options)
    figures, of_table = SplitFigures(split, groups=options["groups"]), Choice(OF_TABLES)
    rows: list[tuple[Row, Row]] = []
    for name, predict in systems:
        reported = predict(split)
        fitting = predict(fit_split) if fit_split else None
        if jax.process_index() == 0:
            is_main = len(rows) == main
            fitted = evaluator.with_fitted_thresholds(name, reported, fitting)
            fitted = figures.add(fitted, None if is_main else of_table)
            own = figures.add(evaluator.with_own_thresholds(name, reported), of_table)
            own = own.without_large_frames()
            rows.append((fitted if is_main else fitted.without_large_frames(), own))
        del reported, fitting  # and the files without a name that they map
        processes.barrier(f"the first process has scored {name}")
    if not rows:
        return []
    constant = evaluator.best_constant(rows[0][0].posteriors)
    constant = figures.add(constant, of_table)
    return [*(fitted for fitted, _ in rows), *(own for _, own in rows), constant]


def _systems(
    run: Run, model: TrainedModel, averaged: TrainedModel
) -> Iterator[tuple[str, Predict]]:
    """What each of the three is called, and how it predicts a split."""
    last = run.config.training.num_epochs
    fusion = run.config.fusion.of_run(last)

    def predict_fused_epochs(split: Split) -> PosteriorSet:
        return predict_fused(run, fusion, split, model)

    yield f"epoch {last}", lambda split: next(predict_epochs(run, [last], split, model))
    yield f"epochs {fusion} fused", predict_fused_epochs
    yield (
        f"epochs {fusion} averaged",
        lambda split: predict_averaged(run, averaged, split),
    )


def predict_averaged(run: Run, averaged: TrainedModel, split: Split) -> PosteriorSet:
    """Posteriors of a run's model of averaged weights; only the first process has any.

    Those too large for memory lie in the run's folder.
    """
    blocks, fields = averaged.predict_blocks(split), averaged.describe(split)
    return collect_in_first(blocks, fields, scratch=run.folder / "posteriors")
