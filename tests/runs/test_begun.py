"""A run goes on with the configuration and the data that it was begun with."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from configs import few_clips, laptop, sed
from gcrnn_jax.config import Config
from gcrnn_jax.errors import ConfigError, DataError, DivergedError
from gcrnn_jax.runs import Run, open_store
from gcrnn_jax.runs.training import note_divergence


def make_run(folder, module=sed, **changes):
    sections = module.get_config().to_dict()
    for name, fields in changes.items():
        sections[name].update(fields)
    return Run(folder, Config.from_dict(sections))


class Clips(list):
    """As much of a split as is compared."""

    content_hash = "d"


def store(num_clips=3, labels="abc", mean=(0.5, 1.5), name="Car", data="all"):
    """As much of a feature store as identifies its training clips."""
    files = ("clip_ids.json", "num_frames.npy", "weak_label.npy")
    return SimpleNamespace(
        content_hash=data,
        splits={"training": Clips(range(num_clips))},
        card={
            "files": {
                f"training/{file}": {"sha256": sha256}
                for file, sha256 in zip(files, labels, strict=True)
            },
            "classes": {"ids": ["/m/1"], "names": [name]},
            "scaler": {"mean": list(mean), "std": [1.0, 2.0]},
        },
    )


def begin(run):
    """Leaves in a run's folder what a start with a finished epoch leaves."""
    run.write_config()
    (run.models / "2").mkdir(parents=True)
    (run.models / "2" / "card").touch()


def test_a_configuration_is_read_as_it_was_written(tmp_path):
    run = make_run(tmp_path)
    run.check_config()  # nothing is there yet
    run.write_config()
    assert Run.open(tmp_path) == run
    run.check_config()


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "filters", 8),
        ("sampling", "class_size_thresholds", (1,)),
        ("data", "soundscapes", (1, 1, 1)),
        ("data", "held_out_fraction", 0.1),
        ("training", "steps_per_epoch", 7),
        ("training", "clips_per_epoch", 7),
        ("sampling", "batch_size", 7),
        ("optimizer", "accumulate_steps", 2),
        ("training", "weight_average", 0.9),
        ("parallel", "sync_batch_norm", False),
    ],
)
def test_what_makes_another_run_is_refused_and_named(tmp_path, section, field, value):
    begin(make_run(tmp_path))
    other = make_run(tmp_path, **{section: {field: value}})
    with pytest.raises(ConfigError, match=rf"\n  {section}\.{field}: .* -> "):
        other.check_config()


def test_a_run_that_saved_nothing_may_be_begun_with_another_configuration(tmp_path):
    make_run(tmp_path).write_config()
    make_run(tmp_path).write_data(store())
    (tmp_path / "resume").mkdir()
    other = make_run(tmp_path, model={"filters": 8})
    other.check_config()
    other.write_config()
    other.write_data(store(num_clips=4))
    other.check_data(store(num_clips=4))
    assert Run.open(tmp_path) == other


@pytest.mark.parametrize("kept", ["resume/2/state", "averaged/card", "scores.jsonl"])
def test_a_run_that_saved_anything_has_begun(tmp_path, kept):
    make_run(tmp_path).write_config()
    (tmp_path / kept).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / kept).touch()
    with pytest.raises(ConfigError, match="another configuration"):
        make_run(tmp_path, model={"filters": 8}).check_config()


def test_after_divergence_the_same_command_goes_on_with_another_rate(tmp_path):
    run = make_run(tmp_path)
    lower = make_run(tmp_path, optimizer={"learning_rate": 1e-5})
    begin(run)
    with pytest.raises(ConfigError, match="learning_rate"):
        lower.check_config()
    diverged = DivergedError("the loss of step 250 is not finite")
    error = note_divergence(run, diverged)
    assert str(error).endswith("starts again: no epoch was finished")
    for step in (100, 200):
        (run.states / str(step) / "state").mkdir(parents=True)
    error = note_divergence(run, diverged)
    assert str(error).startswith(str(diverged))
    expected = r"lower --config\.optimizer\.learning_rate .* goes on after epoch 2, .*"
    assert re.search(expected + f"if {run.states}/200 and", str(error))
    with pytest.raises(ConfigError, match="filters"):
        make_run(tmp_path, model={"filters": 8}).check_config()
    lower.check_config()
    lower.write_config()
    with pytest.raises(ConfigError, match="learning_rate"):
        run.check_config()  # once


def test_a_run_may_be_prolonged_and_its_data_moved(tmp_path):
    begin(make_run(tmp_path))
    make_run(
        tmp_path,
        training={"num_epochs": 100},
        fusion={"first_epoch": 90, "last_epoch": 100},
        data={"root": "elsewhere", "store": "there", "num_workers": 0},
        parallel={"cpu_devices": 2, "device_cache_fraction": 0.1},
        postprocessing={"gap_s": 0.1},
        thresholds={"per_class": False},
    ).check_config()


def test_a_run_whose_rate_falls_to_its_end_cannot_be_prolonged(tmp_path):
    begin(make_run(tmp_path, few_clips))
    other = make_run(tmp_path, few_clips, training={"num_epochs": 100})
    with pytest.raises(ConfigError, match=r"num_epochs: 30 -> 100 \(a cosine schedule"):
        other.check_config()


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0", None])
def test_a_damaged_configuration_is_named(tmp_path, content):
    if content is not None:
        begin(make_run(tmp_path))
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(DataError, match=r"config\.json: "):
            make_run(tmp_path).check_config()
    with pytest.raises(DataError, match=r"config\.json: "):
        Run.open(tmp_path)


def test_a_configuration_with_another_value_than_was_written_is_noticed(tmp_path):
    begin(run := make_run(tmp_path))
    run.write_config()
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 8'))
    for read in (lambda: Run.open(tmp_path), make_run(tmp_path).check_config):
        with pytest.raises(DataError, match=r"config\.json: damaged or edited"):
            read()


def test_a_configuration_that_is_wrong_is_an_error_of_the_data(tmp_path):
    make_run(tmp_path).write_config()
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"filters"', '"filtres"'))
    with pytest.raises(DataError, match=r"config\.json: model\.filtres: .*\.filters\?"):
        Run.open(tmp_path)


def test_the_data_that_a_run_was_begun_with_stay_known(tmp_path, caplog):
    """Other scored clips are other data, with which a run may go on."""
    run = make_run(tmp_path)
    run.write_data(store(data="first"))
    begin(run)
    run.write_data(store(data="second"))
    with caplog.at_level("WARNING", logger="absl"):
        run.check_data(store(data="second"))
    assert not caplog.records
    content = json.loads((tmp_path / "data.json").read_text())
    assert content["data_sha256"] == "first"


def test_the_same_clips_are_accepted_and_others_refused(tmp_path, caplog):
    run = make_run(tmp_path)
    run.write_data(store())
    begin(run)
    run.write_data(store(num_clips=9))  # the first stays
    run.check_data(store())
    rounding = np.add((0.5, 1.5), 1e-4)
    with caplog.at_level("WARNING", logger="absl"):
        run.check_data(store())
        assert not caplog.records
        run.check_data(store(mean=rounding.tolist()))
    assert "computed on another processor" in caplog.text
    for other in (
        store(num_clips=4),
        store(labels="abd"),
        store(mean=(0.5, 1.6)),
        store(mean=(0.5, 1.5, 2.5)),
        store(name="Bus"),
    ):
        with pytest.raises(DataError, match="3 clips then"):
            run.check_data(other)


def test_posteriors_of_other_clips_lie_elsewhere(tmp_path):
    run = make_run(tmp_path)
    split = SimpleNamespace(name="testing", content_hash="0123456789")
    path = tmp_path / "posteriors" / "testing-01234567" / "epoch-3.npz"
    assert run.posteriors(split, 3) == path
    assert run.results(split) == tmp_path / "results" / "testing"


def test_features_are_made_as_the_configuration_says(tmp_path):
    config = make_run(
        tmp_path,
        laptop,
        data={
            "soundscapes": (3, 1, 1),
            "store": str(tmp_path / "store"),
            "held_out_fraction": 0.4,
            "num_workers": 0,
        },
        front_end={"hop_length": 4000, "window_length": 4096, "num_mels": 16},
        model={"frequency_pooling": (2, 2, 1, 1)},
    ).config
    made = open_store(config)
    sizes = {name: len(split) for name, split in made.splits.items()}
    assert sum(sizes.values()) == 5 and sizes["held_out"] == 1
    assert made.front_end == config.front_end
