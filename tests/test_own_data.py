"""A run on a folder of recordings, and what happens when the folder changes."""

import csv
import json

from gcrnn_jax.check import check


def scored_clips(workdir):
    with open(workdir / "results" / "validation" / "tags.csv") as file:
        return {row["filename"] for row in csv.DictReader(file)}


def scored_data(workdir):
    """The hash that the scores carry."""
    path = workdir / "results" / "validation" / "scores.json"
    return json.loads(path.read_text())["data_sha256"]


def data_begun_with(workdir):
    return json.loads((workdir / "data.json").read_text())["data_sha256"]


def test_a_run_goes_on_with_its_own_training_clips_only(
    commands, data_folder, tmp_path
):
    root, workdir = data_folder(training=12, validation=6), tmp_path / "run"
    fields = (*commands.SMALLEST, "--config.training.num_epochs=1")
    fields = (*fields, "--config.fusion.epochs=1")

    groups = tmp_path / "groups.csv"  # of six clips, once there are as many
    grouped = f"--config.data.root={root}", f"--config.thresholds.groups={groups}"
    wrong = commands.main(workdir, *fields, *grouped)
    assert wrong.returncode == 65 and not (workdir / "scores.jsonl").exists()
    assert f"thresholds.groups: cannot read {groups}" in wrong.stderr
    groups.write_text("".join(f"validation{n},{n % 3}\n" for n in range(6)))
    first = commands.main(workdir, *fields, *grouped)
    assert first.returncode == 0, first.stderr
    assert "draws of 3 groups of 6 recordings, drawn together" in first.stdout
    assert "This part also served to watch training" in first.stdout
    assert len(scored_clips(workdir)) == 6
    begun = check(root, num_workers=1).card["data_sha256"]
    assert f"data sha256 {begun}" in first.stdout
    assert scored_data(workdir) == data_begun_with(workdir) == begun
    card = json.loads((workdir / "averaged" / "card" / "data.json").read_text())
    assert len(card["postprocessing"]["tag_threshold"]) == 3

    # one validation clip less, and the folder elsewhere: scored anew
    moved = root.rename(tmp_path / "moved")
    rows = (moved / "validation_set.csv").read_text().splitlines(keepends=True)
    (moved / "validation_set.csv").write_text("".join(rows[:-1]))
    second = commands.main(workdir, *fields, f"--config.data.root={moved}")
    assert second.returncode == 0, second.stderr
    assert "is finished" in second.stdout and len(scored_clips(workdir)) == 5
    assert scored_data(workdir) == check(moved, num_workers=1).card["data_sha256"]
    assert scored_data(workdir) != data_begun_with(workdir) == begun

    rows = (moved / "training_set.csv").read_text().splitlines(keepends=True)
    (moved / "training_set.csv").write_text("".join(rows[:-1]))
    third = commands.main(workdir, *fields, f"--config.data.root={moved}")
    assert third.returncode == 65
    assert "12 clips then, 11 now" in third.stderr and "Traceback" not in third.stderr
