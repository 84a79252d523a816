"""Intersection-based scores, worked by hand; over many cases in test_all_thresholds."""

import math
import subprocess
import sys

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics import Intersection, intersection_scores
from gcrnn_jax.metrics.intersection import disjoint_events

CAR = [Event(0.0, 10.0, "Car")]


def counts(reference, estimated, **shares):
    by = Intersection(**shares)
    scores = intersection_scores({"a": reference}, {"a": estimated}, criteria=by)
    car = scores.per_class["Car"]
    return car.true_positives, car.false_positives


@pytest.mark.parametrize(
    ("estimated", "expected"),
    [
        ([(0, 7)], (1, 0)),  # 70 % of the event
        ([(0, 6.9)], (0, 0)),  # relevant, and too short to find it
        ([(3, 13)], (1, 0)),  # 70 % of the detection, and of the event
        ([(3, 13.1)], (0, 1)),
        ([(0, 4), (5, 8)], (1, 0)),  # together 70 %
        ([(0, 4), (5, 7.9)], (0, 0)),
        ([(0, 4), (5, 15)], (0, 1)),  # the second does not count: half of it is outside
        ([(20, 21)], (0, 1)),
        ([], (0, 0)),
    ],
)
def test_shares_of_events_and_detections_decide(estimated, expected):
    assert counts(CAR, [Event(*times, "Car") for times in estimated]) == expected


def test_a_detection_over_two_events_may_find_both():
    reference = [Event(0, 4, "Car"), Event(5, 9, "Car")]
    assert counts(reference, [Event(0, 9, "Car")]) == (2, 0)


def test_where_a_share_is_exactly_met_decimals_and_float64_differ():
    """0.7 of 0.3 s is 0.21 s; the difference of 0.51 and 0.3 is a little more."""
    reference, estimated = [Event(0.1, 0.4, "Car")], [Event(0.1, 0.31, "Car")]
    assert (0.31 - 0.1) / (0.4 - 0.1) < 0.7
    assert counts(reference, estimated, time_decimals=6) == (1, 0)
    assert counts(reference, estimated, time_decimals=None) == (0, 0)


def test_what_shares_nothing_fulfils_no_share():
    nothing = {"dtc": 0.0, "gtc": 0.0}
    assert counts(CAR, [Event(20, 21, "Car")], **nothing) == (0, 1)
    assert counts(CAR, [Event(9.9, 21, "Car")], **nothing) == (1, 0)


def test_cross_triggers_are_false_detections_within_another_class():
    reference = [Event(0, 10, "Car"), Event(10, 20, "Bus"), Event(30, 31, "Tram")]
    estimated = [
        Event(4, 12, "Car"),  # relevant: no cross-trigger of Bus
        Event(9, 19, "Tram"),  # 1 s of Car, 9 s of Bus
        Event(8, 12, "Tram"),  # overlaps the one before: 8 - 19
    ]
    by = Intersection(0.5, 0.5, 0.2)
    scores = intersection_scores({"a": reference}, {"a": estimated}, criteria=by)
    assert list(scores.per_class) == ["Bus", "Car", "Tram"]
    assert scores.cross_triggers.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert (scores.num_merged, scores.num_empty) == ((0, 1), (0, 0))


def test_overlaps_merge_touching_events_do_not_and_both_are_counted():
    rows = {"a.wav": [Event(1, 3, "Car"), Event(0, 2, "Car"), Event(1, 2, "Car")]}
    rows["b.wav"] = [Event(0, 1, "Car"), Event(1, 2, "Car"), Event(1, 1, "Car")]
    merged = disjoint_events(rows, ["Bus", "Car"])
    assert merged.by_clip["a"][1].tolist() == [[0, 3]]
    assert merged.by_clip["b"][1].tolist() == [[0, 1], [1, 2]]
    assert merged.num_events.tolist() == [0, 3]
    assert merged.seconds.tolist() == [0, 5]
    assert (merged.num_merged, merged.num_empty) == (2, 1)


def test_three_macro_averages_where_classes_are_absent_or_never_found():
    reference = {"a": [Event(0, 1, "Car"), Event(3, 4, "Bus")], "b": []}
    estimated = {"a": [Event(0, 1, "Car")], "b": [Event(0, 1, "Tram")]}
    scores = intersection_scores(reference, estimated, ["Bus", "Car", "Dog", "Tram"])
    f1 = {name: one.rates.f1 for name, one in scores.per_class.items()}
    assert (f1["Bus"], f1["Car"], f1["Tram"]) == (0, 1, 0) and math.isnan(f1["Dog"])
    assert scores.macro_f1 == pytest.approx(1 / 3)
    assert scores.macro_f1_sed_scores_eval == 0.5
    assert scores.macro_f1_psds_eval == 1
    assert scores.micro.f1 == 0.5
    assert math.isnan(intersection_scores({}, {}).macro_f1)


def test_detections_after_the_end_of_a_clip_are_not_false_for_psds_eval():
    reference, estimated = {"a": CAR}, {"a": [Event(11, 12, "Car")]}
    late = intersection_scores(reference, estimated, durations={"a": 11.0})
    assert late.per_class["Car"].false_positives == 0
    within = intersection_scores(reference, estimated, durations={"a": 11.5})
    assert within.per_class["Car"].false_positives == 1
    with pytest.raises(DataError, match="a: expected a duration in seconds, got nan"):
        intersection_scores(reference, estimated, durations={})


def test_unknown_labels_and_names_that_differ_in_their_end_are_errors():
    with pytest.raises(DataError, match="a: 'Car' is not among the classes"):
        intersection_scores({"a": CAR}, {}, ["Bus"])
    with pytest.raises(DataError, match="names that differ in their end only"):
        intersection_scores({"a.wav": CAR, "a.flac": CAR}, {})


def test_scores_of_the_field_come_without_jax():
    code = """if True:
        import sys
        from gcrnn_jax import metrics
        assert callable(metrics.psds) and callable(metrics.event_scores)
        heavy = {"jax", "scipy", "matplotlib", "librosa", "pandas"} & sys.modules.keys()
        sys.exit(str(heavy) if heavy else 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_counts_are_integers_that_json_can_hold():
    scores = intersection_scores({"a": CAR}, {"a": CAR})
    car = scores.per_class["Car"]
    values = car.true_positives, car.false_positives, car.num_reference
    assert all(type(value) is int for value in values)
    assert np.issubdtype(scores.cross_triggers.dtype, np.integer)
