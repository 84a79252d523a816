"""The command, on a run's folder, and what lies in the exported one afterwards."""

import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import sed
from gcrnn_jax.exporting import load_exported
from gcrnn_jax.exporting.stablehlo import features_function
from gcrnn_jax.models import network_fields
from gcrnn_jax.runs import load_model
from gcrnn_jax.training import write_model
from tests import defaults

FIELDS = {
    "blocks": [1],
    "time_pooling": [2],
    "frequency_pooling": [2],
    "filters": 2,
    "last_filters": 2,
    "rnn_units": 2,
}


def save_run(workdir):
    """Puts two models where a run has them, of which the averaged one is exported."""
    front_end = defaults.front_end(num_mels=8, clip_s=1.0)
    network = defaults.network(3, **FIELDS)
    features = np.zeros((1, 8, 8), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), features)
    sections = sed.get_config().to_dict()
    card = {
        "format": "gcrnn_jax model 1",
        "config": {**sections, "model": network_fields(network)},
        "front_end": front_end.as_dict(),
        "classes": {"ids": ["/m/1", "/m/2", "/m/3"], "names": ["Car", "Bus", "Train"]},
        "scaler": {"mean": [-5.0] * 8, "std": [2.0] * 8},
        "hop_s": front_end.hop_s,
        "postprocessing": sections["postprocessing"],
        "step": 7,
    }
    for seed, path in enumerate(("checkpoints/7", "averaged")):
        rng = np.random.default_rng(seed)
        variables = jax.tree.map(
            lambda leaf, rng=rng: abs(rng.normal(0, 0.3, leaf.shape)).astype("f4"),
            shapes,
        )
        averaged = {"averaged": [7]} if seed else {}
        write_model(workdir / path, {**card, **averaged}, variables)


@pytest.fixture(scope="module")
def run(commands, tmp_path_factory):
    """A run's folder, and what was exported from it."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    save_run(workdir)
    done = commands.run(workdir, module="gcrnn_jax.export")
    assert done.returncode == 0, done.stderr
    return workdir, workdir.with_name("tiny_exported"), done.stdout


def test_the_model_of_a_run_is_exported_beside_it(run):
    workdir, folder, printed = run
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "card.json",
        "front_end.npz",
        "manifest.json",
        "model.onnx",
        "model.stablehlo",
        "waveform.stablehlo",
    ]
    card = json.loads((folder / "card.json").read_text())
    stored = json.loads(json.dumps(load_model(workdir).card.to_dict()))
    assert stored["averaged"] == [7]
    kept = {name: value for name, value in card.items() if name != "exported"}
    assert kept == {**stored, "format": card["format"]}
    exported = card["exported"]
    assert exported["frame_hop_s"] == 2 * stored["hop_s"]
    assert exported["min_frames"] == 1
    assert exported["min_samples"] == 1024
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
    model = load_model(workdir)
    features = np.random.default_rng(0).normal(-5, 3, (2, 31, 8)).astype(np.float32)
    card, predict = load_exported(folder)
    assert tuple(card["classes"]["names"]) == model.class_names
    expected = jax.jit(features_function(model))(features)
    for output, other in zip(predict(features), expected, strict=True):
        np.testing.assert_allclose(output, other, atol=1e-5)


def test_the_examples_of_the_folders_readme_run_without_the_package(run):
    _, folder, _ = run
    text = (folder / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(examples) == 4
    assert all(len(example.splitlines()) <= 6 for example in examples[:3])
    forbid = "import sys\nsys.modules['gcrnn_jax'] = None\n"
    features = "print(compute_features(np.zeros(1688), front_end).shape)\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", forbid + "".join(examples) + features],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'Car'") == 3
    assert done.stdout.endswith("(2, 8)\n")


def test_a_folder_without_a_model_ends_with_a_line_and_its_code(commands, tmp_path):
    done = commands.run(tmp_path, module="gcrnn_jax.export")
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path} holds no model")
    assert "Traceback" not in done.stderr
