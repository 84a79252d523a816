import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from gcrnn_jax.errors import ConfigError, DataError, WorkdirError
from gcrnn_jax.exporting import folder as exporting
from gcrnn_jax.exporting import onnx_networks
from gcrnn_jax.exporting.exportable import exportable
from gcrnn_jax.exporting.stablehlo import is_exported
from gcrnn_jax.training.checkpoints import Model


@pytest.fixture(scope="module")
def model(small):
    return small("mlp", median_frames=3)


@pytest.fixture(scope="module")
def output(model, tmp_path_factory):
    """An exported folder, alone in another."""
    output = tmp_path_factory.mktemp("folder") / "exported"
    exporting.export_model(model, output, ["onnx"])
    return output


def test_a_folder_holds_the_asked_for_formats_and_the_models_card(model, output):
    names = ["README.md", "card.json", "front_end.npz", "model.onnx"]
    assert sorted(path.name for path in output.iterdir()) == names
    assert is_exported(output)
    card = json.loads((output / "card.json").read_text())
    kept = {k: v for k, v in card.items() if k not in ("format", "exported")}
    assert kept == {k: v for k, v in model.card.items() if k != "format"}


def test_the_front_end_in_the_readme_is_the_models(
    small, front_end, tmp_path, monkeypatch
):
    front_end = dataclasses.replace(front_end, clip_s=1.5)
    output = tmp_path / "exported"
    card = exporting.export_model(small("mlp", front_end), output, [])
    assert not card["exported"]["programs"]
    (code,) = re.findall(
        r"```python\n(.*?)```", (output / "README.md").read_text(), re.S
    )
    monkeypatch.chdir(output)
    exec(code, program := {})
    waveform = np.random.default_rng(0).normal(0, 0.1, 22000).astype(np.float32)
    found, expected = program["features_of"](waveform), front_end(waveform)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, 3e-7, 3e-6)


def test_nothing_is_written_where_a_program_differs(model, output, monkeypatch):
    """A graph of other weights stands in for a mistake in its making."""
    before = (output / "card.json").read_bytes()
    broken = jax.tree.map(np.copy, model.variables)
    broken["params"]["detection"]["bias"] += 0.01
    other = exportable(Model(model.card, broken))
    make = onnx_networks.onnx_model
    monkeypatch.setattr(onnx_networks, "onnx_model", lambda _: make(other))
    with pytest.raises(DataError, match=r"model\.onnx .* differ by .*nothing was"):
        exporting.export_model(model, output, ["onnx"])
    assert (output / "card.json").read_bytes() == before
    with pytest.raises(DataError):
        exporting.export_model(model, output.with_name("another"), ["onnx"])
    assert [path.name for path in output.parent.iterdir()] == ["exported"]


def test_an_earlier_export_is_replaced_whole(model, output):
    (output / "left over").touch()
    killed = output.with_name(".exported.partial")
    killed.mkdir()
    exporting.export_model(model, output, ["onnx"])
    assert not (output / "left over").exists()
    assert (output / "model.onnx").exists()
    assert [path.name for path in output.parent.iterdir()] == ["exported"]


def test_another_folder_is_not_replaced(model, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(WorkdirError, match="is no exported model"):
        exporting.export_model(model, tmp_path, ["onnx"])
    assert (tmp_path / "mine").exists()


def test_missing_packages_and_unknown_formats_are_named(monkeypatch):
    with pytest.raises(ConfigError, match="stablehlo, onnx, got 'tflite'"):
        exporting.check_packages(["tflite"])
    monkeypatch.setattr(exporting, "_PACKAGES", {"onnx": ("no_such_package",)})
    with pytest.raises(ConfigError, match=r"no_such_package.*gcrnn_jax\[export\]"):
        exporting.check_packages(["onnx"])
