"""Figures of a split against those of lists, and what is left out of large ones."""

from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.evaluation import labelled
from gcrnn_jax.evaluation.labelled import FIGURES, OF_TABLES, SplitFigures
from gcrnn_jax.evaluation.results import Choice
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.report import systems
from tests.metrics.test_blocks import make_split, posteriors_of


@pytest.fixture(scope="module")
def split():
    return make_split(0)


@pytest.fixture(scope="module")
def row(split):
    posteriors = posteriors_of(split, 0, clip_s=4.0)
    return Evaluator(split, None).with_own_thresholds("mine", posteriors)


def test_every_score_of_the_table_has_the_interval_of_its_figure(split, row):
    found = SplitFigures(split, num_draws=50).add(row)
    assert FIGURES.keys() == {column.key for column in scoring.columns()}
    for key, value in row.scores.values.items():
        estimate = found.estimates[key]
        assert estimate.value == pytest.approx(value, abs=1e-12)
        assert estimate.interval.low < value < estimate.interval.high
    *lines, macro, _ = systems.classes_table(found).splitlines()
    assert macro.startswith("mean of classes")
    assert sum(line.startswith(" ") for line in lines) == 5  # of classes and micro
    header, values, below = systems.systems_table([found]).splitlines()
    assert len(below.split()) == len(scoring.columns()) == len(values.split()) - 2


def test_clips_of_one_recording_are_drawn_together(split):
    ids = [f"r{n % 3}_{n}.000_{n + 1}.000" for n in range(len(split))]
    alike = make_split(0)
    alike.clip_ids, events = tuple(ids), alike.events
    alike.events = dict(zip(ids, events.values(), strict=True))
    posteriors = replace(posteriors_of(split, 0), clip_ids=alike.clip_ids)
    row = Evaluator(alike, None).with_own_thresholds("mine", posteriors)
    figures = SplitFigures(alike, num_draws=10)
    assert figures.draws.groups.tolist() == [n % 3 for n in range(len(split))]
    notes = figures.add(row, Choice(["tagging"])).notes
    assert notes[0].endswith("10 draws of 3 groups of 23 recordings, drawn together")
    assert notes[1].startswith("only 3: intervals are too narrow")
    halves = [*"ab" * 11, "a"]
    assert SplitFigures(alike, groups=halves).draws.groups.tolist() == [*[0, 1] * 11, 0]


def test_what_takes_minutes_is_left_out_and_said(split, row, monkeypatch):
    monkeypatch.setattr(labelled, "MAX_POSTERIORS", row.posteriors.frame.size - 1)
    found = SplitFigures(split, num_draws=10).add(row)
    names = {figure.quantity.partition("[")[0] for figure in found.figures}
    assert {"event_f1", "lwlrap"} <= names and not {"psds1", "event_f1_best"} & names
    assert found.notes[0].startswith("no figures over all thresholds (PSDS, best F1)")


def test_weak_labels_have_figures_of_tags_alone(row):
    weak = make_split(0)
    weak.events = None
    other = Evaluator(weak, None).with_own_thresholds("mine", row.posteriors)
    found = SplitFigures(weak, num_draws=10).add(other)
    names = {figure.quantity.partition("[")[0] for figure in found.figures}
    assert {"tagging_f1", "average_precision"} <= names
    assert not any(name.startswith(("segment", "event", "psds")) for name in names)
    assert found.estimates.keys() == {"f1", "precision", "recall", "mAP"}


def test_a_table_may_have_few_figures(split, row):
    found = SplitFigures(split, num_draws=0).add(row, Choice(OF_TABLES))
    assert found.estimates.keys() == FIGURES.keys() and not found.notes
    assert np.isnan([e.interval for e in found.estimates.values()]).all()
