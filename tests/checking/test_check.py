"""Every fault of a data set is found, named by file and line, and judged."""

import codecs
import shutil

import numpy as np
import pytest

from gcrnn_jax.check import check
from gcrnn_jax.checking import lists
from gcrnn_jax.checking.text import summary
from gcrnn_jax.data.findings import Code
from tests.checking.folders import (
    CLASSES,
    NAMES,
    STRONG,
    TRAINING,
    V0,
    VALIDATION,
    WEAK,
    append,
    found,
    recording,
    replace,
    run,
    strong_list,
)


def test_classes_with_few_clips_to_train_on_are_named(root, monkeypatch):
    monkeypatch.setattr(lists, "MIN_CLIPS", 2)
    (found,) = check(root).groups.items()
    assert found[0] is Code.CLASS_SMALL and found[0].severity == "note"
    details = [finding.detail for finding in found[1]]
    assert details == ["Air horn, truck horn: 1 clip", "Train: 1 clip"]


def test_nothing_is_found_where_nothing_is_wrong(root, capsys):
    assert found(root) == set()
    assert run("--root", root, "--workers", 2) == 0
    assert "nothing found" in capsys.readouterr().out


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


def test_another_separator_is_noted(root):
    text = strong_list(root).read_text().replace("\t", ";")
    strong_list(root).write_text(text)
    assert found(root) == {("SEPARATOR", STRONG, 0)}
    assert "have tabs, this one semicolons" in summary(check(root))
    assert run("--root", root) == 0
    append(strong_list(root), f"{V0},0.1,0.9,Car\n")
    assert ("BAD_ROW", STRONG, 4) in found(root)


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


def test_a_misspelt_code_cannot_be_reported():
    with pytest.raises(AttributeError):
        Code.MISING  # noqa: B018


def test_every_kind_says_how_bad_it_is_and_what_comes_of_it():
    assert {code.severity for code in Code} == {"error", "note"}
    assert all(code.what and code.effect for code in Code)
