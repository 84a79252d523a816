"""The official tools' answers, on the authors' posteriors and the official lists."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gcrnn_jax.data.findings import strict
from gcrnn_jax.data.lists.event_lists import (
    Event,
    EventRow,
    events_by_file,
    read_event_rows,
)
from gcrnn_jax.detection.events import decode_events
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics.official_tagging import official_tagging
from gcrnn_jax.metrics.segment import segment_scores
from gcrnn_jax.metrics.tagging import Rates, tagging_scores

BASE = Postprocessing(0.3, 0.3, 0.4, 0.4, True, False, 1.0, 0.0, 0.0, 0.5)

AUTHORS_HOP_S = 0.0415
RATES = ("error_rate", "substitution_rate", "deletion_rate", "insertion_rate")
PERCENT_TOLERANCE = 1e-6 / 100
PAIRS = (
    "extra_prediction.txt",
    "imperfect_prediction.csv",
    "imperfect_prediction_additional_prediction.csv",
    "perfect_prediction.csv",
    "precision_affected_prediction.csv",
    "recall_affected_prediction.csv",
)


@pytest.fixture(scope="module")
def golden(goldens: Path) -> dict:
    return json.loads((goldens / "golden.json").read_text())


@pytest.fixture(scope="module")
def authors(shared: Path) -> dict:
    with np.load(shared / "goldens/authors_posteriors.npz") as arrays:
        return dict(arrays)


def assert_percent(rates: Rates, golden: dict) -> None:
    expected = [golden["P"] / 100, golden["R"] / 100, golden["F1"] / 100]
    np.testing.assert_allclose(rates, expected, rtol=0, atol=PERCENT_TOLERANCE)


def authors_tags(authors: dict, golden: dict, threshold: str) -> np.ndarray:
    values = (
        golden["at_auto_thresholds"] if threshold == "auto" else [float(threshold)] * 17
    )
    postprocessing = replace(BASE, tag_threshold=values, at_least_one_tag=True)
    return postprocessing.tags(authors["at_prob"])


@pytest.mark.parametrize("threshold", ["0.3", "0.5", "auto"])
def test_tagging_scores_are_those_of_the_official_tool(
    shared, golden, authors, threshold
):
    tags = authors_tags(authors, golden, threshold)
    rows = [
        EventRow(str(authors["names"][n]), 0.0, 10.0, str(authors["classes"][k]), 1)
        for n, k in np.argwhere(tags)
    ]
    reference = shared / "dcase2017/groundtruth_weak_label_testing_set.csv"
    scores = official_tagging(strict(read_event_rows(reference)), rows)

    expected = golden["taskA_official_py2_TaskAEvaluate_percent"][threshold]
    assert_percent(scores.micro, expected["micro"])
    assert_percent(scores.macro, expected["macro"])
    assert scores.num_files == expected["n_files_printed"]
    assert scores.per_class.keys() == expected["class_wise_P_R_F1"].keys()
    for name, values in expected["class_wise_P_R_F1"].items():
        rates = scores.per_class[name].rates
        np.testing.assert_allclose(rates, values, rtol=0, atol=1e-11)

    # Every clip has a tag here, so the plain figures are the official ones.
    plain = tagging_scores(
        authors["gt_weak"], tags, authors["at_prob"], authors["classes"].tolist()
    )
    assert plain.micro == pytest.approx(scores.micro, abs=1e-15)
    assert plain.macro_official == pytest.approx(scores.macro, abs=1e-15)
    assert scores.all_clips.micro == pytest.approx(scores.micro, abs=1e-15)


def test_mean_average_precision_and_auc_are_those_measured_on_the_posteriors(authors):
    names = authors["classes"].tolist()
    tags = authors["at_prob"] > 0.3
    scores = tagging_scores(authors["gt_weak"], tags, authors["at_prob"], names)
    assert scores.mean_average_precision == pytest.approx(0.4903, abs=5e-5)
    aucs = [c.auc for c in scores.per_class.values()]
    assert np.mean(aucs) == pytest.approx(0.8840, abs=5e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_the_official_example_lists_score_as_printed(goldens, golden, name):
    folder = goldens / "taskA_pairs"
    scores = official_tagging(
        strict(read_event_rows(folder / "GROUNDTRUTH.csv")),
        strict(read_event_rows(folder / name)),
    )
    expected = golden["taskA_official_prediction_pairs_percent"][name]
    assert_percent(scores.micro, expected["micro"])
    assert_percent(scores.macro, expected["macro"])
    assert len(scores.per_class) == expected["n_classes"]
    for line in (folder / f"{name}.out").read_text().splitlines():
        if "Class = " in line:
            label, *values = line.split("Class = ")[1].rsplit(", ", 3)
            printed = [float(value.split(" = ")[1]) for value in values]
            rates = scores.per_class[label].rates
            np.testing.assert_allclose(rates, printed, rtol=0, atol=1e-11)


def authors_events(authors: dict, threshold: float) -> dict[str, list[Event]]:
    """Detects as vad.py does: gaps of 9 frames filled, runs of 10 removed, no gate."""
    postprocessing = replace(
        BASE,
        event_threshold=threshold,
        gap_s=0.3736,
        min_event_s=0.4565,
        require_clip_tag=False,
    )
    frames = authors["sed_prob_x10000"] / 10000
    rolls = postprocessing.detect(frames, authors["at_prob"], AUTHORS_HOP_S)
    names = authors["classes"].tolist()
    return {
        str(file): [
            # Theirs ends an event where its last frame begins.
            event._replace(offset=round(event.offset - AUTHORS_HOP_S, 6))
            for event in decode_events(roll, AUTHORS_HOP_S, names)
        ]
        for file, roll in zip(authors["names"], rolls, strict=True)
    }


def test_post_processing_finds_as_many_events_as_the_authors_code(authors):
    events = authors_events(authors, 0.3)
    assert sum(map(len, events.values())) == 1962
    assert max(e.offset for found in events.values() for e in found) == 9.9185


@pytest.mark.parametrize("threshold", ["0.3", "0.5"])
def test_detection_scores_are_those_of_sed_eval(shared, golden, authors, threshold):
    path = shared / "dcase2017/groundtruth_strong_label_testing_set.csv"
    reference = events_by_file(strict(read_event_rows(path)))
    scores = segment_scores(reference, authors_events(authors, float(threshold)))

    expected = golden["taskB_official_sed_eval_1s"][threshold]
    assert scores.counts == expected["counts"]
    micro = expected["micro"]
    found = [*scores.micro, scores.error_rate, scores.substitution_rate]
    found += [scores.deletion_rate, scores.insertion_rate]
    wanted = [micro[name] for name in ("P", "R", "F1", "ER")]
    wanted += [micro[f"{letter}_rate"] for letter in "SDI"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)

    average = expected["class_wise_average_nanmean"]
    assert scores.macro_f1_sed_eval == pytest.approx(average["F1"], abs=1e-12)
    assert scores.macro_error_rate_sed_eval == pytest.approx(average["ER"], abs=1e-12)
    assert scores.per_class.keys() == expected["class_wise"].keys()
    for name, values in expected["class_wise"].items():
        score = scores.per_class[name]
        f1 = np.nan if values["F1"] is None else values["F1"]
        np.testing.assert_allclose(score.f1_sed_eval, f1, rtol=0, atol=1e-12)
        assert score.error_rate == pytest.approx(values["ER"], abs=1e-12)
        assert (score.num_reference, score.num_estimated) == (
            values["Nref"],
            values["Nsys"],
        )


def test_labels_of_events_score_like_tags_against_the_strong_list(shared, authors):
    """Measured with the baseline's protocol: event rows, and each label once."""
    path = shared / "dcase2017/groundtruth_strong_label_testing_set.csv"
    rows = [
        EventRow(file, e.onset, e.offset, e.event_label, 1)
        for file, events in authors_events(authors, 0.3).items()
        for e in events or [Event(1.0, 1.0, "")]
    ]
    scores = official_tagging(strict(read_event_rows(path)), rows)
    assert scores.micro.f1 == pytest.approx(0.297527, abs=5e-7)
    assert scores.all_clips.micro.f1 == pytest.approx(0.394939, abs=5e-7)


def test_the_official_lists_have_the_counts_that_were_published(goldens):
    expected = {
        "weak_label_testing": (488, 606, 606),
        "strong_label_testing": (488, 688, 652),
        "weak_label_evaluation": (1103, 1350, 1350),
        "strong_label_evaluation": (1103, 1706, 1556),
    }
    for name, counts in expected.items():
        rows = strict(
            read_event_rows(goldens / f"dcase2017/groundtruth_{name}_set.csv")
        )
        events = events_by_file(rows)
        found = (len(events), len(rows), sum(map(len, events.values())))
        assert found == counts, name


@pytest.mark.parametrize("case", range(30))
def test_lists_with_every_oddity_score_as_sed_eval_scores_them(goldens, case):
    """Touching and overlapping events, absent classes, ties, clips without events."""
    [folder] = (goldens / "field").glob(f"{case:02}_*")
    content = json.loads((folder / "expected.json").read_text())
    expected = content["sed_eval segment-based of estimated.tsv"]["1 s"]
    reference, estimated = (
        events_by_file(strict(read_event_rows(folder / f"{name}.tsv")))
        for name in ("reference", "estimated")
    )
    classes = (folder / "classes.txt").read_text().split("\n")[:-1]
    scores = segment_scores(reference, estimated, classes)

    overall = expected["overall"]
    wanted = [
        overall["f_measure"][name] for name in ("precision", "recall", "f_measure")
    ]
    wanted += [overall["error_rate"][name] for name in RATES]
    found = [*scores.micro, scores.error_rate, scores.substitution_rate]
    found += [scores.deletion_rate, scores.insertion_rate]
    np.testing.assert_allclose(found, as_floats(wanted), rtol=1e-12, atol=1e-12)
    average = expected["class_wise_average"]["error_rate"]["error_rate"]
    assert scores.macro_error_rate_sed_eval == pytest.approx(average, rel=1e-12)
    average = expected["class_wise_average"]["f_measure"]["f_measure"]
    assert scores.macro_f1_sed_eval == pytest.approx(average, rel=1e-12, nan_ok=True)
    assert set(scores.per_class) == set(expected["class_wise"])
    for name, score in scores.per_class.items():
        figures = expected["class_wise"][name]
        found = [score.f1_sed_eval, score.error_rate_sed_eval]
        found += [score.num_reference, score.num_estimated]
        wanted = [
            figures["f_measure"]["f_measure"],
            figures["error_rate"]["error_rate"],
        ]
        wanted += [figures["count"]["Nref"], figures["count"]["Nsys"]]
        np.testing.assert_allclose(found, as_floats(wanted), rtol=1e-12, atol=1e-12)


def as_floats(values) -> list[float]:
    return [np.nan if value is None else value for value in values]
