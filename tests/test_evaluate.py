"""The command: what it prints, writes, warns of and refuses."""

import csv
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from gcrnn_jax.errors import ConfigError, DataError, WorkdirError
from gcrnn_jax.evaluate import evaluate_lists, main
from gcrnn_jax.metrics.tables import json_text, text_table

REFERENCE = (
    "a.wav\t0.000\t2.000\tFire engine, fire truck (siren)\n"
    "b.wav\t0.000\t1.000\tBus\n"
    "c.wav\t0\t0\tBus\n"
)
ESTIMATED = "a.wav\t0.000\t1.000\tFire engine, fire truck (siren)\nb.wav\nc.wav\n"


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "reference.tsv").write_text(REFERENCE)
    (tmp_path / "estimated.tsv").write_text(ESTIMATED)
    return tmp_path / "reference.tsv", tmp_path / "estimated.tsv"


def command(lists, *flags):
    return ["--reference", str(lists[0]), "--estimated", str(lists[1]), *flags]


def test_tables_show_official_and_plain_figures(lists, capsys):
    main(command(lists))
    shown = [" ".join(s.split()) for s in capsys.readouterr().out.splitlines()]
    # Tagging: 1 of 1 right; 2 labels, the one without times officially no label.
    assert "micro, official (ranks) 100.00 50.00 66.67" in shown
    assert "micro, all clips 100.00 33.33 50.00" in shown
    # Detection: 1 of 1 segment right, of 3.
    assert "micro (official) 100.00 33.33 50.00 0.6667" in shown
    assert "macro, sed_eval 66.67 0.7500" in shown
    bus = [line.split() for line in shown if line.startswith("Bus")]
    assert bus[-1] == ["Bus", "-", "0.00", "0.00", "1.0000", "1", "0"]


@pytest.mark.parametrize("task", ["tagging", "detection"])
def test_one_task_alone_leaves_the_other_out(lists, capsys, task):
    main(command(lists, "--task", task))
    shown = capsys.readouterr().out
    for word in ("Tagging", "tagging_f1"):
        assert (word in shown) == (task == "tagging")
    for word in ("Detection", "segment_f1", "event_f1"):
        assert (word in shown) == (task == "detection")


def test_scores_are_written_as_json_with_null_for_undefined(lists, tmp_path, capsys):
    output = tmp_path / "results" / "scores.json"
    main(command(lists, "--output", str(output)))
    assert "nan" not in output.read_text().lower()
    written = json.loads(output.read_text())
    scores = evaluate_lists(*lists)
    assert written["detection"]["error_rate"] == scores.detection.error_rate
    assert written["detection"]["counts"]["Nref"] == 3
    assert written["detection"]["per_class"]["Bus"]["rates"]["precision"] is None
    assert written["tagging"]["micro"]["f1"] == scores.tagging.micro.f1
    assert written["tagging"]["all_clips"]["micro"]["f1"] == 0.5
    assert [p.name for p in output.parent.iterdir()] == ["scores.json"]


def test_lists_that_match_bring_no_warning(lists, capsys):
    assert evaluate_lists(*lists).warnings == []
    main(command(lists))
    assert capsys.readouterr().err == ""


def test_files_in_one_list_only_are_counted_and_the_first_named(lists, capsys):
    lists[1].write_text(ESTIMATED.replace("a.wav", "x.wav").replace("b.wav", "y.wav"))
    main(command(lists))
    warned = capsys.readouterr().err.splitlines()
    assert warned[0].startswith("warning: 2 of 3 reference files have no estimate, ")
    assert "first a.wav, b.wav;" in warned[0]
    assert warned[1].startswith("warning: 2 of 3 estimated files are not in the ref")
    assert "x.wav, y.wav" in warned[1]
    assert len(warned) == 2


def test_lists_without_a_common_file_are_no_score_but_an_error(lists):
    lists[1].write_text("".join(f"{n}.wav\t0\t1\tBus\n" for n in range(5)))
    refused = run(*command(lists))
    assert refused.returncode == 65 and refused.stdout == ""
    assert refused.stderr == (
        f"error: {lists[1]}: none of 5 recordings is in {lists[0]}: 0.wav, 1.wav, "
        "2.wav, ...; the nearest to '0.wav' is 'c.wav'\n"
    )


def test_labels_that_the_reference_never_has_are_pointed_out(lists):
    lists[1].write_text("a.wav\t0\t1\tbus\nb.wav\t0\t1\tCow\nb.wav\t0\t1\tBus\nc.wav\n")
    [warning] = evaluate_lists(*lists).warnings
    assert warning.startswith("2 of 3 estimated labels are not in the reference, first")
    assert "bus, Cow" in warning and warning.endswith("nearest to 'bus' is 'Bus'")


def test_the_nearest_of_unknown_files_is_named(lists):
    lists[1].write_text(ESTIMATED.replace("a.wav", "A.WAV"))
    warned = evaluate_lists(*lists).warnings
    assert warned[1].endswith("first A.WAV; the nearest to 'A.WAV' is 'a.wav'")


def test_the_table_that_predict_writes_is_scored_as_it_is(lists):
    expected = repr(evaluate_lists(*lists).details)  # NaN equals itself
    lists[1].write_text(
        "filename,onset,offset,event_label,score\n"
        'a.wav,0.000,1.000,"Fire engine, fire truck (siren)",0.9\n'
        "b.wav,,,,\nc.wav,,,,\n"
    )
    assert repr(evaluate_lists(*lists).details) == expected


@pytest.mark.parametrize("task", ["tagging", "detection"])
@pytest.mark.parametrize("name", ["{}", "Y{}.wav", "audio/{}.flac", "x\\\\Y{}.mp3"])
def test_names_match_as_the_loader_matches_them(lists, task, name):
    for stem in "abc":  # eleven letters, before which a Y may be
        for path in lists:
            text = path.read_text().replace(f"{stem}.wav", f"{11 * stem}.wav")
            path.write_text(text)
    expected = repr(evaluate_lists(*lists, task=task))
    for stem in "abc":
        text = lists[1].read_text()
        changed = text.replace(f"{11 * stem}.wav", name.format(11 * stem))
        lists[1].write_text(changed)
    assert repr(evaluate_lists(*lists, task=task)) == expected


def test_a_strong_list_for_tagging_and_a_weak_one_for_detection_are_pointed_out(lists):
    lists[0].write_text(REFERENCE + "b.wav\t3.000\t4.000\tBus\n")
    [warning] = evaluate_lists(*lists, task="tagging").warnings
    assert warning.startswith("1 reference rows repeat a label")
    for path in lists:
        path.write_text("id_60.000_70.000.wav\t60.000\t70.000\tBus\n")
    [warning] = evaluate_lists(*lists, task="detection").warnings
    assert "weak list" in warning
    assert evaluate_lists(*lists, task="tagging").warnings == []


@pytest.fixture
def many(tmp_path):
    """120 recordings; one system finds 3 of 4 events, the other 1 of 2, no Cat."""
    there, good, bad = "", "", ""
    for n in range(120):
        name, label = f"r{n}.wav", ("Dog", "Cat")[n % 5 == 0]
        there += f"{name}\t1.0\t2.0\t{label}\n"
        good += f"{name}\t1.1\t2.1\t{label}\n" if n % 4 else f"{name}\n"
        bad += f"{name}\t1.1\t2.1\t{label}\n" if n % 2 and n % 5 else f"{name}\n"
    for name, text in {"reference": there, "good": good, "bad": bad}.items():
        (tmp_path / f"{name}.tsv").write_text(text)
    return tmp_path


def test_every_figure_has_a_definition_and_an_interval(many, capsys):
    flags = ["--output", str(many / "o.json"), "--csv", str(many / "o.csv")]
    main(command((many / "reference.tsv", many / "good.tsv"), *flags))
    written = json.loads((many / "o.json").read_text())
    kinds = {figure["quantity"] for figure in written["figures"]}
    assert "event_f1[onset 0.2 s, offset max(0.2 s, 20 %)]" in kinds
    constant = ["segment_precision[1 s]", "segment_substitution_rate[1 s]"]
    constant += ["segment_error_rate[1 s]"]
    for figure in written["figures"]:
        is_constant = figure["quantity"] in constant  # the same of every recording
        if figure["value"] not in (1, None) and not is_constant:
            assert figure["low"] < figure["value"] < figure["high"]
            assert figure["draws"] == 1000
    [recall] = [f for f in written["figures"] if f["quantity"] == "tagging_recall"]
    assert recall["value"] == 0.75 and recall["classes"]["Cat"]["value"] == 0.75
    # 120 independent recordings: sqrt(0.75 * 0.25 / 120) = 0.0395 each way, twice
    assert recall["low"] == pytest.approx(0.75 - 1.96 * 0.0395, abs=0.01)
    assert recall["high"] == pytest.approx(0.75 + 1.96 * 0.0395, abs=0.01)
    shown = capsys.readouterr().out
    assert "Scores on all 120 recordings" in shown
    assert "95 % intervals: 1,000 draws of 120 recordings" in shown
    assert "too narrow" not in shown
    rows = list(csv.DictReader(io.StringIO((many / "o.csv").read_text())))
    [row] = [r for r in rows if r["quantity"] == "tagging_recall" and r["average"]]
    assert float(row["value"]) == 0.75 and float(row["low"]) == recall["low"]
    assert {row["class"] for row in rows} == {"", "Cat", "Dog"}


def test_draws_are_those_of_the_seed(many, capsys):
    lists = many / "reference.tsv", many / "good.tsv"
    shown = []
    for seed in ("0", "0", "1"):
        main(command(lists, "--seed", seed))
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_two_systems_are_compared_on_the_same_draws(many, capsys):
    output = many / "o.json"
    flags = "--against", str(many / "bad.tsv"), "--output", str(output)
    main(command((many / "reference.tsv", many / "good.tsv"), *flags))
    against = json.loads(output.read_text())["against"]
    found = {(f["quantity"], f["average"]): f for f in against["differences"]}
    recall = found["tagging_recall", "micro"]
    assert recall["value"] == pytest.approx(0.75 - 0.4)
    assert 0 < recall["low"] < recall["value"] < recall["high"]
    assert recall["p"] == pytest.approx(1 / 1001)
    assert recall["classes"]["Cat"]["value"] == 0.75
    shown = capsys.readouterr().out
    assert "class that moved" in shown
    header = next(line for line in shown.splitlines() if " average " in line)
    assert {"good.tsv", "bad.tsv", "difference", "p"} <= {*header.split()}
    flags = "--against", str(many / "good.tsv"), "--output", str(output)
    main(command((many / "reference.tsv", many / "good.tsv"), *flags))
    assert "No class moved" in capsys.readouterr().out
    for figure in json.loads(output.read_text())["against"]["differences"]:
        assert figure["value"] in (0, None)
        assert figure["low"] is None  # 0 in every draw


def test_an_interval_of_nothing_but_ones_is_none(lists, capsys):
    main(command((lists[0], lists[0])))
    shown = capsys.readouterr().out
    assert "only 3: intervals are too narrow" in shown
    assert "[1.000" not in shown
    line = next(row for row in shown.splitlines() if row.startswith("tagging_f1"))
    assert line.split() == ["tagging_f1", "micro", "1.0000", "-"]


def test_missing_recordings_are_listed_beside_the_scores(lists, tmp_path, capsys):
    lists[1].write_text(ESTIMATED.replace("c.wav\n", ""))
    output = tmp_path / "scores" / "o.json"
    main(command(lists, "--output", str(output)))
    shown = capsys.readouterr().out
    assert "Scores on 3 recordings, 2 of them with estimates: the others" in shown
    assert output.with_name("missing.csv").read_text() == "filename\nc.wav\n"
    coverage = json.loads(output.read_text())["coverage"]
    assert coverage["with_estimates"] == 2 and coverage["missing"] == ["c.wav"]
    main(command(lists, "--missing", "leave_out"))
    shown = capsys.readouterr().out
    assert "Scores on 2 of 3 recordings" in shown
    assert "has events alone: no psds, best, ranking, calibration, which" in shown


def test_what_each_of_two_systems_lacks_is_said_of_it(lists, tmp_path, capsys):
    lists[1].write_text(ESTIMATED.replace("c.wav\n", ""))
    other = tmp_path / "other.tsv"
    other.write_text("b.wav\t0\t1\tBuss\nb.wav\t1\t2\tBus\n")
    paths = {name: tmp_path / name for name in ("o.json", "o.csv")}
    flags = "--output", str(paths["o.json"]), "--csv", str(paths["o.csv"])
    main(command(lists, "--against", str(other), *flags))
    shown = capsys.readouterr()
    both = f"2 of {lists[1]}, 1 of {other}"
    assert f"1 of them with estimates of both systems ({both})" in shown.out
    assert f"warning: {other}: 1 of 2 estimated labels are not in" in shown.err
    assert "the nearest to 'Buss' is 'Bus'" in shown.err
    missing = list(csv.reader((tmp_path / "missing.csv").read_text().splitlines()))
    assert missing[0] == ["filename", "system"] and len(missing) == 4
    assert missing[1] == ["c.wav", str(lists[1])] and missing[2][1] == str(other)
    systems = json.loads(paths["o.json"].read_text())["coverage"]["systems"]
    assert [one["with_estimates"] for one in systems] == [2, 1]
    assert systems[0]["missing"] == ["c.wav"]
    rows = csv.DictReader(paths["o.csv"].read_text().splitlines())
    assert {(row["system"], row["with_estimates"]) for row in rows} == {
        (str(lists[1]), "2"),
        (str(other), "1"),
        (f"{lists[1]} - {other}", "1"),
    }


def test_figures_can_be_chosen(lists, capsys):
    flags = "--metrics event intersection --collars 0.5 --intersection 0.1 0.1".split()
    main(command(lists, *flags, "--draws", "0"))
    shown = capsys.readouterr().out
    assert "event_f1[onset 0.5 s]" in shown and "segment_f1" not in shown
    assert "events alone" not in shown
    assert "intersection_f1[dtc 0.1, gtc 0.1]" in shown and "draws of" not in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    {
        "--metrics psds --task tagging": "--task=tagging has tagging, ranking",
        "--draws -1": "--draws: expected 0 or more, got -1",
        "--collars 1 2": "--collars: expected an onset, or an onset, an offset",
        "--collars -1": "--collars: Collars: expected onset_s of 0 or more",
        "--segment_s 0": "--segment_s: expected more than 0 s, got 0",
        "--intersection 2 0": "--intersection: .* expected dtc in",
        "--psds 0.5 0.5 0.3 2 1 100": "--psds: .* expected alpha_ct in",
        "--metrics psds best": "--metrics: psds, best need scores of .* events alone",
        "--threshold nan": "--threshold: expected a number, got nan",
        "--threshold 0.5": "--threshold is of scores",
        "--layout table": "--layout: of the folder that --model is scored on, --root",
    }.items(),
)
def test_flags_that_cannot_be_are_refused(lists, flags, message):
    with pytest.raises(ConfigError, match=message):
        main(command(lists, *flags.split()))


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "gcrnn_jax.evaluate", *flags],
        capture_output=True,
        text=True,
        check=False,
    )


def test_bad_lists_end_with_65_and_bad_flags_with_2_without_a_traceback(lists):
    lists[1].write_text("a.wav\t0\t1\tBus\na.wav\t5\t1\tBus\n")
    bad_row = run(*command(lists))
    assert bad_row.returncode == 65
    assert bad_row.stderr.startswith(f"error: {lists[1]}:2: expected onset <= offset")
    bad_flag = run(*command(lists, "--task", "singing"))
    assert bad_flag.returncode == 2
    assert "Traceback" not in bad_row.stderr + bad_flag.stderr


def test_a_report_without_anything_to_score_is_refused(tmp_path):
    page = tmp_path / "page.html"
    with pytest.raises(ConfigError, match="expected --reference and --estimated"):
        main(["--report", str(page)])
    assert not page.exists()


@pytest.mark.parametrize(
    ("system", "flags", "message"),
    [
        ("--model", "--threshold=0.5 --missing=leave_out", "--threshold, --missing"),
        ("--posteriors", "--reference=a --against=b", "--reference, --against"),
        ("--reference=a --estimated", "--split=testing --fit=x", "--split, --fit"),
    ],
)
def test_flags_of_another_kind_of_system_are_refused(
    system, flags, message, monkeypatch
):
    monkeypatch.setenv("GCRNN_RESTARTED", "1")  # or this process would be another
    with pytest.raises(ConfigError, match=rf"^{message}: of "):
        main([*system.split(), "nowhere", *flags.split()])


@pytest.mark.parametrize("flag", ["--output", "--csv", "--report"])
def test_what_cannot_be_written_is_said_before_the_work(lists, capsys, flag):
    lists[1].write_text("no list")  # which nobody reads
    with pytest.raises(WorkdirError, match="it is a folder; expected a file"):
        main(command(lists, flag, str(lists[0].parent)))
    with pytest.raises(WorkdirError, match="cannot write"):
        main(command(lists, flag, str(lists[0] / "below" / "a.file")))
    assert capsys.readouterr().out == ""


def test_a_table_of_clips_is_no_list_of_events(lists):
    lists[0].write_text(
        "recording,start,end,split,labels\na.wav,0,10,testing,Bus;Dog\n"
    )
    with pytest.raises(
        DataError, match=r":1: expected events, got a table of clips .* ev"
    ):
        main(command(lists))


def test_help_shows_an_example_and_loads_no_jax():
    shown = run("--help")
    assert shown.returncode == 0
    assert "examples:" in shown.stdout
    code = "import sys, gcrnn_jax.evaluate; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_list_or_one_without_rows_is_a_data_error(lists):
    with pytest.raises(DataError, match="cannot read"):
        evaluate_lists(lists[0].with_name("missing.tsv"), lists[1])
    lists[0].write_text("\n")
    with pytest.raises(DataError, match="got 0"):
        evaluate_lists(*lists)


def test_long_class_names_widen_their_column():
    table = text_table(
        ["class", "F1"], [["x" * 40, 0.25], ["y", None], ["z", math.nan]]
    )
    assert len({len(line) for line in table.splitlines()}) == 1
    assert table.splitlines()[1] == "x" * 40 + "  0.2500"
    assert table.splitlines()[2].endswith(" -")


def test_immense_error_rates_stay_narrow():
    assert text_table(["x", "y"], [["a", 5e15]]).endswith(" 5.0e+15")


def test_json_holds_arrays_numbers_and_no_infinities():
    text = json_text({"a": np.float32(0.5), "b": [np.inf, np.array([1.0, np.nan])]})
    assert json.loads(text) == {"a": 0.5, "b": [None, [1.0, None]]}
