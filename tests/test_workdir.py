import json
from types import SimpleNamespace

import numpy as np
import pytest

from configs import few_clips, sed
from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.workdir import (
    check_same_data,
    check_same_run,
    read_config,
    write_config,
    write_data,
)


def config(module=sed):
    return module.get_config().to_dict()


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
                f"training/{file}": {"sha256": digest}
                for file, digest in zip(files, labels, strict=True)
            },
            "classes": {"ids": ["/m/1"], "names": [name]},
            "scaler": {"mean": list(mean), "std": [1.0, 2.0]},
        },
    )


def test_a_configuration_is_read_as_it_was_written(tmp_path):
    write_config(tmp_path, config())
    assert read_config(tmp_path) == json.loads(json.dumps(config()))
    check_same_run(tmp_path, config())


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("model", "filters", 8),
        ("sampling", "size_steps", (1,)),
        ("data", "soundscapes", (1, 1, 1)),
    ],
)
def test_what_makes_another_run_is_refused_and_named(tmp_path, section, field, value):
    write_config(tmp_path, config())
    other = config()
    other[section][field] = value
    with pytest.raises(ConfigError, match=rf"{section}\.{field}: .* -> "):
        check_same_run(tmp_path, other)


def test_a_run_may_be_prolonged_and_its_data_moved(tmp_path):
    write_config(tmp_path, config())
    other = config()
    other["training"]["num_epochs"] = 100
    other["fusion"]["epochs"] = "90:100"
    other["data"]["root"] = "elsewhere"
    check_same_run(tmp_path, other)


def test_a_run_whose_rate_falls_to_its_end_cannot_be_prolonged(tmp_path):
    write_config(tmp_path, config(few_clips))
    other = config(few_clips)
    other["training"]["num_epochs"] = 100
    with pytest.raises(ConfigError, match=r"num_epochs: 30 -> 100 \(a cosine schedule"):
        check_same_run(tmp_path, other)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DataError, match=r"config\.json: "):
        check_same_run(tmp_path, config())


def test_the_data_that_a_run_was_begun_with_stay_known(tmp_path, caplog):
    """Other scored clips are other data, with which a run may go on."""
    write_data(tmp_path, store(data="first"))
    write_data(tmp_path, store(data="second"))
    with caplog.at_level("WARNING", logger="absl"):
        check_same_data(tmp_path, store(data="second"))
    assert not caplog.records
    path = tmp_path / "data.json"
    content = json.loads(path.read_text())
    assert content["data_sha256"] == "first"


def test_the_same_clips_are_accepted_and_others_refused(tmp_path, caplog):
    write_data(tmp_path, store())
    write_data(tmp_path, store(num_clips=9))  # the first stays
    check_same_data(tmp_path, store())
    rounding = np.add((0.5, 1.5), 1e-4)
    with caplog.at_level("WARNING", logger="absl"):
        check_same_data(tmp_path, store())
        assert not caplog.records
        check_same_data(tmp_path, store(mean=rounding.tolist()))
    assert "computed on another processor" in caplog.text
    for other in (
        store(num_clips=4),
        store(labels="abd"),
        store(mean=(0.5, 1.6)),
        store(mean=(0.5, 1.5, 2.5)),
        store(name="Bus"),
    ):
        with pytest.raises(DataError, match="3 clips then"):
            check_same_data(tmp_path, other)
