import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest

from gcrnn_jax.errors import ConfigError, DataError, WorkdirError
from gcrnn_jax.exporting import export_model, is_exported
from gcrnn_jax.exporting import folder as exporting
from gcrnn_jax.exporting.onnx_networks import onnx_program
from gcrnn_jax.exporting.waveform import front_end_arrays

NAMES = ["README.md", "card.json", "front_end.npz", "manifest.json", "model.onnx"]


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of an exported folder, alone in another."""
    return shutil.copytree(exported, tmp_path / "alone" / "exported")


def test_a_folder_holds_all_formats_and_the_models_card(model, exported):
    names = [*NAMES, "model.stablehlo", "waveform.stablehlo"]
    assert sorted(path.name for path in exported.iterdir()) == names
    assert is_exported(exported)
    card = json.loads((exported / "card.json").read_text())
    kept = {k: v for k, v in card.items() if k not in ("format", "exported")}
    expected = json.loads(json.dumps(model.card.to_dict()))
    assert kept == {k: v for k, v in expected.items() if k != "format"}
    programs = card["exported"]["programs"]
    features, waveform = ["batch", "frames", 8], ["batch", "samples"]
    assert programs["model.stablehlo"]["inputs"] == {"features": features}
    assert programs["model.onnx"]["inputs"] == {"features": features}
    assert programs["waveform.stablehlo"]["inputs"] == {"waveform": waveform}
    assert programs["model.stablehlo"]["platforms"] == ["cpu", "cuda", "tpu"]
    assert programs["waveform.stablehlo"]["platforms"] == ["cpu", "cuda"]
    outputs = {"clip": ["batch", 3], "frame": ["batch", "frames_out", 3]}
    assert all(entry["outputs"] == outputs for entry in programs.values())


def test_the_front_end_in_the_readme_is_the_models(
    exported, front_end, tmp_path, monkeypatch
):
    text = (exported / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)[-1]
    np.savez(tmp_path / "front_end.npz", **front_end_arrays(front_end))
    monkeypatch.chdir(tmp_path)
    exec(code, program := {})
    waveform = np.random.default_rng(0).normal(0, 0.1, 22000).astype(np.float32)
    features = program["compute_features"](waveform, program["front_end"])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, front_end(waveform), 3e-7, 3e-6)


def test_the_folder_has_the_arrays_of_its_front_end(model, exported):
    expected = front_end_arrays(model.front_end)
    with np.load(exported / "front_end.npz") as arrays:
        assert sorted(arrays.files) == sorted(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(arrays[name], values)


def test_nothing_is_written_where_a_program_differs(model, copy, monkeypatch):
    """A graph of other weights stands in for a mistake in its making."""
    before = (copy / "card.json").read_bytes()
    variables = jax.tree.map(np.copy, model.variables)
    variables["params"]["detection"]["bias"] += 0.01
    other = onnx_program(dataclasses.replace(model, variables=variables))
    broken = {"model.onnx": (lambda _: other, {})}
    monkeypatch.setitem(exporting._PROGRAMS, "onnx", broken)
    with pytest.raises(DataError, match=r"model\.onnx .* differ by .*nothing was"):
        export_model(model, copy, ["onnx"])
    assert (copy / "card.json").read_bytes() == before
    with pytest.raises(DataError):
        export_model(model, copy.with_name("another"), ["onnx"])
    assert [path.name for path in copy.parent.iterdir()] == ["exported"]


def test_an_export_that_fails_leaves_the_one_before(model, copy, fails_at):
    before = (copy / "card.json").read_bytes()
    with fails_at("export.program:enospc"):
        export_model(model, copy, ["onnx"])
    assert (copy / "card.json").read_bytes() == before
    assert [path.name for path in copy.parent.iterdir()] == ["exported"]


def test_an_earlier_export_is_replaced_whole_by_the_formats_asked_for(model, copy):
    (copy / "left over").touch()
    killed = copy.with_name(".exported.partial")
    killed.mkdir()
    card = export_model(model, copy, ["onnx"])
    assert sorted(path.name for path in copy.iterdir()) == NAMES
    assert [path.name for path in copy.parent.iterdir()] == ["exported"]
    assert card["exported"]["programs"].keys() == {"model.onnx"}
    assert "onnx" in card["exported"]["versions"]


def test_another_folder_is_not_replaced(model, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(WorkdirError, match="is no exported model"):
        export_model(model, tmp_path, ["onnx"])
    assert (tmp_path / "mine").exists()


def test_missing_packages_and_unknown_formats_are_named(model, tmp_path, monkeypatch):
    output = tmp_path / "new"
    with pytest.raises(ConfigError, match="stablehlo, onnx, got 'tflite'"):
        export_model(model, output, ["tflite"])
    monkeypatch.setitem(exporting._PACKAGES, "onnx", ("no_such_package",))
    with pytest.raises(ConfigError, match=r"no_such_package.*gcrnn_jax\[export\]"):
        export_model(model, output, ["onnx"])
