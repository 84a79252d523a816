"""What the configuration says reaches the training, the data and the scores."""

import json
import shutil

import pytest

from tests.conftest import make_folder

SMALLEST = (
    "--config.front_end.clip_s=1.0",
    "--config.model.blocks=(1,)",
    "--config.model.time_pooling=(2,)",
    "--config.model.frequency_pooling=(2,)",
)
BAD_ALLOWED = "--config.data.max_bad_fraction=0.1"
ONE_EPOCH = ("--config.training.num_epochs=1", "--config.fusion.epochs=1")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Recordings with all three parts; one of the 13 to train on is not there."""
    sizes = {"training": 13, "validation": 6, "testing": 5}
    folder = make_folder(tmp_path_factory.mktemp("data") / "set", sizes)
    (folder / "audio" / "training" / "Ytraining12_0.000_10.000.wav").unlink()
    return folder


@pytest.fixture(scope="module")
def trained(root, commands, tmp_path_factory):
    """Trains the smallest network, once a set of fields; returns its folder."""
    folders = {}

    def train(*fields):
        if fields not in folders:
            workdir = tmp_path_factory.mktemp("runs") / "run"
            flags = (*SMALLEST, *ONE_EPOCH, f"--config.data.root={root}")
            result = commands.main(workdir, *flags, BAD_ALLOWED, *fields)
            assert result.returncode == 0, result.stderr
            folders[fields] = workdir
        return folders[fields]

    return train


def scores_of(workdir, split="testing"):
    content = json.loads((workdir / "results" / split / "scores.json").read_text())
    return {(row["system"], row["thresholds"]): row for row in content["systems"]}


def test_another_seed_draws_other_batches(trained, root, commands, tmp_path):
    """Of the same weights, after an epoch, so that nothing else differs."""
    losses = []
    for seed in (0, 1):
        workdir = shutil.copytree(trained(), tmp_path / str(seed))
        config = json.loads((workdir / "config.json").read_text())
        (workdir / "config.json").write_text(json.dumps({**config, "seed": seed}))
        fields = (f"--config.seed={seed}", "--config.fusion.epochs=1", BAD_ALLOWED)
        flags = (*SMALLEST, f"--config.data.root={root}", *fields)
        result = commands.main(workdir, *flags)
        assert result.returncode == 0, result.stderr
        losses.append(commands.losses(workdir))
    assert losses[0][:2] == losses[1][:2] == commands.losses(trained())
    assert losses[0][2] != losses[1][2]


def test_as_many_clips_may_be_bad_as_the_configuration_says(root, commands, tmp_path):
    flags = (*SMALLEST, *ONE_EPOCH, f"--config.data.root={root}")
    strict = "--config.data.max_bad_fraction=0.02"
    result = commands.main(tmp_path / "run", *flags, strict)
    assert result.returncode == 65, result.stderr
    assert "fraction of 0.02" in result.stderr


def test_scores_are_of_the_testing_part_where_there_is_one(trained):
    [folder] = (trained() / "results").iterdir()
    assert folder.name == "testing"


def test_postprocessing_may_change_in_a_run_and_is_applied(
    trained, root, commands, tmp_path
):
    changed = "--config.postprocessing.tag_threshold=0.9"
    workdir = shutil.copytree(trained(), tmp_path / "run")
    flags = (*SMALLEST, *ONE_EPOCH, f"--config.data.root={root}", BAD_ALLOWED)
    result = commands.main(workdir, *flags, changed)
    assert result.returncode == 0 and "is finished" in result.stdout, result.stderr
    continued, fresh = scores_of(workdir), scores_of(trained(changed))
    assert continued == fresh != scores_of(trained())
    fixed = [row for row in fresh if row[1] == "fixed"]
    assert fixed and all(continued[row] != scores_of(trained())[row] for row in fixed)


def test_batch_statistics_are_of_all_devices_or_of_each(trained, commands):
    of_all, of_each = (
        commands.losses(trained(f"--config.parallel.sync_batch_norm={is_synchronised}"))
        for is_synchronised in (True, False)
    )
    assert of_all == commands.losses(trained())
    assert abs(of_all[0] - of_each[0]) > 1e-6


def test_what_the_optimizer_and_the_epoch_are_told_reaches_the_training(
    trained, commands
):
    """A batch of seven on four devices, an epoch of twenty clips: three steps."""
    flags = ("--config.training.clips_per_epoch=20", "--config.sampling.batch_size=7")
    plain = commands.losses(trained(*flags))
    assert len(plain) == 3
    for name, value in (
        ("accumulate_steps", 2),
        ("clip_norm", 0.01),
        ("reference_batch_size", 1),
    ):
        changed = commands.losses(trained(*flags, f"--config.optimizer.{name}={value}"))
        assert (changed[0] == plain[0]) == (name != "accumulate_steps")
        assert changed[2] != plain[2]
