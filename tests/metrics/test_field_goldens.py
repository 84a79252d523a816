"""The field's tools on 30 cases: PSDS, F1 of shares and collars, rankings."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.clip_lists import clip_id_of_file
from gcrnn_jax.data.lists.event_lists import events_by_file, read_event_rows
from gcrnn_jax.metrics import (
    PSDS1,
    PSDS2,
    Collars,
    Intersection,
    ScoreFolder,
    calibration,
    clip_scores,
    f1_curves,
    intersection_scores,
    psds,
    psds_of_lists,
    ranking_scores,
)

SCORES = "sed_scores_eval of scores/"
NUM_CASES = 30


class Case:
    """Lists, tables and figures of one case."""

    def __init__(self, folder: Path):
        self.golden = json.loads((folder / "expected.json").read_text())
        self.reference, self.estimated = (
            events_by_file(strict(read_event_rows(folder / f"{name}.tsv")))
            for name in ("reference", "estimated")
        )
        rows = (folder / "durations.tsv").read_text(encoding="utf-8").splitlines()[1:]
        self.durations = {
            file: float(seconds) for file, seconds in (row.split("\t") for row in rows)
        }
        self.classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
        # Some folders have tables of more clips than were scored.
        clips = {clip_id_of_file(file) for file in self.durations}
        tables = ScoreFolder(folder / "scores")
        self.tables = [table for table in tables if table.clip_id in clips]


@pytest.fixture(scope="module")
def cases(shared):
    folder = shared / "goldens" / "field"
    if not folder.is_dir():
        pytest.skip(f"needs the figures of the field's tools in {folder}")
    found = [Case(path.parent) for path in sorted(folder.glob("*/expected.json"))]
    assert len(found) >= NUM_CASES
    return found


def same(value, expected, at_most=1e-9):
    """A figure of a tool, where null is nan or infinite."""
    if expected is None:
        assert not math.isfinite(value)
    else:
        np.testing.assert_allclose(value, expected, rtol=0, atol=at_most)


@pytest.mark.parametrize("name", ["PSDS1", "PSDS2"])
@pytest.mark.parametrize(("suffix", "alpha_st"), [("", 1), (" with alpha_st 0", 0)])
def test_psds_is_that_of_the_tools(cases, name, suffix, alpha_st):
    parameters = replace(PSDS1 if name == "PSDS1" else PSDS2, alpha_st=alpha_st)
    in_float64 = replace(parameters.criteria, time_decimals=None)
    compared = 0
    for case in cases:
        if SCORES not in case.golden:
            continue  # they refuse overlaps
        golden = case.golden[SCORES]
        ours = psds(case.tables, case.reference, case.durations, parameters)
        same(ours.value, golden[f"{name}{suffix}, exact"]["value"])
        for class_, value in golden[f"{name}{suffix}, exact"]["class_wise"].items():
            same(ours.class_value(class_), value)
        compared += 1
        if (name == "PSDS1") == (alpha_st == 1):
            continue  # half of the settings: 50 lists of every case take time
        points = [
            {
                **dict.fromkeys(case.durations, []),
                **{f"{t.clip_id}.wav": t.events(threshold) for t in case.tables},
            }
            for threshold in np.linspace(0.01, 0.99, 50)
        ]
        by = replace(parameters, criteria=in_float64)
        approximate = psds_of_lists(points, case.reference, case.durations, by)
        key = f"{name}{suffix}, psds_eval at 50 thresholds"
        same(approximate.value, golden[key]["value"])
    assert compared >= NUM_CASES - 3


def check_averages(curves, at, golden, threshold):
    micro = curves.best_micro() if threshold is None else curves.micro(threshold)
    macro = curves.best_macro_f1() if threshold is None else curves.macro_f1(threshold)
    for ours, key in zip(micro, ("p", "r", "f"), strict=True):
        # Of nothing at all nothing is right, there.
        same(np.nan_to_num(ours), golden[key]["micro_average"])
    same(macro, golden["f"]["macro_average"])
    for name, (precision, recall, f1) in at.items():
        # Of nothing in one class everything is right, there.
        same(1.0 if math.isnan(precision) else precision, golden["p"][name])
        same(recall, golden["r"][name])
        same(f1, golden["f"][name])


def test_f1_over_thresholds_is_that_of_sed_scores_eval(cases):
    criteria = {
        "collar at 0.5, 0.2 s 20 %": Collars(time_decimals=6),
        "intersection at 0.5, dtc 0.5 gtc 0.5": Intersection(0.5, 0.5),
        "intersection at 0.5, dtc 0.7 gtc 0.7": Intersection(0.7, 0.7),
    }
    for case in cases:
        golden = case.golden.get(SCORES, {})
        names = golden.get("classes (those with a reference event)", [])
        for key, by in criteria.items() if golden else ():
            curves = f1_curves(case.tables, case.reference, names, criteria=by)
            at = {name: curves.per_class[name].at(0.5) for name in names}
            check_averages(curves, at, golden[key], 0.5)
            for name, stats in golden[key].get("stats", {}).items():
                counts = curves.per_class[name].counts
                i = counts.index(0.5)
                assert counts.true_positives[i] == stats["tps"]
                assert counts.false_positives[i] == stats["fps"]
                assert counts.num_reference == stats["n_ref"]
            if isinstance(by, Collars):
                best = {name: curves.per_class[name].best for name in names}
                check_averages(curves, best, golden["collar, best threshold"], None)
                thresholds = golden["collar, best threshold"]["threshold"]
                for name, threshold in curves.best_thresholds().items():
                    same(threshold, thresholds[name])


def test_intersection_f1_of_lists_is_that_of_psds_eval(cases):
    for case in cases:
        golden = case.golden.get("psds_eval intersection F1 of estimated.tsv", {})
        for key, expected in golden.items():
            _, dtc, _, gtc = key.split()
            scores = intersection_scores(
                case.reference,
                case.estimated,
                case.classes,
                criteria=Intersection(float(dtc), float(gtc), None, None),
                durations=case.durations,
            )
            same(scores.macro_f1_psds_eval, expected["macro"])
            for name, f1 in expected["class_wise"].items():
                same(scores.per_class[name].f1_psds_eval, f1)


def test_lists_that_the_tools_refuse_have_scores(cases):
    overlapping = [case for case in cases if case.golden["kind"] == "overlap"]
    assert overlapping
    for case in overlapping:
        scores = intersection_scores(case.reference, case.estimated, case.classes)
        assert 0 < scores.micro.f1 < 1 and sum(scores.num_merged) > 0
        assert 0 <= psds(case.tables, case.reference, case.durations).value <= 1


def test_rankings_and_calibration_are_those_of_scikit_learn(cases):
    for case in cases:
        golden = case.golden["scikit-learn, clips (score = max over frames)"]
        clip_ids, scores = clip_scores(case.tables)
        events = {clip_id_of_file(f): rows for f, rows in case.reference.items()}
        tags = [{e.event_label for e in events[clip_id]} for clip_id in clip_ids]
        label = np.array([[name in own for name in case.classes] for own in tags])
        ranking = ranking_scores(label, scores, case.classes)
        for name, ours in ranking.per_class.items():
            same(ours.average_precision, golden["ap"][name])
            same(ours.auc, golden["auc"][name])
            same(ours.d_prime, golden["d_prime"][name])
        same(ranking.mean_average_precision, golden["map"])
        same(ranking.micro_average_precision, golden["micro_ap"])
        same(ranking.lwlrap, golden["lwlrap"])
        calibrated = calibration(label, scores)
        same(calibrated.expected_error, golden["ece_15_equal_bins"])
        same(calibrated.brier, golden["brier"])
        same(calibrated.log_loss, golden["log_loss"])
