"""The README in the folder of an exported model: its use without gcrnn_jax."""

import inspect
from collections.abc import Mapping
from typing import Any

from gcrnn_jax.audio.onnx_front_end import OnnxFrontEnd
from gcrnn_jax.audio.onnx_model import arranged, model_frames
from gcrnn_jax.exporting.waveform import compute_features

_HEAD = """\
# {network}, {num_classes} classes

Exported by `python -m gcrnn_jax.export`; `card.json` has the class names, the front
end, the thresholds and how far each program is from the model in JAX.

Outputs: `clip` [batch, {num_classes}], the posterior that a class is somewhere in the
clip, and `frame` [batch, frames_out, {num_classes}], one row every
{frame_hop_s:g} s. Every frame of the input counts as real: clips of
different lengths go in separately, not padded. A class is a tag of the clip where
`clip` is greater than `tag_threshold` under `postprocessing` in the card, and active in
a frame where `frame` is greater than `event_threshold`.
"""

_PROGRAM = """
## {program}

Batch and {axis} are free, at least {least} {axis}{limit}.
Needs `pip install {packages}`.

Input: {input}.

```python
import json, numpy as np
{code}
card = json.load(open("card.json"))
print(dict(zip(card["classes"]["names"], np.asarray(clip)[0].tolist())))
```
"""
_INPUT = {
    "features": "`features`, {kind} as below, not scaled",
    "waveform": "`waveform`, mono at {rate} Hz, in [-1, 1]; nothing is cut",
}
# By the end of a program's name: packages, what is said of fewer frames, and its use.
_USES = {
    "stablehlo": (
        "jax flatbuffers",
        "",
        """\
from jax import export
program = export.deserialize(open("{program}", "rb").read())
clip, frame = program.call(np.zeros({shape}, np.float32))""",
    ),
    "onnx": (
        "onnxruntime",
        ": fewer are not refused, and\nwhat comes out means nothing",
        """\
from onnxruntime import InferenceSession
features = {{"features": np.zeros({shape}, np.float32)}}
clip, frame = InferenceSession("{program}").run(["clip", "frame"], features)""",
    ),
}

_FEATURES = """
## From a waveform to features

`compute_features(waveform, front_end)` is the {kind} of a waveform, mono at {rate} Hz;
recordings at other rates are resampled first. Needs `pip install numpy`.

```python
import numpy as np
front_end = np.load("front_end.npz")

{source}```
"""

_ONNX_FEATURES = """
## From a waveform to features

`front_end.onnx` is the model that the features come from, of SHA-256
{sha256}.
`model_frames(values, run, about)` is its frames of {values}
in [-1, 1]; recordings at other rates are resampled first, and what is longer than
{clip_s:g} s is cut: `features = model_frames(...)[None]`.
Needs `pip install numpy onnxruntime`.

```python
import json, numpy as np
from onnxruntime import InferenceSession
about = json.load(open("card.json"))["front_end"]
session = InferenceSession("front_end.onnx")
run = lambda x: session.run([about["output"]], {{session.get_inputs()[0].name: x}})[0]

{source}```
"""


def readme(card: Mapping[str, Any]) -> str:
    """The text for the card of an exported folder."""
    exported, front_end = card["exported"], card["front_end"]
    of_model = front_end["kind"] == OnnxFrontEnd.kind
    kind = "frames" if of_model else front_end["kind"].replace("_", "-")
    words = {
        "network": card["config"]["model"]["kind"],
        "num_classes": len(card["classes"]["names"]),
        "kind": kind,
        "rate": front_end["sample_rate_hz"],
        "source": inspect.getsource(compute_features),
        **exported,
    }
    text = _HEAD.format(**words)
    for program, entry in exported["programs"].items():
        ((name, (_, axis, *bins)),) = entry["inputs"].items()
        least = exported[f"min_{axis}"]
        size = words["rate"] * 10 if axis == "samples" else 240
        packages, limit, code = _USES[program.rpartition(".")[2]]
        code = code.format(program=program, shape=(1, max(size, least), *bins))
        about = {"axis": axis, "least": least, "limit": limit, "packages": packages}
        about["input"] = _INPUT[name].format(**words)
        text += _PROGRAM.format(program=program, code=code, **about)
    if not of_model:
        return text + _FEATURES.format(**words)
    waveforms = f"a waveform, float32 [S], mono at {words['rate']} Hz"
    source = "\n\n".join(map(inspect.getsource, (arranged, model_frames)))
    about = {**front_end, "values": waveforms, "source": source}
    if "M" not in front_end["input"]:
        return text + _ONNX_FEATURES.format(**about)
    about["values"] = "log-mel frames [T, M], as below, of a waveform"
    words["kind"] = "log-mel"
    return text + _ONNX_FEATURES.format(**about) + _FEATURES.format(**words)
