"""A metric that a test adds is in every table, file and interval; imports are light."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scored_tables import markdown, tables_content
from benchmarks.systems import TASKS, System
from gcrnn_jax.data.lists.event_lists import EventRow
from gcrnn_jax.detection.calibration import Calibrator, Probabilities
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.metrics import scoring
from gcrnn_jax.metrics.bootstrap import bootstrap
from gcrnn_jax.metrics.evaluator import Evaluator
from gcrnn_jax.metrics.metric import Column, Metric
from gcrnn_jax.metrics.tables import json_text
from gcrnn_jax.report import systems
from gcrnn_jax.runs import logs

NAMES = ("Car", "Bus")
RULES = Postprocessing(0.5, 0.5, 0.0, 0.0, False, False, 1.0, 0.0, 0.0, 0.5)


class Exact(Metric):
    """How many clips have exactly the right tags, and how many tags a clip has."""

    name, task = "exact", "tagging"
    columns = (
        Column("exact_match", "exact", role="headline"),
        Column("tags_a_clip", "tags", "number"),
    )

    def counts(self, decisions, posteriors, split):
        is_right = (decisions.tags == split.weak_label).all(1)
        return np.stack([is_right, decisions.tags.sum(1), np.ones(len(split))], 1)

    def scores(self, sums):
        right, tags, clips = np.moveaxis(sums, -1, 0)
        return {"exact_match": right / clips, "tags_a_clip": tags / clips}

    def list_details(self, reference, estimated):
        return {"exact_match": 0.25, "tags_a_clip": 2.0}


class Ranked(Metric):
    """A score of the whole set, which has no interval."""

    name, task = "ranked", "detection"
    columns = (Column("top", "top 1", role="headline", is_summed=False),)

    def details(self, decisions, posteriors, split):
        best = posteriors.clip.argmax(1)
        return {"top": split.weak_label[np.arange(len(split)), best].mean()}


class Labels:
    """Four clips of 2 s, the tags of three of which `posteriors` has right."""

    name, class_names, content_hash = "testing", NAMES, "4 clips"
    clip_ids = tuple("abcd")
    weak_label = np.array([[1, 0], [0, 1], [1, 1], [1, 0]], bool)

    def __init__(self, strong):
        self.events = {clip: ((0.0, 1.0, "Car"),) for clip in "abcd"}
        self.events = self.events if strong else None

    def __len__(self):
        return 4


@pytest.fixture
def posteriors():
    clip = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.8], [0.4, 0.3]], np.float32)
    frame = np.repeat(clip[:, None], 4, axis=1)
    return PosteriorSet(Labels.clip_ids, NAMES, 0.5, clip, frame, RULES)


@pytest.fixture
def added(monkeypatch):
    metrics = (*scoring.METRICS, Exact(), Ranked())
    monkeypatch.setattr(scoring, "METRICS", metrics)


@pytest.fixture
def row(added, posteriors):
    return Evaluator(Labels(True), None).with_own_thresholds("mine", posteriors)


def test_a_metric_is_a_column_of_the_systems_and_a_part_of_the_scores(row, tmp_path):
    header, line = systems.systems_table([row]).splitlines()
    assert header.split()[-4:] == ["exact", "tags", "top", "1"]
    assert line.split()[-3:] == ["75.00", "1.000", "100.00"]
    systems.write_results(tmp_path, [row], row, data_sha256="")
    [written] = json.loads((tmp_path / "scores.json").read_text())["systems"]
    assert written["exact"] == {"exact_match": 0.75, "tags_a_clip": 1.0}
    assert written["ranked"] == {"top": 1.0}
    lines = systems.classes_table(row).splitlines()
    classes = [line.split("  ")[0] for line in lines]
    assert classes == ["class", *NAMES, "overall (micro)", "mean of classes"]


def test_what_a_run_found_has_probabilities_that_other_clips_fitted(row, tmp_path):
    def tables(of):
        systems.write_results(tmp_path, [of], of, data_sha256="")
        files = [tmp_path / "tags.csv", tmp_path / "events.csv"]
        return [file.read_text().splitlines()[1] for file in files]

    clip, frame = Calibrator((0.0, 0.0), (0.5, 0.5)), Calibrator((9.0, 0.0), (1.0, 1.0))
    fitted = replace(row, probabilities=Probabilities(clip, frame))
    tag, event = tables(fitted)  # 0.9 has odds of 9, whose root is 3 : 1
    assert tag.startswith("a.wav,") and tag.endswith(",Car,0.9000,0.7500")
    assert event.endswith(",Car,0.9000,1.0000")
    of_these = replace(fitted, postprocessing=None)  # where halves chose thresholds
    assert tables(of_these)[0].endswith(",Car,0.9000,")
    weak = replace(row, probabilities=Probabilities(clip, None))
    assert [line[-7:] for line in tables(weak)] == [",0.7500", "0.9000,"]


def test_many_classes_that_no_clip_has_are_counted_in_a_line(row, monkeypatch):
    labels = Labels(True)
    labels.class_names = (*NAMES, "Tram", "Boat")
    arrays = {name: getattr(row.posteriors, name) for name in ("clip", "frame")}
    wider = {
        name: np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, 2)])
        for name, array in arrays.items()
    }
    wide = replace(row.posteriors, class_names=labels.class_names, **wider)
    labels.weak_label = np.pad(labels.weak_label, [(0, 0), (0, 2)])
    wider_row = Evaluator(labels, None).with_own_thresholds("mine", wide)
    lines = systems.classes_table(wider_row).splitlines()
    [boat] = [line for line in lines if line.startswith("Boat")]
    assert {*boat.split()[1:]} == {"0", "-"}
    monkeypatch.setattr(systems, "MAX_ABSENT", 1)
    *lines, last = systems.classes_table(wider_row).splitlines()
    assert [line.split("  ")[0] for line in lines[1:-2]] == [*NAMES]
    assert last.startswith("2 classes that no clip has are left out")


def test_a_metric_has_intervals_of_the_same_draws(row):
    estimates = bootstrap(
        [scoring.clip_counts(row.decisions, row.posteriors, Labels(True))]
    ).estimates(0)
    names = ["f1", "precision", "recall", "segment_f1", "error_rate"]
    assert list(estimates) == [*names, "exact_match", "tags_a_clip"]
    value, interval = estimates["exact_match"]
    assert value == 0.75 and interval == pytest.approx((0.25, 1.0), abs=0.01)


def test_a_metric_is_logged_and_printed_every_epoch(row, tmp_path):
    logs.append_scores(tmp_path / "scores", 1, "testing", row.scores)
    [line] = logs.read_curves(tmp_path / "losses", tmp_path / "scores", 1)["scores"]
    assert (line["exact_match"], line["top"]) == (0.75, 1.0)
    ranks, sums = ["mean_average_precision", "top"], ["tag_f1", "segment_f1"]
    names = ["epoch", "split", *ranks, *sums, "error_rate", "exact_match"]
    assert list(line) == names
    expected = "testing mAP 100.0, top 1 100.0, tag F1 88.9, 1-s F1 33.3, exact 75.0"
    assert scoring.epoch_line("testing", row.scores) == expected


def test_a_metric_scores_lists_if_it_can(added):
    rows = [EventRow("a.wav", 0.0, 1.0, "Car", 1)]
    details = scoring.list_scores(rows, rows, "tagging")
    assert details["exact"]["tags_a_clip"] == 2.0
    assert details["detection"] is None and details["ranked"] is None
    table = scoring.list_tables(details).split("\n\n")[-1]
    assert table.split() == ["exact", "tags", "exact", "25.00", "2.000"]


def test_a_metric_is_in_the_tables_of_benchmarks(row):
    both = {key: System(key, (), TASKS) for key in ("mlp", "crnn")}
    rows = {"found": [row, row], "fixed": [row, row]}
    content = tables_content(both, rows, Labels(True))
    keys = ("heading", "commit", "date", "split", "fit_split")
    content |= dict.fromkeys(keys, "x") | {"clips": 4}
    tables = markdown(json.loads(json_text(content))).split("\n\n")
    scores = tables[4].splitlines()
    assert scores[0].startswith("| system | tag F1 | precision | recall | mAP | exact")
    assert " 100.00 | 75.0 (24.9 - 99.9) | 1.000 (" in scores[2]
    assert "| mlp | crnn | exact | +0.0 | - to - | no |" in tables[5]
    assert "| 100.00 |  |" in tables[7]  # top 1


def test_detection_metrics_are_left_out_without_strong_labels(added, posteriors):
    row = Evaluator(Labels(False), None).with_own_thresholds("mine", posteriors)
    assert row.scores.details["ranked"] is None and "top" not in row.scores.values
    assert systems.systems_table([row]).split()[-1] == "-"
    assert scoring.epoch_line("x", row.scores) == "x mAP 100.0, tag F1 88.9, exact 75.0"


def test_detection_and_metrics_import_no_jax():
    code = """
import sys
from dataclasses import replace
import gcrnn_jax.detection, gcrnn_jax.metrics, gcrnn_jax.metrics.scoring
import gcrnn_jax.metrics.bootstrap, gcrnn_jax.report.systems
print({"jax", "jaxlib", "flax", "orbax", "grain"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True) == "set()\n"
