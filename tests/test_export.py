"""The command, on a run of its own, and what lies in the folder afterwards."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from gcrnn_jax.exporting.exportable import exportable
from gcrnn_jax.exporting.stablehlo import load_exported
from gcrnn_jax.training.checkpoints import load_model


@pytest.fixture(scope="module")
def run(commands, tmp_path_factory):
    """A trained run and what was exported from it."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    done = commands.main(workdir)
    assert done.returncode == 0, done.stderr
    done = commands.run(workdir, module="gcrnn_jax.export")
    assert done.returncode == 0, done.stderr
    return workdir, workdir.with_name("tiny_exported"), done.stdout


def test_the_model_of_a_run_is_exported_beside_it(run):
    workdir, folder, printed = run
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "card.json",
        "front_end.npz",
        "model.onnx",
        "model.stablehlo",
        "waveform.stablehlo",
    ]
    card = json.loads((folder / "card.json").read_text())
    stored = load_model(workdir).card
    assert stored["averaged"] == load_model(workdir / "averaged").card["averaged"]
    kept = {name: value for name, value in card.items() if name != "exported"}
    assert kept == {**stored, "format": card["format"]}
    exported = card["exported"]
    assert exported["frame_hop_s"] == 2 * stored["hop_s"]
    assert exported["min_frames"] == 2
    assert {"jax", "onnx", "onnxruntime"} <= exported["versions"].keys()
    assert exported["programs"]["model.onnx"]["opset"] == 18
    compared = exported["parity"]["programs"]
    assert compared.keys() == exported["programs"].keys()
    for program, entries in compared.items():
        axis = "samples" if program.startswith("waveform") else "frames"
        assert len({entry[axis] for entry in entries}) == 3
        assert {entry["batch"] for entry in entries} == {1, 3}
        assert {entry["input"] for entry in entries} == {"random", "real"}
        assert max(entry["largest_difference"] for entry in entries) <= 1e-5
        assert f"{program}: " in printed
    assert "built-in soundscapes" in printed


def test_the_loaded_program_is_the_model(run):
    workdir, folder, _ = run
    model = exportable(load_model(workdir))
    shape = (2, 31, model.front_end.num_bins)
    features = np.random.default_rng(0).normal(-5, 3, shape).astype(np.float32)
    card, predict = load_exported(folder)
    assert card["classes"] == model.card["classes"]
    for found, expected in zip(
        predict(features), jax.jit(model)(features), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_examples_of_the_folders_readme_run_without_the_package(run):
    _, folder, _ = run
    text = (folder / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(examples) == 4
    for example in examples[:3]:
        forbid = "import sys\nsys.modules['gcrnn_jax'] = None\n"
        assert len(example.splitlines()) <= 6
        done = subprocess.run(
            [sys.executable, "-I", "-c", forbid + example],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "'Car'" in done.stdout


def test_a_folder_without_a_model_ends_with_a_line_and_its_code(commands, tmp_path):
    done = commands.run(tmp_path, module="gcrnn_jax.export")
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path} holds no model")
    assert "Traceback" not in done.stderr
