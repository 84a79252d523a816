"""Recordings are divided evenly by class and by their names alone, and stay there."""

import itertools
import random
from collections import Counter

import pytest

from gcrnn_jax.data.clips.division import divide, source_of

FRACTIONS = (0.7, 0.15, 0.15)


def named(labels):
    return {f"r{i}.wav": classes for i, classes in enumerate(labels)}


def several(num, num_classes, seed=0):
    """Label sets of one to three classes, some classes far rarer than others."""
    rng = random.Random(seed)
    weights = [2.0**-k for k in range(num_classes)]
    return [
        frozenset(rng.choices(range(num_classes), weights, k=rng.randint(1, 3)))
        for _ in range(num)
    ]


def counts(labels, parts):
    """(class, part) -> names."""
    return Counter((k, parts[name]) for name in labels for k in labels[name])


@pytest.mark.parametrize("seed", [0, 1])
def test_every_class_is_divided_as_the_whole(seed):
    labels = named([(k,) for k in range(5) for _ in range(20)] + [()] * 20)
    parts = divide(labels, FRACTIONS, seed)
    expected = {(k, part): n for k in range(5) for part, n in enumerate((14, 3, 3))}
    assert counts(labels, parts) == expected
    negatives = Counter(parts[name] for name, of in labels.items() if not of)
    assert negatives == {0: 14, 1: 3, 2: 3}


def test_a_class_is_at_most_a_name_from_its_share_where_names_have_several():
    labels = named(several(600, 8))
    parts = divide(labels, FRACTIONS, seed=0)
    totals = Counter(k for of in labels.values() for k in of)
    found = counts(labels, parts)
    off = [
        abs(found[k, part] - share * totals[k])
        for k, (part, share) in itertools.product(totals, enumerate(FRACTIONS))
    ]
    by_chance = Counter((k, i % 20) for i, of in enumerate(labels.values()) for k in of)
    assert max(off) <= 1.5 and min(totals.values()) < 10
    assert max(abs(by_chance[k, 0] - 0.05 * totals[k]) for k in totals) > 1.5


def test_halves_that_do_not_come_out_even_go_to_both_parts():
    labels = named([(k,) for k in range(10) for _ in range(30)])  # 4.5 each
    assert Counter(divide(labels, FRACTIONS, 0).values()) == {0: 210, 1: 45, 2: 45}


def test_it_depends_on_names_and_seed_and_not_on_their_order():
    labels = named(several(100, 4))
    parts = divide(labels, FRACTIONS, seed=0)
    backwards = dict(reversed(labels.items()))
    assert divide(backwards, FRACTIONS, seed=0) == parts
    other = divide(labels, FRACTIONS, seed=1)
    assert sum(other[name] != parts[name] for name in parts) > 20


def test_the_same_names_are_divided_alike_on_every_machine():
    parts = divide(named([(i % 2,) for i in range(8)]), (0.5, 0.5), seed=0)
    # by `printf 0/r4.wav | sha256sum` and so on
    order = {0: "r4 r0 r2 r6".split(), 1: "r7 r3 r1 r5".split()}
    for names in order.values():
        assert [parts[f"{name}.wav"] for name in names] == [0, 0, 1, 1]


def test_another_recording_moves_hardly_any():
    labels = named([(i % 10,) for i in range(300)])
    before = divide(labels, FRACTIONS, seed=0)
    for i in range(10):
        after = divide({**labels, f"new{i}.wav": (i,)}, FRACTIONS, seed=0)
        assert sum(after[name] != before[name] for name in before) <= 2


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_few_names_leave_no_part_empty_that_can_have_one(num):
    parts = divide(named([(0,)] * num), FRACTIONS, seed=0)
    assert len(parts) == num and len(set(parts.values())) == min(num, 3)
    assert set(divide(named([(0,)] * num), (0.8, 0.2, 0.0), 0).values()) <= {0, 1}


def test_clips_of_one_source_have_one_name():
    assert source_of("audio/abc_0.000_10.000") == source_of("audio/abc_10.000_20.000")
    assert source_of("x/Ys9d-2nhuJCQ_30_40") == source_of("x/Ys9d-2nhuJCQ_50_60")
    for name in (
        "recording01_17",
        "recording01_3_2",
        "recording01_3_20",
        "2026-03-04_05",
        "SITE_20260304_101500",
        "kitchen_7",
    ):
        assert source_of(name) == name
