"""Every form of input says the same, and what does not fit is refused or said."""

import numpy as np
import pytest

from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.detection.postprocess import Postprocessing
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.evaluation import (
    Choice,
    Files,
    read_events,
    read_reference,
    read_system,
    score_files,
)
from gcrnn_jax.evaluation.names import Names
from gcrnn_jax.evaluation.output import scorecard_text

EVENTS = {  # what all forms below hold
    "a": [(0.5, 2.0, "Dog"), (3.0, 4.5, "Air horn, truck horn")],
    "b": [(1.0, 3.0, "Dog")],
    "c": [],
}
REFERENCE = "".join(
    "".join(f"{name}.wav\t{on}\t{off}\t{label}\n" for on, off, label in rows)
    or f"{name}.wav\n"
    for name, rows in EVENTS.items()
)
ROWS = [(name, *row) for name, rows in EVENTS.items() for row in rows]
DECIDED = Choice(kinds=("segment", "event", "intersection", "tagging"))


def joined(rows, separator, form="{0}.wav|{1}|{2}|{3}", last="c.wav|||", head=None):
    lines = [form.format(*row) for row in rows] + ([last] if last else [])
    lines = [line.replace("|", separator) for line in ([head] if head else []) + lines]
    return "\n".join(lines) + "\n"


QUOTED = '{0}.wav|{1}|{2}|"{3}"'
LISTS = {
    "tabs": joined(ROWS, "\t", last="c.wav"),
    "tabs, a score": joined(ROWS, "\t", "{0}.wav|{1}|{2}|{3}|0.75", "c.wav"),
    "commas": joined(ROWS, ",", QUOTED, "c.wav"),
    "semicolons": joined(ROWS, ";", last="c.wav"),
    "DESED": joined(ROWS, "\t", head="filename|onset|offset|event_label"),
    "predict": joined(
        ROWS,
        ",",
        QUOTED + "|0.9",
        "c.wav||||",
        "filename|onset|offset|event_label|score",
    ),
    "other columns": joined(
        ROWS,
        "\t",
        "{3}|0.9|{1}|{2}|{0}.flac",
        "|||c.flac".replace("|||", "||||"),
        "label|score|start|end|file",
    ),
    "AudioSet-strong": joined(
        ROWS,
        "\t",
        "{0}|{1}|{2}|{3}",
        "c|||",
        "segment_id|start_time_seconds|end_time_seconds|label",
    ),
    "BirdNET": joined(
        ROWS,
        ",",
        '{1}|{2}|X|"{3}"|0.5|/data/{0}.wav',
        None,
        "Start (s)|End (s)|Scientific name|Common name|Confidence|File",
    ),
    "numbers as names": joined(ROWS, "\t", last="c.wav"),
}


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "reference.tsv"
    path.write_text(REFERENCE)
    return path


def events_of(path, reference):
    system = read_system(path, read_reference(reference))
    return {
        name.removesuffix(".wav"): sorted(map(tuple, events))
        for name, events in system.events.items()
    }


@pytest.mark.parametrize("form", LISTS)
def test_lists_of_any_form_hold_the_same_events(reference, form):
    path = reference.with_name("mine.txt")
    path.write_text(LISTS[form])
    assert events_of(path, reference) == EVENTS
    if form != "BirdNET":  # it has no row of a recording without detections
        assert not read_system(path, read_reference(reference)).missing


def folder_of(folder, suffix, form, head="", between=""):
    folder.mkdir()
    for name, rows in EVENTS.items():
        lines = [form.format(*row) + "\n" + between for row in rows]
        (folder / f"{name}{suffix}").write_text(head + "".join(lines))
    (folder / "notes.md").write_text("no list")
    return folder


FOLDERS = {
    "sed_eval": (".ann", "{0}\t{1}\t{2}"),
    "sed_eval, a header": (".txt", "{0}\t{1}\t{2}", "onset\toffset\tevent_label\n"),
    "spaces": (".txt", "{0}  {1}  {2}"),
    "commas": (".csv", '{0},{1},"{2}"'),
    "Audacity": (".txt", "{0}\t{1}\t{2}", "", "\\\t100.0\t200.0\n"),
    "Audacity, scores": ("_labels.txt", "{0}\t{1}\t{2}\t0.5"),
    "Raven": (
        ".Table.1.selections.txt",
        "1\tSpectrogram 1\t1\t{0}\t{1}\t{2}",
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n",
    ),
}


@pytest.mark.parametrize("form", FOLDERS)
def test_folders_of_a_file_a_recording_hold_the_same_events(reference, form):
    folder = folder_of(reference.with_name("mine"), *FOLDERS[form])
    assert events_of(folder, reference) == EVENTS
    assert not read_system(folder, read_reference(reference)).missing


def test_a_folder_that_predict_wrote_is_of_its_events(tmp_path):
    (tmp_path / "events.csv").write_text(
        "filename,onset,offset,event_label\na,1,2,Dog\n"
    )
    (tmp_path / "tags.csv").write_text("filename,event_label,score\na,Dog,0.9\n")
    (tmp_path / "errors.csv").write_text("path,code,detail,outcome\n")
    rows, remarks = read_events(tmp_path)
    assert [row[:4] for row in rows] == [("a", 1, 2, "Dog")]
    assert remarks == [f"{tmp_path / 'events.csv'}: the events of this folder"]


def test_a_recording_may_be_named_by_a_number(tmp_path):
    path = tmp_path / "list.tsv"
    path.write_text("17\t0.5\t2.0\tDog\n18\t1.0\t3.0\tDog\n")
    [first, second], _ = read_events(path)
    assert first[:4] == ("17", 0.5, 2.0, "Dog") and second.file == "18"


def score_tables(folder):
    """Scores above 0.5 where there are events, on a grid of 0.5 s."""
    folder.mkdir()
    for name, rows in EVENTS.items():
        lines = ["onset\toffset\tDog\tAir horn, truck horn"]
        for t in range(10):
            active = {label for on, off, label in rows if on <= t / 2 < off}
            scores = [0.9 if label in active else 0.1 for label in lines[0].split("\t")]
            lines.append("\t".join(map(str, [t / 2, t / 2 + 0.5, *scores[2:]])))
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_score_tables_hold_events_tags_and_lengths(reference):
    folder = score_tables(reference.with_name("scores"))
    assert events_of(folder, reference) == EVENTS
    card = score_files(Files(reference, folder), Choice(), num_draws=20)
    figures = {
        (f.quantity, f.average): f.estimate.value for f in card.results[0].figures
    }
    assert {value for key, value in figures.items() if "_f1" in key[0]} == {1.0}
    assert figures["average_precision", "macro"] == figures["auc", "macro"] == 1
    assert any("end where their score tables do" in note for note in card.notes())
    assert any("above 0.5" in note for note in card.notes())
    at = Files(reference, folder, threshold=0.95)
    card = score_files(at, DECIDED, num_draws=0)
    found = [f.estimate.value for f in card.results[0].figures if "_f1" in f.quantity]
    assert np.nanmax(found) == 0


def test_a_figure_that_the_other_system_has_not_is_shown_alone(reference):
    folder = score_tables(reference.with_name("scores"))
    card = score_files(
        Files(reference, folder, against=reference), Choice(), num_draws=20
    )
    shown = scorecard_text(card).splitlines()
    [line] = [line for line in shown if line.startswith("psds1[")]
    assert line.split()[-5:] == ["-"] * 5
    only = score_files(
        Files(reference, folder), Choice(kinds=("calibration",)), num_draws=0
    )
    assert "\nclass" not in scorecard_text(only)


def test_posteriors_have_their_own_thresholds(reference):
    clip_ids, names = ("a", "b", "c"), ("Dog", "Air horn, truck horn")
    frame = np.full((3, 10, 2), 0.1, np.float32)
    frame[0, 1:4, 0] = frame[0, 6:9, 1] = frame[1, 2:6, 0] = 0.4
    rules = Postprocessing(0.3, 0.3, 0, 0, True, False, 1.0, 0.0, 0.0, 0.5)
    path = reference.with_name("p.npz")
    clip = np.array([[0.8, 0.9], [0.7, 0.2], [0.0, 0.1]], np.float32)  # not the highest
    PosteriorSet(clip_ids, names, 0.5, clip, frame, rules).save(path)
    assert events_of(path, reference) == EVENTS
    there = read_reference(reference)
    assert read_system(path, there).labels == there.labels
    assert (read_system(path, there).clip_scores == clip).all()
    at_half = read_system(path, there, 0.5)
    assert not any(at_half.events.values())
    assert at_half.labels["b.wav"] == {"Dog"} and not at_half.labels["c.wav"]
    both = Files(reference, reference, scores=path, against=path)
    card = score_files(both, Choice(), num_draws=20)
    values = [f.estimate.value for f in card.differences]
    assert np.nanmax(np.abs(values)) == 0
    kinds = [f.quantity for f in card.results[0].figures]
    assert any(kind.startswith("psds1[") for kind in kinds)


REFUSED = {
    "nothing matches": (
        "x.wav\t0\t1\tDog\n",
        "none of 1 recordings is in .*nearest|has",
    ),
    "two are one": ("a.wav\na.flac\n", "'a.wav' and 'a.flac' are both 'a.wav'"),
    "onset after offset": ("a.wav\t2\t1\tDog\n", ":1: expected onset <= offset"),
    "no number": ("a.wav\t0\t1\tDog\na.wav\tx\ty\tDog\n", ":2: expected a time"),
    "no class": ("a.wav\t0\t1\tdog\n", "none of 1 labels is a class .* is 'Dog'"),
    "columns": ("a.wav\t0\t1\tDog\na.wav\t0\n", ":2: expected `file onset"),
    "a fifth column": ("a.wav\t0\t1\tDog\tloud\n", ":1: expected `file onset"),
    "damaged UTF-16": ("a.wav\t0\n".encode("utf-16") + b"x", "expected UTF-8 text"),
    "no label": ("0\t1\t\n", "no label|a label"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_an_error_that_names_the_line(reference, what):
    content, message = REFUSED[what]
    path = reference.with_name("mine.txt")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_system(path, read_reference(reference))


def test_a_name_that_may_be_any_of_several_is_refused():
    names = Names(["x/a.wav", "y/a.wav", "b.wav"], "list")
    assert names.find("y/a.wav") == "y/a.wav" and names.find("z/b") == "b.wav"
    with pytest.raises(DataError, match="may be any of x/a.wav, y/a.wav"):
        names.find("a.wav")


def test_names_may_have_points(reference):
    reference.write_text("rec.v1\t0\t1\tDog\nrec.v2\t0\t1\tDog\n")
    card = score_files(Files(reference, reference), DECIDED, num_draws=0)
    assert card.num_recordings == 2
    assert {f.estimate.value for f in card.results[0].figures} == {0.0, 1.0}


def test_an_id_may_begin_with_y_itself():
    one = "Yj2Qd8xKf0-"  # eleven letters, as YouTube's are
    names = Names([f"Y{one}.wav", "Yother.wav"], "list")
    assert names.find(f"{one}.flac") == f"Y{one}.wav"
    assert names.find("other") == "Yother.wav"
    assert Names([f"{one}.wav"], "list").find(f"Y{one}") == f"{one}.wav"
    assert Names(["ard.wav"], "list").find("Yard.wav") is None  # as for the loader
    with pytest.raises(DataError, match=f"may be any of YY{one}, {one}"):
        Names([f"YY{one}", one], "list").find(f"Y{one}")


@pytest.mark.parametrize(
    ("name", "own"),
    {
        "Xh7TqNh1aKY_30000": "YXh7TqNh1aKY_30.000_40.000.wav",
        "YXh7TqNh1aKY_30.000_40.000.flac": "Xh7TqNh1aKY_30000",
        "audio/Xh7TqNh1aKY_30_40.wav": "Xh7TqNh1aKY_30000_40000.mp3",
        "Xh7TqNh1aKY_30000.wav": "Xh7TqNh1aKY_30.0.wav",
    }.items(),
)
def test_segments_of_videos_match_in_seconds_and_milliseconds(name, own):
    names = Names([own, "Xh7TqNh1aKY_31000", "Xh7TqNh1aKZ_30000"], "list")
    assert names.find(name) == own
    assert names.find("Xh7TqNh1aKY_32.000_42.000") is None


def test_a_folder_without_lists_and_a_threshold_of_a_list_are_refused(reference):
    with pytest.raises(DataError, match=r"expected event lists \(\.txt"):
        folder = reference.with_name("empty")
        folder.mkdir()
        read_system(folder, read_reference(reference))
    with pytest.raises(ConfigError, match="--threshold is of scores"):
        read_system(reference, read_reference(reference), 0.5)


def test_tables_without_a_column_of_a_class_are_refused(reference):
    folder = score_tables(reference.with_name("scores"))
    path = folder / "a.tsv"
    path.write_text(path.read_text().replace("Dog", "dog"))
    with pytest.raises(DataError, match="first 'Dog'; the nearest to 'Dog' is 'dog'"):
        read_system(folder, read_reference(reference))


def test_what_was_dropped_and_shared_is_counted(reference):
    reference.write_text(
        "a.wav\t1\t3\tDog\na.wav\t2\t4\tDog\na.wav\t1\t3\tDog\nb.wav\t2\t2\tDog\n"
        "c.wav\t0\t0\tDog\nd.wav\na.wav\t4\t5\tDog\n"
    )
    there = read_reference(reference)
    said = "\n".join(there.notes)
    assert "1 rows without times" in said and "1 events of no length" in said
    assert "1 rows are there again" in said and "1 events overlap" in said
    assert "3 of 4 recordings have no event" in said
    assert list(there.events) == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert there.labels["c.wav"] == there.labels["b.wav"] == {"Dog"}


def test_recordings_and_durations_say_what_is_scored(reference):
    (durations := reference.with_name("durations.tsv")).write_text(
        "filename\tduration\nYa.flac\t10\nb.wav\t10\nsilence.wav\t7.5\n"
    )
    there = read_reference(reference, durations=durations)
    assert list(there.events) == ["Ya.flac", "b.wav", "silence.wav"]
    assert there.durations == {"Ya.flac": 10, "b.wav": 10, "silence.wav": 7.5}
    assert any("1 of 3 recordings are not in" in note for note in there.notes)
    durations.write_text("a.wav,10\nb.wav,1.5\n")
    assert any(
        "1 events end after their recording, first one of b.wav at 3 s: it is 1.5" in n
        for n in read_reference(reference, durations=durations).notes
    )
    durations.write_text(
        "filename\tduration\nYa.flac\t10\nb.wav\t10\nsilence.wav\t7.5\n"
    )
    (listed := reference.with_name("list.txt")).write_text("b\nsilence\n")
    there = read_reference(reference, recordings=listed, durations=durations)
    assert there.durations == {"b": 10, "silence": 7.5}
    listed.write_text("b\nmissing\n")
    with pytest.raises(DataError, match="1 of 2 recordings are not in it: missing"):
        read_reference(reference, recordings=listed, durations=durations)
    durations.write_text("a.wav\t10\nb.wav\tlong\n")
    with pytest.raises(DataError, match="expected a recording and its seconds"):
        read_reference(reference, durations=durations)


def test_other_labels_than_those_of_a_class_list_do_not_count(reference):
    (classes := reference.with_name("classes.txt")).write_text("Dog\nCat\n")
    mine = reference.with_name("mine.tsv")
    mine.write_text("a.wav\t0.5\t2.0\tDog\na.wav\t3\t4\tdoh\nb.wav\t1\t3\tDog\nc.wav\n")
    files = Files(reference, mine, classes=classes)
    card = score_files(files, DECIDED, num_draws=0)
    [value] = [
        f.estimate.value
        for f in card.results[0].figures
        if f.quantity.startswith("event_f1") and f.average == "micro"
    ][:1]
    assert value == 1
    said = "\n".join(card.notes())
    assert "1 of 2 labels are no class of the reference (1 events): Air horn" in said
    assert "(1 events): doh; the nearest to 'doh' is 'Dog': they do not count" in said


def test_missing_recordings_count_as_silent_or_are_left_out(reference):
    (mine := reference.with_name("mine.tsv")).write_text(
        "a.wav\t0.5\t2.0\tDog\nc.wav\n"
    )
    card = score_files(Files(reference, mine), DECIDED, num_draws=0)
    assert card.missing == ["b.wav"]
    assert card.coverage() == (
        "on 3 recordings, 2 of them with estimates: the others (first b.wav) count as "
        "empty"
    )
    recall = [f for f in card.results[0].figures if f.quantity == "tagging_recall"]
    assert recall[0].estimate.value == pytest.approx(1 / 3)
    files = Files(reference, mine, leaves_out=True)
    card = score_files(files, DECIDED, num_draws=0)
    assert card.coverage() == (
        "on 2 of 3 recordings: the others (first b.wav) are left out"
    )
    recall = [f for f in card.results[0].figures if f.quantity == "tagging_recall"]
    assert recall[0].estimate.value == pytest.approx(1 / 2)


def test_tables_that_are_missing_are_without_detections(reference):
    folder = score_tables(reference.with_name("scores"))
    (folder / "b.tsv").unlink()
    card = score_files(Files(reference, folder), Choice(), num_draws=0)
    assert card.missing == ["b.wav"]
    assert any("PSDS needs --durations" in note for note in card.notes())
    (durations := reference.with_name("d.csv")).write_text("a,5\nb,5\nc,5\n")
    files = Files(reference, folder, durations=durations)
    card = score_files(files, Choice(kinds=("psds",)), num_draws=0)
    [psds1, _] = card.results[0].figures
    assert psds1.classes["Dog"].value == 0.5
