"""Figures of drawn recordings against the functions of metrics on copied lists."""

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_lists import Event
from gcrnn_jax.errors import DataError
from gcrnn_jax.evaluation import decided
from gcrnn_jax.evaluation.figures import (
    Draws,
    draw,
    figures_of,
    permutation_test,
)
from gcrnn_jax.evaluation.ranked import Calibrated, Ranked
from gcrnn_jax.metrics import (
    Collars,
    Intersection,
    calibration,
    event_scores,
    intersection_scores,
    ranking_scores,
    segment_scores,
    tagging_scores,
)

NAMES = ("Bus", "Car", "Dog", "Tram")  # nobody estimates Dog, there is no Tram
NUM_CLIPS = 12


def random_lists(seed):
    """Events with onsets near each other, so that collars and shares matter."""
    rng = np.random.default_rng(seed)
    lists = ({}, {})
    for n in range(NUM_CLIPS):
        for system, events in enumerate(lists):
            names = ["Bus", "Car", ("Dog", "Tram")[system]]
            events[f"c{n}"] = [
                Event(onset, onset + float(rng.choice([0.4, 1.0, 2.5])), name)
                for name in names
                for onset in rng.choice(np.arange(10) * 0.25, 2, replace=False).tolist()
                if rng.random() < 0.6
            ]
    return lists


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(NUM_CLIPS, [1 / NUM_CLIPS] * NUM_CLIPS, size=6)
    return np.vstack([np.ones(NUM_CLIPS), drawn]).astype(float)


def copied(lists, drawn):
    """Both lists with each recording as often as it was drawn."""
    return [
        {
            f"{name}x{i}": events
            for (name, events), weight in zip(one.items(), drawn, strict=True)
            for i in range(int(weight))
        }
        for one in lists
    ]


def check(measure, weights, lists, expected_of):
    """Figures of all draws equal those of copied lists: averages, and of classes."""
    found = measure.scores(weights)
    assert measure.class_names == NAMES
    for n, drawn in enumerate(weights):
        averages, classes = expected_of(*copied(lists, drawn))
        assert found.averages.keys() == averages.keys()
        for key, value in averages.items():
            np.testing.assert_allclose(found.averages[key][n], value, err_msg=str(key))
        for quantity, values in classes.items():
            np.testing.assert_allclose(found.classes[quantity][n], values)


def of_f1(scores, quantity, error_quantity):
    """Averages and classes that segments and events have alike."""
    sed_eval = getattr(scores, "macro_f1_sed_eval", None)
    averages = {
        (quantity, "micro"): scores.micro.f1,
        (quantity, "macro"): scores.macro_f1,
        (quantity, "macro, sed_eval"): (
            scores.macro_sed_eval.f1 if sed_eval is None else sed_eval
        ),
        (error_quantity, "micro"): scores.error_rate,
        (error_quantity, "macro"): scores.macro_error_rate,
    }
    per_class = scores.per_class.values()
    classes = {
        quantity: [c.rates.f1 for c in per_class],
        error_quantity: [c.error_rate for c in per_class],
    }
    return averages, classes


def test_segments(weights):
    lists = random_lists(0)

    def expected_of(*both):
        scores = segment_scores(*both, NAMES)
        quantities = "segment_f1[1 s]", "segment_error_rate[1 s]"
        averages, classes = of_f1(scores, *quantities)
        for name in ("precision", "recall"):
            averages[f"segment_{name}[1 s]", "micro"] = getattr(scores.micro, name)
            of_classes = [getattr(c.rates, name) for c in scores.per_class.values()]
            classes[f"segment_{name}[1 s]"] = of_classes
        for name in ("substitution_rate", "deletion_rate", "insertion_rate"):
            averages[f"segment_{name}[1 s]", "micro"] = getattr(scores, name)
        return averages, classes

    check(decided.segments(*lists, NAMES, 1.0), weights, lists, expected_of)


@pytest.mark.parametrize("matching", ["optimal", "greedy"])
@pytest.mark.parametrize("collars", [Collars(), Collars(0.5, None)])
def test_events(weights, collars, matching):
    lists = random_lists(1)
    setting = decided.collars_text(collars) + ", greedy" * (matching == "greedy")
    names = f"event_f1[{setting}]", f"event_error_rate[{setting}]"
    options = {"collars": collars, "matching": matching}
    check(
        decided.events(*lists, NAMES, collars, matching=matching),
        weights,
        lists,
        lambda *both: of_f1(event_scores(*both, NAMES, **options), *names),
    )


@pytest.mark.parametrize("end_s", [None, 2.0])
def test_intersections(weights, end_s):
    lists, by = random_lists(2), Intersection(0.5, 0.5)
    durations = end_s and dict.fromkeys(lists[0], end_s)
    quantity = "intersection_f1[dtc 0.5, gtc 0.5]"

    def expected(*both):
        ends = end_s and dict.fromkeys(both[0], end_s)
        scores = intersection_scores(*both, NAMES, criteria=by, durations=ends)
        averages = {
            "micro": scores.micro.f1,
            "macro": scores.macro_f1,
            "macro, psds_eval": scores.macro_f1_psds_eval,
            "macro, sed_scores_eval": scores.macro_f1_sed_scores_eval,
        }
        classes = [c.rates.f1 for c in scores.per_class.values()]
        keyed = {(quantity, name): value for name, value in averages.items()}
        return keyed, {quantity: classes}

    measure = decided.intersections(*lists, NAMES, by, durations)
    check(measure, weights, lists, expected)


def labels(rng):
    """Tags of 12 recordings: no label of the last class, no tag of the third."""
    label, tags = rng.random((2, NUM_CLIPS, 4)) < 0.4
    label[:, 3], tags[:, 2] = False, False
    return label, tags


def repeated(array, drawn):
    return np.repeat(array, drawn.astype(int), axis=0)


def test_tags(weights):
    label, tags = labels(np.random.default_rng(3))
    found = decided.tags(label, tags, NAMES).scores(weights)
    for n, drawn in enumerate(weights):
        both = repeated(label, drawn), repeated(tags, drawn)
        scores = tagging_scores(*both, None, NAMES)
        averages = {
            ("tagging_f1", "micro"): scores.micro.f1,
            ("tagging_f1", "macro"): scores.macro_f1,
            ("tagging_precision", "micro"): scores.micro.precision,
            ("tagging_recall", "micro"): scores.micro.recall,
        }
        assert found.averages.keys() == averages.keys()
        for key, value in averages.items():
            np.testing.assert_allclose(found.averages[key][n], value)
        recalls = [c.rates.recall for c in scores.per_class.values()]
        np.testing.assert_allclose(found.classes["tagging_recall"][n], recalls)


def test_rankings_and_calibration(weights):
    rng = np.random.default_rng(4)
    label, _ = labels(rng)
    scores = rng.random(label.shape).round(1)  # many are equal
    found = Ranked(NAMES, label, scores).scores(weights)
    calibrated = Calibrated(NAMES, label, scores).scores(weights).averages
    for n, drawn in enumerate(weights):
        both = repeated(label, drawn), repeated(scores, drawn)
        expected = ranking_scores(*both, NAMES)
        averages = {
            ("average_precision", "macro"): expected.mean_average_precision,
            ("average_precision", "micro"): expected.micro_average_precision,
            ("auc", "macro"): expected.mean_auc,
            ("d_prime", "macro"): expected.mean_d_prime,
            ("d_prime", "of the macro auc"): expected.d_prime_of_mean_auc,
            ("lwlrap", "micro"): expected.lwlrap,
        }
        assert found.averages.keys() == averages.keys()
        for key, value in averages.items():
            np.testing.assert_allclose(found.averages[key][n], value, err_msg=str(key))
        for quantity in ("average_precision", "auc", "lwlrap"):
            values = [getattr(c, quantity) for c in expected.per_class.values()]
            np.testing.assert_allclose(found.classes[quantity][n], values)
        curve = calibration(*both)
        for quantity, value in {
            "calibration_error[15 bins]": curve.expected_error,
            "brier": curve.brier,
            "log_loss": curve.log_loss,
        }.items():
            np.testing.assert_allclose(calibrated[quantity, "micro"][n], value)


def test_segments_may_have_any_length_but_none():
    lists = {"a": [Event(0.0, 0.25, "Car")]}, {"a": [Event(0.0, 0.15, "Car")]}
    found = decided.segments(*lists, ["Car"], 0.1).scores(np.ones((1, 1)))
    assert found.averages["segment_f1[0.1 s]", "micro"] == 2 * 2 / (2 + 3)
    with pytest.raises(DataError, match="longer than 0 s, got 0"):
        decided.segments(*lists, ["Car"], 0.0)


def test_permutations_tell_systems_apart_and_alike_ones_not():
    """The p of swaps of every recording alone, of which one can count all."""
    label = np.ones((6, 1), bool)
    right, wrong = decided.tags(label, label, ["A"]), decided.tags(label, ~label, ["A"])
    draws = Draws(np.arange(6), 4000, 0)
    p_values = permutation_test(right, wrong, draws)
    # All stay or all change sides: 2 of 64 differ as much as what was seen.
    assert p_values["tagging_recall", "micro"] == pytest.approx(2 / 64, abs=0.01)
    assert permutation_test(right, right, draws)["tagging_f1", "micro"] == 1
    together = permutation_test(right, wrong, Draws(np.array([0, 0, 0, 1, 1, 1]), 4000))
    assert together["tagging_recall", "micro"] == pytest.approx(0.5, abs=0.03)


def test_intervals_are_of_draws_moved_to_the_figure():
    """Draws of a ranking of few are too high: a recording ranks with its copies."""
    rng = np.random.default_rng(5)
    label = np.zeros((60, 1), bool)
    label[:6] = True
    measure = Ranked(("A",), label, rng.random((60, 1)) + 0.2 * label)
    found = draw(measure, Draws(np.arange(60), 500))
    drawn = found.draws.averages["average_precision", "macro"]
    [figure] = [f for f in figures_of(found) if f.average == "macro"][:1]
    value, (low, high) = figure.estimate
    assert drawn.mean() > value + 0.01
    ends = np.percentile(drawn, [2.5, 97.5]) - drawn.mean() + value
    assert [low, high] == pytest.approx([max(ends[0], 0), ends[1]])
    assert low < value < high
    nearly = decided.tags(label, label & (np.arange(60) != 3)[:, None], ["A"])
    figures = figures_of(draw(nearly, Draws(np.arange(60), 500)))
    assert not any(f.estimate.interval.high > 1 for f in figures)
