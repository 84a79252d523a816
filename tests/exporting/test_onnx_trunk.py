"""Exported models take the ONNX model along that their features come from."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from gcrnn_jax.audio.onnx_model import open_model
from gcrnn_jax.errors import DataError
from gcrnn_jax.exporting import ExportedModel, export_model
from gcrnn_jax.inference import ModelCard
from tests import defaults
from tests.onnx_models import framing, of_mels


def model_of(small, path):
    """A head of random weights on the frames of a model."""
    fields = {"kind": "onnx", "path": path, "clip_s": 1.0, "num_mels": 20}
    front_end = defaults.front_end(**fields, mean_over_s=0.1)
    model = small("attention_mlp", front_end=front_end)
    card = dataclasses.replace(model.card, front_end=front_end)
    assert isinstance(card, ModelCard)
    return model.replace(card=card)


@pytest.fixture(scope="module", params=["waveform", "log_mel"])
def exported(request, small, tmp_path_factory):
    """A model and the folder that it was exported to; its trunk is gone."""
    folder = tmp_path_factory.mktemp("trunk")
    path = folder / "trunk.onnx"
    if request.param == "waveform":
        model = model_of(small, framing(path))
    else:
        model = model_of(small, of_mels(path, 20, [1, 20, "n"], frames=2))
    card = export_model(model, folder / "exported")
    content = path.read_bytes()
    waveform = np.random.default_rng(0).normal(0, 0.1, 12345).astype(np.float32)
    features = model.front_end(waveform)
    path.unlink()
    assert (folder / "exported" / "front_end.onnx").read_bytes() == content
    return model, folder / "exported", card, waveform, features


def test_programs_of_features_lie_beside_the_model_that_gives_them(exported):
    model, folder, card, _, _ = exported
    names = {path.name for path in folder.iterdir()}
    of_mels = {"front_end.npz"} if "M" in model.front_end.input else set()
    assert names == of_mels | {
        "README.md",
        "card.json",
        "front_end.onnx",
        "manifest.json",
        "model.onnx",
        "model.stablehlo",
    }
    programs = card["exported"]["parity"]["programs"]
    assert programs.keys() == {"model.onnx", "model.stablehlo"}
    for entries in programs.values():
        assert [entry["input"] for entry in entries] == ["random", "real"] * 3
        assert len({entry["frames"] for entry in entries}) == 3
        assert max(entry["largest_difference"] for entry in entries) <= 1e-5


def test_it_predicts_from_waveforms_as_the_model_does(exported):
    model, folder, _, waveform, features = exported
    loaded = ExportedModel.load(folder, batch_size=1)
    again = loaded.front_end(waveform)
    np.testing.assert_array_equal(again, features)
    size = np.array([len(features)])
    padded = np.zeros((1, model.front_end.num_frames, features.shape[1]), np.float32)
    padded[0, : len(features)] = features
    batch = np.repeat(padded, model.batch_size, 0)
    expected = model.predict_batch(batch, np.repeat(size, model.batch_size))
    for one, other in zip(
        loaded.predict_batch(padded, size), expected[:2], strict=False
    ):
        if one is not None:
            np.testing.assert_allclose(one[0], np.asarray(other)[0], atol=1e-5)


def test_its_readme_leads_from_a_waveform_to_features_without_the_package(
    exported, tmp_path
):
    model, folder, _, waveform, features = exported
    examples = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S
    )
    np.save(tmp_path / "waveform.npy", waveform)
    lines = [
        "import sys",
        "sys.modules['gcrnn_jax'] = None",
        *examples[2:],
        f"values = np.load({str(tmp_path / 'waveform.npy')!r})",
        "if 'M' in about['input']: values = compute_features(values, front_end)",
        f"np.save({str(tmp_path / 'out.npy')!r}, model_frames(values, run, about))",
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-c", "\n".join(lines)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(examples) == (4 if "M" in model.front_end.input else 3)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), features, atol=2e-5)


def test_a_copy_that_was_changed_is_damage(exported):
    _, folder, _, _, _ = exported
    path = folder / "front_end.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    try:
        with pytest.raises(DataError, match=r"front_end\.onnx: damaged"):
            ExportedModel.load(folder, batch_size=1)
        (folder / "manifest.json").rename(folder / "manifest")
        loaded = ExportedModel.load(folder, batch_size=1)
        open_model.cache_clear()
        with pytest.raises(DataError, match=r"front_end\.onnx: another model"):
            loaded.front_end(np.zeros(16000, np.float32))
    finally:
        path.write_bytes(content)
        (folder / "manifest").rename(folder / "manifest.json")


def test_a_model_without_its_trunk_is_not_exported(small, tmp_path):
    model = model_of(small, framing(tmp_path / "trunk.onnx"))
    framing(tmp_path / "trunk.onnx", scale=2.0)
    with pytest.raises(DataError, match=r"trunk\.onnx: another model"):
        export_model(model, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
