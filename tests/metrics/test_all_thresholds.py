"""Scores over all thresholds against plain loops over each of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import (
    PSDS1,
    PSDS2,
    Collars,
    Intersection,
    PsdsParameters,
    ScoreTable,
    event_scores,
    f1_curves,
    intersection_scores,
    ledger,
    psds,
    psds_of_lists,
)
from gcrnn_jax.metrics.detections import all_detections, changes_in_number
from gcrnn_jax.metrics.intersection import disjoint_events
from gcrnn_jax.metrics.threshold_counts import threshold_counts
from tests.metrics import slow_field
from tests.metrics.slow_field import NAMES, random_case

CRITERIA = [
    Intersection(0.5, 0.5, 0.3),
    Intersection(0.1, 0.7),
    Intersection(1.0, 1.0, 0.1),
    Collars(time_decimals=6),
    Collars(0.3, 0.3, 0.5, 6),
]
DRAWN = PsdsParameters(Intersection(0.3, 0.5, 0.2), 0.7, 0.4, 3000.0)


def given(by, reference):
    is_shares = isinstance(by, Intersection)
    return disjoint_events(reference, NAMES) if is_shares else reference


@pytest.mark.parametrize("by", CRITERIA)
@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_each_threshold_alone(seed, by):
    tables, reference, _ = random_case(seed)
    counts, _ = threshold_counts(tables, given(by, reference), NAMES, by)
    for k, ours in enumerate(counts):
        assert (ours.true_positives[0], ours.false_positives[0]) == (0, 0)
        for score in slow_field.all_scores(tables, k):
            expected = slow_field.count(tables, reference, k, score, by)
            i = ours.index(np.nextafter(score, -np.inf))
            assert ours.true_positives[i] == expected[0]
            assert ours.false_positives[i] == expected[1]
            assert ours.cross_triggers[i] == pytest.approx(expected[2], abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_score_is_above_a_threshold_strictly(seed):
    """At a score itself the counts are those of the scores above it."""
    tables, reference, _ = random_case(seed)
    by = Collars(time_decimals=6)
    (bus, *_), _ = threshold_counts(tables, reference, NAMES, by)
    scores = slow_field.all_scores(tables, 0)
    for score, above in zip(scores[1:], scores, strict=False):
        assert bus.index(score) == bus.index(np.nextafter(above, -np.inf))
        i = bus.index(score)
        expected = slow_field.count(tables, reference, 0, above, by)[:2]
        assert (bus.true_positives[i], bus.false_positives[i]) == expected
    assert bus.index(scores[0]) == bus.index(math.inf) == 0


@pytest.mark.parametrize("by", [PSDS1, PSDS2, DRAWN])
@pytest.mark.parametrize("seed", range(8))
def test_the_area_is_that_of_every_threshold(seed, by):
    case = random_case(seed)
    by = replace(by, max_efpr=by.max_efpr * 20)  # clips are short
    assert psds(*case, by).value == pytest.approx(slow_field.psds(case, by), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_all_thresholds_as_operating_points_give_the_exact_area(seed):
    tables, reference, durations = case = random_case(seed)
    scores = np.unique(np.concatenate([table.scores.ravel() for table in tables]))
    points = [
        {f"{t.clip_id}.wav": t.events(np.nextafter(score, -np.inf)) for t in tables}
        for score in scores
    ]
    by = replace(DRAWN, max_efpr=4e4)
    exact = psds(*case, by)
    points_only = psds_of_lists(points, reference, durations, by)
    assert points_only.value == pytest.approx(exact.value, abs=1e-12)
    fewer = psds_of_lists(points[::3], reference, durations, by)
    for name in exact.per_class:
        assert fewer.class_value(name) <= exact.class_value(name) + 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_one_threshold_of_a_curve_is_the_score_of_its_events(seed):
    tables, reference, _ = random_case(seed)
    estimated = {f"{table.clip_id}.wav": table.events(0.6) for table in tables}
    by = Intersection(0.4, 0.4)
    lists = intersection_scores(reference, estimated, NAMES, criteria=by)
    curves = f1_curves(tables, reference, NAMES, criteria=by)
    assert curves.micro(0.6) == pytest.approx(lists.micro, nan_ok=True)
    collars = Collars(time_decimals=6)
    within = event_scores(reference, estimated, NAMES, collars=collars)
    curves = f1_curves(tables, reference, NAMES, criteria=collars)
    of_reference = [c.rates.f1 for c in within.per_class.values() if c.num_reference]
    assert curves.macro_f1(0.6) == pytest.approx(np.mean(of_reference))
    for name in NAMES:
        ours, theirs = curves.per_class[name].at(0.6), within.per_class[name].rates
        assert ours == pytest.approx(theirs, nan_ok=True)


@pytest.mark.parametrize("by", CRITERIA[1::2])
@pytest.mark.parametrize("seed", range(8))
def test_the_best_threshold_gives_the_best_f1_of_all(seed, by):
    tables, reference, _ = random_case(seed)
    curves = f1_curves(tables, reference, NAMES, criteria=by)
    for k, name in enumerate(NAMES):
        curve = curves.per_class[name]
        number = sum(e[2] == name for rows in reference.values() for e in rows)
        all_f1 = []
        for score in slow_field.all_scores(tables, k):
            true, false, _ = slow_field.count(tables, reference, k, score, by)
            all_f1.append(2 * true / (true + false + number))
        assert curve.best.f1 == pytest.approx(max(all_f1), abs=1e-12)
        assert curve.at(curve.best_threshold).f1 == pytest.approx(curve.best.f1)


@pytest.mark.parametrize("by", CRITERIA)
@pytest.mark.parametrize("most", [0, 1, 3, 6])
@pytest.mark.parametrize("at_a_time", [1, 50, 10_000])
def test_above_the_floor_counts_are_those_without_one(monkeypatch, by, most, at_a_time):
    """All that is left out has more false positives than asked for."""
    monkeypatch.setattr(ledger, "_MOST_NEW", at_a_time)
    tables, reference, _ = random_case(3, num_clips=30, decimals=2)
    there = given(by, reference)
    whole, _ = threshold_counts(tables, there, NAMES, by)
    parts, _ = threshold_counts(tables, there, NAMES, by, max_false_positives=most)
    for all_, part in zip(whole, parts, strict=True):
        assert part.floor > -np.inf
        kept = all_.scores > part.floor
        assert (all_.false_positives[~kept] > most).all() and (~kept).any()
        for name in ("scores", "true_positives", "false_positives"):
            np.testing.assert_array_equal(
                getattr(all_, name)[kept], getattr(part, name)
            )
        np.testing.assert_allclose(
            all_.cross_triggers[kept], part.cross_triggers, atol=1e-9
        )
        with pytest.raises(DataError, match="expected a threshold of"):
            part.index(part.floor - 0.01)


def test_sums_on_the_way_change_nothing(monkeypatch):
    tables, reference, durations = random_case(5, num_clips=20)
    at_once = psds(tables, reference, durations, DRAWN)
    monkeypatch.setattr(ledger, "_MOST_NEW", 10)
    bit_by_bit = psds(tables, reference, durations, DRAWN)
    np.testing.assert_array_equal(at_once.roc.tpr, bit_by_bit.roc.tpr)
    np.testing.assert_allclose(at_once.roc.efpr, bit_by_bit.roc.efpr, rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_detections_are_the_runs_of_every_threshold(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (rng.integers(1, 30), 2)).astype(float)
    table = ScoreTable("a", ("A", "B"), np.arange(len(scores) + 1.0), scores)
    found = all_detections(scores, np.full(2, -np.inf))
    for k in range(2):
        for score in range(6):
            there = (found.column == k) & (found.birth >= score) & (found.death < score)
            spans = sorted(zip(found.first[there], found.end[there], strict=True))
            assert spans == [tuple(run) for run in slow_field.runs(table, k, score)]
    column, score, change = changes_in_number(
        scores, np.full(2, -9.0), np.ones(2, bool)
    )
    for k in range(2):
        for at in range(5):
            number = change[(column == k) & (score >= at)].sum()
            assert number == len(slow_field.runs(table, k, at))


def test_a_long_ramp_is_a_detection_a_frame():
    """The last frame's run is found over all frames before it, one after the other."""
    scores = np.append(np.arange(1.0, 2001.0), 0.5)[:, None]
    found = all_detections(scores, np.array([-np.inf]))
    assert len(found.birth) == 2001
    assert (found.first[-1], found.end[-1], found.death[-1]) == (0, 2001, -np.inf)


TABLE = ScoreTable(
    "a", ("Car",), np.arange(5.0), np.array([[0.1], [0.9], [0.8], [0.3]])
)
REFERENCE = {"a.wav": [Event(1, 3, "Car")]}


def test_equal_scores_of_several_clips_are_one_point():
    tables = [replace(TABLE, clip_id=name) for name in "abc"]
    reference = {name: REFERENCE["a.wav"] for name in "ab"} | {"c": []}
    curve = f1_curves(tables, reference, criteria=Collars()).per_class["Car"]
    assert curve.scores.tolist() == [np.inf, 0.9, 0.8, 0.3]
    assert curve.counts.true_positives.tolist() == [0, 0, 2, 0]
    assert curve.counts.false_positives.tolist() == [0, 3, 1, 3]
    assert curve.best_threshold == pytest.approx(0.55)


def test_the_staircase_has_one_step_where_an_event_is_found():
    other = replace(TABLE, clip_id="b")
    durations = {"a.wav": 1800.0, "b.wav": 1800.0}
    found = psds([TABLE, other], REFERENCE, durations, PSDS1)
    car = found.per_class["Car"]  # at 0.8 it is found, and detected falsely in b
    assert (car.efpr.tolist(), car.tpr.tolist()) == ([0.0, 1.0], [0.0, 1.0])
    assert car.scores.tolist() == [np.inf, 0.8]
    assert found.value == found.class_value("Car") == pytest.approx(0.99)
    assert found.roc.efpr.tolist() == [0.0, 1.0]


def test_the_deviation_of_classes_counts_against_a_system():
    scores = np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.1]])
    table = ScoreTable("a", ("Bus", "Car"), np.arange(4.0), scores)
    reference = {"a": [Event(1, 2, "Bus"), Event(1, 2, "Car")]}
    by = replace(PSDS1, alpha_st=0.5)  # Bus is found, Car is not: mean and sd are 1/2
    assert psds([table], reference, {"a": 3.0}, by).value == pytest.approx(0.25)
    assert psds([table], reference, {"a": 3.0}, PSDS1).value == 0


def test_a_cross_trigger_counts_by_the_seconds_that_it_could_have_met():
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.1, 0.7]])
    table = ScoreTable("a", ("Bus", "Car"), np.array([0.0, 100, 1000, 3600]), scores)
    reference = {"a": [Event(100, 1000, "Car"), Event(0, 100, "Bus")]}
    by = PsdsParameters(Intersection(0.5, 0.5, 0.5), 0.5, 0.0, 10.0)
    found = psds([table], reference, {"a": 3600.0}, by)
    # At 0.9 Bus is found; at 0.8 it is a false one, most of it in 900 s of Car.
    assert found.per_class["Bus"].efpr.tolist() == [0.0]
    count = threshold_counts(
        [table], disjoint_events(reference, ["Bus", "Car"]), ["Bus", "Car"], by.criteria
    )[0][0]
    assert count.cross_triggers.tolist() == [0, 0, 1 / 900, 0]


def test_overlaps_and_rows_without_length_are_merged_or_left_out_and_counted():
    rows = [Event(1, 2.5, "Car"), Event(2, 3, "Car"), Event(2, 2, "Car")]
    found = psds([TABLE], {"a": rows}, {"a": 4.0})
    assert (found.value, found.num_merged, found.num_empty) == (1.0, 1, 1)
    curves = f1_curves([TABLE], {"a": rows}, criteria=Intersection())
    assert (curves.num_merged, curves.num_empty) == (1, 1)
    assert curves.per_class["Car"].best == (1.0, 1.0, 1.0)


def test_absent_classes_and_empty_lists_have_an_answer():
    assert math.isnan(psds([TABLE], {"a": []}, {"a": 4.0}).value)
    assert math.isnan(psds_of_lists([{}], {"a": []}, {"a": 4.0}).value)
    assert psds_of_lists([], REFERENCE, {"a.wav": 4.0}).value == 0
    curves = f1_curves([TABLE], {"a": []}, ["Car"], criteria=Collars())
    car = curves.per_class["Car"]
    assert math.isnan(car.rates.f1[0]) and (car.rates.f1[1:] == 0).all()
    assert car.best_threshold == np.inf and math.isnan(curves.best_macro_f1())
    silent = replace(TABLE, scores=np.full((4, 1), -np.inf))
    never = f1_curves([silent], REFERENCE, criteria=Collars())
    assert (never.best_macro_f1(), never.per_class["Car"].best.recall) == (0, 0)
    everything = replace(TABLE, scores=np.ones((4, 1)))
    whole = f1_curves([everything], {"a": [Event(0, 4, "Car")]}, criteria=Collars())
    assert whole.best_thresholds() == {"Car": -np.inf}


def test_clips_are_those_asked_for_and_each_has_a_table():
    other = replace(TABLE, clip_id="b")
    assert psds([TABLE, other], REFERENCE, {"a.wav": 4.0}).num_ignored == 1
    curves = f1_curves([TABLE, other], REFERENCE, criteria=Collars())
    assert curves.num_ignored == 1
    assert curves.per_class["Car"].counts.false_positives.max() == 1
    with pytest.raises(DataError, match="1 of 2 clips have no score table, first b"):
        psds([TABLE], REFERENCE, {"a.wav": 4.0, "b.wav": 4.0})
    with pytest.raises(DataError, match="1 of 1 files .* no duration, first a.wav"):
        psds([TABLE], REFERENCE, {})
    with pytest.raises(DataError, match="a: expected one score table, got two"):
        f1_curves([TABLE, TABLE], REFERENCE, criteria=Collars())
    with pytest.raises(DataError, match="the table has no column 'Bus'"):
        f1_curves([TABLE], REFERENCE, ["Bus", "Car"], criteria=Collars())
    with pytest.raises(DataError, match="can be read twice"):
        psds(iter([TABLE]), REFERENCE, {"a.wav": 4.0})


def test_parameters_that_no_score_has_are_refused():
    with pytest.raises(DataError, match="expected both or neither"):
        PsdsParameters(Intersection(cttc=0.3))
    with pytest.raises(DataError, match="expected both or neither"):
        PsdsParameters(Intersection(), alpha_ct=0.5)
    with pytest.raises(DataError, match="max_efpr above 0"):
        PsdsParameters(Intersection(), max_efpr=0)
    with pytest.raises(DataError, match=r"expected dtc in \[0, 1\], got 1.1"):
        Intersection(dtc=1.1)
