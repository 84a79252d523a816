"""The official tool's oddities, one small list each, and the plain scores."""

import math

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import EventRow
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.official_tagging import official_tagging
from gcrnn_jax.metrics.tagging import (
    auc,
    average_precision,
    precision_recall,
    tagging_counts,
    tagging_scores,
)


def rows(*texts):
    """`file label`, or `file` alone; `file 0 label` is a row that ends at 0 s."""
    found = []
    for line, text in enumerate(texts, start=1):
        file, *label = text.split()
        offset = 0.0 if label[:-1] == ["0"] else 10.0
        if label:
            found.append(EventRow(file, 0.0, offset, label[-1], line))
        else:
            found.append(EventRow(file, None, None, None, line))
    return found


REFERENCE = rows("a.wav Car", "a.wav Bus", "b.wav Car", "c.wav Bus")


def micro(*estimated):
    scores = official_tagging(REFERENCE, rows(*estimated))
    return scores.micro, scores.all_clips.micro


def test_hits_misses_and_false_alarms_are_summed_over_clips():
    # Hits: a Car, c Bus. False: b Bus. Missed: a Bus, b Car.
    official, plain = micro("a.wav Car", "b.wav Bus", "c.wav Bus")
    assert official == plain == pytest.approx((2 / 3, 2 / 4, 4 / 7))


def test_a_clip_without_a_row_is_no_miss_officially_but_is_one_of_all_clips():
    official, plain = micro("a.wav Car", "a.wav Bus", "b.wav Car")
    assert official == (1.0, 1.0, 1.0)
    assert plain == pytest.approx((1.0, 3 / 4, 6 / 7))


def test_a_clip_with_its_bare_name_is_missed():
    official, plain = micro("a.wav Car", "a.wav Bus", "b.wav Car", "c.wav")
    assert official == plain == pytest.approx((1.0, 3 / 4, 6 / 7))


def test_a_file_that_is_not_in_the_reference_does_not_count():
    official, plain = micro("a.wav Car", "a.wav Bus", "b.wav Car", "c.wav Bus", "d Car")
    assert official == plain == (1.0, 1.0, 1.0)


def test_a_row_that_ends_at_zero_is_dropped_with_its_file_but_is_plainly_a_tag():
    official, plain = micro("a.wav Car", "b.wav Car", "c.wav 0 Car")
    assert official == pytest.approx((1.0, 2 / 3, 4 / 5))  # c.wav does not count
    assert plain == pytest.approx((2 / 3, 2 / 4, 4 / 7))


def test_reference_labels_without_times_count_in_all_clips_only():
    reference = rows("a.wav Car", "a.wav 0 Bus", "b.wav 0 Car")
    scores = official_tagging(reference, rows("a.wav Car", "a.wav Bus", "b.wav Car"))
    assert scores.micro == pytest.approx((1 / 2, 1.0, 2 / 3))  # b.wav is not known
    assert scores.num_files == 1
    assert scores.all_clips.micro == (1.0, 1.0, 1.0)
    assert scores.all_clips.num_clips == 2


def test_a_second_row_of_a_label_is_a_false_alarm_but_not_in_the_class_table():
    estimated = rows("a.wav Car", "a.wav Car", "a.wav Bus", "b.wav Bus", "b.wav Bus")
    scores = official_tagging(REFERENCE, estimated)
    assert scores.micro == pytest.approx((2 / 5, 2 / 3, 1 / 2))
    car, bus = scores.per_class["Car"], scores.per_class["Bus"]
    assert (car.true_positives, car.num_estimated, car.num_reference) == (1, 1, 2)
    # A class that is not in the clip at all is false alarm by row.
    assert (bus.true_positives, bus.num_estimated, bus.num_reference) == (1, 3, 1)
    # Plainly: hits a Car, a Bus; false b Bus; missed b Car, c Bus.
    assert scores.all_clips.micro == pytest.approx((2 / 3, 2 / 4, 4 / 7))


def test_equal_labels_pair_one_to_one_when_the_reference_repeats_them():
    reference = rows("a.wav Car", "a.wav Car", "a.wav Car", "b.wav Car")
    scores = official_tagging(reference, rows("a.wav Car", "a.wav Car", "b.wav"))
    assert scores.micro == pytest.approx((1.0, 2 / 4, 2 / 3))
    assert scores.per_class["Car"].rates == pytest.approx((1.0, 3 / 4, 6 / 7))
    assert scores.all_clips.micro == pytest.approx((1.0, 1 / 2, 2 / 3))


def test_an_unknown_label_is_one_more_class_of_the_macro_average():
    estimated = rows("a.wav Car", "a.wav Bus", "a.wav Tram", "b.wav Car", "c.wav Bus")
    scores = official_tagging(REFERENCE, estimated)
    assert scores.micro == pytest.approx((4 / 5, 1.0, 8 / 9))
    assert scores.macro == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert scores.per_class["Tram"].rates == (0.0, 0.0, 0.0)
    assert scores.all_clips.macro_f1 == pytest.approx(2 / 3)


def test_official_macro_f1_is_that_of_mean_precision_and_mean_recall():
    # Car: precision 1, recall 1/2. Bus: precision 1/2, recall 1/2.
    scores = official_tagging(REFERENCE, rows("a.wav Car", "b.wav Bus", "c.wav Bus"))
    assert scores.macro == pytest.approx((3 / 4, 1 / 2, 3 / 5))
    assert scores.all_clips.macro_official == pytest.approx(scores.macro)
    assert scores.all_clips.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize("name", ["a", "a.flac", "a.wav.txt", " a .wav"])
def test_names_match_up_to_wav_or_flac(name):
    estimated = [EventRow(name, 0.0, 10.0, "Car", 1)]
    scores = official_tagging(rows("a.wav Car"), estimated)
    assert scores.micro == scores.all_clips.micro == (1.0, 1.0, 1.0)


def test_no_estimate_at_all_is_zero_officially_and_without_classes_no_macro():
    scores = official_tagging(REFERENCE, [])
    assert scores.micro == (0.0, 0.0, 0.0)
    assert all(map(math.isnan, scores.macro[:2]))
    assert scores.all_clips.micro.recall == scores.all_clips.micro.f1 == 0.0
    assert math.isnan(scores.all_clips.micro.precision)


def test_a_class_never_tagged_has_f1_zero_and_one_never_there_has_none():
    label = np.array([[1, 1, 0], [1, 0, 0]], bool)
    tags = np.array([[1, 0, 0], [1, 0, 0]], bool)
    scores = tagging_scores(label, tags, None, ["Car", "Bus", "Tram"])
    assert scores.macro_f1 == 0.5  # Car 1, Bus 0
    assert math.isnan(scores.per_class["Bus"].rates.precision)
    assert math.isnan(scores.per_class["Tram"].rates.f1)
    assert scores.macro_official == (0.5, 0.5, 0.5)
    assert math.isnan(scores.mean_average_precision)


def test_mean_average_precision_leaves_out_classes_without_a_label():
    label = np.array([[1, 0], [0, 0], [1, 0]], bool)
    posterior = np.array([[0.9, 0.5], [0.5, 0.5], [0.1, 0.5]])
    scores = tagging_scores(label, posterior > 0.4, posterior, ["Car", "Bus"])
    assert scores.mean_average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert scores.per_class["Car"].auc == 0.5
    assert math.isnan(scores.per_class["Bus"].auc)


def slow_average_precision(label, posterior):
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(posterior.tolist()), reverse=True):
        tagged = [
            bool(y) for y, p in zip(label, posterior, strict=True) if p >= threshold
        ]
        recall = sum(tagged) / label.sum()
        total += (recall - last_recall) * sum(tagged) / len(tagged)
        last_recall = recall
    return total


def slow_auc(label, posterior):
    pairs = [(p, q) for p in posterior[label] for q in posterior[~label]]
    return sum((p > q) + (p == q) / 2 for p, q in pairs) / len(pairs)


@pytest.mark.parametrize("decimals", [1, 8])  # with ties and without
@pytest.mark.parametrize("seed", range(10))
def test_average_precision_and_auc_are_those_of_plain_loops(seed, decimals):
    rng = np.random.default_rng(seed)
    label = rng.random(40) < 0.3
    posterior = np.clip(0.3 * label + 0.7 * rng.random(40), 0, 1).round(decimals)
    expected = slow_average_precision(label, posterior)
    assert average_precision(label, posterior) == pytest.approx(expected, abs=1e-12)
    expected = slow_auc(label, posterior)
    assert auc(label, posterior) == pytest.approx(expected, abs=1e-12)


def test_arrays_that_do_not_fit_are_an_error_with_their_shapes():
    label = np.zeros((3, 2), bool)
    for tags, posterior, names in (
        (np.zeros((3, 1), bool), None, ["Car", "Bus"]),
        (label, np.zeros((2, 2)), ["Car", "Bus"]),
        (label, None, ["Car"]),
    ):
        with pytest.raises(DataError, match=r"\(3, 2\)"):
            tagging_scores(label, tags, posterior, names)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, int, float, np.float16])
def test_labels_of_every_type_score_as_bool_and_others_are_refused(dtype):
    label = np.array([True, False, True, False, False])
    posterior = np.array([0.9, 0.8, 0.7, 0.3, 0.1])
    for metric in (auc, average_precision, precision_recall):
        assert metric(label.astype(dtype), posterior) == metric(label, posterior)
        with pytest.raises(DataError, match="labels of 0 and 1, got 2"):
            metric(2 * label.astype(dtype), posterior)
    pair = label[:, None], posterior[:, None] > 0.5
    typed = [array.astype(dtype) for array in pair]
    assert tagging_counts(*typed).tolist() == tagging_counts(*pair).tolist()
    rest = posterior[:, None], ["Car"]
    assert tagging_scores(*typed, *rest) == tagging_scores(*pair, *rest)
    with pytest.raises(DataError, match="labels of 0 and 1, got 2"):
        tagging_scores(2 * typed[0], typed[1], *rest)
