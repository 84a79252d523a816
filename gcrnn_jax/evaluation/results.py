"""Which figures a system gets, and how two systems compare."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gcrnn_jax.evaluation import decided
from gcrnn_jax.evaluation.best_f1 import best_f1, sought_for_best_f1
from gcrnn_jax.evaluation.curves import PsdsMeasure, sought_for_psds
from gcrnn_jax.evaluation.decided import Decided
from gcrnn_jax.evaluation.figures import (
    Drawn,
    Draws,
    Figure,
    differences,
    draw,
    figures_of,
    permutation_test,
)
from gcrnn_jax.evaluation.measure import Measure
from gcrnn_jax.evaluation.ranked import Calibrated, Ranked, labels_of
from gcrnn_jax.evaluation.reference import Reference
from gcrnn_jax.evaluation.sweep import Sought, Sweep
from gcrnn_jax.evaluation.systems import System
from gcrnn_jax.metrics.event_based import Collars, names_in
from gcrnn_jax.metrics.intersection import Intersection, disjoint_events
from gcrnn_jax.metrics.polyphonic import PSDS1, PSDS2, PsdsParameters, mean_roc
from gcrnn_jax.metrics.reliability import calibration

DECISIONS = ("segment", "event", "intersection", "tagging")
OF_SCORES = ("psds", "best", "ranking", "calibration")
KINDS = (*DECISIONS, *OF_SCORES)


@dataclass(frozen=True)
class Choice:
    """Which figures are computed.

    Attributes:
        kinds: Some of `KINDS`; those of scores only where a system has scores.
        segments_s: Lengths of segments.
        collars: Of events.
        intersections: Of events.
        psds: Parameters by name.
    """

    kinds: Sequence[str] = KINDS
    segments_s: Sequence[float] = (1.0,)
    collars: Sequence[Collars] = (Collars(),)
    intersections: Sequence[Intersection] = (
        Intersection(0.7, 0.7),
        Intersection(0.5, 0.5),
    )
    psds: Mapping[str, PsdsParameters] = dataclasses.field(
        default_factory=lambda: {"psds1": PSDS1, "psds2": PSDS2}
    )


@dataclass(frozen=True, eq=False)
class Result:
    """The figures of one system.

    Attributes:
        measures: By name.
        draws: What was drawn.
        notes: On figures that could not be computed.
    """

    system: System
    measures: Mapping[str, Measure]
    draws: Draws
    notes: Sequence[str]

    @cached_property
    def drawn(self) -> dict[str, Drawn]:
        """The figures of every draw."""
        return {name: draw(one, self.draws) for name, one in self.measures.items()}

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures with their intervals."""
        return [figure for one in self.drawn.values() for figure in figures_of(one)]

    def curves(self) -> dict[str, Any]:
        """PSD-ROC and the ROC of every class, and the reliability curve."""
        found: dict[str, Any] = {}
        for measure in self.measures.values():
            if isinstance(measure, PsdsMeasure):
                rocs = measure.rocs
                names = measure.class_names
                of_classes = {names[k]: _points(roc) for k, roc in rocs.items()}
                content: dict[str, Any] = {"classes": of_classes}
                if rocs:
                    alpha_st = measure.parameters.alpha_st
                    content |= _points(mean_roc(list(rocs.values()), alpha_st))
                found[measure.quantity] = content
            elif isinstance(measure, Calibrated):
                curve = calibration(measure.label, measure.posterior, measure.num_bins)
                names = ("posterior", "labelled", "counts")
                found["reliability"] = {name: getattr(curve, name) for name in names}
        return found


def score_system(
    system: System,
    reference: Reference,
    draws: Draws,
    choice: Choice,
    others: Sequence[str] = (),
) -> Result:
    """The figures of a system.

    Args:
        system: What it found.
        reference: What is there.
        draws: Of the recordings of the reference, in its order.
        choice: Which figures.
        others: Labels of the system that it is compared with, which are classes too.
    """
    names = class_names_of(reference, system, others)
    measures = _of_decisions(system, reference, choice, names)
    notes: list[str] = []
    of_scores = [kind for kind in choice.kinds if kind in OF_SCORES]
    if system.tables is not None:
        more, notes = _of_scores(system, reference, choice)
        measures |= more
    elif of_scores:
        names = ", ".join(of_scores)
        notes.append(f"{system.path} has events alone: no {names}, which need scores")
    return Result(system, measures, draws, notes)


def class_names_of(
    reference: Reference, system: System, others: Sequence[str] = ()
) -> list[str]:
    """The classes of decisions: of a class list, or all labels that occur, sorted."""
    if reference.class_list:
        return list(reference.class_names)
    found = {label for labels in system.labels.values() for label in labels}
    return sorted({*reference.class_names, *found, *others})


class RecordingErrors(NamedTuple):
    """How often a system is wrong about each recording, int [N]; "": not known."""

    quantity: str
    errors: np.ndarray


def errors_of_recordings(result: Result) -> RecordingErrors:
    """Missed and false events of each recording, or segments, or tags."""
    lists = [one for one in result.measures.values() if isinstance(one, Decided)]
    by_quantity = {next(iter(one.scores(_ones(one)).averages))[0]: one for one in lists}
    order = sorted(by_quantity, key=lambda name: not name.startswith("event"))
    if not order:
        return RecordingErrors("", np.zeros(0, int))
    counts, size = by_quantity[order[0]].counts, len(lists[0].class_names)
    hits, estimated, reference = (
        counts[:, i * size : (i + 1) * size].sum(1) for i in range(3)
    )
    errors = np.asarray(estimated + reference - 2 * hits).ravel().astype(int)
    return RecordingErrors(order[0], errors)


def _ones(measure: Decided) -> np.ndarray:
    return np.ones((1, measure.counts.shape[0]))


def compare(own: Result, other: Result) -> list[Figure]:
    """The figures of one system minus those of another, on the same draws."""
    found = []
    for name in own.drawn.keys() & other.drawn.keys():
        pair = own.measures[name], other.measures[name]
        p_values = {}
        if isinstance(pair[0], Decided) and isinstance(pair[1], Decided):
            p_values = permutation_test(pair[0], pair[1], own.draws)
        found += differences(own.drawn[name], other.drawn[name], p_values)
    order = {(f.quantity, f.average): n for n, f in enumerate(own.figures)}
    return sorted(found, key=lambda figure: order[figure.quantity, figure.average])


def _of_decisions(
    system: System, reference: Reference, choice: Choice, names: Sequence[str]
) -> dict[str, Measure]:
    lists = reference.events, system.events, names
    measures: dict[str, Measure] = {}
    if "segment" in choice.kinds:
        for segment_s in choice.segments_s:
            measures[f"segment {segment_s}"] = decided.segments(*lists, segment_s)
    if "event" in choice.kinds:
        for collars in choice.collars:
            for matching in ("optimal", "greedy"):
                name = f"event {collars} {matching}"
                measures[name] = decided.events(*lists, collars, matching=matching)
    if "intersection" in choice.kinds:
        for criteria in choice.intersections:
            options = criteria, reference.durations
            measures[f"{criteria}"] = decided.intersections(*lists, *options)
    if "tagging" in choice.kinds:
        there, found = (
            labels_of([one.labels[file] for file in reference.events], names)
            for one in (reference, system)
        )
        measures["tagging"] = decided.tags(there, found, names)
    return measures


def _of_scores(
    system: System, reference: Reference, choice: Choice
) -> tuple[dict[str, Measure], list[str]]:
    tables, scores = system.tables, system.clip_scores
    assert tables is not None and scores is not None
    measures: dict[str, Measure] = {}
    notes = []
    if {*choice.kinds} & {"psds", "best"}:
        more, notes = _over_thresholds(system, reference, choice)
        measures |= more
    kept = [
        k
        for k, name in enumerate(system.score_names)
        if not reference.class_list or name in reference.class_names
    ]
    names = tuple(system.score_names[k] for k in kept)
    scores = scores[:, kept]
    label = labels_of([reference.labels[file] for file in reference.events], names)
    if "ranking" in choice.kinds:
        measures["ranking"] = Ranked(names, label, scores)
    given = scores[np.isfinite(scores)]
    if "calibration" in choice.kinds and (given < 0).any() | (given > 1).any():
        notes.append("no calibration: scores are not in [0, 1]")
    elif "calibration" in choice.kinds:
        measures["calibration"] = Calibrated(names, label, np.fmax(scores, 0))
    return measures, notes


def _over_thresholds(
    system: System, reference: Reference, choice: Choice
) -> tuple[dict[str, Measure], list[str]]:
    """PSDS and the best F1, for all of which the tables are gone through once."""
    assert system.tables is not None and system.highest is not None
    events = {str(n): own for n, own in enumerate(reference.events.values())}
    names = tuple(names_in(events))
    columns = [system.score_names.index(name) for name in names]
    sweep = Sweep(system.tables, [*events], names, system.highest[:, columns])
    sought: dict[str, Sought] = {}
    notes, durations = [], dict[str, float]()
    if "psds" in choice.kinds and (seconds := _seconds(system, reference)) is None:
        notes.append("PSDS needs --durations: some recordings have no score table")
    elif "psds" in choice.kinds:
        if reference.durations is None:
            notes.append("recordings end where their score tables do (no --durations)")
        durations = {str(n): float(s) for n, s in enumerate(seconds)}
        there = disjoint_events(events, names)
        for name, by in choice.psds.items():
            sought[name] = sought_for_psds(there, durations, by)
    if "best" in choice.kinds:
        for collars in choice.collars:
            sought[f"best {collars}"] = sought_for_best_f1(events, names, collars)
    found: dict[str, Measure] = {}
    counted = dict(zip(sought, sweep.count([*sought.values()]), strict=True))
    for name, by in choice.psds.items() if durations else ():
        options = sweep, sought[name], counted[name], durations
        found[name] = PsdsMeasure(name, *options, parameters=by)
    for collars in choice.collars if "best" in choice.kinds else ():
        name = f"best {collars}"
        found[name] = best_f1(counted[name], names, events, collars)
    return found, notes


def _seconds(system: System, reference: Reference) -> np.ndarray | None:
    """The length of every recording; None: not all are known."""
    if reference.durations is not None:
        return np.array([reference.durations[name] for name in reference.events])
    return None if np.isnan(system.ends).any() else system.ends


def _points(roc: Any) -> dict[str, np.ndarray]:
    return {"efpr": roc.efpr, "tpr": roc.tpr}
