"""What the command prints, writes and ends with."""

import dataclasses
import json
import os
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np

from gcrnn_jax.check import check
from gcrnn_jax.checking import card
from gcrnn_jax.checking.card import data_card, most_together
from gcrnn_jax.checking.text import summary
from gcrnn_jax.data.dataset import ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.labels import ClassList
from tests.checking.folders import (
    AUDIO,
    TRAINING,
    V0,
    WEAK,
    append,
    recording,
    replace,
    run,
    strong_list,
)


def test_names_that_a_terminal_would_act_upon_are_escaped(root, tmp_path, capsys):
    name = os.fsencode(root / "audio/training") + b"/\xff\x1b[2J|<b>\n.wav"
    Path(os.fsdecode(name)).write_bytes(b"")
    output = tmp_path / "out"
    assert run("--root", root, "--output", output, "--workers", 1) == 0
    assert r"\udcff\x1b[2J|<b>\n.wav: in no list" in capsys.readouterr().out
    found_json = json.loads((output / "check.json").read_text())
    [place] = found_json["findings"][0]["places"]
    assert os.fsencode(place["path"]).endswith(b"/\xff\x1b[2J|<b>\n.wav")


def test_errors_end_with_65_and_say_which(root, tmp_path, capsys):
    AUDIO["SILENT"](recording(root, "training", 0))
    output = tmp_path / "new" / "out"
    assert run("--root", root, "--output", output) == 65
    printed = capsys.readouterr()
    assert "something would be lost or wrong: SILENT 1" in printed.err
    assert "(training_set.csv:1)" in printed.out
    content = json.loads((output / "check.json").read_text())
    [finding] = content["findings"]
    assert (finding["code"], finding["severity"], finding["count"]) == (
        "SILENT",
        "error",
        1,
    )
    assert content["card"]["splits"]["training"]["clips_per_class"]["Car"] == 2
    card = (output / "data_card.md").read_text()
    known = f"data sha256 {content['card']['data_sha256']}"
    assert "| SILENT | error | 1 |" in card and known in card and known in printed.out
    assert "(training_set.csv:1)" in card and "expected 0.001 or more" in card
    assert "| training | rate in Hz | 16000: 4 |" in card


def test_the_summary_is_short_where_findings_are_many(root):
    text = "".join(f"u{i}.wav\t0.1\t0.2\tCar\n" for i in range(50))
    append(strong_list(root), text)
    report = check(root, num_workers=1)
    lines = summary(report).splitlines()
    assert sum("u" in line and "is not a clip" in line for line in lines) == 3
    assert "    and 47 more there" in lines
    assert len(report.as_dict()["findings"][0]["places"]) == 50


def test_the_summary_counts_clips_of_every_class(root):
    (row,) = (
        line.split() for line in summary(check(root)).splitlines() if "Train " in line
    )
    assert row == ["Train", "1", "1"]


def test_the_summary_counts_many_classes_that_no_clip_has(root, monkeypatch):
    [path] = root.glob("sound_event_list_*_classes.txt")
    append(path, "x1\tAbsent one\nx2\tAbsent two\n")
    report = check(root, lists_only=True)
    assert "Absent two" in summary(report).split("most often together")[0]
    monkeypatch.setattr("gcrnn_jax.checking.text.MAX_ABSENT", 1)
    table = summary(report).split("\n\n")[2]
    assert "Absent" not in table and "(2 classes in no clip)" in table


def test_a_label_that_is_wrong_in_many_rows_is_one_example(root):
    append(strong_list(root), 9 * f"{V0}\t0.1\t0.2\tCars\n" + f"{V0}\t0\t1\tBus\n")
    lines = summary(check(root, num_workers=1)).splitlines()
    assert sum("unknown class name 'Cars'" in line for line in lines) == 1
    assert sum("unknown class name 'Bus'" in line for line in lines) == 1
    assert "    and 8 more there" in lines


def test_without_recordings_the_hash_is_of_the_labels_alone(root):
    card = check(root, num_workers=1).card
    report = check(root, lists_only=True)
    assert report.card["data_sha256"] is None
    assert report.card["labels_sha256"] == card["labels_sha256"] != card["data_sha256"]
    assert f"labels sha256 {card['labels_sha256']} (no rec" in summary(report)
    shutil.rmtree(root / "audio")
    assert check(root).card["labels_sha256"] == card["labels_sha256"]
    replace(root / TRAINING, "/m/2", "/m/3")
    assert check(root).card["labels_sha256"] != card["labels_sha256"]


def test_the_card_counts_as_a_plain_loop_does(root):
    append(root / TRAINING, "t0,20,21,Train,/m/3\n")
    append(root / WEAK, "t0_20.000_21.000.wav\t20\t21\tTrain\n")
    training = check(root, num_workers=1).card["splits"]["training"]
    assert training["clips_per_class"] == {
        "Car": 2,
        "Air horn, truck horn": 1,
        "Train": 2,
    }
    assert training["co_occurrence"] == [[2, 0, 1], [0, 1, 0], [1, 0, 2]]
    assert training["clips_per_number_of_labels"] == {"1": 3, "2": 1}
    assert training["recorded_s"] == {"sum": 4.0, "min": 1.0, "median": 1.0, "max": 1.0}
    assert training["rates_hz"] == {"16000": 4}


def test_classes_most_often_together_come_first():
    split = {
        "clips_per_class": {"a": 9, "b": 9, "c": 9, "d": 9},
        "co_occurrence": [[9, 1, 0, 3], [1, 9, 2, 0], [0, 2, 9, 3], [3, 0, 3, 9]],
    }
    expected = [("a", "d", 3), ("c", "d", 3), ("b", "c", 2), ("a", "b", 1)]
    assert most_together(split, 9) == expected
    assert most_together(split, 2) == expected[:2]


def test_short_clips_are_counted_with_their_labels(root):
    append(root / TRAINING, 't9,20,20.5,"Car,Train","/m/1,/m/3"\n')
    report = check(root, lists_only=True)
    training = report.card["splits"]["training"]
    assert (training["num_short"], training["num_short_labels"]) == (1, 2)
    assert "1 (2 labels)" in summary(report)


def test_no_folder_and_bad_flags(root, tmp_path, capsys):
    assert run("--root", tmp_path / "none") == 65
    assert run("--root", root / TRAINING) == 65
    none, file = capsys.readouterr().err.splitlines()
    assert "none: expected a folder with a data set, found none" in none
    assert f"{TRAINING}: expected a folder with a data set, found a file" in file
    assert run("--root", root, "--output", root / TRAINING / "out") == 73
    assert run("--root", root, "--output", "/proc/no folder") == 73
    assert not capsys.readouterr().out
    assert run() == 2
    assert run("--root", tmp_path, "--workers", 0) == 2


def test_the_official_lists_have_the_faults_they_are_known_for(shared):
    """Notes 0.3; the 1,249 short ones there are rows, of 1,070 clips."""
    report = check(shared / "dcase2017")
    groups = {code.name: group for code, group in report.groups.items()}
    assert {code: len(findings) for code, findings in groups.items()} == {
        "NO_RECORDINGS": 1,
        "NO_TIMES": 150 + 36,
        "NO_EVENT": 94 + 11,
        "OVERLAP": 4 + 1,
        "DUPLICATE_EVENT": 1,
        "SHORT_CLIP": 1070 + 12 + 28,
        "LINE_ENDS": 3,
    }

    def count(code, name):
        return sum(finding.path == name for finding in groups[code])

    evaluation, testing = (
        f"groundtruth_strong_label_{name}_set.csv" for name in ("evaluation", "testing")
    )
    assert (count("NO_TIMES", evaluation), count("NO_TIMES", testing)) == (150, 36)
    assert (count("OVERLAP", evaluation), count("OVERLAP", testing)) == (4, 1)
    assert count("SHORT_CLIP", "training_set.csv") == 1070
    short = {finding.detail.split(":")[0] for finding in groups["SHORT_CLIP"]}
    weak = shared / "dcase2017/groundtruth_weak_label_training_set.csv"
    rows = [line.split("\t")[0] for line in weak.read_text().splitlines()]
    assert sum(row.removesuffix(".wav") in short for row in rows) == 1249
    text = summary(report)
    for told in ("1070 (1249 labels)", "(1 of 150 there)", "(1 of 36 there)"):
        assert told in text
    sizes = [
        (split["num_clips"], split["num_labels"])
        for split in report.card["splits"].values()
    ]
    assert sizes == [(51172, 56131), (488, 606), (1103, 1350)]


def test_the_benchmark_is_sound(shared):
    report = check(shared / "bench/weak_esc10", num_workers=2)
    assert not report.of_severity("error")
    assert set(report.groups) == {Code.SHORT_RECORDING}


def test_the_written_findings_are_those_of_the_report(root, tmp_path):
    append(root / TRAINING, 'a\u00e9"b,5,6,"x","/m/9"\nbad row\nworse\n')
    AUDIO["SILENT"](recording(root, "training", 0))
    (root / "audio/training/extra.wav").write_bytes(b"")
    report = check(root, num_workers=1)
    assert len(report.groups) > 3
    assert json.loads("".join(report.json_parts())) == report.as_dict()
    empty = dataclasses.replace(report, groups={})
    assert json.loads("".join(empty.json_parts())) == empty.as_dict()


def test_what_occurs_together_is_counted_as_by_a_product_of_labels():
    weak_label = np.random.default_rng(0).random((500, 9)) < 0.3
    weak_label[:3] = False
    of_clips = Counter(tuple(np.flatnonzero(row).tolist()) for row in weak_label)
    together = card._co_occurrence(of_clips, 9)
    np.testing.assert_array_equal(together, weak_label.T.astype(int) @ weak_label)


def test_a_card_of_many_clips_holds_no_labels_of_all_classes(tmp_path):
    """20,000 clips of 200 classes: as numbers their labels would be 32 MB."""
    names = tuple(f"c{n}" for n in range(200))
    labels = [(n,) for n in range(200)]
    rows = tuple(ClipRow(f"v{n}_0.000_9.000", labels[n % 200], n) for n in range(20000))
    split = FolderSplit("training", tmp_path / "list", rows, (None,) * 20000, None)
    dataset = Dataset(tmp_path, ClassList(names, names), {"training": split}, ())
    tracemalloc.start()
    try:
        found = data_card(dataset, {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8e6
    assert set(found["splits"]["training"]["clips_per_class"].values()) == {100}
