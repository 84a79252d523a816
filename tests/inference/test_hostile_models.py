"""Folders that are no models of ours end in one line, before memory is taken."""

import json
import os
import resource
import shutil

import numpy as np
import pytest

from gcrnn_jax.errors import DataError
from gcrnn_jax.runs import load_model
from gcrnn_jax.training.model_files import read_model, write_model
from tests.conftest import GOLDENS

MODEL = read_model(GOLDENS / "run_0_1" / "checkpoints" / "2")


def changed(values, names, to):
    """A copy of nested dictionaries with another value at a place."""
    first, *rest = names
    return {**values, first: changed(values[first], rest, to) if rest else to}


def set_card(*names, to):
    def change(path):
        card = path / "card" / "data.json"
        values = json.loads(card.read_text())
        card.write_text(json.dumps(changed(values, names, to)))

    return change


def set_kernel(function):
    def change(path):
        card, variables = MODEL
        kernel = variables["params"]["attention"]["kernel"]
        names = ("params", "attention", "kernel")
        write_model(path, card, changed(variables, names, function(kernel)))

    return change


def put(name, text):
    return lambda path: (path / name).write_text(text)


def pipe(path):
    (path / "params" / "d").rename(path / "moved")
    os.mkfifo(path / "params" / "d")


def link(target):
    def change(path):
        (path / "card" / "data.json").unlink()
        (path / "card" / "data.json").symlink_to(target)

    return change


def large(path):
    os.truncate(path / "params" / "_METADATA", 40 << 30)


MODEL_FIELDS = "config", "model"
HOSTILE = {
    "filters": (set_card(*MODEL_FIELDS, "filters", to=10**9), "filters must be"),
    "units": (set_card(*MODEL_FIELDS, "rnn_units", to=65000), "weights are not of"),
    "blocks": (set_card(*MODEL_FIELDS, "blocks", to=[10**9]), "blocks must be"),
    "kind": (set_card(*MODEL_FIELDS, "network", to=["gated_crnn"]), "model.kind"),
    "mels": (set_card("front_end", "num_mels", to=10**9), "more than"),
    "fft": (set_card("front_end", "fft_length", to=2**40), "at least one frame"),
    "clip": (set_card("front_end", "clip_s", to=9e5), "more than"),
    "rate": (set_card("front_end", "sample_rate_hz", to=10**400), "too large"),
    "epochs": (set_card("config", "training", "num_epochs", to=10**15), "num_epochs"),
    "batch": (set_card("config", "sampling", "batch_size", to=10**9), "batch_size"),
    "power": (set_card("front_end", "power", to=10**400), "power: expected"),
    "gap": (set_card("postprocessing", "gap_s", to=1e300), "gap_s"),
    "rules": (set_card("postprocessing", to=[1]), "card is wrong"),
    "scaler": (set_card("scaler", to=3), "card is wrong"),
    "step": (set_card("step", to=[2]), "step: expected"),
    "names": (set_card("classes", "names", to="a" * 17), "names: expected"),
    "a line": (
        set_card("classes", "names", to=[*"abcdefghijklmnop", "x\nerror: y"]),
        "control characters",
    ),
    "no object": (put("card/data.json", "[]"), "expected an object"),
    "nesting": (put("card/data.json", "[" * 10**6), "cannot be read"),
    "long": (put("card/data.json", '"' + "a" * (17 << 20)), "more than"),
    "sparse": (large, "_METADATA: more than"),
    "pipe": (pipe, "params/d: expected a file"),
    "device": (link("/dev/zero"), "a link out of"),
    "link": (link("/etc/passwd"), "a link out of"),
    "shape": (set_kernel(lambda x: np.tile(x, (1, 1000))), "is .4, 17000., expected"),
    "integers": (set_kernel(lambda x: x.astype(np.int32)), "int32, expected"),
    "double": (set_kernel(lambda x: x.astype(np.float64)), "float64, expected"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_folder_that_is_no_model_is_refused_in_little_memory(tmp_path, name):
    change, message = HOSTILE[name]
    path = tmp_path / "model"
    shutil.copytree(GOLDENS / "run_0_1" / "checkpoints" / "2", path)
    change(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=message) as refused:
        load_model(path)
    assert len(str(refused.value)) < 2000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 400 << 10  # KiB


def test_a_damaged_model_is_named_whatever_its_weights_would_be(tmp_path):
    path = tmp_path / "model"
    write_model(path, *MODEL)
    load_model(path)
    file = next(path.glob("params/ocdbt.process_0/d/*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"{file.name}: damaged"):
        load_model(path)
