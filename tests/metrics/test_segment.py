"""Segment-based scores against a loop over segments, and worked by hand."""

import math

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.event_lists import (
    Event,
    EventRow,
    events_by_file,
    read_event_rows,
)
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.segment import SegmentMetric, count_segments, segment_scores

NAMES = ["Bus", "Car", "Tram"]


def random_events(rng, num_files, decimals):
    """Up to four events a file, on a coarse grid of times or a fine one."""

    def event():
        onset = round(float(rng.uniform(0, 8)), decimals)
        length = round(float(rng.uniform(0.1, 4)), decimals) or 1.0
        return Event(onset, onset + length, NAMES[rng.integers(3)])

    return {
        f"{n}.wav": [event() for _ in range(rng.integers(5))] for n in range(num_files)
    }


def slow_counts(reference, estimated, names):
    """sed_eval's counts in plain Python: files, then segments, then classes."""
    counts = dict.fromkeys(("Ntp", "Ntn", "Nfp", "Nfn", "Nref", "Nsys", *"SDI"), 0)

    def active(events, name, s):
        return any(
            e.event_label == name and math.floor(e.onset) <= s < math.ceil(e.offset)
            for e in events
        )

    for file, events in reference.items():
        others = estimated.get(file, [])
        length = math.ceil(max((e.offset for e in events + others), default=0))
        for s in range(length):
            pairs = [(active(events, k, s), active(others, k, s)) for k in names]
            hits, num_reference, num_estimated = (
                sum(r and e for r, e in pairs),
                sum(r for r, _ in pairs),
                sum(e for _, e in pairs),
            )
            counts["Ntp"] += hits
            counts["Ntn"] += sum(not r and not e for r, e in pairs)
            counts["Nfp"] += sum(e and not r for r, e in pairs)
            counts["Nfn"] += sum(r and not e for r, e in pairs)
            counts["Nref"] += num_reference
            counts["Nsys"] += num_estimated
            counts["S"] += min(num_reference, num_estimated) - hits
            counts["D"] += max(0, num_reference - num_estimated)
            counts["I"] += max(0, num_estimated - num_reference)
    return counts


@pytest.mark.parametrize("decimals", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_a_plain_loop_over_segments(seed, decimals):
    rng = np.random.default_rng(seed)
    reference = random_events(rng, 12, decimals)
    estimated = random_events(rng, 11, decimals)  # 11.wav has no estimate
    scores = segment_scores(reference, estimated, NAMES)
    assert scores.counts == slow_counts(reference, estimated, NAMES)
    errors = [scores.substitution_rate, scores.deletion_rate, scores.insertion_rate]
    assert errors == [scores.counts[k] / scores.counts["Nref"] for k in "SDI"]
    assert scores.error_rate == pytest.approx(sum(errors))
    for name in NAMES:
        own = [
            {f: [e for e in events if e.event_label == name] for f, events in x.items()}
            for x in (reference, estimated)
        ]
        counts, score = slow_counts(*own, [name]), scores.per_class[name]
        assert score.true_positives == counts["Ntp"]
        assert score.num_reference == counts["Nref"]
        assert score.num_estimated == counts["Nsys"]
        errors = counts["Nfp"] + counts["Nfn"]
        assert score.error_rate == errors / counts["Nref"]


def test_substitutions_deletions_and_insertions_worked_by_hand():
    reference = {"a.wav": [Event(0, 2, "Car"), Event(0, 1, "Bus")]}
    estimated = {"a.wav": [Event(0, 1, "Car"), Event(1, 2, "Tram"), Event(2, 3, "Bus")]}
    # 0: Car hit, Bus deleted. 1: Car substituted by Tram. 2: Bus inserted.
    scores = segment_scores(reference, estimated)
    assert scores.counts == {
        **{"Ntp": 1, "Ntn": 4, "Nfp": 2, "Nfn": 2, "Nref": 3, "Nsys": 3},
        **{"S": 1, "D": 1, "I": 1},
    }
    assert scores.error_rate == 1.0
    assert scores.substitution_rate == scores.deletion_rate == 1 / 3
    assert scores.insertion_rate == 1 / 3
    assert scores.micro == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert scores.per_class["Bus"].error_rate == 2.0  # one class: no substitutions


def test_overlapping_duplicates_of_a_class_count_once():
    once = {"a.wav": [Event(0.2, 2.5, "Car")]}
    twice = {"a.wav": [Event(0.2, 2.0, "Car"), Event(0.2, 2.0, "Car")]}
    twice["a.wav"].append(Event(1.5, 2.5, "Car"))
    assert segment_scores(twice, once) == segment_scores(once, once)
    assert segment_scores(once, twice).micro == (1.0, 1.0, 1.0)


def test_files_are_those_of_the_reference_rows_without_times_included(tmp_path):
    path = tmp_path / "reference.tsv"
    path.write_bytes(b"a.wav\t0\t2\tCar\r\nb.wav\t0\t0\tCar\r\nc.wav\t0\t1\tCar\r\n")
    reference = events_by_file(strict(read_event_rows(path)))
    estimated = {
        "a.wav": [Event(0, 2, "Car")],
        "b.wav": [Event(0, 3, "Car")],  # false alarms in a clip without times
        "d.wav": [Event(0, 9, "Car")],  # not in the reference
    }
    scores = segment_scores(reference, estimated)  # and c.wav has no estimate
    assert (scores.counts["Ntp"], scores.counts["I"], scores.counts["D"]) == (2, 3, 1)
    assert scores.num_clips == 3


def test_a_class_never_estimated_has_f1_zero_and_in_sed_eval_none():
    reference = {"a.wav": [Event(0, 1, "Car"), Event(0, 1, "Bus")]}
    scores = segment_scores(reference, {"a.wav": [Event(0, 1, "Car")]})
    bus = scores.per_class["Bus"]
    assert (bus.rates.f1, bus.rates.recall) == (0.0, 0.0)
    assert math.isnan(bus.rates.precision)
    assert math.isnan(bus.f1_sed_eval)
    assert (scores.macro_f1, scores.macro_f1_sed_eval) == (0.5, 1.0)
    assert scores.macro_error_rate == 0.5
    assert scores.macro_error_rate_sed_eval == pytest.approx(0.5, rel=1e-15)


def test_a_class_never_there_has_no_error_rate_and_in_sed_eval_one_of_zero():
    events = {"a.wav": [Event(0, 1, "Car")]}
    scores = segment_scores(events, {"a.wav": []}, ["Car", "Bus"])
    assert math.isnan(scores.per_class["Bus"].error_rate)
    assert math.isnan(scores.per_class["Bus"].rates.f1)
    assert scores.macro_error_rate == 1.0
    assert scores.macro_error_rate_sed_eval == pytest.approx(0.5, rel=1e-15)
    # With a false alarm sed_eval divides by 2.2e-16.
    both = {"a.wav": [Event(0, 1, "Car"), Event(0, 1, "Bus")]}
    scores = segment_scores(events, both)
    assert scores.macro_error_rate == 0.0
    assert scores.macro_error_rate_sed_eval == 2.0**51
    assert (scores.macro_f1, scores.macro_f1_sed_eval) == (0.5, 1.0)


def test_a_silent_system_deletes_everything():
    scores = segment_scores({"a.wav": [Event(0, 3, "Car")]}, {})
    assert (scores.error_rate, scores.deletion_rate, scores.micro.f1) == (1.0, 1.0, 0.0)
    assert math.isnan(scores.micro.precision)


def test_nothing_at_all_is_not_a_number_and_not_an_error():
    scores = segment_scores({"a.wav": []}, {"a.wav": []})
    assert math.isnan(scores.micro.f1)
    assert math.isnan(scores.error_rate)
    assert math.isnan(scores.macro_f1)
    assert set(scores.counts.values()) == {0}


def test_a_label_outside_the_classes_given_is_an_error_that_names_it():
    events = {"a.wav": [Event(0, 1, "Tram")]}
    with pytest.raises(DataError, match="'Tram'"):
        segment_scores(events, events, ["Car"])


def test_activities_of_every_type_count_as_bool_and_others_are_refused():
    rng = np.random.default_rng(0)
    pair = rng.random((2, 9, 3)) < 0.5
    expected = count_segments(*pair)
    for dtype in (int, np.uint8, float):
        np.testing.assert_array_equal(count_segments(*pair.astype(dtype)), expected)
    with pytest.raises(DataError, match=r"labels of 0 and 1, got 0\.5"):
        count_segments(pair[0], pair[1] * 0.5)


def test_a_class_of_zero_rows_alone_is_averaged_in_as_the_official_script_does():
    reference = [
        EventRow("a.wav", 0.0, 2.0, "Car", 1),
        EventRow("a.wav", 0.0, 0.0, "Bus", 2),
        EventRow("b.wav", None, None, None, 3),
    ]
    scores = SegmentMetric().list_details(
        reference, [EventRow("a.wav", 0.0, 1.0, "Car", 1)]
    )
    # Car has an error rate of 1/2, Bus of 0 / (0 + eps)
    assert scores.macro_error_rate_sed_eval == pytest.approx(0.25, rel=1e-12)
    assert scores.macro_error_rate == 0.5
    assert scores.macro_f1_sed_eval == scores.macro_f1 == pytest.approx(2 / 3)
