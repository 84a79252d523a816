"""The commands as a user runs them, on soundscapes as few as they can be."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from gcrnn_jax.data.lists.event_tables import EVENT_COLUMNS
from gcrnn_jax.data.store import FeatureStore
from gcrnn_jax.detection import posterior_files
from gcrnn_jax.detection.posteriors import PosteriorSet
from gcrnn_jax.runs import read_card_and_variables


def test_a_run_ends_with_a_table_and_what_it_wrote(finished_run):
    workdir, printed = finished_run
    for text in (
        "epochs 1:2:1 fused",
        "epochs 1:2:1 averaged",
        "the same for all clips",
    ):
        assert text in printed
    assert "Civil defense siren" in printed and "overall (micro)" in printed
    scores = json.loads((workdir / "results" / "testing" / "scores.json").read_text())
    assert len(scores["systems"]) == 7
    for name in ("events.csv", "tags.csv"):
        with open(workdir / "results" / "testing" / name) as file:
            lines = list(csv.DictReader(file))
        assert tuple(lines[0]) == EVENT_COLUMNS
        found = [line for line in lines if line["event_label"]]
        assert found and all(0 < float(line["probability"]) < 1 for line in found)
        assert len({line["filename"] for line in lines}) == 12
    card, _ = read_card_and_variables(workdir / "averaged")
    assert card.probabilities and len(card.probabilities.frame.bias) == 17
    log = (workdir / "metrics.jsonl").read_text().splitlines()
    steps = [(line["epoch"], line["learning_rate"]) for line in map(json.loads, log)]
    rates = [0.003 * step / 20 for step in range(4)]  # it rises over 20 steps
    assert steps == list(zip((1, 1, 2, 2), rates, strict=True))


def test_a_run_writes_its_page_with_curves_and_sound(finished_run):
    workdir, printed = finished_run
    path = workdir / "results" / "testing" / "report.html"
    assert f"wrote {path}" in printed
    text = path.read_text()
    for row in json.loads((path.parent / "scores.json").read_text())["systems"]:
        assert f"<td>{100 * row['tagging']['micro']['f1']:.2f}<small>" in text
        assert f"<td>{row['detection']['error_rate']:.3f}<small>" in text
    assert "Scores after every epoch, on validation" in text
    num_cards = text.count('<article class="card"')
    assert num_cards == text.count("<audio ") == text.count("data:image/png") > 0
    assert text.count('<path class="area"') == text.count('class="plot frames"')


def test_evaluate_writes_a_page_of_a_model_and_of_posteriors(
    finished_run, commands, tmp_path
):
    workdir, store = finished_run.workdir, finished_run.store
    posteriors = workdir / "results" / "testing" / "posteriors.npz"
    groups = tmp_path / "groups.csv"
    clips = PosteriorSet.load(posteriors).clip_ids
    groups.write_text("".join(f"{clip},{n % 3}\n" for n, clip in enumerate(clips)))
    for number, (flags, has_model) in enumerate(
        (
            ([f"--model={workdir / 'averaged'}"], True),
            ([f"--posteriors={posteriors}", f"--store={store}"], False),
        )
    ):
        page, table = tmp_path / f"{number}.html", tmp_path / f"{number}.csv"
        flags += [f"--report={page}", f"--csv={table}", f"--groups={groups}"]
        result = commands.run(*flags, module="gcrnn_jax.evaluate")
        assert result.returncode == 0, result.stderr
        assert f"wrote {page}" in result.stdout
        assert "draws of 3 groups of 12 recordings, drawn together" in result.stdout
        with open(table) as file:
            lines = list(csv.DictReader(file))
        assert {"tagging_f1", "lwlrap"} <= {line["quantity"] for line in lines}
        assert {line["recordings"] for line in lines} == {"12"}
        text = page.read_text()
        for part in ("<audio ", '<path class="area"', 'id="training"'):
            assert (part in text) == has_model
        assert ("No recording: MISSING" in text) != has_model


def test_a_run_that_fails_in_any_of_its_parts_goes_on(own_run, commands, fails_at):
    prolonged = ("--config.training.num_epochs=4", "--config.fusion.epochs=1:4:1")
    for fault in (
        "train.restore:enospc",
        "score.epoch:enospc",
        "score.write:enospc",
        "report.average:enospc",
        "report.write:enospc",
    ):
        with fails_at(fault):
            result = commands.main(own_run.workdir, *prolonged)
            assert result.returncode == 74, (fault, result.stderr)
            raise OSError(result.stderr)
    result = commands.main(own_run.workdir, *prolonged)
    assert result.returncode == 0, result.stderr
    assert len(commands.losses(own_run.workdir)) == 8


def test_a_start_that_failed_before_a_step_refuses_no_other_one(
    commands, tmp_path, fails_at
):
    smallest = (*commands.SMALLEST, "--config.training.num_epochs=1")
    smallest += ("--config.fusion.epochs=1",)
    for fault in ("train.restore:enospc", "train.step:enospc"):
        with fails_at(fault):
            result = commands.main(tmp_path, *smallest, "--config.model.filters=3")
            assert result.returncode == 74, (fault, result.stderr)
            raise OSError(result.stderr)
        assert (tmp_path / "config.json").exists()
    result = commands.main(
        tmp_path, *smallest, "--config.seed=3", "--config.data.held_out_fraction=0.2"
    )
    assert result.returncode == 0, result.stderr
    assert len(commands.losses(tmp_path)) == 2
    result = commands.main(tmp_path, *smallest, "--config.model.filters=3")
    assert result.returncode == 2 and "model.filters: 4 -> 3" in result.stderr


def test_a_run_too_large_for_memory_reports_the_same(own_run, commands, monkeypatch):
    results = own_run.workdir / "results" / "testing"
    names = "scores.json", "events.csv", "tags.csv"
    before = [(results / name).read_bytes() for name in names]
    expected = PosteriorSet.load(results / "posteriors.npz")
    shutil.rmtree(own_run.workdir / "posteriors")
    shutil.rmtree(results)
    monkeypatch.setattr(posterior_files, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(posterior_files, "BLOCK_BYTES", 50_000)  # of a few clips
    again = commands.main(own_run.workdir)
    assert again.returncode == 0, again.stderr
    assert [(results / name).read_bytes() for name in names] == before
    found = PosteriorSet.load(results / "posteriors.npz")
    np.testing.assert_array_equal(np.array(found.frame), expected.frame)
    assert found.postprocessing == expected.postprocessing
    assert '<article class="card"' in (results / "report.html").read_text()
    kept = [path.name for path in (own_run.workdir / "posteriors").rglob("*.*")]
    assert kept == ["epochs-1-2-1.npz"] * 2  # of two splits


def test_a_run_scores_some_epochs_and_saves_all(commands, tmp_path):
    fields = [f"--config.training.{f}" for f in ("num_epochs=4", "evaluate_every=3")]
    result = commands.main(tmp_path, *fields, "--config.fusion.epochs=4")
    assert result.returncode == 0, result.stderr
    scored = re.findall(r"epoch (\d)/4: validation", result.stdout + result.stderr)
    logged = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert scored == [str(json.loads(line)["epoch"]) for line in logged] == ["3", "4"]
    saved = sorted(path.name for path in (tmp_path / "checkpoints").glob("[0-9]"))
    assert saved == ["2", "4", "6", "8"]
    assert "lines of" not in result.stderr  # none is missed


def test_a_finished_run_says_so_and_evaluates_to_the_same_scores(own_run, commands):
    workdir = own_run.workdir
    before = (workdir / "results" / "testing" / "scores.json").read_bytes()
    again = commands.main(workdir)
    assert again.returncode == 0, again.stderr
    assert "is finished" in again.stdout
    starts = json.loads((workdir / "run.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, 4]
    assert all("--config=configs/laptop.py" in start["command"] for start in starts)
    assert (workdir / "results" / "testing" / "scores.json").read_bytes() == before
    assert len(commands.losses(workdir)) == 4


def test_a_run_starts_from_another_with_its_front_end(finished_run, commands, tmp_path):
    start = f"--config.training.start_from={finished_run.workdir}"
    fields = (start, "--config.front_end.hop_length=2000")
    wrong = commands.main(
        tmp_path / "run", *fields, "--config.training.frozen=('lst',)"
    )
    assert wrong.returncode == 2 and "did you mean last?" in wrong.stderr
    assert not (tmp_path / "run").exists()
    fields += ("--config.training.num_epochs=1", "--config.fusion.epochs=1")
    frozen = "--config.training.frozen=('block_0','last')"
    result = commands.main(tmp_path / "run", *fields, frozen)
    assert result.returncode == 0, result.stderr
    assert "front end of the model, not as configured: hop_length 2000" in result.stdout
    assert "starting from" in result.stdout and "taken, frozen" in result.stdout
    assert f"features in {finished_run.store}" in result.stdout  # of one front end


def evaluated(commands, output, *flags):
    """The tagging scores that `evaluate` writes, and the hash of their data."""
    result = commands.run(*flags, f"--output={output}", module="gcrnn_jax.evaluate")
    assert result.returncode == 0, result.stderr
    content = json.loads(output.read_text())
    return content["tagging"], content["data_sha256"]


def test_averaging_fusing_and_evaluating_agree_with_the_run(
    finished_run, commands, tmp_path
):
    workdir, printed = finished_run
    results = workdir / "results" / "testing"
    store = finished_run.store
    scores = json.loads((results / "scores.json").read_text())
    reported = {
        (row["system"], row["thresholds"]): (row["tagging"], scores["data_sha256"])
        for row in scores["systems"]
    }
    assert f"data sha256 {scores['data_sha256']}" in printed
    averaged, fused = tmp_path / "averaged", tmp_path / "fused"
    result = commands.run(
        *(workdir, "--epochs=1:2", f"--output={averaged}"),
        module="gcrnn_jax.average_checkpoints",
    )
    assert result.returncode == 0, result.stderr
    for split in ("testing", "validation"):
        result = commands.run(
            *(workdir, f"--split={split}", f"--output={fused}-{split}.npz"),
            module="gcrnn_jax.fuse",
        )
        assert result.returncode == 0, result.stderr
    by_file = (f"--posteriors={fused}-testing.npz", f"--store={store}")
    for row, flags in (
        (("epochs 1:2:1 averaged", "fixed"), [f"--model={averaged}"]),
        (
            ("epochs 1:2:1 averaged", "validation"),
            [f"--model={averaged}", "--fit=validation"],
        ),
        (("epochs 1:2:1 averaged", "validation"), [f"--model={workdir / 'averaged'}"]),
        (("epochs 1:2:1 fused", "fixed"), by_file),
        (
            ("epochs 1:2:1 fused", "validation"),
            [*by_file, f"--fit={fused}-validation.npz"],
        ),
        (
            ("epochs 1:2:1 fused", "validation"),
            [f"--posteriors={results / 'posteriors.npz'}", f"--store={store}"],
        ),
    ):
        assert evaluated(commands, tmp_path / "scores.json", *flags) == reported[row]


def test_scores_on_the_clips_that_chose_the_thresholds_say_so(finished_run, commands):
    model = f"--model={finished_run.workdir / 'averaged'}"
    for split, says_so in (("validation", True), ("testing", False)):
        flags = (model, f"--split={split}")
        printed = commands.run(*flags, module="gcrnn_jax.evaluate").stdout
        assert ("chosen on these clips" in printed) == says_so, printed


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--fit=testing"], "found on testing say nothing"),
        (["--split=evaluation"], "no split evaluation in "),
        (["--posteriors=a.npz"], "exclude each other"),
    ],
)
def test_what_evaluate_cannot_score_is_said(finished_run, commands, flags, told):
    model = f"--model={finished_run.workdir}"
    result = commands.run(model, *flags, module="gcrnn_jax.evaluate")
    assert result.returncode == 2 and told in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--config.model.filtres=16", "filtres"),
        ("--config.model.filters=many", "filters"),
        ("--config=configs/none.py", "configs/none.py"),
        ("--workdri=x", "workdri"),
        ("--config.data.soundscapes=(24,12)", "data.soundscapes"),
        ("--config.seed=-1", "seed"),
    ],
)
def test_a_mistake_in_a_flag_is_named_and_exits_2(commands, tmp_path, flag, named):
    result = commands.main(tmp_path / "run", flag)
    assert result.returncode == 2, result.stderr
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_another_configuration_on_the_same_workdir_is_refused(finished_run, commands):
    result = commands.main(finished_run.workdir, "--config.optimizer.learning_rate=0.1")
    assert result.returncode == 2
    assert "optimizer.learning_rate: 0.003 -> 0.1" in result.stderr


def test_a_root_that_is_no_data_set_exits_65(commands, tmp_path):
    result = commands.main(tmp_path / "run", f"--config.data.root={tmp_path}")
    assert result.returncode == 65
    assert str(tmp_path) in result.stderr and "Traceback" not in result.stderr


def test_a_diverging_run_exits_70_and_names_the_step(commands, tmp_path):
    result = commands.main(tmp_path / "run", "--config.optimizer.learning_rate=1e30")
    assert result.returncode == 70, result.stderr
    assert "of step" in result.stderr and "Traceback" not in result.stderr


def test_the_configuration_may_follow_its_flag_after_a_space(commands, tmp_path):
    flags = ("--config", "configs/none.py", f"--workdir={tmp_path}")
    result = commands.run_process(*flags)
    assert result.returncode == 2
    assert "configs/none.py" in result.stderr and "Traceback" not in result.stderr


def test_help_shows_an_example(commands):
    result = commands.run_process("--help")
    assert result.returncode == 0
    assert "--config=configs/sed.py" in result.stdout


def figures_by_name(figures):
    """Value and interval of every average and class."""
    found = {}
    for one in figures:
        key = one["quantity"], one["average"]
        found[key] = one["value"], one["low"], one["high"]
        for name, own in one["classes"].items():
            found[(*key, name)] = own["value"], own["low"], own["high"]
    return found


def printed_figures(text):
    """The lines of the tables of figures."""
    pattern = r"^((?:segment|event|intersection|tagging)_\S.*?  .*(?:\]|-))$"
    return {" ".join(line.split()) for line in re.findall(pattern, text, re.M)}


def test_a_run_and_lists_that_it_wrote_have_the_same_figures_and_intervals(
    finished_run, commands, tmp_path
):
    workdir, printed = finished_run
    results, store = workdir / "results" / "testing", finished_run.store
    systems = json.loads((results / "scores.json").read_text())["systems"]
    [run] = [row for row in systems if "psds1" in str(row["figures"])]
    assert (run["system"], run["thresholds"]) == ("epochs 1:2:1 fused", "validation")
    split = FeatureStore.open(store).find_split("testing")
    weak, strong = tmp_path / "weak.tsv", tmp_path / "strong.tsv"
    with weak.open("w") as tags, strong.open("w") as events:
        for n, clip in enumerate(split.clip_ids):
            for onset, offset, label in split.events[clip]:
                print(f"{clip}.wav", onset, offset, label, sep="\t", file=events)
            for k in split.weak_label[n].nonzero()[0]:
                name = split.class_names[k]
                print(f"{clip}.wav", 0.0, 10.0, name, sep="\t", file=tags)

    def evaluated(*flags):
        output = tmp_path / "scores.json"
        result = commands.run(*flags, f"--output={output}", module="gcrnn_jax.evaluate")
        assert result.returncode == 0, result.stderr
        found = figures_by_name(json.loads(output.read_text())["figures"])
        return found, printed_figures(result.stdout)

    whole = figures_by_name(run["figures"])
    posteriors = f"--posteriors={results / 'posteriors.npz'}"
    of_run = whole, printed_figures(printed)
    assert evaluated(posteriors, f"--store={store}") == of_run
    for reference, name, task in (
        (strong, "events.csv", "detection"),
        (weak, "tags.csv", "tagging"),
    ):
        flags = f"--reference={reference}", f"--estimated={results / name}"
        found, lines = evaluated(*flags, f"--task={task}")
        assert len(lines) > 2 and lines <= of_run[1]
        for key, of_list in found.items():
            np.testing.assert_allclose(
                *(np.array(one, float) for one in (of_list, whole[key])), rtol=1e-12
            )
