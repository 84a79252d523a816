"""PSDS of draws against tables copied as often as they were drawn."""

import dataclasses

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.evaluation import curves, sweep
from gcrnn_jax.evaluation.curves import PsdsMeasure, sought_for_psds
from gcrnn_jax.evaluation.sweep import Sweep
from gcrnn_jax.metrics import (
    PSDS1,
    PSDS2,
    Intersection,
    PsdsParameters,
    ScoreTable,
    psds,
)
from gcrnn_jax.metrics.polyphonic import classes_of

NAMES = ("Bus", "Car", "Tram")
FEW = PsdsParameters(Intersection(0.5, 0.5), max_efpr=60)
CROSSES = dataclasses.replace(PSDS2, max_efpr=4000)


def random_case(seed, num_clips):
    """Tables with equal scores, events of 0.5 s or more, one clip without any."""
    rng = np.random.default_rng(seed)
    tables, reference, durations = [], {}, {}
    for n in range(num_clips):
        num_frames = int(rng.integers(10, 30))
        times = np.arange(num_frames + 1) * 0.1
        scores = rng.random((num_frames, 3)).round(2)
        events = []
        for k, name in enumerate(NAMES):
            if rng.random() < 0.3 and n:
                first = int(rng.integers(0, num_frames - 5))
                scores[first : first + 5, k] += rng.uniform(0, 0.6)
                onset, offset = times[[first, first + 5]].tolist()
                events.append(Event(onset, offset, name))
        tables.append(ScoreTable(f"c{n}", NAMES, times, scores))
        reference[f"c{n}"], durations[f"c{n}"] = events, float(times[-1])
    return tables, reference, durations


def measure_of(case, parameters):
    """PSDS of tables, a reference and durations, as `evaluate` has it."""
    tables, reference, durations = case
    names, there = classes_of(reference, durations)
    swept = Sweep(tables, list(durations), tuple(names))
    sought = sought_for_psds(there, durations, parameters)
    [counted] = swept.count([sought])
    options = swept, sought, counted, durations
    return PsdsMeasure("psds", *options, parameters=parameters)


def copied(case, weights):
    """The case with each clip as often as its weight says."""
    tables, found = case[0], ([], {}, {})
    for table, weight in zip(tables, weights, strict=True):
        for i in range(int(weight)):
            name = f"{table.clip_id}x{i}"
            found[0].append(dataclasses.replace(table, clip_id=name))
            for of_all, of_drawn in zip(case[1:], found[1:], strict=True):
                of_drawn[name] = of_all[table.clip_id]
    return found


def weights_of(num_clips, num_draws=4):
    """As they are, and drawn; one draw is of a single clip."""
    rng = np.random.default_rng(0)
    even = [1 / num_clips] * num_clips
    drawn = rng.multinomial(num_clips, even, size=num_draws)
    drawn[0], drawn[0, 3] = 0, num_clips
    return np.vstack([np.ones(num_clips), drawn]).astype(float)


@pytest.mark.parametrize("num_clips", [6, 40])  # with 40, most thresholds are left out
@pytest.mark.parametrize("parameters", [PSDS1, PSDS2, FEW, CROSSES])
def test_psds_of_a_draw_is_that_of_copied_recordings(num_clips, parameters):
    case = random_case(num_clips, num_clips)
    measure = measure_of(case, parameters)
    weights = weights_of(num_clips)
    found = measure.scores(weights)
    [values], [classes] = found.averages.values(), found.classes.values()
    assert len(values) == len(weights) == 5
    for drawn, value, of_classes in zip(weights, values, classes, strict=True):
        expected = psds(*copied(case, drawn), parameters)
        np.testing.assert_allclose(value, expected.value, rtol=0, atol=1e-12)
        for name, ours in zip(measure.class_names, of_classes, strict=True):
            if name in expected.per_class:
                assert ours == pytest.approx(expected.class_value(name), abs=1e-12)
            else:
                assert np.isnan(ours)


def test_changes_are_looked_for_again_where_a_draw_needs_more(monkeypatch):
    case, weights = random_case(40, 40), weights_of(40)
    wide = measure_of(case, FEW)
    monkeypatch.setattr(curves, "_SPARE", 0.0)
    narrow = measure_of(case, FEW)
    assert narrow.cost < wide.cost
    before = narrow.cost
    found, expected = (one.scores(weights).averages for one in (narrow, wide))
    assert narrow.cost > before
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)


@pytest.mark.parametrize("parameters", [FEW, CROSSES])
def test_floors_that_rise_leave_the_figures_as_they_are(monkeypatch, parameters):
    (tables, *others), weights = random_case(40, 40), weights_of(40)
    levels = np.linspace(1, 0.2, 40)  # few recordings have most false positives
    case = (
        [
            dataclasses.replace(one, scores=one.scores * level)
            for one, level in zip(tables, levels, strict=True)
        ],
        *others,
    )
    monkeypatch.setattr(curves, "_SPARE", 1.0)
    plain = measure_of(case, parameters)
    monkeypatch.setattr(sweep, "_MOST_NEW", 0)
    risen = measure_of(case, parameters)
    assert risen.cost < plain.cost or parameters is CROSSES  # which needs nearly all
    for key, values in plain.scores(weights).averages.items():
        np.testing.assert_allclose(risen.scores(weights).averages[key], values, 0, 1e-9)
    for roc, other in zip(plain.rocs.values(), risen.rocs.values(), strict=True):
        np.testing.assert_array_equal(roc.tpr, other.tpr)
        np.testing.assert_array_equal(roc.efpr, other.efpr)
