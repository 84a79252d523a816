"""Event-based scores against sed_eval's figures, and worked by hand."""

import json
import math

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.event_lists import Event, events_by_file, read_event_rows
from gcrnn_jax.errors import DataError
from gcrnn_jax.metrics.event_based import Collars, event_scores
from gcrnn_jax.metrics.matching import greedy_matching, num_pairs, optimal_matching

SETTINGS = {
    "onset and offset, 0.2 s, 20 %, greedy": (Collars(), "greedy"),
    "onset and offset, 0.2 s, 20 %, optimal": (Collars(), "optimal"),
    "onset and offset, 0.2 s, 50 %, optimal": (Collars(offset_share=0.5), "optimal"),
    "onset only, 0.2 s, optimal": (Collars(offset_s=None), "optimal"),
}
KEY = "sed_eval event-based of estimated.tsv"


def lists(case):
    return [
        events_by_file(strict(read_event_rows(case / f"{name}.tsv")))
        for name in ("reference", "estimated")
    ]


def class_names(case):
    return (case / "classes.txt").read_text(encoding="utf-8").split("\n")[:-1]


def cases(folder):
    found = sorted(path.parent for path in folder.glob("*/expected.json"))
    assert len(found) == 30
    return found


def same(value, expected):
    expected = math.nan if expected is None else expected
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-9)


def check_case(case, setting):
    collars, matching = SETTINGS[setting]
    names = class_names(case)
    scores = event_scores(*lists(case), names, collars=collars, matching=matching)
    golden = json.loads((case / "expected.json").read_text())[KEY][setting]
    for name in names:
        ours, theirs = scores.per_class[name], golden["class_wise"][name]
        same(ours.rates_sed_eval.f1, theirs["f_measure"]["f_measure"])
        same(ours.rates.precision, theirs["f_measure"]["precision"])
        same(ours.rates.recall, theirs["f_measure"]["recall"])
        same(ours.error_rate_sed_eval, theirs["error_rate"]["error_rate"])
        if ours.num_reference:
            same(ours.error_rate, theirs["error_rate"]["error_rate"])
            same(ours.deletion_rate, theirs["error_rate"]["deletion_rate"])
            same(ours.insertion_rate, theirs["error_rate"]["insertion_rate"])
        assert ours.num_reference == theirs["count"]["Nref"]
        assert ours.num_estimated == theirs["count"]["Nsys"]
    for kind in ("error_rate", "substitution_rate", "deletion_rate", "insertion_rate"):
        same(getattr(scores, kind), golden["overall"]["error_rate"][kind])
    for ours, theirs in (
        (scores.micro, golden["overall"]),
        (scores.macro_sed_eval, golden["class_wise_average"]),
    ):
        same(ours.f1, theirs["f_measure"]["f_measure"])
        same(ours.precision, theirs["f_measure"]["precision"])
        same(ours.recall, theirs["f_measure"]["recall"])
    macro = golden["class_wise_average"]["error_rate"]["error_rate"]
    same(scores.macro_error_rate_sed_eval, macro)


@pytest.mark.parametrize("setting", SETTINGS)
def test_scores_are_those_of_sed_eval(goldens, setting):
    for case in cases(goldens / "field"):
        check_case(case, setting)


@pytest.mark.parametrize(
    ("reference", "estimated", "is_hit"),
    [
        ((0.3, 1.0), (0.1, 1.0), True),  # 0.3 - 0.1 is 0.19999999999999998
        ((0.1, 1.0), (0.3, 1.0), True),
        ((0.9, 2.0), (1.1, 2.0), False),  # 1.1 - 0.9 is 0.20000000000000007
        ((0.0, 1.0), (0.0, 1.2), True),  # 1.2 - 1.0 is 0.19999999999999996
        ((0.0, 2.0), (0.0, 2.4), True),  # 20 % of 2 s are 0.4 s
        ((0.0, 2.0), (0.0, 2.41), False),
        ((0.0, 0.5), (0.0, 0.7), True),  # 20 % are 0.1 s, less than 0.2 s
    ],
)
def test_a_collar_itself_is_allowed_as_far_as_float64_knows_it(
    reference, estimated, is_hit
):
    times = np.array([reference]), np.array([estimated])
    assert len(Collars().pairs(*times)) == is_hit
    if reference == (0.9, 2.0):
        assert len(Collars(time_decimals=6).pairs(*times)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_pairs_are_those_of_every_event_with_every_other(seed):
    rng = np.random.default_rng(seed)
    times = [rng.integers(0, 30, (n, 2)) / 10 for n in rng.integers(0, 9, 2)]
    collars = Collars(
        0.1 * (seed % 4), (0.2, None)[seed % 2], 0.3, (None, 6)[seed % 3 % 2]
    )

    def is_within(distance, collar):
        if collars.time_decimals:
            return round(abs(distance) - collar, 6) <= 0
        return abs(distance) <= collar

    expected = [
        [r, e]
        for r, (onset, offset) in enumerate(times[0].tolist())
        for e, other in enumerate(times[1].tolist())
        if is_within(onset - other[0], collars.onset_s)
        and (
            collars.offset_s is None
            or is_within(offset - other[1], max(0.2, 0.3 * (offset - onset)))
        )
    ]
    assert collars.pairs(*times).tolist() == expected


@pytest.mark.parametrize("seed", range(50))
def test_the_optimal_matching_is_as_large_as_scipys(seed):
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rng = np.random.default_rng(seed)
    hits = rng.random(rng.integers(1, 12, 2)) < rng.uniform(0.05, 0.6)
    listed = np.argwhere(hits)
    pairs = optimal_matching(listed)
    size = int((maximum_bipartite_matching(csr_matrix(hits)) >= 0).sum())
    assert len(pairs) == len(set(pairs.values())) == num_pairs(listed) == size
    assert all(hits[pair] for pair in pairs.items())
    assert len(greedy_matching(listed)) <= size


def test_a_chain_longer_than_pythons_stack_is_matched():
    """Only the last reference is free, and every event must move on by one."""
    n = 3000
    hits = np.eye(n, dtype=bool) | np.eye(n, k=-1, dtype=bool)
    hits = np.hstack([hits, np.zeros((n, 1), bool)])
    hits[0, n] = True  # comes last, finds its only reference taken
    hits[n - 1, n - 1] = False
    assert len(optimal_matching(np.argwhere(hits))) == n


EVENTS = [Event(0.0, 1.0, "Car"), Event(0.1, 1.1, "Car")]
FOUND = [Event(0.15, 1.0, "Car"), Event(-0.15, 1.0, "Car")]  # the first fits both


def test_a_greedy_matching_takes_what_another_event_needs():
    greedy = event_scores({"a": EVENTS}, {"a": FOUND}, matching="greedy")
    optimal = event_scores({"a": EVENTS}, {"a": FOUND})
    assert greedy.per_class["Car"].true_positives == 1
    assert optimal.per_class["Car"].true_positives == 2


def test_empty_lists_absent_and_never_estimated_classes_have_two_macro_averages():
    reference = {"a": [Event(0, 1, "Car"), Event(3, 4, "Bus")], "b": []}
    scores = event_scores(reference, {"a": [Event(0, 1, "Car")]}, ["Bus", "Car", "Dog"])
    assert (scores.macro_f1, scores.macro_sed_eval.f1) == (0.5, 1.0)
    assert scores.macro_error_rate == 0.5
    assert scores.macro_error_rate_sed_eval == pytest.approx(1 / 3, rel=1e-12)
    assert scores.num_clips == 2
    nothing = event_scores({"a": []}, {})
    assert math.isnan(nothing.micro.f1) and math.isnan(nothing.macro_f1)
    assert nothing.per_class == {}


def test_deletions_insertions_and_substitutions_are_errors_by_reference_event():
    reference = {"a": [Event(0, 1, "Car"), Event(3, 4, "Car"), Event(6, 7, "Bus")]}
    estimated = {"a": [Event(0, 1, "Car"), Event(6, 7, "Car"), Event(8, 9, "Car")]}
    scores = event_scores(reference, estimated)
    car = scores.per_class["Car"]
    assert (car.deletion_rate, car.insertion_rate, car.error_rate) == (0.5, 1, 1.5)
    kinds = scores.substitution_rate, scores.deletion_rate, scores.insertion_rate
    assert kinds == (1 / 3, 1 / 3, 1 / 3) and scores.error_rate == 1


def test_files_are_those_of_the_reference_and_labels_must_be_known():
    other = {"b": [Event(0, 1, "Tram")]}
    assert event_scores({"a": EVENTS}, other).per_class["Car"].num_estimated == 0
    with pytest.raises(DataError, match="a: 'Car' is not among the classes"):
        event_scores({"a": EVENTS}, {}, ["Bus"])
    with pytest.raises(DataError, match="'optimal' or 'greedy', got 'best'"):
        event_scores({"a": EVENTS}, {}, matching="best")
    with pytest.raises(DataError, match="onset_s of 0 or more, got -1"):
        Collars(onset_s=-1)
