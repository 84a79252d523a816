"""ONNX models that no front end can be made of: what was expected, what came."""

import json
import sys

import numpy as np
import onnx
import pytest

from gcrnn_jax.audio.front_end import FrontEnd
from gcrnn_jax.audio.onnx_model import open_model
from gcrnn_jax.errors import ConfigError, DataError
from tests.audio.test_onnx_front_end import front_end, noise
from tests.onnx_models import framing, node, of_mels, save

WAVE = [("wave", "float32", [1, "samples"])]


def graph(path, nodes, inputs=None, outputs=(), constants=None, **options):
    outputs = [("out", "float32", shape) for shape in outputs or ([1, "a", "b"],)]
    constants = constants or {}
    return save(path, nodes, inputs or WAVE, outputs, constants, **options)


def two_outputs(path):
    nodes = [node("Identity", "wave", "clip"), node("Unsqueeze", "wave axis", "frame")]
    outputs = [("clip", "float32", [1, "n"]), ("frame", "float32", [1, "n", 1])]
    return save(path, nodes, WAVE, outputs, {"axis": np.array([2])})


def with_outer_weights(path):
    framing(path)
    model = onnx.load(path)
    onnx.save(
        model, path, save_as_external_data=True, location="w.bin", size_threshold=9
    )
    return str(path)


def not_onnx(path):
    path.write_bytes(b"RIFF....WAVEfmt ")
    return str(path)


def two_inputs(path):
    inputs = [*WAVE, ("rate", "float32", [1, "samples"])]
    return graph(path, [node("Add", "wave rate", "out")], inputs)


def of_integers(path):
    nodes = [node("Cast", "wave", "out", to=onnx.TensorProto.FLOAT)]
    return graph(path, nodes, [("wave", "int16", [1, "samples"])])


def to_integers(path):
    nodes = [node("Cast", "wave", "out", to=onnx.TensorProto.INT16)]
    return save(path, nodes, WAVE, [("out", "int16", [1, "n"])], {})


def of_images(path):
    image = [("image", "float32", [1, 3, 224, 224])]
    return graph(path, [node("Identity", "image", "out")], image, [[1, 3, 224, 224]])


def of_batches_of_8(path):
    waves = [("wave", "float32", [8, "samples"])]
    return graph(path, [node("Identity", "wave", "out")], waves, [[8, "n"]])


def custom_operator(path):
    nodes = [onnx.helper.make_node("Mel", ["wave"], ["out"], domain="com.example")]
    return graph(path, nodes, domains=("", "com.example"))


def without_frames(path):
    """Every sample times every one of two others: [1, n, n] grows twice."""
    nodes = [
        node("Unsqueeze", "wave last", "column"),
        node("Unsqueeze", "wave middle", "row"),
        node("MatMul", "column row", "out"),
    ]
    constants = {"last": np.array([2]), "middle": np.array([1])}
    short = [("wave", "float32", [1, "samples"])]
    return graph(path, nodes, short, constants=constants)


def with_tokens(path):
    """One matrix [1, 4, 2] of any clip: which of its axes would be time?"""
    nodes = [
        node("ReduceMean", "wave axes", "mean", keepdims=1),
        node("Mul", "mean ones", "out"),
    ]
    constants = {"axes": np.array([1]), "ones": np.ones((1, 4, 2), np.float32)}
    return graph(path, nodes, outputs=[[1, 4, 2]], constants=constants)


def of_40_samples_a_row(path):
    nodes = [node("Reshape", "wave shape", "out")]
    return graph(path, nodes, constants={"shape": np.array([1, -1, 48])})


def gives_nothing(path):
    nodes = [node("Slice", "wave zero zero one", "out")]
    constants = {"zero": np.array([0]), "one": np.array([1])}
    return graph(path, nodes, outputs=[[1, "n"]], constants=constants)


CASES = {
    "not there": (str, DataError, "m.onnx: cannot be read: No such file"),
    "not ONNX": (not_onnx, DataError, "expected an ONNX model, got 16 bytes that are"),
    "weights elsewhere": (
        with_outer_weights,
        DataError,
        "one file .*has them in w.bin",
    ),
    "an operator of others": (custom_operator, DataError, "ONNX Runtime .*com.example"),
    "two inputs": (
        two_inputs,
        ConfigError,
        r"front_end.path: .*one input.*got wave float32 \[1, samples\] and rate",
    ),
    "integers in": (
        of_integers,
        ConfigError,
        r"input of floats.*got wave tensor.int16",
    ),
    "integers out": (
        to_integers,
        ConfigError,
        "front_end.output: .*an output of floats",
    ),
    "images": (
        of_images,
        ConfigError,
        r"M = 20 .*got image float32 \[1, 3, 224, 224\]",
    ),
    "fixed batch": (of_batches_of_8, ConfigError, r"expected.*got wave float32 \[8, s"),
    "other mels": (
        lambda path: of_mels(path, 64, [1, "n", 64]),
        ConfigError,
        r"M = 20 \(front_end.num_mels\), got mels float32 \[1, n, 64\]",
    ),
    "two outputs": (
        two_outputs,
        ConfigError,
        "front_end.output: .*one of clip float32 .* and frame float32 .*, got ''",
    ),
    "longer than a clip": (
        lambda path: framing(path, samples=160000),
        ConfigError,
        "front_end.clip_s: .* takes 160000 samples, a clip of 1 s has 16000",
    ),
    "two axes grow": (
        without_frames,
        ConfigError,
        r"expected frames \[T, F\].*got \[1, 2000, 2000\], and \[1, 1000, 1000\]",
    ),
    "no axis grows": (with_tokens, ConfigError, r"expected frames.*got \[1, 4, 2\]"),
    "lengths that fail": (of_40_samples_a_row, DataError, r"fails on an input \[1, "),
    "nothing": (gives_nothing, ConfigError, r"frames of a clip, got nothing, \[1, 0\]"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_does_not_fit_is_refused_with_its_file(tmp_path, case):
    make, error, text = CASES[case]
    path = make(tmp_path / "m.onnx")
    clip_s = 0.125 if case == "two axes grow" else 1.0
    with pytest.raises(error, match=text) as caught:
        front_end(path, clip_s=clip_s)
    assert "m.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_the_output_that_is_named_is_taken(tmp_path):
    path = two_outputs(tmp_path / "m.onnx")
    waveform = noise(16000)
    np.testing.assert_array_equal(
        front_end(path, output="frame")(waveform)[:, 0], waveform
    )
    with pytest.raises(ConfigError, match="got 'frames'"):
        front_end(path, output="frames")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"path": ""}, "front_end.path: expected an ONNX model, got an empty path"),
        ({"path": 3}, "front_end.path: expected str, got 3"),
        ({"mean_over_s": -1.0}, "front_end: mean_over_s must be at least 0"),
        ({"mean_over_s": "x"}, "front_end.mean_over_s: expected a finite number"),
        ({"num_mels": 0}, "front_end: num_mels must be"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, changes, text):
    path = framing(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match=text):
        front_end(**{"path": path, **changes})


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_command(tmp_path, monkeypatch, package):
    path = framing(tmp_path / "m.onnx")
    open_model.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ConfigError, match=rf"{package}.*pip install 'gcrnn_jax\[export"
    ):
        front_end(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", "../../etc"),
        ("input", "float32 [1, 2, S]"),
        ("input", "int16 [S]"),
        ("fixed_length", -1),
        ("shortest", 0),
        ("time_axis", -2),
        ("num_values", 0),
        ("num_values", 1 << 25),
        ("frames_per_clip", 0),
        ("frame_hop", 0),
        ("merged_frames", 0),
        ("output", 3),
    ],
)
def test_a_card_with_a_field_that_cannot_be_is_refused(tmp_path, field, value):
    written = front_end(framing(tmp_path / "m.onnx")).as_dict()
    name = "values a clip" if value == 1 << 25 else field
    with pytest.raises(ConfigError, match=name):
        FrontEnd.from_dict({**json.loads(json.dumps(written)), field: value})


def test_a_model_that_fails_on_a_recording_says_on_which_input(tmp_path):
    """It takes multiples of 50 samples, as a clip and its half are."""
    nodes = [node("Reshape", "wave shape", "out")]
    path = graph(tmp_path / "m.onnx", nodes, constants={"shape": np.array([1, -1, 50])})
    one = front_end(path)
    assert (one.num_frames, one.hop_samples) == (320, 50)
    with pytest.raises(DataError, match=r"m\.onnx: fails on an input \[1, 8001\]: "):
        one(noise(8001))


def test_a_card_of_another_shape_than_the_models_is_noticed(tmp_path):
    one = front_end(framing(tmp_path / "m.onnx"))
    fields = {**one.as_dict(), "path": one.config_fields()["path"], "num_values": 7}
    with pytest.raises(
        DataError, match=r"frames of 7 values .* an output \[1, 49, 5\]"
    ):
        FrontEnd.from_dict(fields)(noise(16000))
