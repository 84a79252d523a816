"""An ONNX model of sound: its file, what its graph takes and gives, and running it.

onnx and onnxruntime, packages of the extra "export", are imported where a model is
opened.
"""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gcrnn_jax.errors import ConfigError, DataError
from gcrnn_jax.fields import user_path

# S samples; T log-mel frames of M mels. Those that fit a graph are tried in this order.
LAYOUTS = (
    "[S]",
    "[1, S]",
    "[T, M]",
    "[1, T, M]",
    "[1, M, T]",
    "[1, 1, S]",
    "[1, 1, T, M]",
    "[1, 1, M, T]",
)
TYPES = {  # of ONNX Runtime -> of NumPy
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
}
_MAX_ERROR = 300  # characters of what ONNX Runtime says


def model_frames(values, run, about):
    """Frames of features that a model gives of a sound.

    Args:
        values: Waveform, float32 [S], or log-mel frames [T, M].
        run: From the model's input to its output.
        about: Facts of the model, as a card has them under "front_end".

    Returns:
        float32 [frames, F].
    """
    fixed, floor = about["fixed_length"], about["floor"]
    missing = -len(values) % fixed if fixed else about["shortest"] - len(values)
    margin = [(0, max(0, missing))] + [(0, 0)] * (values.ndim - 1)
    silence = np.log(floor) if values.ndim == 2 else 0.0
    padded, parts = np.pad(values, margin, constant_values=silence), []
    for part in np.split(padded, len(padded) // fixed) if fixed else [padded]:
        output, axis = run(arranged(part, about["input"])), about["time_axis"]
        rows = np.moveaxis(output, axis, 0) if axis >= 0 else output[None]
        parts.append(rows.reshape(len(rows), -1).astype(np.float32))
    frames, size = np.concatenate(parts), about["merged_frames"]
    if fixed:  # those of the padding go
        frames = frames[: -(-len(values) * len(parts[0]) // fixed)]
    merged = [frames[i : i + size].mean(0) for i in range(0, len(frames), size)]
    return np.stack(merged)


def arranged(values, layout):
    """A waveform [S] or log-mel frames [T, M] as a model's input, "float32 [1, S]"."""
    dtype, axes = layout.split(" ", 1)
    values = values.T if axes.endswith("T]") else values
    num_ones = axes.count(",") + 1 - values.ndim
    return values.reshape((1,) * num_ones + values.shape).astype(dtype)


class OnnxModel:
    """A model in ONNX Runtime, on the CPU."""

    def __init__(self, path: str, content: bytes):
        """Opens it; `path` is for messages.

        Raises:
            ConfigError: A package is not installed.
            DataError: It is no ONNX model, not all of one, or needs what is not there.
        """
        onnx, runtime = _packages()
        self.path = path
        try:
            graph = onnx.load_model_from_string(content).graph
        except Exception as error:  # protobuf has no common one
            raise DataError(
                f"{path}: expected an ONNX model, got {len(content)} bytes that are "
                f"none: {_text(error)}"
            ) from None
        elsewhere = onnx.TensorProto.EXTERNAL
        external = {
            entry.value
            for tensor in graph.initializer
            if tensor.data_location == elsewhere
            for entry in tensor.external_data
            if entry.key == "location"
        }
        if external:
            raise DataError(
                f"{path}: expected one file with all weights, got one that has them in "
                f"{', '.join(sorted(external))}: onnx.save(onnx.load(PATH), NEW_PATH) "
                "writes one file"
            )
        del graph
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what fails is said by us
        options.enable_mem_pattern = False  # every recording has another length
        options.intra_op_num_threads = 1  # the number of threads changes the rounding
        options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        try:
            self._session = runtime.InferenceSession(
                content, options, providers=providers
            )
        except Exception as error:  # nor has ONNX Runtime
            raise DataError(
                f"{path}: expected a model that ONNX Runtime {runtime.__version__} "
                f"runs: {_text(error)}"
            ) from None
        self.inputs: Sequence[Any] = self._session.get_inputs()
        self.outputs: Sequence[Any] = self._session.get_outputs()

    def run(self, values: np.ndarray, output: str) -> np.ndarray:
        """An output for an input.

        Raises:
            DataError: The model fails.
        """
        feed = {self.inputs[0].name: values}
        try:
            (found,) = self._session.run([output], feed)
        except Exception as error:
            raise DataError(
                f"{self.path}: fails on an input {list(values.shape)}: {_text(error)}"
            ) from None
        return np.asarray(found)


def read_model(path: str, sha256: str | None = None) -> bytes:
    """The content of a model's file.

    Raises:
        DataError: It cannot be read, or has another hash than is expected.
    """
    try:
        content = user_path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if sha256 not in (None, found := hashlib.sha256(content).hexdigest()):
        raise DataError(
            f"{path}: another model than the features were computed by: expected "
            f"SHA-256 {sha256}, got {found}"
        )
    return content


@functools.lru_cache(maxsize=4)
def open_model(path: str, sha256: str) -> OnnxModel:
    """The model in a file, opened once a process.

    Raises:
        ConfigError: A package is not installed.
        DataError: It cannot be opened, or is another than it was.
    """
    return OnnxModel(path, read_model(path, sha256))


def fitting_layouts(model: OnnxModel, num_mels: int) -> list[tuple[str, int]]:
    """Inputs that a model may take, most likely first, with their length if it is one.

    Returns:
        Such as ("float32 [1, S]", 0); 0: any length.

    Raises:
        ConfigError: It has several inputs, or one that no sound fits.
    """
    if len(model.inputs) != 1:
        raise ConfigError(
            f"front_end.path: {model.path}: expected a model with one input, a "
            f"waveform or log-mel frames, got {describe(model.inputs)}"
        )
    (one,) = model.inputs
    found = []
    for place, layout in enumerate(LAYOUTS if one.type in TYPES else ()):
        axes = layout[1:-1].split(", ")
        length = _fitting_length(axes, one.shape, num_mels)
        if length is not None:
            is_known = num_mels in one.shape and "M" in axes
            order = (not is_known, length > 0, place)
            found.append((order, f"{TYPES[one.type]} {layout}", length))
    if not found:
        raise ConfigError(
            f"front_end.path: {model.path}: expected an input of floats, a waveform "
            "[S], [1, S] or [1, 1, S] or log-mel frames [T, M], [1, T, M], [1, M, T], "
            f"[1, 1, T, M] or [1, 1, M, T] with M = {num_mels} (front_end.num_mels), "
            f"got {describe(model.inputs)}"
        )
    return [(layout, length) for _, layout, length in sorted(found)]


def _fitting_length(
    axes: Sequence[str], shape: Sequence[Any], num_mels: int
) -> int | None:
    """The one length that an input takes, 0 for any; None: its axes are others."""
    sizes = {"1": 1, "M": num_mels}
    pairs = [*zip(axes, shape, strict=False)]
    known = [(axis, size) for axis, size in pairs if isinstance(size, int)]
    if len(axes) != len(shape) or any(sizes.get(axis, n) != n for axis, n in known):
        return None
    lengths = [size for axis, size in known if axis in ("S", "T")]
    if not lengths:
        return 0
    # a graph of one length has no free axis but that of a batch
    free = [axis for axis, size in pairs[1:] if not isinstance(size, int)]
    return None if free or lengths[0] < 1 else lengths[0]


def find_output(model: OnnxModel, name: str) -> str:
    """The output of a name, or the only one.

    Raises:
        ConfigError: There is none of this name, several and no name, or it holds
            nothing but integers.
    """
    outputs = {one.name: one for one in model.outputs}
    where = f"front_end.output: {model.path}: expected"
    if name not in outputs and (name or len(outputs) != 1):
        raise ConfigError(
            f"{where} the name of one of {describe(model.outputs)}, got {name!r}"
        )
    one = outputs[name] if name else model.outputs[0]
    if one.type not in TYPES:
        raise ConfigError(f"{where} an output of floats, got {describe([one])}")
    return one.name


def describe(ends: Sequence[Any]) -> str:
    """Inputs or outputs for people, as "wave float32 [1, samples]"."""
    texts = []
    for one in ends:
        sizes = ", ".join("?" if size is None else str(size) for size in one.shape)
        texts.append(f"{one.name} {TYPES.get(one.type, one.type)} [{sizes}]")
    return " and ".join(texts) or "none"


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"front_end.kind 'onnx' needs the package {error.name}, which is not "
            "installed: pip install 'gcrnn_jax[export]'"
        ) from None
    return onnx, onnxruntime


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_MAX_ERROR]}"
