"""Every fault of a data set is found, named by file and line, and judged."""

import codecs
import dataclasses
import json
import os
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gcrnn_jax.check import check, main
from gcrnn_jax.checking import card, lists, probe
from gcrnn_jax.checking.card import data_card, most_together
from gcrnn_jax.checking.text import summary
from gcrnn_jax.data.dataset import ClipRow, Dataset, FolderSplit
from gcrnn_jax.data.findings import Code
from gcrnn_jax.data.labels import ClassList

CLASSES = "/m/1\tCar\n/m/2\tAir horn, truck horn\n/m/3\tTrain\n"
NAMES = ("Car", "Air horn, truck horn", "Train")
SIZES = {"training": 4, "validation": 3}


def clip(split, index) -> str:
    return f"{split[0]}{index}_20.000_21.000"


def recording(root, split, index) -> Path:
    return root / "audio" / split / f"Y{clip(split, index)}.wav"


def noise(seed, num_samples=16000) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(num_samples)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lists, "MIN_CLIPS", 1)  # these sets are small


def test_classes_with_few_clips_to_train_on_are_named(root, monkeypatch):
    monkeypatch.setattr(lists, "MIN_CLIPS", 2)
    (found,) = check(root).groups.items()
    assert found[0] is Code.CLASS_SMALL and found[0].severity == "note"
    details = [finding.detail for finding in found[1]]
    assert details == ["Air horn, truck horn: 1 clip", "Train: 1 clip"]


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder in which all is well: clip i has class i % 3."""
    root = tmp_path / "set"
    root.mkdir()
    (root / "sound_event_list_3_classes.txt").write_text(CLASSES)
    for split, size in SIZES.items():
        (root / "audio" / split).mkdir(parents=True)
        rows, weak = [], []
        for i in range(size):
            name, ids = NAMES[i % 3], f"/m/{i % 3 + 1}"
            rows.append(f'{split[0]}{i},20.000,21.000,"{name}","{ids}"\n')
            weak.append(f"{clip(split, i)}.wav\t20.000\t21.000\t{name}\n")
            soundfile.write(
                recording(root, split, i), noise(10 * len(split) + i), 16000
            )
        (root / f"{split}_set.csv").write_text("".join(rows))
        weak_list = root / f"groundtruth_weak_label_{split}_set.csv"
        weak_list.write_text("".join(weak))
    strong_list(root).write_text(
        "".join(
            f"{clip('validation', i)}.wav\t0.100\t0.900\t{NAMES[i]}\n" for i in range(3)
        )
    )
    return root


def strong_list(root) -> Path:
    return root / "groundtruth_strong_label_validation_set.csv"


def append(path, text):
    with open(path, "a", newline="") as file:
        file.write(text)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def found(root, **options) -> set[tuple[str, str, int]]:
    """Code, file and line of every finding."""
    report = check(root, num_workers=1, **options)
    assert "Traceback" not in summary(report)
    return {
        (code.name, finding.path, finding.line)
        for code, group in report.groups.items()
        for finding in group
    }


def run(*argv) -> int:
    try:
        main([str(value) for value in argv])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_nothing_is_found_where_nothing_is_wrong(root, capsys):
    assert found(root) == set()
    assert run("--root", root, "--workers", 2) == 0
    assert "nothing found" in capsys.readouterr().out


TRAINING, VALIDATION = "training_set.csv", "validation_set.csv"
WEAK = "groundtruth_weak_label_training_set.csv"
STRONG = "groundtruth_strong_label_validation_set.csv"
V0 = "v0_20.000_21.000.wav"

# A row or several, added to a list -> what is found in the line after those there.
ROWS = {
    "BAD_ROW": (TRAINING, "t9,20,21,Car,/m/1,more\n", 5),
    "BAD_TIME": (TRAINING, "t9,21,20,Car,/m/1\n", 5),
    "UNKNOWN_LABEL": (TRAINING, "t9,20,21,Tram,/m/9\n", 5),
    "DUPLICATE": (TRAINING, "t0,20,21,Car,/m/1\n", 5),
    "NAMES_DIFFER": (TRAINING, "t9,20,21,Car,/m/3\n", 5),
    "SHORT_CLIP": (TRAINING, "t9,20,20.5,Car,/m/1\n", 5),
    "LABELS_DIFFER": (WEAK, "t0_20.000_21.000.wav\t20\t21\tTrain\n", 1),
    "UNKNOWN_CLIP": (STRONG, "elsewhere.wav\t0.1\t0.4\tCar\n", 4),
    "ZERO_LENGTH": (STRONG, f"{V0}\t0.5\t0.5\tCar\n", 4),
    "NO_TIMES": (STRONG, f"{V0}\t0\t0\tCar\n", 4),
    "AFTER_END": (STRONG, f"{V0}\t20.1\t20.4\tCar\n", 4),
    "BEYOND_END": (STRONG, f"{V0}\t0.95\t1.2\tCar\n", 4),
    "EVENT_UNLABELLED": (STRONG, f"{V0}\t0.1\t0.2\tTrain\n", 4),
    "OVERLAP": (STRONG, f"{V0}\t0.8\t1.0\tCar\n", 1),
    "DUPLICATE_EVENT": (STRONG, f"{V0}\t0.1\t0.9\tCar\n", 4),
    "SHARED_CLIP": (VALIDATION, "t0,20,21,Car,/m/1\n", 4),
    "SHARED_SOURCE": (VALIDATION, "t0,50,51,Car,/m/1\n", 4),
}
FOLLOWING = {  # other findings of the same row
    "DUPLICATE_EVENT": {"OVERLAP"},
    "SHARED_CLIP": {"LABELS_DIFFER", "LABEL_WITHOUT_EVENT", "NO_EVENT"},
    "SHARED_SOURCE": {"LABELS_DIFFER", "LABEL_WITHOUT_EVENT", "NO_EVENT", "MISSING"},
    "NAMES_DIFFER": {"LABELS_DIFFER", "MISSING"},
    "SHORT_CLIP": {"LABELS_DIFFER", "MISSING"},
}


@pytest.mark.parametrize("code", ROWS)
def test_a_fault_of_a_row_is_found_in_its_line(root, code):
    name, text, line = ROWS[code]
    append(root / name, text)
    findings = found(root)
    assert (code, name, line) in findings
    assert {other for other, *_ in findings} - {code} == FOLLOWING.get(code, set())


def test_an_event_that_ends_far_behind_its_clip_is_an_error(root):
    append(strong_list(root), f"{V0}\t0.95\t97.0\tCar\n")
    assert ("AFTER_END", STRONG, 4) in found(root)


def test_events_next_to_each_other_do_not_overlap(root):
    append(strong_list(root), f"{V0}\t0.9\t1.0\tCar\n{V0}\t0.0\t0.1\tCar\n")
    assert found(root) == set()


def test_overlaps_are_counted_once_a_clip_and_class_with_all_their_lines(root):
    append(strong_list(root), f"{V0}\t0.2\t0.3\tCar\n{V0}\t0.6\t0.7\tCar\n")
    [[finding]] = check(root, num_workers=1).groups.values()
    assert finding.detail == "v0_20.000_21.000: Car in lines 1, 4, 5"


def test_an_unknown_label_comes_with_the_nearest(root):
    append(strong_list(root), f"{V0}\t0.1\t0.2\tair horn\n")
    [[finding]] = check(root, num_workers=1).groups.values()
    assert (finding.line, finding.code) == (4, Code.UNKNOWN_LABEL)
    assert "'air horn'" in finding.detail and "'Air horn, truck horn'" in finding.detail


def test_labels_without_events_and_clips_without_labels_are_noted(root):
    replace(strong_list(root), f"{V0}\t0.100\t0.900\tCar\n", f"{V0}\n")
    (root / TRAINING).unlink()
    append(root / WEAK, "t9_20.000_21.000.wav\n")
    shutil.copy(recording(root, "training", 0), recording(root, "training", 9))
    assert found(root) == {
        ("LABEL_WITHOUT_EVENT", VALIDATION, 1),
        ("NO_EVENT", VALIDATION, 1),
        ("UNLABELLED", WEAK, 5),
        ("SAME_AUDIO_OTHER_LABELS", "audio/training/Yt9_20.000_21.000.wav", 0),
    }


def test_classes_that_training_or_scores_lack(root):
    for path in (root / TRAINING, root / WEAK):
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if "Train" not in row))
    append(root / "sound_event_list_3_classes.txt", "/m/4\tBus\n")
    recording(root, "training", 2).unlink()
    assert found(root) == {
        ("CLASS_UNTRAINED", TRAINING, 0),
        ("CLASS_EMPTY", TRAINING, 0),
        ("CLASS_EMPTY", VALIDATION, 0),
    }


def cut(path):
    path.write_bytes(path.read_bytes()[:16000])


def put(samples, rate_hz=16000, **options):
    return lambda path: soundfile.write(path, samples, rate_hz, **options)


def nan(path):
    samples = noise(0).astype(np.float32)
    samples[7] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")


def copy_of(split, index):
    return lambda path: shutil.copy(
        recording(path.parents[2], split, index), path, follow_symlinks=True
    )


AUDIO = {
    "MISSING": lambda path: path.unlink(),
    "EMPTY": lambda path: path.write_bytes(b""),
    "FORMAT": lambda path: path.write_bytes(b"<html>"),
    "TRUNCATED": cut,
    "NONFINITE": nan,
    "LEVEL": put(32768 * noise(0), subtype="FLOAT"),
    "CANCELLED": put(np.stack([noise(0), -noise(0)], 1)),
    "RATE": put(noise(0, 2000), 2000),
    "CHANNELS": put(np.zeros((16000, 33))),
    "NOT_REGULAR": lambda path: (path.unlink(), os.mkfifo(path)),
    "SILENT": put(9e-4 * np.sign(noise(0))),
    "CLIPPED": put(np.clip(12 * noise(0), -1, 1)),
    "SHORT_RECORDING": put(noise(0, 7000)),
    "LONG_RECORDING": put(noise(0, 25000)),
    "SAME_AUDIO": copy_of("training", 3),
    "SAME_AUDIO_OTHER_LABELS": copy_of("training", 1),
    "SHARED_AUDIO": copy_of("validation", 0),
}


@pytest.mark.parametrize("code", AUDIO)
def test_a_fault_of_a_recording_is_found(root, code):
    """In the first training clip, which has the label of the fourth."""
    path = recording(root, "training", 0)
    AUDIO[code](path)
    [(found_code, place, line)] = found(root)
    assert found_code == code
    if code == "MISSING":
        assert (place, line) == (TRAINING, 1)
    else:
        later = {
            "SAME_AUDIO": recording(root, "training", 3),
            "SAME_AUDIO_OTHER_LABELS": recording(root, "training", 1),
            "SHARED_AUDIO": recording(root, "validation", 0),
        }
        assert root / place == later.get(code, path)


def test_channels_that_cancel_are_found_and_a_quiet_recording_is_not(root):
    wave = noise(0)[:, None]
    put(np.hstack([wave, -wave]))(recording(root, "training", 0))
    put(1.2e-3 * np.sign(noise(1)))(recording(root, "training", 1))
    cancelled = os.path.relpath(recording(root, "training", 0), root)
    assert found(root) == {("CANCELLED", cancelled, 0)}


def test_a_labelled_recording_longer_than_the_input_is_an_error(root):
    replace(root / TRAINING, "t0,20.000,21.000", "t0,20.000,32.000")
    replace(root / WEAK, "t0_20.000_21.000", "t0_20.000_32.000")
    old = recording(root, "training", 0)
    new = old.with_name("Yt0_20.000_32.000.wav")
    old.unlink()
    soundfile.write(new, noise(0, 12 * 16000), 16000)
    assert {code for code, *_ in found(root)} == {"CROPPED"}
    assert run("--root", root) == 65


@pytest.mark.parametrize("lists_only", [True, False])
def test_events_that_begin_where_the_input_has_ended_are_an_error(root, lists_only):
    clip_id, old = "v0_20.000_32.000", recording(root, "validation", 0)
    replace(root / VALIDATION, "v0,20.000,21.000", "v0,20.000,32.000")
    weak = root / "groundtruth_weak_label_validation_set.csv"
    replace(weak, clip("validation", 0), clip_id)
    replace(strong_list(root), clip("validation", 0), clip_id)
    append(strong_list(root), f"{clip_id}.wav\t10.0\t11\tCar\n")
    soundfile.write(old.with_name(f"Y{clip_id}.wav"), noise(50, 12 * 16000), 16000)
    old.unlink()
    findings = found(root, lists_only=lists_only)
    assert ("EVENT_CROPPED", STRONG, 4) in findings
    assert {code for code, *_ in findings} <= {"EVENT_CROPPED", "CROPPED", "SHORT_CLIP"}


def test_another_separator_is_noted(root):
    text = strong_list(root).read_text().replace("\t", ";")
    strong_list(root).write_text(text)
    assert found(root) == {("SEPARATOR", STRONG, 0)}
    assert "have tabs, this one semicolons" in summary(check(root))
    assert run("--root", root) == 0
    append(strong_list(root), f"{V0},0.1,0.9,Car\n")
    assert ("BAD_ROW", STRONG, 4) in found(root)


def test_a_missing_recording_comes_with_the_nearest_name(root):
    path = recording(root, "training", 1)
    path.rename(path.with_name(path.name.upper()))
    assert found(root) >= {("MISSING", TRAINING, 2)}
    assert f"the nearest is {path.name.upper()}" in summary(check(root))


def test_files_that_are_no_recordings_are_no_extra_ones(root):
    folder = root / "audio/training"
    for name in ("a.json", "._a.wav", "Thumbs.db", "Yt0_20.000_21.000.txt"):
        (folder / name).touch()
    assert found(root) == set()


def test_a_name_that_two_folders_have_is_an_error(root):
    (root / "audio/training").rename(root / "audio/a")
    (root / "audio/b").mkdir()
    put(noise(77))(root / "audio/b" / recording(root, "training", 1).name)
    assert ("AMBIGUOUS", TRAINING, 2) in found(root)


def test_extra_and_repeated_and_misplaced_recordings(root):
    first = recording(root, "training", 0)
    soundfile.write(first.with_suffix(".flac"), noise(0), 16000)
    soundfile.write(first.with_name("other.wav"), noise(9), 16000)
    deep = first.parent / "deep"
    deep.mkdir()
    second = recording(root, "training", 1)
    second.rename(deep / second.name)
    assert found(root) == {
        ("SEVERAL", f"audio/training/{first.stem}.flac", 0),
        ("EXTRA", "audio/training/other.wav", 0),
        ("MISSING", TRAINING, 2),
    }
    assert f"there is audio/training/deep/{second.name}" in summary(check(root))


def test_a_folder_without_recordings_is_one_finding(root):
    shutil.rmtree(root / "audio" / "validation")
    assert found(root) == {("NO_RECORDINGS", VALIDATION, 0)}
    assert found(root, lists_only=True) == {("LISTS_ALONE", VALIDATION, 0)}
    shutil.rmtree(root / "audio")
    assert found(root) == {("NO_RECORDINGS", ".", 0)}
    assert run("--root", root) == 65
    assert run("--root", root, "--lists_only") == 0


def test_lists_only_decodes_nothing(root):
    recording(root, "training", 0).write_bytes(b"<html>")
    recording(root, "training", 1).unlink()
    assert found(root, lists_only=True) == {("MISSING", TRAINING, 2)}


def test_other_ways_to_write_lists_are_noted(root):
    path = root / TRAINING
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    crlf = strong_list(root).read_bytes().replace(b"\n", b"\r\n")
    strong_list(root).write_bytes(crlf)
    shutil.copy(path, root / "Trainning_set.csv")
    assert found(root) == {
        ("BYTE_ORDER_MARK", TRAINING, 1),
        ("LINE_ENDS", STRONG, 0),
        ("UNKNOWN_LIST", "Trainning_set.csv", 0),
    }
    assert "the nearest is training_set.csv" in summary(check(root))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (TRAINING, "BAD_ROW"),
        (WEAK, "UNREADABLE"),
        (STRONG, "UNREADABLE"),
        ("sound_event_list_3_classes.txt", "CLASS_LIST"),
    ],
)
def test_other_encodings_are_found(root, name, code):
    text = (root / name).read_text().replace("Train", "Träin")
    (root / name).write_bytes(text.encode("latin-1"))
    findings = found(root)
    assert (code, name) in {(found_code, path) for found_code, path, _ in findings}
    line = text[: text.index("ä")].count("\n") + 1
    assert ("ENCODING", name, line) in findings


def test_lists_in_utf_16_are_read_and_noted(root):
    before = found(root)
    for name in (TRAINING, WEAK, STRONG, "sound_event_list_3_classes.txt"):
        text = (root / name).read_text()
        (root / name).write_bytes(text.encode("utf-16"))
        before |= {("UTF_16", name, 0)}
    assert {finding for finding in found(root) if finding[0] != "LINE_ENDS"} == {
        finding for finding in before if finding[0] != "LINE_ENDS"
    }


def test_without_a_class_list_the_labels_of_the_lists_are_the_classes(root):
    (root / "sound_event_list_3_classes.txt").unlink()
    assert found(root) == {("CLASS_LIST", ".", 0)}
    names = [entry["name"] for entry in check(root).card["classes"]]
    assert sorted(names) == sorted(NAMES)
    (root / "sound_event_list_1_classes.txt").write_text(CLASSES + "/m/4\tCar\n")
    assert {code for code, *_ in found(root)} == {"CLASS_LIST"}


def test_splits_that_are_missing(root):
    (root / TRAINING).unlink()
    (root / WEAK).unlink()
    codes = {code for code, *_ in found(root)}
    assert codes == {"SPLIT_MISSING", "EXTRA"}
    (root / VALIDATION).unlink()
    (root / "groundtruth_weak_label_validation_set.csv").unlink()
    assert ("NO_SPLIT", ".", 0) in found(root)
    assert ("SPLIT_MISSING", STRONG, 0) in found(root)


def test_training_clips_alone_cannot_be_scored(root):
    for path in root.glob("*_validation_set.csv"):
        path.unlink()
    (root / VALIDATION).unlink()
    shutil.rmtree(root / "audio/validation")
    assert found(root) == {("SPLIT_MISSING", ".", 0)}


@pytest.mark.parametrize("seed", range(20))
def test_damaged_lists_never_end_in_a_traceback(root, seed):
    random = np.random.default_rng(seed)
    for path in (*root.glob("*.csv"), *root.glob("*.txt")):
        content = np.frombuffer(path.read_bytes(), np.uint8).copy()
        places = random.integers(len(content), size=1 + seed % 5)
        content[places] = random.choice(list(b'\0\t\r\n,"9\xff\xc3e-'), len(places))
        path.write_bytes(content[: random.integers(1, 2 * len(content))].tobytes())
    found(root, lists_only=seed % 2 == 0)


def test_a_list_without_a_row_and_an_empty_folder(root, tmp_path):
    (root / TRAINING).write_text("")
    assert ("NO_ROW", TRAINING, 0) in found(root)
    (tmp_path / "empty").mkdir()
    assert {code for code, *_ in found(tmp_path / "empty")} == {"NO_SPLIT"}


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


def test_a_misspelt_code_cannot_be_reported():
    with pytest.raises(AttributeError):
        Code.MISING  # noqa: B018


def probed_now(root, cache, monkeypatch) -> list[str]:
    """The recordings that a check decodes."""
    probed = []

    def probe_one(folder, name):
        probed.append(name)
        return probe.probe(folder, name)

    with monkeypatch.context() as patch:
        patch.setattr(
            probe,
            "ordered_map",
            lambda _, tasks, **__: (probe_one(str(root), task) for task in tasks),
        )
        report = check(root, cache=cache)
    assert report == check(root, num_workers=1)
    return sorted(probed)


def test_a_recording_is_decoded_again_only_if_it_has_changed(
    root, tmp_path, monkeypatch, capsys
):
    cache = tmp_path / "new" / "cache"
    recording(root, "training", 0).write_bytes(b"<html>")
    recording(root, "training", 3).write_bytes(b"")
    empty = os.path.relpath(recording(root, "training", 3), root)
    assert len(probed_now(root, cache, monkeypatch)) == 7
    assert probed_now(root, cache, monkeypatch) == [empty]
    assert "6 of 7 recordings have not changed" in capsys.readouterr().err
    changed = [recording(root, "training", index) for index in (1, 2)]
    dates = os.stat(changed[0])
    put(noise(98))(changed[0])  # as long as before, and dated back
    os.utime(changed[0], ns=(dates.st_atime_ns, dates.st_mtime_ns))
    cut(changed[1])
    expected = sorted(os.path.relpath(path, root) for path in changed)
    assert probed_now(root, cache, monkeypatch) == [*expected, empty]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 0}', None])
def test_a_cache_that_cannot_be_used_is_not(root, tmp_path, monkeypatch, damage):
    cache = tmp_path / "cache"
    check(root, cache=cache, num_workers=1)
    content = cache.read_text()
    assert json.loads(content)["version"][0] == "gcrnn_jax measures"
    cache.write_text(content[:-9] if damage is None else damage)
    assert len(probed_now(root, cache, monkeypatch)) == 7
    assert cache.read_text() == content


def test_a_check_goes_on_where_it_was_interrupted(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"

    def interrupted(_, tasks, **__):
        for number, task in enumerate(tasks):
            if number == 4:
                raise KeyboardInterrupt
            yield probe.probe(str(root), task)

    with monkeypatch.context() as patch:
        patch.setattr(probe, "ordered_map", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check(root, cache=cache)
    assert len(probed_now(root, cache, monkeypatch)) == 3


def test_a_check_does_without_a_place_to_remember(root, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GCRNN_CACHE", str(tmp_path / "file"))
    assert run("--root", root) == 0
    assert "warning: the next check starts afresh: cannot w" in capsys.readouterr().err


def test_the_command_remembers(root, capsys):
    assert run("--root", root) == run("--root", root) == 0
    assert "7 of 7 recordings have not changed" in capsys.readouterr().err


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


def test_every_kind_says_how_bad_it_is_and_what_comes_of_it():
    assert {code.severity for code in Code} == {"error", "note"}
    assert all(code.what and code.effect for code in Code)


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
